"""Probes are sent, supervised and understood: what hangs is killed with its children, what is no answer is said."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import testinfra
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from tests.helpers.waiting import wait_until
from verify import ROOT
from verify.documents import MalformedError
from verify.probes import supervisor
from verify.target import answers, connection, remote
from verify.target.answers import Outcome, Report
from verify.target.connection import LostError, NoAnswerError


@pytest.fixture
def host() -> Host:
    return testinfra.get_host("local://")


def anything(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """A schema that also has a probe and a script `tried`, whose one stage may answer with any data."""
    schema = json.loads(answers.SCHEMA.read_text(encoding="utf-8"))
    schema["$defs"] |= {"framework.tried": {"type": "object"}, "tried.tried": {"type": "object"}}
    (folder / "schema.json").write_text(json.dumps(schema), encoding="utf-8")
    monkeypatch.setattr(answers, "SCHEMA", folder / "schema.json")


@pytest.fixture
def run(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a probe whose one stage has a given body; the reporting is the real one."""
    for name in ("reporting", "supervisor", "freivalds", "benchmark", "framework"):
        shutil.copy(remote.PROBES / f"{name}.py", tmp_path)
    monkeypatch.setattr(remote, "PROBES", tmp_path)
    anything(monkeypatch, tmp_path)

    def probe(body: str, seconds: float = 20.0, **parameters: Any) -> Outcome:
        lines = "\n".join(f"        {line}" for line in body.splitlines())
        (tmp_path / "tried.py").write_text(
            "import os, subprocess, sys, time\nfrom .reporting import Stage\n"
            "def stages(parameters):\n    def stage():\n"
            f"{lines}\n    return [('tried', stage)]\n",
            encoding="utf-8",
        )
        return remote.probe(host, sys.executable, "tried", parameters, {"GIVEN": "é 'x'"}, seconds)

    return probe


def data(outcome: Outcome) -> dict[str, Any]:
    found = outcome.data("tried")
    assert found is not None, outcome
    return found


def test_parameters_and_environment_arrive(run: Any) -> None:
    outcome = run(
        "return {'got': parameters['one'], 'given': os.environ['GIVEN'], 'path': os.environ['PATH']}", one=[1]
    )
    assert (outcome.ended, outcome.status) == ("exit", 0)
    assert data(outcome)["got"] == [1]
    assert data(outcome)["given"] == "é 'x'"
    assert data(outcome)["path"].split(os.pathsep)[0] == str(Path(sys.executable).parent)


def test_what_frameworks_write_at_their_import_goes_where_it_is_gone_afterwards(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    names = ("KERAS_HOME", "MPLCONFIGDIR")
    monkeypatch.setenv("HOME", str(home))
    for name in (*names, "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    body = f"found = {{name: os.environ[name] for name in {names} if name in os.environ}}\n"
    body += "return {name: (folder, os.path.isdir(folder)) for name, folder in found.items()}"
    found = data(run(body))
    assert found.keys() == set(names)
    for folder, was_there in found.values():
        assert was_there
        assert not Path(folder).exists()
        assert not Path(folder).is_relative_to(home)
    # What a user has counts, settings first of all.
    monkeypatch.setenv("MPLCONFIGDIR", "/my/own")
    (home / ".keras").mkdir()
    (home / ".keras" / "keras.json").write_text("{}", encoding="utf-8")
    assert data(run(body)) == {"MPLCONFIGDIR": ["/my/own", False]}
    monkeypatch.delenv("MPLCONFIGDIR")
    for place in (".matplotlib", ".config/matplotlib", ".cache/matplotlib"):
        (home / place).mkdir(parents=True)
        assert data(run(body)) == {}
        (home / place).rmdir()


def test_the_current_folder_offers_no_modules(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch_of_this_folder.py").write_text("")
    monkeypatch.chdir(tmp_path)
    outcome = run("import torch_of_this_folder")
    assert outcome.reports["tried"].event == "error"
    assert "ModuleNotFoundError" in outcome.reports["tried"].error


def test_chatter_is_no_answer_and_is_kept_as_evidence(run: Any) -> None:
    outcome = run("print('{\"stage\": \"tried\"}', flush=True); os.write(2, b'\\xff chatter'); return {'x': 1}")
    assert data(outcome) == {"x": 1}
    assert "chatter" in outcome.evidence


def test_numbers_that_json_does_not_have(run: Any) -> None:
    assert data(run("return {'x': [float('nan'), -float('inf'), 1.5]}")) == {"x": ["nan", "-inf", 1.5]}


def gone(pid: str) -> bool:
    """Whether a process that was killed is no more, or dead and only not waited for; dying takes it a moment."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def test_a_probe_that_hangs_is_killed_with_its_children(run: Any, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    outcome = run(
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "import signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "time.sleep(1000)",
        seconds=8,
    )
    assert outcome.ended == "timeout"
    assert outcome.reports == {"tried": Report("start")}
    assert all(gone(pid) for pid in pids.read_text().split())


def test_a_child_left_behind_does_not_hold_the_answer_up(run: Any) -> None:
    outcome = run("subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)']); return {}", seconds=30)
    assert (outcome.ended, outcome.status) == ("exit", 0)


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL"])
def test_a_signal_is_named(run: Any, name: str) -> None:
    outcome = run(f"import signal\nos.kill(os.getpid(), signal.{name})")
    assert (outcome.ended, outcome.signal) == ("signal", name)


def test_a_signal_without_a_name_is_told_by_its_number(run: Any) -> None:
    outcome = run("os.kill(os.getpid(), 40)")
    assert (outcome.ended, outcome.status, outcome.signal) == ("signal", 40, "signal 40")


def test_the_end_of_what_a_probe_wrote_is_kept(run: Any) -> None:
    outcome = run("os.write(1, b'a' * 500 + b'b' * 2997 + b'end'); return {}")
    assert outcome.evidence == "b" * 2997 + "end"


def test_the_kernel_ends_a_probe_that_its_supervisor_does_not(run: Any) -> None:
    """After the supervisor's own limit, and before nobody waits any more."""
    left = data(run("import signal; return {'left': signal.alarm(0)}", seconds=20))["left"]
    assert 20 < left < 20 + remote.OUTER_MARGIN_S


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, None])
def test_a_supervisor_that_is_ended_takes_its_probe_along(tmp_path: Path, number: signal.Signals | None) -> None:
    """None: by nothing but that nobody hears it any more, as when ssh is gone."""
    place = tmp_path / "pid"
    started = f"import os, time\ndef stages(_):\n    open({str(place)!r}, 'w').write(str(os.getpid()) + '.')\n"
    order = {
        "nonce": "n",
        "modules": [
            *(("verify", None), ("verify.probes", None)),
            ("verify.probes.reporting", (remote.PROBES / "reporting.py").read_text(encoding="utf-8")),
            ("verify.probes.tried", f"{started}    time.sleep(1000)\n"),
        ],
        **{"entry": "verify.probes.tried", "parameters": {}, "environment": {}, "seconds": 1000},
    }
    code = f"import sys; from verify.probes import supervisor; supervisor.main({remote._pack(json.dumps(order))!r})"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    text = wait_until(lambda: place.exists() and place.read_text().endswith(".") and place.read_text(), process)
    assert process.stdout is not None
    if number is None:
        process.stdout.close()
    else:
        process.send_signal(number)
    assert process.wait(30) == 1
    process.stdout.close()
    assert gone(str(text).strip("."))


def test_a_probe_finds_the_commands_of_its_environment_where_no_path_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PATH")
    assert supervisor._activated_path() == f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"


def test_an_exit_in_the_middle(run: Any) -> None:
    outcome = run("os._exit(7)")
    assert (outcome.ended, outcome.status) == ("exit", 7)
    # The machine's own time, of a probe that may take 20 s.
    assert 0 < outcome.seconds < 60
    assert outcome.reports == {"tried": Report("start")}


def test_the_outer_limit_ends_even_a_supervisor_that_hangs(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "OUTER_MARGIN_S", 0.5)
    monkeypatch.setattr(remote, "_SUPERVISE", "sleep 1000")
    outcome = remote.probe(host, sys.executable, "environment", {}, {}, 0.5)
    assert outcome == Outcome({}, "no-answer", -1, evidence="no answer within 1 s", seconds=0.5)


def script(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (folder / "tried.sh").write_text(text, encoding="utf-8")
    monkeypatch.setattr(remote, "PROBES", folder)
    anything(monkeypatch, folder)


def test_a_script_is_asked_with_arguments_of_any_kind(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(
        tmp_path, monkeypatch, 'echo chatter; echo "$1"; printf \'it=%b\\n\' "$2"; echo \'a=b=c\'; echo "$1"; echo more'
    )
    assert remote.ask(host, "tried", ["é '\\x' $HOME"], 20).data("tried") == {"it": "é '\\x' $HOME", "a": "b=c"}


@pytest.mark.parametrize(
    ("text", "seconds", "said"),
    [
        ('echo "$1"; echo a=b; echo "$1"; echo broken >&2; exit 3', 60, "\nbroken"),
        ('echo "$1"; echo no pair; echo "$1"', 60, "exit code 0"),
        ('echo "$1"; echo a=cut off', 60, "exit code 0"),
        ("sleep 1000", 1, "no answer within 1 s"),
    ],
)
def test_what_a_script_says_is_read_strictly(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, seconds: int, said: str
) -> None:
    script(tmp_path, monkeypatch, text)
    outcome = remote.ask(host, "tried", [], seconds)
    assert (outcome.ended, outcome.reports) == ("no-answer", {})
    assert said in outcome.evidence


def test_a_python_that_is_not_there(host: Host) -> None:
    outcome = remote.probe(host, "/nowhere/é python", "environment", {}, {}, 5)
    assert outcome.ended == "no-answer"
    assert "/nowhere" in outcome.evidence


_START = '{"stage": "import", "event": "start"}'
_END = '{"stage": "import", "event": "end", "seconds": 1, "data": {"version": "1"}}'
GOOD = {"records": [], "ended": "exit", "status": 0, "signal": "", "evidence": "", "seconds": 1}


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["n " + json.dumps(GOOD), "n " + json.dumps(GOOD)],
        ["n {"],
        ["n " + json.dumps({**GOOD, "ended": "well"})],
        ["n " + json.dumps({**GOOD, "seconds": float("nan")})],
        ["n " + json.dumps({**GOOD, "records": ["[]"]})],
        ["n " + json.dumps({**GOOD, "records": ['{"stage": "import", "data": NaN}']})],
        ["n " + json.dumps({**GOOD, "records": ['{"event": "start"}']})],
        ["n " + json.dumps({**GOOD, "records": [_START.replace("import", "unknown")]})],
        ["n " + json.dumps({**GOOD, "records": [_START, _END.replace("import", "import/properties/version")]})],
        ["n " + json.dumps({**GOOD, "records": [_END]})],
        ["n " + json.dumps({**GOOD, "records": [_START, _END, _END]})],
        ["n " + json.dumps({**GOOD, "records": [_START, _START]})],
        ["n " + json.dumps(GOOD).replace('"status"', '"status": 1, "status"')],
        ["n null"],
        ["x" + "n " + json.dumps(GOOD)],
    ],
)
def test_anything_but_one_strict_line_is_no_answer(host: Host, lines: list[str]) -> None:
    done = CommandResult(host.backend, 3, b"", "\n".join(lines).encode(), b"banner")
    outcome = remote._understand(done, "framework", "n")
    assert outcome.ended == ("malformed" if any(line.startswith("n ") for line in lines) else "no-answer")
    assert outcome.reports == {}
    assert "banner" in outcome.evidence
    whole = {**GOOD, "records": [_START, _END]}
    good = CommandResult(host.backend, 0, b"", f"banner\nn {json.dumps(whole)}\n".encode(), b"")
    assert remote._understand(good, "framework", "n").ended == "exit"


@pytest.mark.parametrize(
    ("lines", "record", "others"),
    [
        (["Darwin", "arm64", "/r.json", "{", "}", ""], "{\n}", []),
        (["Darwin", "arm64", "/r.json"], "", []),
        (["Darwin", "arm64", "/r.json", "{}", "NONCE-other", "[", "]", "", "NONCE-other", "1"], "{}", ["[\n]", "1"]),
    ],
)
def test_an_answer_to_the_first_look(
    host: Host, monkeypatch: pytest.MonkeyPatch, lines: list[str], record: str, others: list[str]
) -> None:
    def answered(said: list[str]) -> Outcome:
        def run(_host: Host, _seconds: float, _command: str, _look: str, nonce: str, _profile: str) -> CommandResult:
            # Nobody can guess what sets an answer apart.
            assert len(bytes.fromhex(nonce)) >= 16
            text = "\n".join([nonce, *said, nonce]).replace("NONCE", nonce)
            return CommandResult(host.backend, 0, b"", text.encode(), b"")

        monkeypatch.setattr(connection, "run", run)
        return remote.look(host, "ml-m1")

    wanted = {"system": "Darwin", "machine": "arm64", "record_path": "/r.json", "record": record, "others": others}
    assert answered(lines).data("look") == wanted
    assert answered(lines[:2]).ended == "unreachable"


@pytest.mark.parametrize(
    ("error", "asked", "looked"),
    [
        (LostError("gone"), "lost", "unreachable"),
        (NoAnswerError("slow"), "no-answer", "unreachable"),
        (MalformedError("too much"), "malformed", "malformed"),
    ],
)
def test_what_goes_wrong_with_a_connection_is_an_outcome(
    host: Host, monkeypatch: pytest.MonkeyPatch, error: Exception, asked: str, looked: str
) -> None:
    def fails(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(connection, "run", fails)
    outcomes = [
        remote.probe(host, "python", "environment", {}, {}, 5),
        remote.ask(host, "system", [], 5),
        remote.look(host, "ml-m1"),
    ]
    assert [one.ended for one in outcomes] == [asked, asked, looked]
    assert {one.evidence for one in outcomes} == {str(error)}
    assert outcomes[0].status == -1


def test_the_first_look(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert (remote.look(host, "ml-m1").data("look") or {})["record"] == ""
    path = tmp_path / ".local/share/metal-lab/ml-m1.json"
    path.parent.mkdir(parents=True)
    path.write_text('{\n"a": 1, "shell": "/f"}')
    # Where new terminals are, or were, counts; not what else there is.
    (path.parent / "b.json").write_text('{"shell": "/home/.zshrc"}')
    (path.parent / "c.json").write_text('{"shell_created": true}')
    seen = remote.look(host, "ml-m1").data("look")
    assert seen == {
        "system": os.uname().sysname,
        "machine": os.uname().machine,
        "record_path": str(path),
        "record": '{\n"a": 1, "shell": "/f"}',
        "others": ['{"shell": "/home/.zshrc"}'],
    }

"""The lock that keeps two runs apart on a machine: one gets it, a live holder keeps it, what is over is taken over."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.metal_lab.macs.plugins.action import run_lock
from ansible_collections.metal_lab.macs.plugins.plugin_utils.run_lock import (
    SCRIPT,
    commands,
    is_over,
    machine,
    obstacle,
    parse,
)
from ansible_collections.metal_lab.macs.verify.errors import UserError

from tests.helpers.plugins import by_shell, connection, run_action


def lock(home: Path, action: str, run: str, *, dead: str = "") -> dict[str, str]:
    """What the script answers to a run, at the lock's place in a home."""
    place = home / ".local" / "share" / "metal-lab" / "run.lock"
    return parse(by_shell(SCRIPT, home, action, str(place), run, f"who {run}", "noon", dead))


def ended() -> int:
    """Number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def test_it_is_taken_once_and_given_back_without_a_trace(tmp_path: Path) -> None:
    assert lock(tmp_path, "take", "elsewhere/1/7")["lock"] == "taken"
    assert lock(tmp_path, "take", "elsewhere/1/7")["lock"] == "taken"
    held = lock(tmp_path, "take", "elsewhere/1/8")
    assert (held["lock"], held["lock_who"], held["lock_since"]) == ("held", "who elsewhere/1/7", "noon")
    assert lock(tmp_path, "release", "elsewhere/1/8")["lock"] == "released"
    assert lock(tmp_path, "look", "elsewhere/1/8")["lock"] == "held"
    assert lock(tmp_path, "release", "elsewhere/1/7")["lock"] == "released"
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_before_stays_when_it_is_given_back(tmp_path: Path) -> None:
    note = tmp_path / ".local" / "share" / "metal-lab" / "ml-m1.json"
    note.parent.mkdir(parents=True)
    note.touch()
    lock(tmp_path, "take", "elsewhere/1/7")
    lock(tmp_path, "release", "elsewhere/1/7")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [note]


def test_looking_changes_nothing(tmp_path: Path) -> None:
    assert lock(tmp_path, "look", "elsewhere/1/7")["lock"] == "free"
    assert list(tmp_path.iterdir()) == []


def test_of_many_at_once_one_gets_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: lock(tmp_path, "take", f"elsewhere/1/{number}"), range(32)))
    assert sorted({one["lock"] for one in answers}) == ["held", "taken"]
    assert [one["lock"] for one in answers].count("taken") == 1


def test_of_many_that_take_over_at_once_one_gets_it(tmp_path: Path) -> None:
    lock(tmp_path, "take", "elsewhere/1/0")
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda number: lock(tmp_path, "take", f"elsewhere/1/{number}", dead="elsewhere/1/0"), range(1, 33))
        )
    taken = [number for number, one in enumerate(answers, start=1) if one["lock"] == "taken"]
    assert len(taken) == 1
    assert lock(tmp_path, "look", "elsewhere/1/99")["lock_id"] == f"elsewhere/1/{taken[0]}"
    assert not (tmp_path / ".local" / "share" / "metal-lab" / "run.lock.over").exists()


def test_a_run_on_this_machine_holds_it_while_it_lives_and_no_longer(tmp_path: Path) -> None:
    lock(tmp_path, "take", f"{machine()}/{os.getpid()}")
    assert lock(tmp_path, "take", "elsewhere/1/8")["lock"] == "held"
    lock(tmp_path, "release", f"{machine()}/{os.getpid()}")
    lock(tmp_path, "take", f"{machine()}/{ended()}")
    answer = lock(tmp_path, "take", "elsewhere/1/8")
    assert answer["lock"] == "taken"
    assert answer["lock_left_by"].startswith(f"who {machine()}/")


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no namespaces")
def test_the_number_of_a_process_counts_in_its_own_container_alone(tmp_path: Path) -> None:
    other = machine().replace("/pid:[", "/pid:[9")
    assert other != machine()
    lock(tmp_path, "take", f"{other}/{ended()}")
    assert lock(tmp_path, "take", "elsewhere/1/8")["lock"] == "held"
    assert not is_over(f"{other}/{ended()}")


def test_a_lock_from_before_a_restart_is_taken_over(tmp_path: Path) -> None:
    lock(tmp_path, "take", "elsewhere/1/7")
    place = tmp_path / ".local" / "share" / "metal-lab" / "run.lock"
    lines = place.read_text(encoding="utf-8").splitlines()
    place.write_text("\n".join([*(line for line in lines if not line.startswith("boot=")), "boot=then", ""]))
    assert lock(tmp_path, "take", "elsewhere/1/8")["lock"] == "taken"


def test_a_run_elsewhere_counts_as_alive_whatever_its_number(tmp_path: Path) -> None:
    lock(tmp_path, "take", f"elsewhere/1/{ended()}")
    held = lock(tmp_path, "take", "another/1/8")
    assert held["lock"] == "held"
    said = obstacle(held)
    assert "that of who elsewhere" in said
    assert f"rm '{tmp_path}/.local/share/metal-lab/run.lock'" in said


def test_a_place_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / ".local").write_text("a file where a folder should be", encoding="utf-8")
    answer = lock(tmp_path, "take", "elsewhere/1/7")
    assert answer["lock"] == "unwritable"
    assert "df -h" in obstacle(answer)


def test_the_caller_knows_only_its_own_machine() -> None:
    assert is_over(f"{machine()}/{ended()}")
    assert not is_over(f"{machine()}/{os.getpid()}")
    assert not is_over(f"elsewhere/1/{ended()}")
    assert not is_over(f"{machine()}/-1")


def test_what_is_given_on_is_text_to_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", f"$(touch {tmp_path}/harm)'; touch {tmp_path}/harm; '")
    done = subprocess.run(
        ["/bin/sh", "-s"], input=commands("take"), env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert parse(done.stdout)["lock"] == "taken"
    assert not (tmp_path / "harm").exists()
    assert commands("take").partition("(process ")[2].partition(")")[0] == str(os.getppid())


@pytest.mark.parametrize("spoiled", ["", "lock=taken\n", "lock=taken\nlock_end=0\n", "lock_at=/l\nlock_end=1\n"])
def test_an_answer_that_is_cut_off_is_an_error_that_shows_it(spoiled: str) -> None:
    with pytest.raises(UserError, match=f"not complete. It said:\n{spoiled}"):
        parse(spoiled)


def test_an_answer_is_read_among_other_lines() -> None:
    said = "user=ana\nlock=held\nlock_id=a=b\nlocksmith=x\nlock_1=x\nlock_end=1\n"
    assert parse(said) == {"lock": "held", "lock_id": "a=b", "lock_end": "1"}


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("taken", ""),
        ("free", ""),
        ("held", "Another run is at work on this machine: that of ana, since noon."),
        ("busy", "rm -r '/h/it/run.lock' '/h/it/run.lock.over'"),
        ("unwritable", "Look at it with: df -h ~; ls -ld '/h/it'"),
    ],
)
def test_a_run_begins_where_the_lock_is_its_own(state: str, said: str) -> None:
    found = obstacle({"lock": state, "lock_at": "/h/it/run.lock", "lock_who": "ana", "lock_since": "noon"})
    assert (found == "") is (said == "")
    assert said in found


def test_another_users_process_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert not is_over(f"{machine()}/1")


def test_a_mac_is_known_by_its_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sysctl, run = tmp_path / "sysctl", subprocess.run
    sysctl.write_text("#!/bin/sh\n[ \"$*\" = '-n kern.bootsessionuuid' ] && echo 1F-2E\n")
    sysctl.chmod(0o755)

    def as_on_a_mac(line: list[str], **options: Any) -> Any:
        assert line[0] == "/usr/sbin/sysctl"
        return run([str(sysctl), *line[1:]], **options)

    monkeypatch.setattr(subprocess, "run", as_on_a_mac)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert machine() == f"{os.uname().nodename}/1F-2E"
    sysctl.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(subprocess.CalledProcessError):
        machine()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the lock is of the machine that the action works on: this one, under another name."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "uname").write_text("#!/bin/sh\n[ $1 = -n ] && echo target || echo Linux\n")
    (tmp_path / "bin" / "uname").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return tmp_path / ".local" / "share" / "metal-lab" / "run.lock"


def run(state: str = "", **options: Any) -> dict[str, Any]:
    return run_action(run_lock.ActionModule, {"state": state} if state else {}, **options)


def test_the_action_takes_it_and_gives_it_back(place: Path) -> None:
    assert run("taken", check=True) == {"changed": False}
    assert not place.exists()
    assert run("taken") == run("taken") == {"changed": False}
    kept = dict(line.split("=", 1) for line in place.read_text(encoding="utf-8").splitlines())
    assert kept["id"] == f"{machine()}/{os.getppid()}"
    assert kept["who"].endswith(f" on {os.uname().nodename} (process {os.getppid()})")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", kept["since"])
    assert run("released", check=True) == {"changed": False}
    assert place.exists()
    assert run() == {"changed": False}
    assert not place.exists()


def test_the_action_keeps_off_a_machine_that_is_another_runs(place: Path) -> None:
    lock(place.parents[3], "take", "elsewhere/1/7")
    for check in (True, False):
        refused = run("taken", check=check)
        assert refused["msg"].startswith("Nothing was changed. Another run is at work on this machine: that of who")
        run("released", check=check)
        assert "id=elsewhere/1/7\n" in place.read_text(encoding="utf-8")


def test_what_a_run_of_this_machine_left_is_taken_over(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    over = f"{machine()}/{ended()}"
    lock(place.parents[3], "take", over)
    assert "Another run is at work" in run("taken", check=True)["msg"]
    assert run("taken") == {"changed": False}
    said = f"Took over the lock of a run that has ended without giving it back: who {over}, since noon."
    assert capsys.readouterr().out == f"{said}\n"
    assert f"id={machine()}/{os.getppid()}\n" in place.read_text(encoding="utf-8")


def test_a_machine_that_fails_is_shown_with_what_it_said() -> None:
    for state in ("taken", "released"):
        refused = run(state, over=connection((3, "out", "err")))
        assert refused["msg"] == "A script on the machine ended with exit code 3. It said:\nout\nerr"
    assert "not complete" in run("taken", over=connection((0, "motd", "")))["msg"]


def test_the_plays_environment_reaches_the_script(place: Path) -> None:
    assert run("taken", environment=[{"XDG_DATA_HOME": str(place.parents[3] / "a folder")}]) == {"changed": False}
    assert (place.parents[3] / "a folder" / "metal-lab" / "run.lock").exists()

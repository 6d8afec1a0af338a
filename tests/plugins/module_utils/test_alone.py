"""One at a time: the lock of what changes a machine is held by whatever still works, and by nothing else."""

import ast
import fcntl
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import pytest
from ansible_collections.metal_lab.macs.plugins.module_utils import alone, lab_record

from tests.helpers.waiting import wait_until
from verify import ROOT

PATH = str(ROOT / ".collections")
WORKER = """
import signal, subprocess, sys
# A shell that runs the tests in the background has it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
from ansible_collections.metal_lab.macs.plugins.module_utils import alone
class Module:
    def fail_json(self, msg, **_):
        sys.exit(msg)
with alone.working(Module(), changing=True):
    code = subprocess.Popen(sys.argv[1:], pass_fds=alone.inherited()).wait()
    sys.exit(code)
"""


class FailedError(Exception):
    """What a module's fail_json says."""


class Module:
    def fail_json(self, msg: str, **_: Any) -> NoReturn:
        raise FailedError(msg)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lock's, in a home of the test's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(alone, "PATIENCE_S", 0.3)
    return lab_record.data_folder() / alone.NAME


def worker(*program: str) -> "subprocess.Popen[bytes]":
    """A module at work: it has started a program, which has the lock too."""
    return subprocess.Popen([sys.executable, "-c", WORKER, *program], env={**os.environ, "PYTHONPATH": PATH})


def refusal() -> str:
    with pytest.raises(FailedError) as refused, alone.working(Module(), changing=True):
        pass
    return str(refused.value)


def free() -> bool:
    try:
        with alone.working(Module(), changing=True):
            return True
    except FailedError:
        return False


def test_it_is_had_once_and_leaves_no_trace(place: Path) -> None:
    with alone.working(Module(), changing=True):
        assert place.stat().st_mode & 0o777 == 0o600
        assert f"process {os.getpid()} (" in refusal()
        with alone.working(Module(), changing=False):
            pass
    assert alone.inherited() == ()
    assert list(Path.home().iterdir()) == []


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_what_an_ended_module_had_started_keeps_it_to_its_end(place: Path, end: signal.Signals) -> None:
    module = worker("sleep", "1000.25")
    wait_until(lambda: place.exists() and any("sleep" in what for _, what in alone.holders(place)), module)
    module.send_signal(end)
    module.wait()
    said = refusal()
    [(orphan, command)] = alone.holders(place)
    assert command == "sleep 1000.25"
    assert f"process {orphan} (sleep 1000.25). Wait for its end or end it: kill {orphan}." in said
    os.kill(orphan, signal.SIGKILL)
    while not free():
        pass
    assert list(Path.home().iterdir()) == []


def test_one_that_is_being_ended_is_waited_for(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = worker("sleep", "3")
    # It has it by then: that the file is there comes before.
    wait_until(lambda: place.exists() and any("sleep" in what for _, what in alone.holders(place)), module)
    monkeypatch.setattr(alone, "PATIENCE_S", 60)
    assert free()
    assert module.wait() == 0


def test_of_many_none_is_there_beside_another(place: Path, tmp_path: Path) -> None:
    assert not place.exists()
    room = tmp_path / "room"
    step = f"mkdir '{room}' && sleep 0.01 && rmdir '{room}'"
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: worker("/bin/sh", "-c", step).wait(), range(12)))
    assert codes == [0] * 12


def test_what_the_holder_is_called_steers_no_terminal_and_gives_no_password_away(place: Path) -> None:
    module = worker("/bin/sh", "-c", "sleep 1000; :", "\x1b[2J\u202e\nhealthy https://ana:secret@example.org/simple")
    wait_until(lambda: place.exists() and any("/bin/sh" in what for _, what in alone.holders(place)), module)
    try:
        said = refusal()
    finally:
        module.kill()
        module.wait()
        for number, _ in alone.holders(place):
            os.kill(number, signal.SIGKILL)
    assert said.isprintable()
    assert "secret" not in said
    assert "[2J healthy https://***@example.org/simple" in said


def fifo(place: Path) -> None:
    os.mkfifo(place)


def folder(place: Path) -> None:
    place.mkdir()


def link(place: Path) -> None:
    place.symlink_to("/etc/passwd")


def unwritable(place: Path) -> None:
    place.parent.rmdir()
    place.parent.touch()


@pytest.mark.parametrize("odd", [fifo, folder, link, unwritable], ids=lambda odd: odd.__name__)
def test_what_is_no_lock_is_refused_by_name_and_left(place: Path, odd: Callable[[Path], None]) -> None:
    place.parent.mkdir(parents=True)
    odd(place)
    assert f"the lock {place} cannot be had (" in refusal()
    assert os.path.lexists(place if odd is not unwritable else place.parent)


def test_a_lock_that_was_taken_away_and_made_anew_is_another(place: Path) -> None:
    with alone.working(Module(), changing=True):
        place.unlink()
        assert free()


def test_on_a_mac_the_holders_are_asked_of_lsof_and_ps(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        ("/usr/sbin/lsof", "-t", "--", str(place)): "412\n98\n",
        ("/bin/ps", "-ww", "-o", "args=", "-p", "412"): "/opt/homebrew/bin/brew  bundle install\n",
        ("/bin/ps", "-ww", "-o", "args=", "-p", "98"): "",
    }
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(alone, "_said", lambda line: answers[tuple(line)])
    assert alone.holders(place) == [(412, "/opt/homebrew/bin/brew bundle install"), (98, "")]


def test_every_program_that_a_module_starts_has_the_lock() -> None:
    """Else it could work on after its module was killed, and nobody would know."""
    lacking = []
    for path in [*(ROOT / "plugins/modules").glob("*.py"), *(ROOT / "plugins/module_utils").glob("*.py")]:
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            # The terminal that is asked what it has changes nothing.
            if not isinstance(call, ast.Call) or path.name in ("alone.py", "distributions.py", "terminal.py"):
                continue
            name = ast.unparse(call.func)
            if re.fullmatch(r".*\.run_command|subprocess\.\w+|os\.(exec|spawn|posix_spawn|system|popen)\w*", name):
                given = {one.arg: ast.unparse(one.value) for one in call.keywords}
                if given.get("pass_fds") != "alone.inherited()":
                    lacking.append(f"{path.name}:{call.lineno} {name}")
    assert lacking == []


def test_flock_goes_with_the_open_file_and_not_with_the_process(place: Path) -> None:
    """What all of it rests on, of this kernel: flock(2), not fcntl(2), whose locks end with their process."""
    place.parent.mkdir(parents=True)
    with place.open("w") as ours, place.open("w") as theirs:
        fcntl.flock(ours, fcntl.LOCK_EX)
        copy = os.dup(ours.fileno())
        ours.close()
        with pytest.raises(BlockingIOError):
            fcntl.flock(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(copy)
        fcntl.flock(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB)

"""Level soak sees a machine that slows down: this one, stopped again and again from half-way on."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.helpers.lab import LIMIT_S, Lab
from tests.helpers.waiting import wait_until

SOAK_S = 16.0
STARTED = '"stage": "sustained", "event": "start"'


def descendants(pid: int) -> set[int]:
    """The processes that a process has started, and those that they have."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name before it may hold anything (proc_pid_stat(5)).
            parents[int(status.parent.name)] = int(status.read_text("utf-8", "replace").rpartition(")")[2].split()[1])
    found: set[int] = set()
    new = {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new}
        found |= new
    return found


def sustaining(verify: int) -> set[int]:
    """What verify has started, once the probe computes without a pause: it reports into a file that is held open."""
    found = descendants(verify)
    for process in found:
        # Ended since.
        with suppress(OSError):
            for held in Path(f"/proc/{process}/fd").iterdir():
                if held.readlink().name.endswith("(deleted)") and STARTED in held.read_text("utf-8", "replace"):
                    return found
    return set()


def test_a_machine_that_slows_down_is_found_out(lab: Lab, tmp_path: Path) -> None:
    options = ["--level", "soak", "--soak-seconds", f"{SOAK_S:g}", "--frameworks", "pytorch"]
    run = subprocess.Popen(
        [sys.executable, "-m", "verify", *options, "--results", str(tmp_path)],
        cwd=lab.tree,
        env=lab.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    # The supervisor holds the file too, so that which of them is the probe cannot be told: all are stopped.
    started = wait_until(lambda: sustaining(run.pid), run)
    time.sleep(SOAK_S / 2)
    # Whatever else this machine does at the time: from now on the probe has a tenth of it.
    while run.poll() is None:
        for signal_, seconds in ((signal.SIGSTOP, 0.45), (signal.SIGCONT, 0.05)):
            for process in started:
                with suppress(ProcessLookupError):
                    os.kill(process, signal_)
            time.sleep(seconds)
    output, _ = run.communicate(timeout=LIMIT_S)
    # A warning: the machine is what its profile says.
    assert run.returncode == 0, output
    data = json.loads((tmp_path / "localhost.ml-m1.json").read_text(encoding="utf-8"))
    (check,) = [one for one in data["checks"] if one["check"] == "pytorch.sustained"]
    assert (check["result"], check["fault"]) == ("warn", "throttled")
    assert data["frameworks"]["pytorch"]["sustained"]["ratio"] < 0.8
    assert check["message"] in output

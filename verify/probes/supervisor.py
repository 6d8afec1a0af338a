"""Runs one probe in a process of its own, for a limited time, and reports how that ended.

Sent as the main script to `<prefix>/bin/python -I -S`; standard library only. Python rather than `timeout`, because
macOS has no such command. The probe's records come through a file descriptor of their own: frameworks write on
stdout and stderr as they like, and the last lines of that are kept as evidence.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Any

EVIDENCE_BYTES = 3000
_XDG = (("CONFIG_HOME", ".config"), ("CACHE_HOME", ".cache"))
GRACE_S = 5
"""The kernel's own alarm ends the probe this much later, should this supervisor be killed before it could."""
LISTEN_S = 1.0
"""How often is looked whether anybody still hears."""

# What the probe's interpreter runs first. The modules become importable under the names that they have in the
# project, and the empty entry that `python -` puts on sys.path (the current folder) goes: a stray torch.py in it
# must not be taken for the framework.
_START = """
import json, sys, types
order = json.loads(sys.stdin.read())
sys.path[:] = [entry for entry in sys.path if entry]
for name, source in order["modules"]:
    module = types.ModuleType(name)
    if source is None:
        module.__path__ = []
    sys.modules[name] = module
    if source is not None:
        exec(compile(source, "<" + name + ">", "exec"), module.__dict__)
sys.modules["verify.probes.reporting"].start(order["entry"], order["descriptor"], order["parameters"])
"""


def main(packed: str) -> None:
    """Run the order that `packed` holds (JSON, zlib, base64) and print one line: the nonce, a space, the outcome."""
    order = json.loads(zlib.decompress(base64.b64decode(packed)))
    outcome = supervise(order)
    # A line of its own, even where a login shell left one unfinished.
    sys.stdout.write("\n" + order["nonce"] + " " + json.dumps(outcome) + "\n")
    sys.stdout.flush()


def supervise(order: dict[str, Any]) -> dict[str, Any]:
    """Run the probe of an order.

    Returns:
        records: the lines that the probe reported; ended: "exit", "signal" or "timeout"; status: its exit code or
        the signal's number; signal: the signal's name or ""; evidence: the end of what it wrote; seconds.
    """
    file = TemporaryFile
    with file() as given, file() as records, file() as chatter, TemporaryDirectory() as scratch:
        os.set_inheritable(records.fileno(), True)
        job = {
            "modules": order["modules"],
            "entry": order["entry"],
            "parameters": order["parameters"],
            "descriptor": records.fileno(),
        }
        given.write(json.dumps(job).encode())
        given.seek(0)
        started = time.monotonic()
        # Files rather than pipes: nothing can block on a full one, nor wait for a grandchild to close it.
        # A session of its own, so that the probe and its children can be killed together.
        child = subprocess.Popen(
            [sys.executable, "-c", _START],
            stdin=given,
            stdout=chatter,
            stderr=subprocess.STDOUT,
            pass_fds=[records.fileno()],
            env={**_away_from_home(scratch), **os.environ, "PATH": _activated_path(), **order["environment"]},
            start_new_session=True,
            preexec_fn=lambda: _arm(order["seconds"]),  # noqa: PLW1509 - this process has a single thread
        )
        signal.signal(signal.SIGTERM, lambda *_: _give_up(child, scratch))
        signal.signal(signal.SIGHUP, lambda *_: _give_up(child, scratch))
        ended = "exit"
        try:
            _wait(child, started + order["seconds"], scratch)
        except subprocess.TimeoutExpired:
            ended = "timeout"
        _kill_group(child)
        status = child.wait()
        name = ""
        if status < 0 and ended == "exit":
            ended, status = "signal", -status
            name = _signal_name(status)
        return {
            "records": _read(records, None).splitlines(),
            "ended": ended,
            "status": status,
            "signal": name,
            "evidence": _read(chatter, EVIDENCE_BYTES),
            "seconds": round(time.monotonic() - started, 3),
        }


def _wait(child: subprocess.Popen[bytes], end: float, scratch: str) -> None:
    """Wait for the probe's end, or until nobody hears any more: then it is killed, and all is over.

    sshd sends no signal when a connection goes, as after the user's Ctrl-C. An empty line is no answer, and shows
    whether somebody hears. poll(2) may not: sshd can give one pair of sockets for both ways, of which one is closed
    from the beginning, and whether each system tells that from a hang-up is not known.

    Raises:
        subprocess.TimeoutExpired: it goes on at `end`, by time.monotonic().
    """
    while True:
        left = end - time.monotonic()
        try:
            child.wait(max(0.0, min(left, LISTEN_S)))
        except subprocess.TimeoutExpired:
            if left <= LISTEN_S:
                raise
        else:
            return
        try:
            os.write(1, b"\n")
        except OSError:
            _give_up(child, scratch)


def _away_from_home(scratch: str) -> dict[str, str]:
    """Where what frameworks write when they are imported goes to, as far as the user has nothing of theirs yet.

    Keras writes its settings (keras/src/backend/config.py), matplotlib, which it imports, a list of fonts.
    """
    home = Path.home()
    config, cache = (Path(os.environ.get("XDG_" + name) or home / default) for name, default in _XDG)
    theirs = {
        "KERAS_HOME": [home / ".keras" / "keras.json"],
        "MPLCONFIGDIR": [home / ".matplotlib", config / "matplotlib", cache / "matplotlib"],
    }
    return {name: scratch for name, paths in theirs.items() if not any(path.exists() for path in paths)}


def _activated_path() -> str:
    return str(Path(sys.executable).parent) + os.pathsep + os.environ.get("PATH", os.defpath)


def _arm(seconds: float) -> None:
    signal.alarm(int(seconds) + GRACE_S)


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kill the probe, and what it may have left running in its session."""
    # Nobody may be left; macOS says EPERM where only a zombie is.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


def _give_up(child: subprocess.Popen[bytes], scratch: str) -> None:
    _kill_group(child)
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(1)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "signal " + str(number)


def _read(file: IO[bytes], limit: int | None) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - limit) if limit is not None else 0)
    return file.read().decode("utf-8", "replace")

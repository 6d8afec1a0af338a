"""One at a time: what changes a machine keeps everything else that would off it. Runs on the target's Python (3.8+).

The lock of a run (plugin_utils/lock.sh) ends with the run. What the run had started may go on: a module whose
controller was killed, a uv whose module was. So the module that changes something locks a file, and every program that
it starts inherits the lock with the open file. The kernel gives it back when the last of them has ended, somehow.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import NoReturn, Protocol

from . import lab_record, regular, text

NAME = "work.lock"
PATIENCE_S = 5.0
"""What was killed a moment ago needs another to end."""
_COMMAND_LENGTH = 200

_held: list[int] = []


class Module(Protocol):
    """The part of AnsibleModule that is used here."""

    def fail_json(self, msg: str, **details: object) -> NoReturn:
        """End the module with a message."""


def inherited() -> tuple[int, ...]:
    """The `pass_fds` of every program that a module starts, so that it has the lock as long as it runs."""
    return tuple(_held)


@contextmanager
def working(module: Module, *, changing: bool) -> Iterator[None]:
    """Keep everything else that changes this user's machine off it until the block ends; fail where something does.

    Args:
        module: for its failure.
        changing: whether the block may change something; else nothing is locked.

    Whatever stands in a file's place and is none fails the module too.
    """
    try:
        with _alone(module) if changing else nullcontext():
            yield
    except regular.OddFileError as error:
        module.fail_json(str(error))


@contextmanager
def _alone(module: Module) -> Iterator[None]:
    place = lab_record.data_folder() / NAME
    try:
        descriptor = _lock(place)
    except BlockingIOError:
        module.fail_json(_in_the_way(place))
    except OSError as error:
        module.fail_json(
            f"Nothing was changed: the lock {place} cannot be had ({error.strerror}). Needed: a file, or nothing, at "
            f"that place, in a folder that is this user's, and some room on its disk. Look at it with: ls -ld '{place}'"
        )
    _held.append(descriptor)
    try:
        yield
    finally:
        _held.remove(descriptor)
        os.close(descriptor)
        _take_away(place)
        lab_record.prune(place.parent)


def _lock(place: Path) -> int:
    """Lock the file and return its descriptor.

    Raises:
        BlockingIOError: somebody has it, and still has after PATIENCE_S.
        OSError: it cannot be had, or something else than a file is there.
    """
    until = time.monotonic() + PATIENCE_S
    while True:
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Not through a link, and without waiting for the other end of a pipe.
            descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        except FileNotFoundError:
            continue  # Whoever had it before took the empty folder away.
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "it is no file")
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it before took it away: another file may be there by now.
            if _is(place, found):
                return descriptor
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(descriptor)
                raise
            time.sleep(0.1)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _take_away(place: Path) -> None:
    """Take the file away, unless a program that was started has the lock still, as after Ctrl-C.

    Only who holds the lock does: two files of one name would be two locks.
    """
    with suppress(OSError):
        descriptor = os.open(place, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is(place, os.fstat(descriptor)):
                place.unlink()
        finally:
            os.close(descriptor)


def _is(place: Path, found: os.stat_result) -> bool:
    try:
        return os.path.samestat(place.stat(), found)
    except FileNotFoundError:
        return False


def _in_the_way(place: Path) -> str:
    found = holders(place)
    who = "; ".join(f"process {number} ({command})" if command else f"process {number}" for number, command in found)
    end = f" or end it: kill {' '.join(str(number) for number, _ in found)}" if found else ""
    return (
        "Nothing was changed: something else changes this machine at this moment, perhaps what a run had started that "
        f"has ended: {who or f'look for who has {place} open'}. Wait for its end{end}. Then run again."
    )


def holders(place: Path) -> list[tuple[int, str]]:
    """Numbers and commands of the processes that have a file open, as far as this user may see them."""
    if sys.platform == "darwin":
        # lsof(8): -t is the processes' numbers alone; ps(1): -ww leaves nothing out.
        listed = _said(["/usr/sbin/lsof", "-t", "--", str(place)]).split()
        return [(int(one), _command(_said(["/bin/ps", "-ww", "-o", "args=", "-p", one]))) for one in listed]
    found = []
    try:
        wanted = place.stat()
    except FileNotFoundError:
        return []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # It has ended, or is another user's.
            if any(_is(one, wanted) for one in (process / "fd").iterdir()):
                words = (process / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
                found.append((int(process.name), _command(" ".join(words))))
    return sorted(found)


def _said(line: list[str]) -> str:
    try:
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace")


def _command(words: str) -> str:
    """A command line as it may be shown: one line, without passwords, and not too long."""
    shown: str = text.line(words)
    return re.sub(rf"^(.{{{_COMMAND_LENGTH}}}).+$", r"\1 ...", shown)

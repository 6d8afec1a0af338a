"""Reading what others made, with limits on memory and on the processor's time.

The check runs in a process of its own, which says each file before it reads it. A file that takes too long or too much
memory is damaged; one at which the process dies, whatever of, is too, and the check begins anew without it.

The limits are the system's: ITIMER_PROF interrupts Python, RLIMIT_CPU ends what cannot be interrupted, and RLIMIT_DATA
makes more memory an error. macOS does not hold a process to the last one, as it gives memory out by mmap: there the
bounds of each table, which are in the code that reads it, are all there is.
"""

import math
import multiprocessing
import resource
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any, TypeVar

from ..errors import UserError
from .macho import MalformedError

MEMORY = 1 << 30
"""Bytes that the process may have; a check of 450 Mach-O files of 2 GB takes 300 MB."""
SECONDS = 10
"""Of the processor's time, for one file; the largest that is known takes less than one."""
ALL_SECONDS = 600
"""Of the processor's time, for the whole check; that of profile ml-m1 takes 30."""
_MOST_DEADLY = 8
"""Files at which the process may die before the check is given up."""
_AGAIN = 1
"""Seconds after which it is interrupted once more, should an interruption have been lost."""


class ExceededError(MalformedError):
    """A file that takes more than it may; the message says of what."""


@dataclass
class _Child:
    """What the process knows of its limits.

    Attributes:
        tell: tells the parent which file is read.
        deadly: files at which it has died before, and how.
        reading: whether one is being read.
    """

    tell: Callable[[tuple[str, Any]], None]
    deadly: dict[str, str] = field(default_factory=dict)
    reading: bool = False


_child: _Child | None = None
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["__main__", "verify.linkcheck.command"])
_T = TypeVar("_T")


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Read a file, or what was read of it, within the limits. Outside of a process that `run` started there are none.

    Args:
        path: the file, as findings name it.

    Raises:
        ExceededError: it takes more than it may.
    """
    timed = _child is not None and not _child.reading
    try:
        if timed:
            _begin(path)
        yield
    except MemoryError as error:
        raise ExceededError(f"it takes more than {MEMORY >> 20} MiB of memory") from error
    except RecursionError as error:
        raise ExceededError("it is nested too deeply") from error
    finally:
        if timed:
            _end()


def _begin(path: str) -> None:
    assert _child is not None
    if path in _child.deadly:
        raise ExceededError(_child.deadly[path])
    _child.tell(("reading", path))
    _child.reading = True
    _allow(math.ceil(time.process_time()) + 2 * SECONDS)
    signal.setitimer(signal.ITIMER_PROF, SECONDS, _AGAIN)


def _end() -> None:
    assert _child is not None
    signal.setitimer(signal.ITIMER_PROF, 0)
    _child.reading = False
    _allow(ALL_SECONDS)


def _allow(seconds: int) -> None:
    """Have the process ended once it has had so much of the processor's time since it began."""
    resource.setrlimit(resource.RLIMIT_CPU, (min(seconds, ALL_SECONDS), ALL_SECONDS))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    if _child is not None and _child.reading:
        raise ExceededError(f"it takes more than {SECONDS} seconds of the processor")


def run(function: Callable[..., _T], progress: Callable[[str], None], *arguments: object) -> _T:
    """Call a function in a process with limits.

    Args:
        function: one of a module; what it calls to tell what is done comes before its other arguments.
        progress: is told it.
        arguments: the other ones.

    Returns:
        what the function does.

    Raises:
        UserError: it raised one, or takes more than it may although no file is to blame.
    """
    deadly: dict[str, str] = {}
    while True:
        parent, child = _CONTEXT.Pipe(duplex=False)
        process = _CONTEXT.Process(target=_work, args=(child, deadly, function, arguments), daemon=True)
        process.start()
        child.close()
        try:
            outcome, value, at = _listen(parent, progress)
        except BaseException:
            process.kill()  # who ends this does not wait for that
            raise
        finally:
            parent.close()
            process.join()
        if outcome == "done":
            return value  # type: ignore[no-any-return]
        if outcome == "refused":
            raise UserError(value)
        if outcome == "failed":
            raise RuntimeError(value)
        if at is None or at in deadly or len(deadly) == _MOST_DEADLY:
            where = f" at {at}" if at else ""
            raise UserError(f"The check was given up{where}: its process ended with {process.exitcode}.")
        deadly[at] = f"the process that reads it ends with {process.exitcode}"


def _listen(parent: Connection, progress: Callable[[str], None]) -> tuple[str, Any, str | None]:
    """What a process came to, with its result, and the file that it read last."""
    at: str | None = None
    while True:
        try:
            kind, value = parent.recv()
        except EOFError:
            return "died", None, at
        if kind == "reading":
            at = value
        elif kind == "said":
            progress(value)
        else:
            return kind, value, at


def _work(
    parent: Connection, deadly: dict[str, str], function: Callable[..., object], arguments: tuple[object, ...]
) -> None:
    """What the process does."""
    global _child  # noqa: PLW0603 - it is one for the whole process, as its limits are
    _child = _Child(parent.send, deadly)
    signal.signal(signal.SIGPROF, _interrupt)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _allow(ALL_SECONDS)
    try:
        parent.send(("done", function(lambda text: parent.send(("said", text)), *arguments)))
    except UserError as error:
        parent.send(("refused", str(error)))
    except MemoryError:
        parent.send(("refused", f"The check takes more than {MEMORY >> 20} MiB of memory."))
    except Exception:
        parent.send(("failed", traceback.format_exc()))

"""Running a command on a machine through testinfra, which by itself limits neither its time nor what it may write."""

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host

from ..documents import MAX_BYTES, MalformedError
from ..text import plain

_TERMINATE_S = 3
_CHUNK = 65536
_REASON, _TAIL = 300, 600
"""Characters of what a command said that are shown."""


class NoAnswerError(Exception):
    """A command did not end in time; the message is one line."""


class LostError(Exception):
    """The machine was not reached, or went away; the message is one line."""


def run(host: Host, seconds: float, command: str, *arguments: str) -> CommandResult:
    """Run a command on a machine.

    Args:
        host: the machine.
        seconds: time limit, enforced here.
        command: a shell line, %s for each argument, which is quoted.
        arguments: for the command.

    Raises:
        NoAnswerError: it did not end in time.
        MalformedError: it wrote more than MAX_BYTES, and was ended.
        LostError: there is no connection, or it broke.
    """
    try:
        with _limited(seconds):
            return host.run(command, *arguments)
    except subprocess.TimeoutExpired as error:
        raise NoAnswerError(f"no answer within {seconds:g} s") from error
    except MalformedError:
        raise
    except Exception as error:  # testinfra's backends raise what they like (RuntimeError, AssertionError, OSError)
        raise LostError(_reason(error)) from error


def between(done: CommandResult, mark: str) -> list[str] | None:
    """The lines of an answer between its two marks, which set it apart from a login script's; None without them."""
    lines = done.stdout_bytes.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    marks = [number for number, line in enumerate(lines) if line == mark]
    return lines[marks[0] + 1 : marks[1]] if len(marks) == 2 else None  # noqa: PLR2004


def tail(done: CommandResult) -> str:
    """The end of what a command wrote, for people."""
    # Both: sshd's banner is on stderr, whatever comes after it on stdout, as nologin's word.
    said = (one.decode("utf-8", "replace").strip()[-_TAIL:] for one in (done.stdout_bytes, done.stderr_bytes))
    return plain("\n".join(one for one in said if one)) or "nothing was written"


def _reason(error: Exception) -> str:
    """The last line that says something: for a failed ssh, what ssh wrote."""
    seen = error.args[0] if error.args else ""
    text = seen.stderr_bytes.decode("utf-8", "replace") if isinstance(seen, CommandResult) else str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return plain(lines[-1][:_REASON]) if lines else type(error).__name__


class _Running:
    """The commands that run, in whichever thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._over = False

    @contextmanager
    def process(self, line: bytes) -> Iterator[subprocess.Popen[bytes]]:
        """Start a command, which is ended if it is left before its end.

        Raises:
            InterruptedError: all was ended.
        """
        with self._lock:
            if self._over:
                raise InterruptedError("the run is over")
            # A session of its own: the shell that runs the command dies with the command it waits for.
            process = subprocess.Popen(  # noqa: S602 - testinfra's commands are shell lines, quoted by it
                line,
                shell=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            self._processes.add(process)
        try:
            yield process
        except BaseException:  # a limit, or the user's Ctrl-C
            _end(process)
            raise
        finally:
            self._processes.discard(process)

    def end(self) -> None:
        """End all, and let no more begin."""
        with self._lock:
            self._over = True
            processes = tuple(self._processes)
        for one in processes:
            _signal(one, signal.SIGTERM)
        for one in processes:
            _end(one)

    def allow(self) -> None:
        """Let commands begin again."""
        self._over = False


_RUNNING = _Running()


@contextmanager
def ending_all() -> Iterator[None]:
    """End the commands of all threads, and let none begin meanwhile: an interrupt reaches the main thread alone."""
    _RUNNING.end()
    try:
        yield
    finally:
        _RUNNING.allow()


_LIMIT = threading.local()
"""The seconds of this thread's command."""
_unlimited = BaseBackend.run_local


def _run_local(self: BaseBackend, command: str, *args: str) -> CommandResult:
    seconds: float | None = getattr(_LIMIT, "seconds", None)
    if seconds is None:
        return _unlimited(self, command, *args)
    # Not testinfra's encode, which asks the machine for its encoding by the same command, without end.
    encoded = os.fsencode(self.quote(command, *args))
    with _RUNNING.process(encoded) as process:
        output, errors = _read(process, seconds)
    return self.result(process.returncode, encoded, output, errors)


# For good, and by thread: were it exchanged for the time of a command, threads would undo one another's.
BaseBackend.run_local = _run_local


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Limit every command that testinfra starts on this machine (ssh, sh) for this thread."""
    _LIMIT.seconds = seconds
    try:
        yield
    finally:
        _LIMIT.seconds = None


def _read(process: subprocess.Popen[bytes], seconds: float) -> tuple[bytes, bytes]:
    """Read both streams to their end, and wait for the process.

    Raises:
        subprocess.TimeoutExpired: that takes longer than `seconds`.
        MalformedError: a stream has more than MAX_BYTES; no more than that is kept in memory.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    end = time.monotonic() + seconds
    output, errors = bytearray(), bytearray()
    with process.stdout, process.stderr, selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, output)
        selector.register(process.stderr, selectors.EVENT_READ, errors)
        while selector.get_map():
            left = end - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(process.args, seconds)
            for key, _ in selector.select(left):
                chunk = os.read(key.fd, _CHUNK)
                if not chunk:
                    selector.unregister(key.fileobj)
                    continue
                kept: bytearray = key.data
                kept += chunk
                if len(kept) > MAX_BYTES:
                    raise MalformedError(f"it wrote more than {MAX_BYTES} bytes")
    process.wait(max(0.0, end - time.monotonic()))
    return bytes(output), bytes(errors)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Terminate first: on this machine the supervisor then takes its probe along."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        _signal(process, number)
        try:
            process.wait(timeout=_TERMINATE_S)
        except subprocess.TimeoutExpired:
            continue
        return


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)

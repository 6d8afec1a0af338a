"""Runs probes on a target through testinfra: sent with the command line, nothing left behind there."""

import base64
import json
import os
import secrets
import signal
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host

PROBES = Path(__file__).resolve().parent.parent / "probes"
CONNECT_TIMEOUT_S = 60
OUTER_MARGIN_S = 30
"""What a connection and an interpreter's start may take beyond the probe's own limit."""
_TERMINATE_S = 3
_SHARED = {
    "environment": ["reporting", "state", "distributions"],
    "coreml": ["reporting"],
    "framework": ["reporting", "freivalds", "benchmark", "units", "numbers", "libraries", "framework"],
}
# POSIX sh; asked before anything is known of the target, so it may need nothing but sh and uname. The nonces set the
# answer apart from what a login script prints.
_LOOK = (
    'record="${XDG_DATA_HOME:-$HOME/.local/share}/metal-lab/$2.json"; '
    'printf "\\n%s\\n" "$1"; uname -s; uname -m; printf "%s\\n" "$record"; '
    'cat "$record" 2>/dev/null; printf "\\n%s\\n" "$1"'
)
# The command line stays ASCII (a path with an accent travels as octal escapes): testinfra would otherwise run
# python3 on the target, just to learn its encoding.
_SUPERVISE = 'exec "$(printf %b "$1")" -I -S -c "$2" "$3"'

Ended = Literal["exit", "signal", "timeout", "no-answer", "malformed", "lost"]


class UnreachableError(Exception):
    """The target did not answer; the message is one line."""


class NoAnswerError(Exception):
    """A script did not give an answer that could be understood; the message says what was seen."""


@dataclass(frozen=True)
class Target:
    """What the first look at a target shows.

    Attributes:
        system, machine: as uname says.
        record_path: where its record is, or would be.
        record: the record's text, "" for none.
    """

    system: str
    machine: str
    record_path: str
    record: str

    @property
    def platform(self) -> str:
        """The platform as profiles name it, for example darwin-arm64."""
        return f"{self.system.lower()}-{self.machine}"


@dataclass(frozen=True)
class Outcome:
    """How a probe ended, and what it reported until then.

    Attributes:
        records: its reports, oldest first.
        ended: by itself ("exit"), by a signal, by the time limit, without an answer, with one that
            cannot be understood ("malformed"), or with the connection ("lost").
        status: exit code or the signal's number.
        signal: the signal's name, or "".
        evidence: the end of what it wrote to stdout and stderr.
        seconds: how long it took on the target.
    """

    records: list[dict[str, Any]]
    ended: Ended
    status: int
    signal: str
    evidence: str
    seconds: float


def look(host: Host, profile: str) -> Target:
    """Take a first look at a target.

    Raises:
        UnreachableError: it cannot be reached, or does not answer as a POSIX shell does.
    """
    nonce = secrets.token_hex(16)
    try:
        with _limited(CONNECT_TIMEOUT_S):
            done = host.run("sh -c %s sh %s %s", _LOOK, nonce, profile)
    except subprocess.TimeoutExpired as error:
        raise UnreachableError(f"no answer within {CONNECT_TIMEOUT_S} s") from error
    except Exception as error:  # testinfra's backends raise what they like (RuntimeError, AssertionError, OSError)
        raise UnreachableError(_reason(error)) from error
    lines = _between(done, nonce) or []
    if len(lines) < 3:  # noqa: PLR2004 - system, machine, path
        raise UnreachableError(f"its shell answered with exit code {done.rc}: {_tail(done)}")
    system, machine, path, *record = lines
    return Target(system, machine, path, "\n".join(record).strip())


def ask(host: Host, script: str, arguments: list[str], seconds: float) -> dict[str, str]:
    """Run a shell script of verify/probes on a target: for what must be told where no Python runs.

    Args:
        host: the target.
        script: its name, without .sh.
        arguments: for the script, which undoes their escapes by printf's %b.
        seconds: time limit, enforced here.

    Returns:
        what it said in lines key=value.

    Raises:
        NoAnswerError: it did not end in time, or said something else.
    """
    nonce = secrets.token_hex(16)
    source = (PROBES / f"{script}.sh").read_text(encoding="utf-8")
    line = "sh -c %s sh %s" + " %s" * len(arguments)
    try:
        with _limited(seconds):
            done = host.run(line, source, nonce, *(_octal(one) for one in arguments))
    except subprocess.TimeoutExpired as error:
        raise NoAnswerError(f"no answer within {seconds:g} s") from error
    except Exception as error:  # as in look()
        raise NoAnswerError(f"the connection broke: {_reason(error)}") from error
    lines = _between(done, nonce)
    pairs = [one.split("=", 1) for one in lines or [] if one]
    if done.rc != 0 or lines is None or not all(len(one) == 2 for one in pairs):  # noqa: PLR2004
        raise NoAnswerError(f"the script ended with exit code {done.rc}: {_tail(done)}")
    return dict(pairs)


def probe(
    host: Host, python: str, name: str, parameters: dict[str, Any], environment: dict[str, str], seconds: float
) -> Outcome:
    """Run a probe on a target and wait for its end.

    Args:
        host: the target.
        python: path of the environment's Python there.
        name: the probe's module in verify/probes.
        parameters: what to ask of it.
        environment: variables to set for it, as the activated environment has them.
        seconds: time limit, enforced on the target; here, OUTER_MARGIN_S later.
    """
    nonce = secrets.token_hex(16)
    shared = _SHARED.get(name, _SHARED["framework"])
    modules: list[tuple[str, str | None]] = [("verify", None), ("verify.probes", None)]
    for one in [*shared, name]:
        modules.append((f"verify.probes.{one}", (PROBES / f"{one}.py").read_text(encoding="utf-8")))
    order = {
        "nonce": nonce,
        "modules": modules,
        "entry": f"verify.probes.{name}",
        "parameters": parameters,
        "environment": environment,
        "seconds": seconds,
    }
    source = _pack((PROBES / "supervisor.py").read_text(encoding="utf-8"))
    start = f"import base64,sys,zlib;exec(zlib.decompress(base64.b64decode('{source}')));main(sys.argv[1])"
    try:
        with _limited(seconds + OUTER_MARGIN_S):
            done = host.run("sh -c %s sh %s %s %s", _SUPERVISE, _octal(python), start, _pack(json.dumps(order)))
    except subprocess.TimeoutExpired:
        return Outcome([], "no-answer", -1, "", f"no answer within {seconds + OUTER_MARGIN_S:g} s", seconds)
    except Exception as error:  # as in look()
        return Outcome([], "lost", -1, "", _reason(error), 0.0)
    return _understand(done, nonce)


def _between(done: CommandResult, nonce: str) -> list[str] | None:
    """The lines of an answer between its two marks; None without both."""
    lines = done.stdout_bytes.decode("utf-8", "replace").splitlines()
    marks = [number for number, line in enumerate(lines) if line == nonce]
    return lines[marks[0] + 1 : marks[1]] if len(marks) == 2 else None  # noqa: PLR2004


def _understand(done: CommandResult, nonce: str) -> Outcome:
    """Read the supervisor's one line strictly: anything else is no answer."""
    lines = done.stdout_bytes.decode("utf-8", "replace").splitlines()
    answers = [line[len(nonce) + 1 :] for line in lines if line.startswith(nonce + " ")]
    try:
        (answer,) = answers
        data = json.loads(answer, parse_constant=_refuse)
        records = [json.loads(line, parse_constant=_refuse) for line in data["records"]]
        if not all(isinstance(one, dict) and isinstance(one.get("stage"), str) for one in records):
            raise ValueError("a record without a stage")
        if data["ended"] not in ("exit", "signal", "timeout"):
            raise ValueError(f"an unknown end, {data['ended']!r}")
        return Outcome(
            records, data["ended"], int(data["status"]), data["signal"], data["evidence"], float(data["seconds"])
        )
    except (ValueError, KeyError, TypeError) as error:
        what = f"{len(answers)} answers" if len(answers) != 1 else f"a malformed answer ({error})"
        ended: Ended = "malformed" if answers else "no-answer"
        return Outcome([], ended, done.rc, "", f"{what}, exit code {done.rc}: {_tail(done)}", 0.0)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _pack(text: str) -> str:
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _octal(path: str) -> str:
    """A path for printf's %b: every byte that is not a plain character as octal escape."""
    plain = set(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@: ")
    return "".join(chr(byte) if byte in plain else f"\\0{byte:03o}" for byte in path.encode())


def _reason(error: Exception) -> str:
    """The last line that says something: for a failed ssh, what ssh wrote."""
    seen = error.args[0] if error.args else ""
    text = seen.stderr_bytes.decode("utf-8", "replace") if isinstance(seen, CommandResult) else str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__


def _tail(done: CommandResult) -> str:
    text = (done.stderr_bytes or done.stdout_bytes).decode("utf-8", "replace").strip()
    return text[-600:] or "nothing was written"


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Give every command that testinfra starts on this machine (ssh, sh) a time limit: by itself it has none."""
    original = BaseBackend.run_local

    def run_local(self: BaseBackend, command: str, *args: str) -> CommandResult:
        encoded = self.encode(self.quote(command, *args))
        # A session of its own: the shell that runs the command dies with the command it waits for.
        process = subprocess.Popen(  # noqa: S602 - testinfra's commands are shell lines, quoted by it
            encoded,
            shell=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            output, errors = process.communicate(timeout=seconds)
        except BaseException:  # the time limit, or the user's Ctrl-C
            _end(process)
            raise
        return self.result(process.returncode, encoded, output, errors)

    BaseBackend.run_local = run_local
    try:
        yield
    finally:
        BaseBackend.run_local = original


def _end(process: subprocess.Popen[bytes]) -> None:
    """Terminate first: on this machine the supervisor then takes its probe along."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        try:
            process.communicate(timeout=_TERMINATE_S)
            return
        except subprocess.TimeoutExpired:
            continue

"""What a machine is asked: a first look, a script, a probe; each is sent with the command line and leaves nothing."""

import base64
import json
import re
import secrets
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from testinfra.backend.base import CommandResult
from testinfra.host import Host

from ..documents import MalformedError
from . import answers, connection
from .answers import Outcome
from .connection import LostError, NoAnswerError

PROBES = Path(__file__).resolve().parent.parent / "probes"
CONNECT_TIMEOUT_S = 60
OUTER_MARGIN_S = 30
"""What a connection and an interpreter's start may take beyond the probe's own limit."""
LOOK, INTERPRETER, SYSTEM = "look", "interpreter", "system"
ENVIRONMENT, FRAMEWORK, COREML = "environment", "framework", "coreml"
"""What is asked; FRAMEWORK stands for each framework's probe."""
_IMPORT = re.compile(r"^from \.(\w*) import (.+)$", re.MULTILINE)
"""A probe imports from beside it, in one line."""
# POSIX sh; asked before anything is known of the target, so it may need nothing but what every system has. The nonces
# set the answer apart from what a login script prints. Other records: those that name the shell file with the block.
_LOOK = (
    'record="${XDG_DATA_HOME:-$HOME/.local/share}/metal-lab/$2.json"; '
    'printf "\\n%s\\n" "$1"; uname -s; uname -m; printf "%s\\n" "$record"; '
    'cat "$record" 2>/dev/null; for other in "${record%/*}"/*.json; do '
    '[ "$other" = "$record" ] || ! grep -q \'"shell": \' "$other" 2>/dev/null || '
    '{ printf "\\n%s-other\\n" "$1"; cat "$other"; }; done; printf "\\n%s\\n" "$1"'
)
# The command line stays ASCII (a path with an accent travels as octal escapes): testinfra would otherwise run
# python3 on the target, just to learn its encoding.
_SUPERVISE = 'exec "$(printf %b "$1")" -I -S -c "$2" "$3"'

TOO_OLD = "what is asked here runs on Python 3.9 and newer; this one is "
# Before anything that an older one cannot read.
_SERVED = f"if sys.version_info < (3, 9): sys.exit('{TOO_OLD}' + '.'.join(map(str, sys.version_info[:3])))"


def look(host: Host, profile: str) -> Outcome:
    """Take a first look at a machine: its stage `look` has its system, and its record of a profile's environment.

    Other profiles' records are there where new terminals are, or were, in their environment.
    """
    nonce = secrets.token_hex(16)
    try:
        done = connection.run(host, CONNECT_TIMEOUT_S, "sh -c %s sh %s %s", _LOOK, nonce, profile)
        lines = connection.between(done, nonce) or []
        if len(lines) < 3:  # noqa: PLR2004 - system, machine, path
            return Outcome({}, "unreachable", evidence=_not_understood(done))
        system, machine, path, *rest = lines
        record, *others = [one.strip() for one in "\n".join(rest).split(f"{nonce}-other")]
        data = {"system": system, "machine": machine, "record_path": path, "record": record, "others": others}
        return answers.of_stage(LOOK, LOOK, data)
    except MalformedError as error:
        return Outcome({}, "malformed", evidence=str(error))
    except (NoAnswerError, LostError) as error:
        return Outcome({}, "unreachable", evidence=str(error))


def find(host: Host, environment: str) -> Outcome:
    """Look for the Python of an environment: the stage `interpreter` has it, and the machine's system.

    Args:
        host: the machine.
        environment: path of its folder, of its Python, or of a project that has one.
    """
    outcome = ask(host, INTERPRETER, [environment], CONNECT_TIMEOUT_S)
    # The first that is asked of a machine.
    return replace(outcome, ended="unreachable") if outcome.ended in ("lost", "no-answer") else outcome


def ask(host: Host, script: str, arguments: list[str], seconds: float) -> Outcome:
    """Run a shell script of verify/probes on a machine: for what must be told where no Python runs.

    Args:
        host: the machine.
        script: its name, without .sh, which is also that of its one stage.
        arguments: for the script, which undoes their escapes by printf's %b.
        seconds: time limit, enforced here.

    Returns:
        an outcome whose stage has what the script said in lines key=value.
    """
    nonce = secrets.token_hex(16)
    source = (PROBES / f"{script}.sh").read_text(encoding="utf-8")
    line = "sh -c %s sh %s" + " %s" * len(arguments)
    try:
        done = connection.run(host, seconds, line, source, nonce, *(_octal(one) for one in arguments))
        lines = connection.between(done, nonce)
        pairs = [one.split("=", 1) for one in lines or [] if one]
        if done.rc != 0 or lines is None or not all(len(one) == 2 for one in pairs):  # noqa: PLR2004
            return Outcome({}, "no-answer", done.rc, evidence=_not_understood(done))
        return answers.of_stage(script, script, dict(pairs))
    except MalformedError as error:
        return Outcome({}, "malformed", evidence=str(error))
    except NoAnswerError as error:
        return Outcome({}, "no-answer", evidence=str(error))
    except LostError as error:
        return Outcome({}, "lost", evidence=str(error))


def probe(
    host: Host, python: str, name: str, parameters: dict[str, Any], environment: dict[str, str], seconds: float
) -> Outcome:
    """Run a probe on a machine and wait for its end.

    Args:
        host: the machine.
        python: path of the environment's Python there.
        name: the probe's module in verify/probes.
        parameters: what to ask of it.
        environment: variables to set for it, as the activated environment has them.
        seconds: time limit, enforced on the machine; here, OUTER_MARGIN_S later.
    """
    nonce = secrets.token_hex(16)
    kind = name if name in (ENVIRONMENT, COREML) else FRAMEWORK
    packages = [("verify", None), ("verify.probes", None)]
    modules = [*packages, *((f"verify.probes.{one}", text) for one, text in _modules(name).items())]
    order = {
        "nonce": nonce,
        "modules": modules,
        "entry": f"verify.probes.{name}",
        "parameters": parameters,
        "environment": environment,
        "seconds": seconds,
    }
    source = _pack((PROBES / "supervisor.py").read_text(encoding="utf-8"))
    start = f"import base64,sys,zlib\n{_SERVED}\nexec(zlib.decompress(base64.b64decode('{source}')));main(sys.argv[1])"
    command = ("sh -c %s sh %s %s %s", _SUPERVISE, _octal(python), start, _pack(json.dumps(order)))
    try:
        return _understand(connection.run(host, seconds + OUTER_MARGIN_S, *command), kind, nonce)
    except MalformedError as error:
        return Outcome({}, "malformed", -1, evidence=str(error))
    except NoAnswerError as error:
        return Outcome({}, "no-answer", -1, evidence=str(error), seconds=seconds)
    except LostError as error:
        return Outcome({}, "lost", -1, evidence=str(error))


def _modules(name: str) -> dict[str, str]:
    """The text of a probe's module, and of what it imports from beside it: each after what it needs itself."""
    found: dict[str, str] = {}

    def add(one: str) -> None:
        if one in found:
            return
        text = (PROBES / f"{one}.py").read_text(encoding="utf-8")
        # Not by ast, which fails now and then where several threads parse (seen with Python 3.11.7).
        for module, names in _IMPORT.findall(text):
            for needed in [module] if module else names.split(","):
                add(needed.strip())
        found[one] = text

    add(name)
    return found


def _understand(done: CommandResult, kind: str, nonce: str) -> Outcome:
    """Read the supervisor's one line strictly: anything else is no answer."""
    lines = done.stdout_bytes.decode("utf-8", "replace").split("\n")
    said = [line[len(nonce) + 1 :] for line in lines if line.startswith(nonce + " ")]
    if len(said) != 1:
        evidence = f"{len(said)} answers, {_not_understood(done)}"
        return Outcome({}, "malformed" if said else "no-answer", done.rc, evidence=evidence)
    try:
        return answers.of_supervisor(kind, said[0])
    except MalformedError as error:
        return Outcome({}, "malformed", done.rc, evidence=f"a malformed answer ({error}), {_not_understood(done)}")


def _not_understood(done: CommandResult) -> str:
    return f"exit code {done.rc}: {connection.tail(done)}"


def _pack(text: str) -> str:
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _octal(path: str) -> str:
    """A path for printf's %b: every byte that is not a plain character as octal escape."""
    plain = set(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@: ")
    return "".join(chr(byte) if byte in plain else f"\\0{byte:03o}" for byte in path.encode())

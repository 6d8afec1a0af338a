"""`python -m verify`: the command line. Without a command it checks machines; see --help.

This module and those that it imports at once run on Python 3.9 too: to say that it is too old.
"""

import importlib
import os
import platform
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import ROOT, clean
from .errors import UserError
from .text import shown

COMMANDS = {
    "compare": "verify.report.compare",
    "compat": "verify.linkcheck.compat",
    "linkcheck": "verify.linkcheck.command",
    "lock": "verify.profile.command",
    "messages": "verify.report.messages",
    "report": "verify.report.command",
    "run": "verify.run.command",
}
"""Command to the module whose `main(arguments) -> exit code` runs it; imported only when asked for."""

COULD_NOT_RUN = 2
LEAST = (3, 11)
"""The oldest Python that runs the commands: requires-python in pyproject.toml."""
_OWN = f"Run {ROOT}/.venv/bin/python -m verify instead: ./converge makes that Python."
_AGAIN = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); "
    "runpy.run_module('verify', run_name='__main__', alter_sys=True)"
)


def main(arguments: list[str], start: Callable[[], None] = lambda: None) -> int:
    """Run a command; returns 0 healthy or done, 1 unhealthy, 2 could not run.

    Args:
        arguments: the command's name, if any, and what follows it.
        start: what comes before.
    """
    name, rest = ("run", arguments)
    if arguments and arguments[0] in COMMANDS:
        name, rest = arguments[0], arguments[1:]
    try:
        start()
        code: int = _load(COMMANDS[name]).main(rest)
    except UserError as error:
        # It may quote what a tool or a file says.
        print(f"verify: {shown(str(error))}", file=sys.stderr)
        return COULD_NOT_RUN
    except BrokenPipeError:
        # Nobody reads any more, as after `| head`.
        return COULD_NOT_RUN
    except Exception:
        # By itself Python ends with 1, which says that a machine is unhealthy.
        traceback.print_exc()
        return COULD_NOT_RUN
    return code


def _load(name: str) -> Any:
    """A command's module.

    Raises:
        UserError: this Python is not the project's own.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == __package__:
            raise
        raise UserError(f"{sys.executable} has no {error.name}. {_OWN}") from error


def start_clean() -> None:
    """Start anew with clean variables; returns where they are.

    Raises:
        UserError: HOME is no path of a folder, or this Python is too old.
    """
    home = os.environ.get("HOME", "/")
    if not Path(home).is_absolute() or "\n" in home:
        raise UserError(f"HOME is {home!r}. Needed: the whole path of this user's folder. Set it.")
    if sys.version_info < LEAST:
        needed = ".".join(map(str, LEAST))
        raise UserError(f"{sys.executable} is Python {platform.python_version()}; needed is {needed}. {_OWN}")
    fresh = clean.environment()
    if fresh != os.environ:
        # -P and not -I: Ansible and the rest may be in the user's own site-packages.
        os.execve(sys.executable, [sys.executable, "-P", "-c", _AGAIN, str(ROOT), *sys.argv[1:]], fresh)  # noqa: S606 - itself


def told(arguments: list[str]) -> int:
    """What `main` returns where what it says was told; 2 where stdout is closed, nobody reads it, or the disk is full.

    Python's own exit code would be 120, or 1, which says that a machine is unhealthy.
    """
    if sys.stdout is None:
        return _untold("stdout is closed")
    try:
        code = main(arguments, start=start_clean)
    except SystemExit as end:  # argparse's
        code = 0 if end.code in (0, None) else COULD_NOT_RUN
    try:
        sys.stdout.flush()
    except OSError as error:
        # What is left would fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _untold(str(error.strerror))
    return code


def _untold(why: str) -> int:
    if sys.stderr is not None:
        print(f"verify: what it says could not be written: {why}", file=sys.stderr)
    return COULD_NOT_RUN


if __name__ == "__main__":
    sys.exit(told(sys.argv[1:]))

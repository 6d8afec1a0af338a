"""`python -m verify`: the command line. Without a command it checks machines; see --help."""

import importlib
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

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
        module = importlib.import_module(COMMANDS[name])
        code: int = module.main(rest)
    except UserError as error:
        # It may quote what a tool or a file says.
        print(f"verify: {shown(str(error))}", file=sys.stderr)
        return COULD_NOT_RUN
    except Exception:
        # By itself Python ends with 1, which says that a machine is unhealthy.
        traceback.print_exc()
        return COULD_NOT_RUN
    return code


def start_clean() -> None:
    """Start anew with clean variables; returns where they are.

    Raises:
        UserError: HOME is no path of a folder.
    """
    home = os.environ.get("HOME", "/")
    if not Path(home).is_absolute() or "\n" in home:
        raise UserError(f"HOME is {home!r}. Needed: the whole path of this user's folder. Set it.")
    fresh = clean.environment()
    if fresh != os.environ:
        # -P and not -I: Ansible and the rest may be in the user's own site-packages.
        os.execve(sys.executable, [sys.executable, "-P", "-c", _AGAIN, str(ROOT), *sys.argv[1:]], fresh)  # noqa: S606 - itself


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], start=start_clean))

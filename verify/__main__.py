"""`python -m verify`: the command line. Without a command it checks machines; see --help."""

import importlib
import sys
import traceback

from .errors import UserError
from .text import plain

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


def main(arguments: list[str]) -> int:
    """Run a command; returns 0 healthy or done, 1 unhealthy, 2 could not run."""
    name, rest = ("run", arguments)
    if arguments and arguments[0] in COMMANDS:
        name, rest = arguments[0], arguments[1:]
    try:
        module = importlib.import_module(COMMANDS[name])
        code: int = module.main(rest)
    except UserError as error:
        print(f"verify: {plain(str(error))}", file=sys.stderr)  # which may quote what a tool or a file says
        return COULD_NOT_RUN
    except Exception:
        # By itself Python ends with 1, which says that a machine is unhealthy.
        traceback.print_exc()
        return COULD_NOT_RUN
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

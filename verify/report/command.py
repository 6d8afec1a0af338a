"""`python -m verify report`: make report.html from the results at hand, one page for all machines.

exit code: 0 made, 2 could not be made, or a machine could not be shown
"""

import argparse
import sys
from pathlib import Path

from ..errors import UserError
from ..results.files import FOLDER
from ..text import plain
from . import language, page
from .summary import near


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code.

    Raises:
        UserError: there is no such folder, or the page cannot be written.
    """
    parser = argparse.ArgumentParser(
        prog="python -m verify report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--results", default=FOLDER, type=Path, help="folder with HOST.PROFILE.json files (default: %(default)s)"
    )
    parser.add_argument("--lang", help=language.HELP)
    given = parser.parse_args(arguments)
    spoken = language.choose(given.lang)
    if not given.results.is_dir():
        raise UserError(f"{given.results} is no folder. Run `python -m verify` first, or set --results.")
    try:
        path, broken = page.write(given.results, spoken)
    except OSError as error:
        raise UserError(f"The page cannot be written: {error}. Set --results to a folder that can be.") from error
    print(spoken.gettext("Report: %(path)s", path=near(path)))
    for name, failure in broken.items():
        print(plain(f"{name} could not be shown: {type(failure).__name__}: {failure}"), file=sys.stderr)
    return 2 if broken else 0

"""`python -m verify`: check that machines are what their profile says, by results rather than by imports.

exit code: 0 healthy, 1 unhealthy, 2 could not be verified
"""

import argparse
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .. import ROOT
from . import options, settings

_EPILOG = """\
examples:
  python -m verify                                            this machine, quickly
  python -m verify --level setup                              has it drifted? no GPU needed, seconds
  python -m verify --level full --frameworks pytorch,mlx      numbers, speed and a short training run
  python -m verify --environment ~/project                    an environment that something else made
  python -m verify --hosts ssh://me@mac1.example,ssh://me@mac2.example
  python -m verify --hosts 'ansible://lab?ansible_inventory=inventory/lab.yml'

other commands, each with --help: python -m verify report, compare, lock, linkcheck
"""


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code.

    Raises:
        UserError: the settings or the hosts cannot be used.
    """
    parser = argparse.ArgumentParser(
        prog="python -m verify",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add(parser.add_argument, testinfra_too=True)
    parser.add_argument("--junit-xml", help="file for the checks as JUnit (default: junit.xml in the results' folder)")
    given = parser.parse_args(arguments)
    # Here as well as in the plugin: what is wrong is said as this program says it, not as pytest does.
    given.results = str(settings.resolve(given).results)
    # What a user sets or has installed for tests of their own is not for this run.
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        os.environ.pop(name, None)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    with _interrupted_by(signal.SIGTERM, signal.SIGHUP):
        code = pytest.main(
            [
                *options.pass_on(vars(given)),
                *([f"--junit-xml={given.junit_xml}"] if given.junit_xml else []),
                # Only our lines of progress and our summary.
                *("-qq", "--tb=no", "-rN", "--no-header", "--disable-warnings", "--color=auto"),
                *("-p", "testinfra.plugin", "-o", "console_output_style=classic"),
                *("-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-p", "no:cacheprovider"),
                str(ROOT / "verify"),
            ]
        )
    return int(code) if code in (0, 1) else 2


@contextmanager
def _interrupted_by(*numbers: signal.Signals) -> Iterator[None]:
    """Have signals do what Ctrl-C does: what was begun is ended, and the result says that it was not finished.

    One that is ignored, as by nohup, stays so.
    """
    ours = [one for one in numbers if signal.getsignal(one) is signal.SIG_DFL]
    for one in ours:
        signal.signal(one, signal.default_int_handler)
    try:
        yield
    finally:
        for one in ours:
            signal.signal(one, signal.SIG_DFL)

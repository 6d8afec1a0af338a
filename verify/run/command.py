"""`python -m verify`: check that machines are what their profile says, by results rather than by imports.

exit code: 0 healthy, 1 unhealthy, 2 could not run
"""

import argparse

import pytest

from verify import ROOT
from verify.report import language
from verify.run import settings as options

_EPILOG = """\
examples:
  python -m verify                                            this machine, quickly
  python -m verify --level setup                              has it drifted? no GPU needed, seconds
  python -m verify --level full --frameworks pytorch,mlx      numbers, speed and a short training run
  python -m verify --hosts ssh://me@mac1.example,ssh://me@mac2.example
  python -m verify --hosts 'ansible://lab?ansible_inventory=inventory/lab.yml'

other commands, each with --help: python -m verify report, compare, lock, linkcheck
"""


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code.

    Raises:
        UserError: the settings or the hosts cannot be used.
    """
    given = _parser().parse_args(arguments)
    # Here as well as in the plugin: what is wrong is said as this program says it, not as pytest does.
    settings = options.resolve(
        profile_name=given.profile,
        level=given.level,
        frameworks=given.frameworks,
        results=given.results,
        timeout=given.timeout,
        soak=given.soak_seconds,
        lang=given.lang,
    )
    options.resolve_hosts(given.hosts, given.ansible_inventory)
    passed_on = {
        "hosts": given.hosts,
        "profile": given.profile,
        "level": given.level,
        "frameworks": given.frameworks,
        "results": str(settings.results),
        "timeout": given.timeout,
        "soak-seconds": given.soak_seconds,
        "ansible-inventory": given.ansible_inventory,
        "ssh-config": given.ssh_config,
        "lang": given.lang,
    }
    code = pytest.main(
        [
            *(f"--{name}={value}" for name, value in passed_on.items() if value is not None),
            *(["--no-page"] if given.no_page else []),
            # Only our lines of progress and our summary.
            *("-qq", "--tb=no", "-rN", "--no-header", "--disable-warnings", "--color=auto"),
            *("-o", "console_output_style=classic"),
            *("-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-p", "no:cacheprovider"),
            str(ROOT / "verify"),
        ]
    )
    return int(code) if code in (0, 1) else 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m verify",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--hosts",
        default=options.DEFAULT_HOSTS,
        help="local://, ssh://USER@HOST:PORT, ansible://PATTERN?ansible_inventory=FILE; several separated by commas "
        "(default: %(default)s)",
    )
    parser.add_argument("--profile", default=options.DEFAULT_PROFILE, help="the profile (default: %(default)s)")
    parser.add_argument(
        "--level",
        default="quick",
        help="setup: what is installed and set, no framework runs; quick: devices and exact values as well; full: "
        "speed, float64 reference and training as well (default: %(default)s)",
    )
    parser.add_argument("--frameworks", help="names separated by commas (default: those in each target's record)")
    parser.add_argument(
        "--results",
        default=options.DEFAULT_RESULTS,
        help="folder for HOST.json, report.html, junit.xml and history/ (default: %(default)s)",
    )
    parser.add_argument("--timeout", help=options.TIMEOUT_HELP)
    parser.add_argument("--soak-seconds", help=options.SOAK_HELP)
    parser.add_argument("--ansible-inventory", help="inventory for ansible:// hosts")
    parser.add_argument("--ssh-config", help="OpenSSH configuration file for ssh:// hosts")
    parser.add_argument("--lang", help=language.HELP)
    parser.add_argument("--no-page", action="store_true", help=options.NO_PAGE_HELP)
    return parser

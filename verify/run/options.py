"""The options of a run, each declared once: for `python -m verify` and for `pytest verify`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..checks.plan import LEVELS, QUICK
from ..profile.names import DEFAULT
from ..report import language
from ..results.files import FOLDER

DEFAULT_HOSTS = "local://"
DEFAULT_SOAK_S = 120.0


@dataclass(frozen=True)
class Option:
    """An option.

    Attributes:
        name: with its dashes.
        help: for people; %(default)s stands for its default.
        more: what argparse and pytest take beside that.
        of_testinfra: whether pytest has it already.
    """

    name: str
    help: str
    more: dict[str, Any] = field(default_factory=dict)
    of_testinfra: bool = False


OPTIONS = (
    Option(
        "--hosts",
        "local://, ssh://USER@HOST:PORT, ansible://PATTERN?ansible_inventory=FILE; several separated by commas "
        "(default: %(default)s)",
        {"default": DEFAULT_HOSTS},
        of_testinfra=True,
    ),
    Option("--profile", "the profile, or the path of its folder (default: %(default)s)", {"default": DEFAULT}),
    Option(
        "--environment",
        "look at this environment, whoever made it, without a profile: its folder, its Python, or a project's folder "
        "with .venv or .pixi in it; on a host, a path that does not begin with / is taken from the home",
    ),
    Option(
        "--level",
        "; ".join(f"{name}: {what}" for name, what in LEVELS.items()) + " (default: %(default)s)",
        {"default": QUICK},
    ),
    Option("--frameworks", "names separated by commas (default: those in each machine's record)"),
    Option(
        "--results",
        "folder for HOST.PROFILE.json, report.html, junit.xml and history/ (default: %(default)s)",
        {"default": FOLDER},
    ),
    Option(
        "--timeout",
        "seconds for one probe (default: what is left of the level's time for a machine, at least a minute)",
    ),
    Option(
        "--soak-seconds",
        f"seconds that each framework computes without a pause at level soak (default: {DEFAULT_SOAK_S:g})",
    ),
    Option("--ansible-inventory", "inventory for ansible:// hosts", of_testinfra=True),
    Option("--ssh-config", "OpenSSH configuration file for ssh:// hosts", of_testinfra=True),
    Option("--lang", language.HELP),
    Option(
        "--no-page",
        "write no report.html: somebody makes it once for many machines (python -m verify report)",
        {"action": "store_true"},
    ),
)


def add(take: Callable[..., object], *, testinfra_too: bool) -> None:
    """Declare the options.

    Args:
        take: argparse's add_argument, or pytest's addoption.
        testinfra_too: also those that pytest-testinfra declares.
    """
    for one in OPTIONS:
        if testinfra_too or not one.of_testinfra:
            take(one.name, help=one.help, **one.more)


def pass_on(given: dict[str, Any]) -> list[str]:
    """The options as pytest takes them, from argparse's values by name."""
    values = [(one, given[one.name.removeprefix("--").replace("-", "_")]) for one in OPTIONS]
    flags = [one.name for one, value in values if value is True]
    return [*(f"{one.name}={value}" for one, value in values if value not in (None, True, False)), *flags]

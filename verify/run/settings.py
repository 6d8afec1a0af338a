"""What a run is asked to check; the same for `python -m verify` and `pytest verify`."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import testinfra
from testinfra.host import Host

from verify.errors import UserError
from verify.profile import model as profiles
from verify.profile.model import Profile
from verify.report import language
from verify.report.language import Language

DEFAULT_HOSTS = "local://"
DEFAULT_PROFILE = "ml-m1"
DEFAULT_RESULTS = "results"
SETUP = "setup"
"""The level at which no framework runs."""
LEVELS = (SETUP, "quick", "full", "soak")
BUDGET_S = {SETUP: 60.0, "quick": 120.0, "full": 300.0, "soak": 300.0}
"""Time for one machine by level, in seconds; soak takes --soak-seconds for each framework beside it. Measurements are
cut to fit (MEASURE_S), and a probe is ended when the machine's time is over, but not before LEAST_S."""
MEASURE_S = {"matmul_s": 20.0, "bandwidth_s": 2.0, "course_s": 10.0}
"""Seconds for each measurement of a framework at levels full and soak, about."""
LEAST_S = 60.0
LEAST_TIMEOUT_S = 1.0
DEFAULT_SOAK_S = 120.0
LEAST_SOAK_S = 5.0
DAY_S = 86400
TIMEOUT_HELP = "seconds for one probe (default: what is left of the level's time for a machine, at least a minute)"
NO_PAGE_HELP = "write no report.html: somebody makes it once for many machines (python -m verify report)"
SOAK_HELP = f"seconds that each framework computes without a pause at level soak (default: {DEFAULT_SOAK_S:g})"
SOAK_WINDOWS = 24
SEED = 20241


@dataclass(frozen=True)
class Settings:
    """A run's settings.

    Attributes:
        profile: what the machines must be.
        level: one of LEVELS.
        frameworks: those asked for by name, or None for those in each target's record.
        results: folder for the results.
        timeout_s: limit for one probe, None for what is left of the level's budget.
        soak_s: how long each framework computes without a pause at level soak.
        language: of what people read at the end.
    """

    profile: Profile
    level: str
    frameworks: tuple[str, ...] | None
    results: Path
    timeout_s: float | None
    soak_s: float
    language: Language

    @property
    def candidates(self) -> tuple[str, ...]:
        """The frameworks to make checks for."""
        return self.frameworks or tuple(self.profile.frameworks)

    @property
    def budget_s(self) -> float:
        """Time for one machine."""
        return BUDGET_S[self.level] + (self.soak_s * len(self.candidates) if self.level == "soak" else 0.0)


def resolve(
    *,
    profile_name: str,
    level: str,
    frameworks: str | None,
    results: str,
    timeout: str | None,
    soak: str | None,
    lang: str | None,
) -> Settings:
    """Check what the command line says, and load the profile.

    Args:
        profile_name: a profile's folder.
        level: one of LEVELS.
        frameworks: names separated by commas, or None.
        results: folder, made when missing.
        timeout: seconds, or None for what is left of the level's budget.
        soak: seconds, or None for DEFAULT_SOAK_S.
        lang: a language's code, or None for the environment's.

    Raises:
        UserError: one of them cannot be.
    """
    if level not in LEVELS:
        raise UserError(f"The level '{level}' is unknown. Set --level to one of {', '.join(LEVELS)}.")
    loaded = profiles.load(profile_name)
    chosen: tuple[str, ...] | None = None
    if frameworks is not None:
        wanted = [name.strip() for name in frameworks.split(",") if name.strip()]
        unknown = [name for name in wanted if name not in loaded.frameworks]
        if unknown or not wanted:
            raise UserError(
                f"--frameworks {frameworks!r} names {'what is unknown: ' + ', '.join(unknown) if unknown else 'none'}. "
                f"The profile '{profile_name}' has {', '.join(loaded.frameworks)}."
            )
        chosen = tuple(name for name in loaded.frameworks if name in wanted)
    spoken = language.choose(lang)
    limit_s = None if timeout is None else _seconds("--timeout", timeout, LEAST_TIMEOUT_S)
    soak_s = DEFAULT_SOAK_S if soak is None else _seconds("--soak-seconds", soak, LEAST_SOAK_S)
    return Settings(loaded, level, chosen, _folder(Path(results)), limit_s, soak_s, spoken)


def resolve_hosts(patterns: str, inventory: str | None) -> list[Host]:
    """The hosts that --hosts names, in its order.

    Args:
        patterns: testinfra host specifications, separated by commas.
        inventory: Ansible inventory for ansible:// patterns, or None.

    Raises:
        UserError: a pattern is malformed or matches nothing: a check of no machine must not look like a healthy one.
    """
    # testinfra finds ansible-inventory on PATH; ours stands beside the Python that runs this.
    beside = str(Path(sys.executable).parent)
    if beside not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([beside, os.environ.get("PATH", os.defpath)])
    found: list[Host] = []
    for pattern in patterns.split(","):
        if "://" not in pattern:
            raise UserError(
                f"--hosts: {pattern!r} does not say how to connect. Write local://, ssh://USER@HOST, "
                "or ansible://PATTERN?ansible_inventory=FILE."
            )
        try:
            hosts = testinfra.get_hosts([pattern], ansible_inventory=inventory)
        except Exception as error:  # an inventory that cannot be read raises what it likes
            detail = (str(error).strip().splitlines() or [type(error).__name__])[-1][:300]
            raise UserError(f"--hosts: {pattern!r} cannot be resolved: {detail}") from error
        if not hosts:
            raise UserError(
                f"--hosts: {pattern!r} matches no host. Patterns are shell-style (lab-*), not Ansible's; "
                "look at the inventory with ansible-inventory --list."
            )
        found.extend(hosts)
    return found


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder for results, {path}, cannot be made: {error}. Set --results.") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise UserError(f"The folder for results, {path}, cannot be written to. Set --results.")
    return path.resolve()


def _seconds(option: str, given: str, least: float) -> float:
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not least <= seconds <= DAY_S:
        raise UserError(f"{option} {given}: needed are seconds, from {least:g} to {DAY_S}.")
    return seconds

"""What a run is asked to check, from its options; the same for `python -m verify` and `pytest verify`."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import testinfra
from testinfra.host import Host
from testinfra.utils.ansible_runner import AnsibleRunner

from ..checks.given import catalogue
from ..checks.plan import LEVELS, Plan
from ..errors import UserError
from ..profile import model as profiles
from ..profile.names import DEFAULT
from ..report import language
from ..report.language import Language
from .options import DEFAULT_SOAK_S

LEAST_TIMEOUT_S = 1.0
LEAST_SOAK_S = 5.0
DAY_S = 86400
JUNIT = "junit.xml"


@dataclass(frozen=True)
class Settings:
    """A run's settings.

    Attributes:
        plan: what is asked of each machine.
        hosts: the machines.
        results: folder for the results.
        language: of what people read at the end.
    """

    plan: Plan
    hosts: list[Host]
    results: Path
    language: Language


def resolve(given: Any) -> Settings:
    """Check what the command line says, load the profile, and find the machines.

    Args:
        given: the options' values as attributes.

    Raises:
        UserError: one of them cannot be.
    """
    if given.level not in LEVELS:
        raise UserError(f"The level '{given.level}' is unknown. Set --level to one of {', '.join(LEVELS)}.")
    hosts = _hosts(given.hosts, given.ansible_inventory, given.ssh_config)
    environment = "" if given.environment is None else _environment(given.environment, given.profile, hosts)
    loaded = catalogue(environment) if environment else profiles.load(given.profile)
    chosen: tuple[str, ...] | None = None
    if given.frameworks is not None:
        wanted = [name.strip() for name in given.frameworks.split(",") if name.strip()]
        unknown = [name for name in wanted if name not in loaded.frameworks]
        if unknown or not wanted:
            what = "what is unknown: " + ", ".join(unknown) if unknown else "none"
            known = ", ".join(loaded.frameworks)
            which = f"Known are {known}." if environment else f"The profile '{loaded.name}' has {known}."
            raise UserError(f"--frameworks {given.frameworks!r} names {what}. {which}")
        chosen = tuple(name for name in loaded.frameworks if name in wanted)
    spoken = language.choose(given.lang)
    limit_s = None if given.timeout is None else _seconds("--timeout", given.timeout, LEAST_TIMEOUT_S)
    soak = given.soak_seconds
    soak_s = DEFAULT_SOAK_S if soak is None else _seconds("--soak-seconds", soak, LEAST_SOAK_S)
    plan = Plan(loaded, given.level, chosen, limit_s, soak_s, environment)
    return Settings(plan, hosts, _folder(given.results), spoken)


def _environment(given: str, profile: str, hosts: list[Host]) -> str:
    """The path of the environment to look at, from the root where all that is asked is this machine.

    Raises:
        UserError: it is no path that can be meant.
    """
    if profile != DEFAULT:
        raise UserError("--environment looks at an environment without a profile: leave out one of it and --profile.")
    if not given or not given.isprintable():
        raise UserError(f"--environment {given!r}: needed is the path of an environment's folder, or of its Python.")
    here = all(host.backend.get_pytest_id() == "local" for host in hosts)
    if here:
        # Not resolved: the links in bin/ lead out of an environment.
        return os.path.abspath(os.path.expanduser(given))  # noqa: PTH100, PTH111
    # With a slash, by which it is told from a profile's name.
    return given if given.startswith(("/", "~/")) else f"~/{given}"


def _hosts(patterns: str, inventory: str | None, ssh_config: str | None) -> list[Host]:
    """The hosts that --hosts names, in its order.

    Args:
        patterns: testinfra host specifications, separated by commas.
        inventory: Ansible inventory for ansible:// patterns, or None.
        ssh_config: OpenSSH's configuration for ssh:// hosts, or None for the user's.

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
            _hand_over(pattern)
            hosts = testinfra.get_hosts([pattern], ansible_inventory=inventory, ssh_config=ssh_config)
        except Exception as error:  # an inventory that cannot be read raises what it likes
            detail = (str(error).strip().splitlines() or [type(error).__name__])[-1][:300]
            raise UserError(f"--hosts: {pattern!r} cannot be resolved: {detail}") from error
        if not hosts:
            raise UserError(
                f"--hosts: {pattern!r} matches no host. Patterns are shell-style (lab-*), not Ansible's; "
                "look at the inventory with ansible-inventory --list."
            )
        found.extend(hosts)
    # What testinfra calls a machine has neither user nor port: of two that are called the same, one would not be seen.
    names = [host.backend.get_pytest_id() for host in found]
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"--hosts names {name} more than once. Write it once; machines that differ by port or user only need "
                "names of their own, in an inventory (ansible_host, ansible_port) or with --ssh-config."
            )
        if not name.rpartition("://")[2]:
            raise UserError(f"--hosts: {name!r} names no host. Write ssh://USER@HOST.")
    return found


def _hand_over(pattern: str) -> None:
    """Give testinfra an inventory that is as `ansible-inventory --list` prints it; to run that takes a second."""
    for path in parse_qs(urlsplit(pattern).query).get("ansible_inventory", []):
        if path.endswith(".json"):
            content = json.loads(Path(path).read_bytes())
            if "_meta" in content:
                AnsibleRunner.get_runner(path).inventory = content


def _folder(given: str) -> Path:
    if not given:
        raise UserError(f"--results {given!r}: needed is the path of a folder.")
    path = Path(given)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder for results, {path}, cannot be made: {error}. Set --results.") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise UserError(f"The folder for results, {path}, cannot be written to. Set --results.")
    junit = path / JUNIT
    # A pipe would be waited for at the end, by pytest.
    if junit.exists() and not junit.is_file():
        raise UserError(f"{junit} is no file. Needed: a file, or nothing, at that place. Move it away.")
    return path.resolve()


def _seconds(option: str, given: str, least: float) -> float:
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not least <= seconds <= DAY_S:
        raise UserError(f"{option} {given}: needed are seconds, from {least:g} to {DAY_S}.")
    return seconds

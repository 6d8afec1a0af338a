"""The profile: what a machine must be. Read by the roles, the locks, the checks and the report alike."""

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from packaging.specifiers import SpecifierSet

from .. import ROOT
from ..errors import UserError
from . import yaml_lines
from .lock import Lock
from .names import DEFAULT, name_of

PROFILES = ROOT / "profiles"
PROBES = ROOT / "verify" / "probes"
BASE = "base"
"""Name of the package set that every environment has, beside those of the frameworks."""
ARRAYS, LANGUAGE_MODEL = "arrays", "language_model"
"""Kinds of framework: one that computes with arrays, and one that runs language models with the arrays of another."""


@dataclass(frozen=True)
class Platform:
    """A platform that the profile is locked for.

    Attributes:
        name: kernel and machine, for example darwin-arm64.
        uv_platform: value of uv's --python-platform.
        macos_floor: oldest macOS that works, None elsewhere.
        macos_deployment_target: newest macOS level that a locked wheel may have, None elsewhere.
        find_links: page or folder with wheels that the package index does not have, or None.
    """

    name: str
    uv_platform: str
    macos_floor: str | None = None
    macos_deployment_target: str | None = None
    find_links: str | None = None


@dataclass(frozen=True)
class PackageSet:
    """Packages that are installed together: the base set, or a framework's.

    Attributes:
        name: the framework, or "base".
        requirements: the .in file beside profile.yml.
        environment: variables that are set while the environment is active.
    """

    name: str
    requirements: str
    environment: dict[str, str]


@dataclass(frozen=True)
class Framework(PackageSet):
    """A framework's packages, and what shows that it works.

    Attributes:
        title: how it writes its own name.
        distributions: what the framework itself is called on the package index; a platform's lock has one of them.
        required: whether its failure makes the machine unhealthy.
        device: by platform, the device as the framework names it; no entry means not available there.
        device_by_default: whether it computes there unless told otherwise.
        kind: ARRAYS or LANGUAGE_MODEL; decides what is looked at.
    """

    title: str
    distributions: tuple[str, ...]
    required: bool
    device: dict[str, str]
    device_by_default: bool
    kind: str


@dataclass(frozen=True)
class AcceptedFinding:
    """A finding of the link check that is known.

    Attributes:
        finding: its id.
        reason: why it is accepted.
        link: where that can be read up.
        macos: the releases on which it is, as a version specifier; None for all on which it is found.
    """

    finding: str
    reason: str
    link: str
    macos: str | None = None


@dataclass(frozen=True)
class Profile:
    """A loaded profile; profile.schema.json explains its values."""

    name: str
    directory: Path
    python: str
    disk_gb: int
    locked_on: str
    platforms: dict[str, Platform]
    base: PackageSet
    frameworks: dict[str, Framework]
    accepted_findings: tuple[AcceptedFinding, ...] = ()

    @property
    def reference(self) -> str:
        """What `load` finds it by, from whatever folder: its name, or its own folder's path."""
        return self.name if self.directory.parent == PROFILES else str(self.directory)

    def platform(self, name: str) -> Platform:
        """Return a platform of the profile by name.

        Raises:
            UserError: the profile is not locked for it.
        """
        if name not in self.platforms:
            raise UserError(f"The profile '{self.name}' is not made for {name}. It knows {', '.join(self.platforms)}.")
        return self.platforms[name]

    def frameworks_on(self, platform: str) -> list[str]:
        """Names of the frameworks that a platform has, in the profile's order."""
        return [name for name, framework in self.frameworks.items() if platform in framework.device]

    def select(self, wanted: Iterable[str], platform: str) -> list[str]:
        """Put the wanted frameworks in the profile's order.

        Raises:
            UserError: one of them is unknown or does not exist on this platform.
        """
        wanted = list(wanted)
        available = self.frameworks_on(platform)
        for name in wanted:
            if name not in available:
                why = f"not available on {platform}" if name in self.frameworks else "unknown"
                raise UserError(
                    f"The framework '{name}' is {why}. "
                    f"The profile '{self.name}' has {', '.join(available)} there: set `frameworks` to some of them."
                )
        return [name for name in available if name in wanted]

    def package_set(self, name: str) -> PackageSet:
        """Return the base set or a framework's set by name."""
        return self.base if name == BASE else self.frameworks[name]

    def known_on(self, macos: str) -> list[str]:
        """What is known of the packages on one release of macOS and not on all: why it is accepted, and where to read.

        Args:
            macos: its version, for example 26.1.
        """
        known = (one for one in self.accepted_findings if one.macos and SpecifierSet(one.macos).contains(macos))
        return list(dict.fromkeys(f"{one.reason} {one.link}" for one in known))

    def lock_path(self, platform: str) -> Path:
        """Path of a platform's lock file."""
        return self.directory / f"{self.platform(platform).name}.lock"

    def lock(self, platform: str) -> Lock:
        """Read a platform's lock.

        Raises:
            UserError: it is missing, was edited, or no longer belongs to the requirements.
        """
        return Lock.read(self.lock_path(platform), inputs=self.lock_inputs(platform))

    def wheels(self, platform: str) -> dict[str, tuple[int, ...]]:
        """The packages of a lock of which a newer macOS takes another wheel, with the macOS releases of their wheels.

        A release is the number before the dot. Nothing is known of a lock that was made since.
        """
        try:
            text = self.wheels_path(platform).read_text(encoding="utf-8")
            known = json.loads(text)
            if known["lock"] != hashlib.sha256(self.lock_path(platform).read_bytes()).hexdigest():
                return {}
            return {name: tuple(releases) for name, releases in known["wheels"].items()}
        except FileNotFoundError:
            return {}

    def wheels_path(self, platform: str) -> Path:
        """Path of what is known of a platform's wheels; `python -m verify linkcheck --wheels` writes it."""
        return self.directory / f"{self.platform(platform).name}.wheels.json"

    def requirements_files(self) -> list[Path]:
        """The human-edited requirements files, in name order."""
        sets = [self.base, *self.frameworks.values()]
        return sorted(self.directory / one.requirements for one in sets)

    def lock_inputs(self, platform: str) -> bytes:
        """All that decides a lock's content, as bytes: a digest of it in the lock tells when it is out of date."""
        target = self.platform(platform)
        settings = [self.python, self.locked_on, target.uv_platform, target.macos_deployment_target or ""]
        parts = ["\n".join(settings).encode()]
        for path in self.requirements_files():
            try:
                parts.append(path.name.encode() + b"\n" + path.read_bytes())
            except OSError as error:
                raise UserError(f"{path}: cannot be read: {error}") from error
        return b"\0".join(parts)


def names(profiles: Path = PROFILES) -> list[str]:
    """Names of the profiles that exist."""
    return sorted(path.parent.name for path in profiles.glob("*/profile.yml"))


def titles(profiles: Path = PROFILES) -> dict[str, str]:
    """How the frameworks of all profiles write their own names, by name, in the profiles' order.

    A profile that cannot be loaded is left out: it says so where it is used, and spoils no other one's page.
    """
    found: dict[str, str] = {}
    for name in names(profiles):
        with suppress(UserError):
            found |= {one.name: one.title for one in load(name, profiles).frameworks.values()}
    return found


def load(which: str, profiles: Path = PROFILES) -> Profile:
    """Load and check a profile.

    Args:
        which: the profile's folder below `profiles`, or the path of a folder anywhere, which has a slash; empty is
            DEFAULT.
        profiles: the folder of all profiles.

    Raises:
        UserError: no such profile, or it is malformed; the message names file and line.
    """
    path, name = _find(which or DEFAULT, profiles), name_of(which)
    document = yaml_lines.load(path)
    schema = json.loads((PROFILES / "profile.schema.json").read_text(encoding="utf-8"))
    found = sorted(Draft202012Validator(schema).iter_errors(document.data), key=lambda error: list(error.path))
    if found:
        raise UserError("\n".join(_explain(path, document, error) for error in found))
    data = document.data
    if path.parent.parent != profiles and name in names(profiles):
        raise UserError(f"{path.parent}: '{name}' is a profile in {profiles}. Give the folder another name.")
    if data["name"] != name:
        line = document.lines[("name",)]
        raise UserError(f"{path}:{line}: the name '{data['name']}' is not that of its folder, '{name}'")
    for framework, entry in data["frameworks"].items():
        if not (PROBES / f"{framework}.py").is_file():
            line = document.lines[("frameworks", framework)]
            probe = f"verify/probes/{framework}.py"
            raise UserError(f"{path}:{line}: frameworks.{framework}: no probe shows that it works; needed is {probe}")
        for platform in entry["device"]:
            if platform not in data["platforms"]:
                line = document.lines[("frameworks", framework, "device", platform)]
                raise UserError(f"{path}:{line}: the platform '{platform}' is not among `platforms`")
    return _build(path.parent, data)


def _find(which: str, profiles: Path) -> Path:
    """The profile.yml that is meant."""
    if "/" in which:
        path = Path(which).expanduser().resolve() / "profile.yml"
        if not path.is_file():
            raise UserError(f"There is no {path}. Set `profile` to a folder that has a profile.yml, or to a name.")
        return path
    known = names(profiles)
    if which not in known:
        raise UserError(
            f"There is no profile '{which}' in {profiles}. It has: {', '.join(known) or 'none'}. "
            "Set `profile` to one of them, or to the path of a folder with a profile of your own."
        )
    return profiles / which / "profile.yml"


def _build(directory: Path, data: dict[str, Any]) -> Profile:
    return Profile(
        name=data["name"],
        directory=directory,
        python=data["python"],
        disk_gb=data["disk_gb"],
        locked_on=data["locked_on"],
        platforms={name: Platform(name=name, **entry) for name, entry in data["platforms"].items()},
        base=PackageSet(BASE, data["base"]["requirements"], data["base"].get("environment", {})),
        frameworks={
            name: Framework(
                name=name,
                requirements=entry["requirements"],
                environment=entry.get("environment", {}),
                title=entry["title"],
                distributions=tuple(entry["distributions"]),
                required=entry["required"],
                device=entry["device"],
                device_by_default=entry.get("device_by_default", True),
                kind=entry.get("kind", ARRAYS),
            )
            for name, entry in data["frameworks"].items()
        },
        accepted_findings=tuple(AcceptedFinding(**entry) for entry in data.get("accepted_findings", [])),
    )


def _explain(path: Path, document: yaml_lines.Located, error: ValidationError) -> str:
    """One line for a schema error: file, line, and what is known instead of an unknown key."""
    at = tuple(error.path)
    within = ".".join(str(part) for part in at) or "the profile"
    if error.validator == "additionalProperties":
        instance: Any = error.instance
        schema: Any = error.schema
        known = sorted(schema["properties"])
        unknown = [key for key in instance if key not in known]
        return "\n".join(
            f"{path}:{document.lines.get((*at, key), 1)}: unknown key '{key}' in {within}; known are {', '.join(known)}"
            for key in unknown
        )
    line = document.lines.get(at, 1)
    if "propertyNames" in error.schema_path:
        line = document.lines.get((*at, str(error.instance)), line)
    return f"{path}:{line}: {within}: {error.message}"

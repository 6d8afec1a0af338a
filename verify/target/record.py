"""The record that provisioning leaves on a target: what environment there is, and where."""

import json
from dataclasses import dataclass
from typing import Any

from verify.profile.model import BASE

SCHEMA_VERSION = 1


class BadRecordError(ValueError):
    """The record cannot be used; the message is one line."""


@dataclass(frozen=True)
class Homebrew:
    """What the inventory asks of Homebrew.

    Attributes:
        prefix: its folder.
        formulae, casks: names that must be installed.
        shellenv: whether a login shell is to find it.
    """

    prefix: str
    formulae: tuple[str, ...]
    casks: tuple[str, ...]
    shellenv: bool


@dataclass(frozen=True)
class Conda:
    """The conda that made the environment: its folder, and whether a login shell is to know it by `conda init`."""

    root: str
    init: bool


@dataclass(frozen=True)
class Record:
    """An environment on a target.

    Attributes:
        provider: what made it, uv or conda.
        prefix: its folder, absolute.
        frameworks: those installed in it.
        shell: the shell file with the managed block, "" where the shell was left alone.
        homebrew, conda: None where nobody asked for one here.
    """

    provider: str
    prefix: str
    frameworks: tuple[str, ...]
    shell: str
    homebrew: Homebrew | None = None
    conda: Conda | None = None

    @property
    def python(self) -> str:
        """Path of its Python."""
        return f"{self.prefix}/bin/python"

    @property
    def sets(self) -> list[str]:
        """Names of its package sets: the base, and the frameworks."""
        return [BASE, *self.frameworks]


def parse(text: str, profile: str) -> Record:
    """Read a record.

    Args:
        text: JSON.
        profile: name of the profile it must belong to.

    Raises:
        BadRecordError: it is not a record of this profile that this version understands.
    """
    try:
        data = json.loads(text)
        schema, name, provider, prefix = (data[key] for key in ("schema", "profile", "provider", "prefix"))
        frameworks, shell = data["frameworks"], data.get("shell", "")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadRecordError(f"it is malformed ({error!r})") from error
    if schema != SCHEMA_VERSION:
        raise BadRecordError(f"it has schema {schema!r}, understood is {SCHEMA_VERSION}")
    if name != profile:
        raise BadRecordError(f"it is of the profile {name!r}, not {profile!r}")
    if provider not in ("uv", "conda") or not isinstance(prefix, str) or not prefix.startswith("/"):
        raise BadRecordError(f"provider {provider!r} or prefix {prefix!r} is not one that can be")
    if not isinstance(frameworks, list) or not all(isinstance(one, str) for one in frameworks):
        raise BadRecordError("its frameworks are no list of names")
    if not isinstance(shell, str):
        raise BadRecordError("its shell file is no path")
    try:
        homebrew, conda = _homebrew(data.get("homebrew")), _conda(data.get("conda"))
    except (KeyError, TypeError, ValueError) as error:
        raise BadRecordError(f"what it says of homebrew or conda is malformed ({error!r})") from error
    return Record(provider, prefix, tuple(frameworks), shell, homebrew, conda)


def _homebrew(data: dict[str, Any] | None) -> Homebrew | None:
    if data is None:
        return None
    formulae, casks = data["formulae"], data["casks"]
    if not all(isinstance(one, list) and all(isinstance(name, str) for name in one) for one in (formulae, casks)):
        raise ValueError("no lists of names")
    return Homebrew(_folder(data["prefix"]), tuple(formulae), tuple(casks), bool(data["shellenv"]))


def _conda(data: dict[str, Any] | None) -> Conda | None:
    return None if data is None else Conda(_folder(data["root"]), bool(data["init"]))


def _folder(path: object) -> str:
    if not isinstance(path, str) or not path.startswith("/"):
        raise ValueError(f"{path!r} is no absolute path")
    return path

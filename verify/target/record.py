"""The record that provisioning leaves on a target: what environment there is, and where."""

from dataclasses import dataclass

from .. import documents
from ..documents import MalformedError
from ..profile.model import BASE
from .answers import SCHEMA

SCHEMA_VERSION = 1


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
        profile: name of its profile.
        provider: what made it, uv or conda.
        prefix: its folder, absolute.
        frameworks: those installed in it.
        shell: the shell file with the managed block, "" where the shell was left alone.
        homebrew, conda: None where nobody asked for one here.
        other: another profile's environment that has the block where this one does not.
    """

    profile: str
    provider: str
    prefix: str
    frameworks: tuple[str, ...]
    shell: str
    homebrew: Homebrew | None = None
    conda: Conda | None = None
    other: "Record | None" = None

    @property
    def terminal(self) -> "Record | None":
        """The environment that new terminals are to be in; None where the shell was left alone."""
        return self if self.shell else self.other

    @property
    def python(self) -> str:
        """Path of its Python."""
        return f"{self.prefix}/bin/python"

    @property
    def sets(self) -> list[str]:
        """Names of its package sets: the base, and the frameworks."""
        return [BASE, *self.frameworks]


def parse(text: str, profile: str | None) -> Record:
    """Read a record.

    Args:
        text: JSON.
        profile: name of the profile it must belong to, None for any.

    Raises:
        MalformedError: it is not a record of this profile that this version understands.
    """
    data = documents.check(documents.parse(text), SCHEMA, "record")
    if data["schema"] != SCHEMA_VERSION:
        raise MalformedError(f"it has schema {data['schema']!r}, understood is {SCHEMA_VERSION}")
    if profile not in (None, data["profile"]):
        raise MalformedError(f"it is of the profile {data['profile']!r}, not {profile!r}")
    brew, conda = data.get("homebrew"), data.get("conda")
    return Record(
        profile=data["profile"],
        provider=data["provider"],
        prefix=data["prefix"],
        frameworks=tuple(data["frameworks"]),
        shell=data.get("shell", ""),
        homebrew=Homebrew(brew["prefix"], tuple(brew["formulae"]), tuple(brew["casks"]), brew["shellenv"])
        if brew
        else None,
        conda=Conda(conda["root"], conda["init"]) if conda else None,
    )

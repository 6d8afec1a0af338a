"""The record that provisioning leaves on a target: what environment there is, and where."""

import json
from dataclasses import dataclass

from verify.profile import BASE

SCHEMA_VERSION = 1


class BadRecordError(ValueError):
    """The record cannot be used; the message is one line."""


@dataclass(frozen=True)
class Record:
    """An environment on a target.

    Attributes:
        provider: what made it, uv or conda.
        prefix: its folder, absolute.
        frameworks: those installed in it.
        shell: the shell file with the managed block, "" where the shell was left alone.
    """

    provider: str
    prefix: str
    frameworks: tuple[str, ...]
    shell: str

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
    return Record(provider, prefix, tuple(frameworks), shell)

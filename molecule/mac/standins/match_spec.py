"""Stand-in for conda 26.3.2's conda.models.match_spec: the specifications that the project's tests use.

Knows `name`, `name=1.2` (a release and all below it, as in conda's own documentation of MatchSpec) and `name>=1.2`, of
versions that are numbers; everything else is refused, so that a test cannot pass on a comparison that only this file
would make.
"""

from __future__ import annotations

import re
from collections.abc import Mapping


class InvalidMatchSpec(ValueError):  # noqa: N818 (conda's own name)
    """The specification is not one that the stand-in knows."""


class MatchSpec:
    """One specification."""

    def __init__(self, spec: str) -> None:
        found = re.fullmatch(r"([a-z0-9_.-]+)(?:(>?=)([0-9]+(?:\.[0-9]+)*))?", spec)
        if found is None:
            raise InvalidMatchSpec(f"Invalid spec '{spec}' (the stand-in knows name, name=1.2 and name>=1.2)")
        self.name, self._kind, self._version = found[1], found[2], found[3]

    def match(self, record: Mapping[str, str]) -> bool:
        """Whether a package, given as a mapping, satisfies the specification."""
        version = record["version"]
        if record["name"] != self.name or self._version is None:
            return record["name"] == self.name
        if self._kind == ">=":
            there, least = ([int(part) for part in one.split(".")] for one in (version, self._version))
            return there >= least
        missing = max(0, self._version.count(".") - version.count("."))
        return f"{version}{'.0' * missing}.".startswith(f"{self._version}.")

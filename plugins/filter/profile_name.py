"""Filter `profile_name`: what a profile is called, whichever way it was named."""

from __future__ import annotations

from collections.abc import Callable

from ...verify.profile.names import name_of


class FilterModule:
    """The filter plugin."""

    def filters(self) -> dict[str, Callable[[str], str]]:
        """The filter by its name."""
        return {"profile_name": name_of}

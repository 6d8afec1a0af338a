"""What profiles are called. Apart from model.py, since Ansible loads a filter that needs it where nothing else is."""

from __future__ import annotations

from pathlib import Path

DEFAULT = "ml-m1"
"""The profile of who names none."""


def name_of(which: str) -> str:
    """What the profile is called that model.load would take for `which`, whether or not there is one.

    Args:
        which: a name, the path of a folder, which has a slash, or an empty text for the default one.
    """
    return Path(which).expanduser().resolve().name if "/" in which else which or DEFAULT

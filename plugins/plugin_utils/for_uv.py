"""What a module on the target is told so that it can install with uv."""

from __future__ import annotations

from collections.abc import Iterable

from ...verify.profile.lock import UV_LOCK, Pin
from ...verify.profile.model import Platform


def arguments(pins: Iterable[Pin], platform: Platform) -> dict[str, str]:
    """The lines of the lock for some packages and for uv itself, and a further page with packages."""
    return {
        "requirements": "".join(pin.requirement() for pin in pins),
        "uv_lock": UV_LOCK.read_text(encoding="utf-8"),
        "find_links": platform.find_links or "",
    }

"""Action `bundle`: collect a part of a bundle on the controller; `verify/bundle` does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...verify.bundle import bottles, channel, seal, wheels
from ...verify.profile import model as profiles
from ...verify.profile.lock import UV_LOCK, read_pins
from ...verify.profile.model import Profile
from ..plugin_utils.action import Action


class ActionModule(Action):
    """The action plugin; see the module's docstring."""

    _supports_check_mode = False

    def act(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Collect the part."""
        folder, profile = Path(options["folder"]), profiles.load(options["profile"])
        if options["part"] == "seal":
            return {"changed": seal.seal(folder, profile, options["platforms"])}
        fetched = _collect(options, folder, profile)
        return {"changed": bool(fetched), "fetched": fetched}


def _collect(options: dict[str, Any], folder: Path, profile: Profile) -> list[str]:
    if options["part"] == "bottles":
        tags = [f"arm64_{name}" for name in options["macos"]]
        return bottles.collect(folder, options["formulae"], tags, options["api"], options["registry"])
    fetched: list[str] = []
    for name in options["platforms"]:
        platform = profile.platform(name)
        if options["part"] == "channel":
            specs = options["specs"] or [f"python={profile.python}", "pip"]
            fetched += channel.collect(folder, options["channel"], specs, platform)
            continue
        lock = profile.lock(name)
        wanted = profile.select(options["frameworks"] or profile.frameworks_on(name), name)
        pins = lock.closures(profile.package_set(one).requirements for one in (profiles.BASE, *wanted))
        fetched += wheels.collect(folder, [*read_pins(UV_LOCK), *pins.values()], profile, platform, options["index"])[1]
    return fetched

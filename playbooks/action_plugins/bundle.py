"""Action `bundle`: collect a part of a bundle on the controller; `verify/bundle` does it.

Options:
    part: wheels, channel, bottles, or seal, which comes last.
    folder: the bundle's.
    profile, platforms, frameworks: for what it is made; frameworks [] for all that a platform has.
    index: for wheels, address of the index's "simple" page.
    channel, specs: for channel, its address and what the environment is to have; specs [] for the profile's
        Python and pip.
    formulae, macos, api, registry: for bottles.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

# The package is the project's own, as for the roles.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from verify.bundle import bottles, channel, seal, wheels
from verify.errors import UserError
from verify.profile import model as profiles
from verify.profile.lock import UV_LOCK, read_pins
from verify.profile.model import Profile


class ActionModule(ActionBase):  # type: ignore[misc]
    """The action plugin; see the module's docstring."""

    _supports_check_mode = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Collect the part."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        texts = ("folder", "profile", "index", "channel", "api", "registry")
        lists = ("platforms", "frameworks", "specs", "formulae", "macos")
        _, options = self.validate_argument_spec(
            {
                "part": {"type": "str", "choices": ["wheels", "channel", "bottles", "seal"], "required": True},
                **{name: {"type": "str", "default": ""} for name in texts},
                **{name: {"type": "list", "elements": "str", "default": []} for name in lists},
            }
        )
        folder = Path(options["folder"])
        try:
            profile = profiles.load(options["profile"])
            if options["part"] == "seal":
                result["changed"] = seal.seal(folder, profile, options["platforms"])
                return result
            fetched = _collect(options, folder, profile)
        except UserError as error:
            raise AnsibleActionFail(str(error)) from error
        result.update(changed=bool(fetched), fetched=fetched)
        return result


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
        sets = [profile.base, *(profile.frameworks[one] for one in wanted)]
        pins = {pin.name: pin for one in sets for pin in lock.closure(one.requirements)}
        fetched += wheels.collect(folder, [*read_pins(UV_LOCK), *pins.values()], profile, platform, options["index"])[1]
    return fetched

"""Action `uv_env`: a virtual environment made by uv, for a profile."""

from __future__ import annotations

from typing import Any

from ...verify.profile import model as profiles
from ...verify.profile.lock import UV_LOCK
from ..plugin_utils.action import Action


class ActionModule(Action):
    """The action plugin; see the module's docstring."""

    def act(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Ask what stands there, then make what is missing."""
        profile = profiles.load(options["profile"])
        platform = profile.platform(options["platform"])
        lock = profile.lock(platform.name)
        selected = profile.select(options["frameworks"], platform.name)
        arguments = {
            "prefix": options["prefix"],
            "python": profile.python,
            "profile": profile.name,
            "frameworks": selected,
            "homebrew": options["homebrew"],
            "recreate": options["recreate"],
        }
        answer = self.module("uv_venv", {**arguments, "apply": False}, task_vars)
        if answer.get("changed") and not self.checking:
            if answer["create"]:
                sets = [profile.base, *(profile.frameworks[name] for name in selected)]
                pins = {pin.name: pin for one in sets for pin in lock.closure(one.requirements)}
                arguments["requirements"] = "".join(pin.requirement() for pin in pins.values())
                arguments["uv_lock"] = UV_LOCK.read_text(encoding="utf-8")
                arguments["find_links"] = platform.find_links or ""
            answer = self.module("uv_venv", {**arguments, "apply": True}, task_vars)
        return answer

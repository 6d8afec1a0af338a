"""Action `uv_env`: a virtual environment made by uv, for a profile."""

from __future__ import annotations

from typing import Any

from ...verify.profile import model as profiles
from ..plugin_utils import for_uv
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
                sets = [profile.package_set(name) for name in (profiles.BASE, *selected)]
                arguments |= for_uv.arguments(lock.closures(one.requirements for one in sets).values(), platform)
            answer = self.module("uv_venv", {**arguments, "apply": True}, task_vars)
        return answer

"""Action `locked_packages`: bring package sets of a profile into an environment, exactly as locked."""

from __future__ import annotations

from typing import Any

from ...verify.errors import UserError
from ...verify.profile import model as profiles
from ..plugin_utils import for_uv
from ..plugin_utils.action import Action


class ActionModule(Action):
    """The action plugin; see the module's docstring."""

    def act(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Ask what is missing, then install it."""
        if not options["sets"]:
            return {}
        prefix = options["env"].get("prefix")
        if not prefix:
            raise UserError(
                "No environment is named. Run the role uv_env or conda_env before this one, or set its variable for "
                "the environment to {prefix: /path/of/the/environment}."
            )
        profile = profiles.load(options["profile"])
        platform = profile.platform(options["platform"] or self._ask_platform())
        if frameworks := [name for name in options["sets"] if name != profiles.BASE]:
            profile.select(frameworks, platform.name)
        lock = profile.lock(platform.name)
        sets = [profile.package_set(name) for name in options["sets"]]
        pins = lock.closures(one.requirements for one in sets)
        arguments = {
            "prefix": prefix,
            "packages": {pin.name: pin.version for pin in pins.values()},
            "variables": {one.name: one.environment for one in sets},
            "content": options["content"],
        }
        answer = self.module("environment_packages", {**arguments, "apply": False}, task_vars)
        if answer.get("changed") and not self.checking:
            arguments |= for_uv.arguments([pins[name] for name in answer["pending"]], platform)
            answer = self.module("environment_packages", {**arguments, "apply": True}, task_vars)
        return answer

    def _ask_platform(self) -> str:
        done = self.shell("uname -sm")
        words = done["stdout"].split()
        if done["rc"] != 0 or len(words) != 2:  # noqa: PLR2004  # system and machine
            raise UserError(f"uname -sm did not answer with two words: {done['stdout']!r} {done['stderr']!r}")
        return f"{words[0].lower()}-{words[1]}"

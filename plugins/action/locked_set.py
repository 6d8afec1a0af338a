"""Action `locked_set`: bring a package set of a profile into an environment, exactly as locked."""

from __future__ import annotations

from typing import Any

from ...verify.errors import UserError
from ...verify.profile import model as profiles
from ...verify.profile.lock import UV_LOCK, Lock
from ...verify.profile.model import Profile
from ..plugin_utils.action import Action


class ActionModule(Action):
    """The action plugin; see the module's docstring."""

    def act(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Ask, then install what is missing."""
        prefix = options["env"].get("prefix")
        if not prefix:
            raise UserError(
                "No environment is named. Run the role uv_env or conda_env before this one, or set its variable for "
                "the environment to {prefix: /path/of/the/environment}."
            )
        facts = task_vars.get("ansible_facts", {})
        # What was as locked a moment ago still is: nothing that this run installs comes in another version.
        if options["set"] in facts.get("metal_lab_as_locked", {}).get(prefix, []):
            return {}
        profile = profiles.load(options["profile"])
        platform = profile.platform(options["platform"] or self._ask_platform())
        if options["set"] != profiles.BASE:
            profile.select([options["set"]], platform.name)
        lock = profile.lock(platform.name)
        package_set = profile.package_set(options["set"])
        ensured = facts.get("metal_lab_ensured", {}).get(prefix, [])
        pins = {pin.name: pin for pin in lock.closure(package_set.requirements) if pin.name not in ensured}
        arguments = {
            "name": package_set.name,
            "prefix": prefix,
            "packages": {pin.name: pin.version for pin in pins.values()},
            "variables": package_set.environment,
            "content": options["content"],
        }
        others = {}
        if "metal_lab_as_locked" not in facts:
            selected = facts.get("preflight_host", {}).get("frameworks", [])
            names = [name for name in selected if name != package_set.name]
            others = _questions(profile, lock, names, {*ensured, *pins})
        asked = self.module("package_sets", {**arguments, "apply": False, "others": others}, task_vars)
        left = {"metal_lab_ensured": {prefix: sorted([*ensured, *pins])}}
        if others:
            left["metal_lab_as_locked"] = {prefix: asked["as_locked"]}
        if asked.get("changed") and not self.checking:
            arguments["requirements"] = "".join(pins[name].requirement() for name in asked["pending"])
            arguments["uv_lock"] = UV_LOCK.read_text(encoding="utf-8")
            arguments["find_links"] = platform.find_links or ""
            asked = self.module("package_sets", {**arguments, "apply": True}, task_vars)
        return {**{key: value for key, value in asked.items() if key != "as_locked"}, "ansible_facts": left}

    def _ask_platform(self) -> str:
        done = self.shell("uname -sm")
        words = done["stdout"].split()
        if done["rc"] != 0 or len(words) != 2:  # noqa: PLR2004  # system and machine
            raise UserError(f"uname -sm did not answer with two words: {done['stdout']!r} {done['stderr']!r}")
        return f"{words[0].lower()}-{words[1]}"


def _questions(
    profile: Profile, lock: Lock, names: list[str], ensured: set[str]
) -> dict[str, dict[str, dict[str, str]]]:
    """What the module is asked about sets other than its own: their packages with versions, and their variables."""
    sets = [profile.package_set(name) for name in names]
    return {
        one.name: {
            "packages": {pin.name: pin.version for pin in lock.closure(one.requirements) if pin.name not in ensured},
            "variables": one.environment,
        }
        for one in sets
    }

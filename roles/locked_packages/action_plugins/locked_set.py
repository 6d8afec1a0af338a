"""Action `locked_set`: bring a package set of a profile into an environment, exactly as locked.

Options:
    set: "base" or a framework of the profile.
    profile: name of the profile.
    env: {prefix: folder of the environment, ...}, as the fact metal_lab_env has it.
    platform: the target's platform, for example darwin-arm64; "" asks the target.
    content: whether every file is read and compared with its hash in RECORD; by default only its size is looked at.

The lock is read on the controller. The target is first asked what it lacks (one round trip, milliseconds, no pip
and no uv); only then, and not in check mode, it is told to install just that. A package that several sets share is
looked after by the first of them in a play: the fact metal_lab_ensured tells the next ones. The first set of a play
asks for the host's other sets too; those that have nothing to do then cost no round trip (fact metal_lab_as_locked).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

# The profile's loader is the project's own, wherever this role is used from.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from verify.errors import UserError
from verify.profile import model as profiles
from verify.profile.lock import UV_LOCK, Lock
from verify.profile.model import Profile


class ActionModule(ActionBase):  # type: ignore[misc]
    """The action plugin; see the module's docstring."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask, then install what is missing."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, options = self.validate_argument_spec(
            {
                "set": {"type": "str", "required": True},
                "profile": {"type": "str", "required": True},
                "env": {"type": "dict", "required": True},
                "platform": {"type": "str", "required": True},
                "content": {"type": "bool", "default": False},
            }
        )
        if not options["env"].get("prefix"):
            raise AnsibleActionFail(
                "No environment is named. Run the role uv_env or conda_env before this one, or set its variable for "
                "the environment to {prefix: /path/of/the/environment}."
            )
        prefix = options["env"]["prefix"]
        facts = (task_vars or {}).get("ansible_facts", {})
        # What was as locked a moment ago still is: nothing that this run installs comes in another version.
        if options["set"] in facts.get("metal_lab_as_locked", {}).get(prefix, []):
            result["changed"] = False
            return result
        try:
            profile = profiles.load(options["profile"])
            platform = profile.platform(options["platform"] or self._ask_platform())
            if options["set"] != profiles.BASE:
                profile.select([options["set"]], platform.name)
            lock = profile.lock(platform.name)
        except UserError as error:
            raise AnsibleActionFail(str(error)) from error
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
        question = {**arguments, "apply": False, "others": others}
        asked = self._execute_module("locked_set", question, task_vars=task_vars)
        as_locked = asked["as_locked"] if others else []
        if asked.get("changed") and not self._task.check_mode:
            arguments["requirements"] = "".join(pins[name].requirement() for name in asked["pending"])
            arguments["uv_lock"] = UV_LOCK.read_text(encoding="utf-8")
            arguments["find_links"] = platform.find_links or ""
            asked = self._execute_module("locked_set", {**arguments, "apply": True}, task_vars=task_vars)
        result.update({key: value for key, value in asked.items() if key != "as_locked"})
        result["ansible_facts"] = {"metal_lab_ensured": {prefix: sorted([*ensured, *pins])}}
        if others:
            result["ansible_facts"]["metal_lab_as_locked"] = {prefix: as_locked}
        return result

    def _ask_platform(self) -> str:
        done = self._low_level_execute_command("uname -sm", executable="/bin/sh")
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

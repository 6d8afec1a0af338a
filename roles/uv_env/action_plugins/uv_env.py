"""Action `uv_env`: a virtual environment made by uv, for a profile.

Options:
    prefix: folder of the environment.
    profile: name of the profile, which decides the Python.
    frameworks: the selection that the record notes.
    platform: the target's platform, for example linux-x86_64.
    homebrew: what was asked of Homebrew, for the record; {} keeps what it says.
    recreate: whether an environment with another Python is put aside for a new one.

Returns the fact metal_lab_env: provider, prefix, python.
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
from verify.profile.lock import UV_LOCK


class ActionModule(ActionBase):  # type: ignore[misc]
    """The action plugin; see the module's docstring."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask what stands there, then make what is missing."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, options = self.validate_argument_spec(
            {
                "prefix": {"type": "str", "required": True},
                "profile": {"type": "str", "required": True},
                "frameworks": {"type": "list", "elements": "str", "required": True},
                "platform": {"type": "str", "required": True},
                "homebrew": {"type": "dict", "default": {}},
                "recreate": {"type": "bool", "default": False},
            }
        )
        try:
            profile = profiles.load(options["profile"])
            platform = profile.platform(options["platform"])
            lock = profile.lock(platform.name)
            selected = profile.select(options["frameworks"], platform.name)
        except UserError as error:
            raise AnsibleActionFail(str(error)) from error
        arguments = {
            "prefix": options["prefix"],
            "python": profile.python,
            "profile": profile.name,
            "frameworks": selected,
            "homebrew": options["homebrew"],
            "recreate": options["recreate"],
        }
        answer = self._execute_module("uv_env", {**arguments, "apply": False}, task_vars=task_vars)
        if answer.get("changed") and not self._task.check_mode:
            if answer["create"]:
                sets = [profile.base, *(profile.frameworks[name] for name in selected)]
                pins = {pin.name: pin for one in sets for pin in lock.closure(one.requirements)}
                arguments["requirements"] = "".join(pin.requirement() for pin in pins.values())
                arguments["uv_lock"] = UV_LOCK.read_text(encoding="utf-8")
                arguments["find_links"] = platform.find_links or ""
            answer = self._execute_module("uv_env", {**arguments, "apply": True}, task_vars=task_vars)
        result.update(answer)
        return result

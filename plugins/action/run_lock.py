"""Action `run_lock`: the machine's lock, which keeps two runs apart."""

from __future__ import annotations

from typing import Any

from ...verify.errors import UserError
from ..plugin_utils import run_lock
from ..plugin_utils.action import Action


class ActionModule(Action):
    """The action plugin; see the module's docstring."""

    def act(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Take it, or give it back."""
        if options["state"] == "taken" and (problem := run_lock.settle(self, run_lock.ask(self, run_lock.take(self)))):
            raise UserError(f"Nothing was changed. {problem}")
        # In check mode none was taken.
        if options["state"] == "released" and not self.checking:
            run_lock.ask(self, run_lock.commands("release"))
        return {}

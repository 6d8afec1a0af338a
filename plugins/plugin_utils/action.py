"""What the collection's action plugins have in common."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ...verify import text
from ...verify.errors import UserError

COLLECTION = "metal_lab.macs"
_DOCUMENTED = Path(__file__).resolve().parents[1] / "modules"
_CHECKED = ("type", "elements", "choices", "default", "required")


class Action(ActionBase):  # type: ignore[misc]
    """An action plugin whose documentation says which options it takes; what it does stands in `act`."""

    _supports_async = False
    _spec: ClassVar[dict[str, dict[str, Any]]]

    def __init_subclass__(cls, **given: Any) -> None:
        super().__init_subclass__(**given)
        # Once, when the controller loads the plugin, and not in each host's process.
        written = (_DOCUMENTED / f"{cls.__module__.rpartition('.')[2]}.yml").read_text(encoding="utf-8")
        options = yaml.load(written, Loader=yaml.CSafeLoader)["DOCUMENTATION"]["options"]
        cls._spec = {
            name: {key: value for key, value in about.items() if key in _CHECKED} for name, about in options.items()
        }

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Check the options, and act.

        Raises:
            AnsibleActionFail: an option is wrong, or something that the user can mend stands in the way.
        """
        # A task runs in a process of its own; its parent is the run.
        self._of_run = os.getppid()
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, options = self.validate_argument_spec(self._spec)
        try:
            done = self.act(options, task_vars or {})
        except UserError as error:
            # Ansible would show a cause as well, as it is.
            raise AnsibleActionFail(text.shown(str(error))) from None
        # What a machine said may be in it.
        said = {"msg": text.shown(str(done["msg"]))} if "msg" in done else {}
        return {**result, "changed": False, **done, **said}

    def act(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Do it.

        Args:
            options: the task's, checked and typed.
            task_vars: the host's variables.

        Returns:
            the task's result, without `changed` where nothing was.

        Raises:
            UserError: something that the user can mend stands in the way.
        """
        raise NotImplementedError

    @property
    def checking(self) -> bool:
        """Whether nothing may be changed, because the run only checks."""
        return bool(self._task.check_mode)

    def module(self, name: str, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """What a module of the collection answers on the target.

        Raises:
            UserError: the run has ended, killed, and the next may be at work.
        """
        self._go_on()
        answer: dict[str, Any] = self._execute_module(f"{COLLECTION}.{name}", arguments, task_vars=task_vars)
        return answer

    def shell(self, line: str, script: str | None = None) -> dict[str, Any]:
        """What a line says that the target's POSIX shell runs: rc, stdout, stderr.

        Args:
            line: the line.
            script: what the line finds at its standard input.

        Raises:
            UserError: the run has ended, killed, and the next may be at work.
        """
        self._go_on()
        data = None if script is None else script.encode()
        done: dict[str, Any] = self._low_level_execute_command(line, in_data=data, executable="/bin/sh")
        return done

    def _go_on(self) -> None:
        if os.getppid() != self._of_run:
            raise UserError("The run that this task is of has ended. It does nothing more.")

"""Action `verify`: run `python -m verify` over the play's hosts, and show its lines while it works.

Options: hosts (names in the inventory), inventory (its sources), profile, level, lang ("" for the environment's
language). Changes nothing on a host. In check mode it does not run, since what is to be verified may not be there yet.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

ROOT = Path(__file__).resolve().parent.parent.parent
MEANING = {
    1: "A machine is unhealthy: the lines above say which, why, and what to do.",
    2: "The verification could not run: the lines above say why.",
}


class ActionModule(ActionBase):  # type: ignore[misc]
    """The action plugin; see the module's docstring."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run it; fails where its exit code is not 0."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, options = self.validate_argument_spec(
            {
                "hosts": {"type": "list", "elements": "str", "required": True},
                "inventory": {"type": "list", "elements": "str", "required": True},
                "profile": {"type": "str", "required": True},
                "level": {"type": "str", "choices": ["setup", "quick", "full", "soak"], "required": True},
                "lang": {"type": "str", "choices": ["", "en", "pt"], "default": ""},
            }
        )
        if self._task.check_mode:
            result.update(skipped=True, skipped_reason="Check mode changes nothing, so there may be nothing to verify.")
            return result
        if len(options["inventory"]) != 1:
            raise AnsibleActionFail(
                f"Found {len(options['inventory'])} inventories; the verification takes one. Name a folder that holds "
                "them with -i."
            )
        source = quote(options["inventory"][0])
        hosts = [f"ansible://{host}?ansible_inventory={source}" for host in options["hosts"]]
        command = [sys.executable, "-m", "verify", "--profile", options["profile"], "--level", options["level"]]
        if options["lang"]:
            command += ["--lang", options["lang"]]
        code = self._show([*command, "--hosts", ",".join(hosts)])
        if code != 0:
            result.update(failed=True, rc=code, msg=MEANING.get(code, f"python -m verify ended with exit code {code}."))
        result["changed"] = False
        return result

    def _show(self, command: list[str]) -> int:
        display = Display()
        with subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            for line in process.stdout or ():
                display.display(line.rstrip("\n"))
        return process.returncode

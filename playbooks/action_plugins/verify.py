"""Action `verify`: run `python -m verify` over the task's host, and show its lines while it works.

Options: profile, level, lang ("" for the environment's language). Changes nothing on the host. In check mode it does
not run, since what is to be verified may not be there yet. Each host by a process of its own: so a room full of them is
verified at the same time, and each as soon as it is converged.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

# The project's own modules, wherever Ansible is started from.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from verify import ROOT
from verify.documents import MalformedError
from verify.results.files import file_name, load

MEANING = {
    "unhealthy": "The machine is unhealthy: the lines above say why, and what to do.",
    "unverified": "The machine could not be verified: the lines above say why.",
}
VERDICTS = {0: "healthy", 1: "unhealthy", 2: "unverified"}
CONNECTION = (
    *("ansible_connection", "ansible_host", "ansible_port", "ansible_user", "ansible_ssh_private_key_file"),
    *("ansible_private_key_file", "ansible_ssh_common_args", "ansible_ssh_extra_args"),
)
"""How a host is reached; no secret is among them, and verify needs no more of an inventory."""


def judge(code: int, result: Path) -> tuple[str, str]:
    """A host's verdict, and why it is not healthy, in one line.

    Args:
        code: with which `python -m verify` ended.
        result: the file of the host's result, which has to say the same.
    """
    try:
        data = load(result).data
    except MalformedError as error:
        return "unverified", f"{MEANING['unverified']} Exit code {code}; its result: {error}"
    failed = [f"{one['check']}: {one['message']}" for one in data["checks"] if one["result"] == "fail"]
    why = "; ".join(" ".join(one.split()) for one in failed)
    if VERDICTS.get(code) != data["verdict"]:
        why = f"exit code {code}, its result says {data['verdict']}. {why}"
        return "unverified", f"{MEANING['unverified']} {why}".strip()
    verdict = str(data["verdict"])
    return verdict, f"{MEANING[verdict]} {why}" if verdict in MEANING else ""


class ActionModule(ActionBase):  # type: ignore[misc]
    """The action plugin; see the module's docstring."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run it; fails where its exit code is not 0."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, options = self.validate_argument_spec(
            {
                "profile": {"type": "str", "required": True},
                "level": {"type": "str", "choices": ["setup", "quick", "full", "soak"], "required": True},
                "lang": {"type": "str", "choices": ["", "en", "pt"], "default": ""},
            }
        )
        if self._task.check_mode:
            result.update(skipped=True, skipped_reason="Check mode changes nothing, so there may be nothing to verify.")
            return result
        variables = task_vars or {}
        host = variables["inventory_hostname"]
        found = ROOT / "results" / file_name(host)
        found.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            inventory = Path(folder) / "hosts.json"
            inventory.write_text(json.dumps({"all": {"hosts": {host: self._connection_of(variables)}}}), "utf-8")
            command = [sys.executable, "-m", "verify", "--profile", options["profile"], "--level", options["level"]]
            # The page is of all machines; the callback `fleet` makes it once, at the end.
            command.append("--no-page")
            if options["lang"]:
                command += ["--lang", options["lang"]]
            where = f"ansible://{host}?ansible_inventory={quote(str(inventory))}"
            code = self._show([*command, "--hosts", where], host)
        verdict, why = judge(code, found)
        if verdict != "healthy":
            result.update(failed=True, rc=code, msg=why)
        result.update(changed=False, verdict=verdict, lang=options["lang"])
        return result

    def _connection_of(self, variables: dict[str, Any]) -> dict[str, Any]:
        given = {name: self._templar.template(variables[name]) for name in CONNECTION if name in variables}
        named = {"ansible_user": self._play_context.remote_user, "ansible_port": self._play_context.port}
        return {**{name: value for name, value in named.items() if value}, **given}

    def _show(self, command: list[str], host: str) -> int:
        display = Display()
        # Several write at the same time; the callback `fleet` puts them together.
        junit = ROOT / "results" / "junit" / Path(file_name(host)).with_suffix(".xml")
        # What an earlier run left must not stand for this one.
        junit.unlink(missing_ok=True)
        with subprocess.Popen(
            [*command, "--junit-xml", str(junit)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            for line in process.stdout or ():
                display.display(line.rstrip("\n"))
        return process.returncode

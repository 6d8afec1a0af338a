"""Action `verify`: run `python -m verify` over the task's host, and show its lines while it works."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ansible.utils.display import Display

from ...verify import RESULTS, ROOT, clean
from ...verify.documents import MalformedError
from ...verify.profile import model as profiles
from ...verify.results.files import file_name, forget, load
from ..plugin_utils.action import Action

MEANING = {
    "unhealthy": "The machine is unhealthy: the lines above say why, and what to do.",
    "unverified": "The machine could not be verified: the lines above say why.",
}
VERDICTS = {0: "healthy", 1: "unhealthy", 2: "unverified"}
CONNECTION = (
    *("ansible_connection", "ansible_host", "ansible_port", "ansible_user", "ansible_ssh_private_key_file"),
    "ansible_private_key_file",
)
"""How a host is reached; no secret is among them, and verify needs no more of an inventory."""
_ARGUMENTS = ("ssh_args", "ssh_common_args", "ssh_extra_args")
"""Ansible's options for arguments of ssh, which may also stand in the user's ansible.cfg."""


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


class ActionModule(Action):
    """The action plugin; see the module's docstring."""

    def act(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Run it; fails where its exit code is not 0."""
        if self.checking:
            return {"skipped": True, "skipped_reason": "Check mode changes nothing, so there may be nothing to verify."}
        host = task_vars["inventory_hostname"]
        profile = profiles.load(options["profile"])
        name = file_name(host, profile.name)
        forget(RESULTS, host, profile.name)
        with tempfile.TemporaryDirectory() as folder:
            inventory = Path(folder) / "hosts.json"
            # It may hold passwords: for this user alone, in a folder of this user alone.
            inventory.touch(mode=0o600)
            # As ansible-inventory prints it, so that verify needs not ask that.
            known = {"_meta": {"hostvars": {host: self._connection_of(task_vars)}}, "all": {"hosts": [host]}}
            inventory.write_text(json.dumps(known), "utf-8")
            # Not as it was given: a path may be relative to this process's folder.
            command = [sys.executable, "-m", "verify", "--profile", profile.reference, "--level", options["level"]]
            # The page is of all machines; the callback `fleet` makes it once, at the end.
            command += ["--no-page", "--results", str(RESULTS)]
            if options["lang"]:
                command += ["--lang", options["lang"]]
            where = f"ansible://{host}?ansible_inventory={quote(str(inventory))}"
            code = self._show([*command, "--hosts", where], (RESULTS / "junit" / name).with_suffix(".xml"))
        verdict, why = judge(code, RESULTS / name)
        failure = {} if verdict == "healthy" else {"failed": True, "rc": code, "msg": why}
        return {**failure, "verdict": verdict, "profile": profile.name, "lang": options["lang"]}

    def _connection_of(self, variables: dict[str, Any]) -> dict[str, Any]:
        given = {name: self._templar.template(variables[name]) for name in CONNECTION if name in variables}
        named = {"ansible_user": self._play_context.remote_user, "ansible_port": self._play_context.port}
        if self._connection.transport == "ssh":
            named["ansible_ssh_common_args"] = " ".join(filter(None, map(self._connection.get_option, _ARGUMENTS)))
        return {**{name: value for name, value in named.items() if value}, **given}

    @staticmethod
    def _show(command: list[str], junit: Path) -> int:
        """Run a command that writes a JUnit file: several write at the same time, the callback `fleet` joins them."""
        display = Display()
        # What an earlier run left must not stand for this one.
        junit.unlink(missing_ok=True)
        with subprocess.Popen(
            [*command, "--junit-xml", str(junit)],
            cwd=ROOT,
            env=clean.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            for line in process.stdout or ():
                display.display(line.rstrip("\n"))
        return process.returncode

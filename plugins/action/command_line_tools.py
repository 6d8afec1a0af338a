"""Action `command_line_tools`: install Apple's Command Line Tools where they are missing, with a shell alone."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Any

from packaging.version import InvalidVersion, Version

from ...verify.errors import UserError
from ..plugin_utils.action import Action

TOOLS = "/Library/Developer/CommandLineTools"
# While this file exists, softwareupdate offers the tools (Homebrew/install, install.sh, clt_placeholder).
PLACEHOLDER = "/tmp/.com.apple.dt.CommandLineTools.installondemand.in-progress"  # noqa: S108 (Apple's choice)
# Where a package from an address lies meanwhile: root's home, which nobody else can write to.
FETCHED = "/var/root/metal-lab-CommandLineTools.pkg"
ALARM = 142
"""Exit code of a shell whose command SIGALRM ended: 128 + 14."""

BY_HAND = (
    "Install them by hand (`xcode-select --install` at the Mac's own screen), or download the package from "
    "https://developer.apple.com/download/all/, put it on the Mac, and set command_line_tools_package to its path."
)


@dataclass(frozen=True)
class Offer:
    """One entry of softwareupdate's list: what to ask for, what it is called, and its version as stated."""

    label: str
    title: str
    version: Version


def offers(listing: str) -> list[Offer]:
    """Read `softwareupdate -l`: a label line, then a line with title and version, for each entry.

    Since macOS 10.15: `* Label: LABEL`, then `Title: TITLE, Version: VERSION, Size: ...`. Entries without a version
    that can be compared are left out.
    """
    found = re.findall(
        r"^\s*\*\s*Label:\s*(.+?)\s*$\s*Title:\s*(.+?),\s*Version:\s*([^,\s]+)", listing.replace("\r", ""), re.MULTILINE
    )
    read = []
    for label, title, version in found:
        try:
            read.append(Offer(label, title, Version(version)))
        except InvalidVersion:
            continue
    return read


def choose(listing: str) -> str | None:
    """The label of the newest Command Line Tools that are no beta, by their stated version; None without any."""
    tools = [
        one
        for one in offers(listing)
        if one.title.startswith("Command Line Tools") and "beta" not in f"{one.label} {one.title}".lower()
    ]
    return max(tools, key=lambda one: one.version).label if tools else None


def guarded(seconds: int, *command: str) -> str:
    """A shell script that runs a command with the placeholder in place, takes it away again and ends in time.

    macOS has no timeout(1); perl is in the system (perl -e 'alarm; exec' keeps the process, so the alarm ends it).
    """
    line = shlex.join(["/usr/bin/perl", "-e", "alarm shift; exec @ARGV or exit 127", str(seconds), *command])
    return (
        "LC_ALL=C; export LC_ALL; "
        f"""placeholder={shlex.quote(PLACEHOLDER)}; trap 'rm -f "$placeholder"' EXIT; """
        "trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM; "
        f'touch "$placeholder" && {line}'
    )


def fetching(address: str, digest: str, place: str) -> str:
    """A shell script that has a file at a place, if it is the one with the SHA-256; else it says so and leaves none."""
    check = f"{digest}  {place}"
    return (
        f"curl -fsSL --retry 2 -o {shlex.quote(place)} {shlex.quote(address)} && "
        f"printf '%s\\n' {shlex.quote(check)} | shasum -a 256 -c - || {{ rm -f {shlex.quote(place)}; exit 1; }}"
    )


class ActionModule(Action):
    """The action plugin; see the module's docstring."""

    def act(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Install the tools."""
        if self.checking:
            return {"changed": True, "msg": "The Command Line Tools would be installed."}
        if options["package"]:
            chosen = options["package"]
            fetched = "://" in chosen
            place = self._fetch(options) if fetched else chosen
            self._try(options, options["install_timeout"], "/usr/sbin/installer", "-pkg", place, "-target", "/")
            if fetched:
                self._shell(f"rm -f {FETCHED}")
        else:
            chosen = self._find_label(options)
            self._try(options, options["install_timeout"], "/usr/sbin/softwareupdate", "-i", chosen)
        if self._shell(f"test -e {TOOLS}/usr/bin/git")["rc"] != 0:
            raise UserError(
                f"'{chosen}' was installed without an error, and {TOOLS}/usr/bin/git is still missing. {BY_HAND}"
            )
        self._try(options, options["list_timeout"], "/usr/bin/xcode-select", "--switch", TOOLS)
        return {"changed": True, "installed": chosen}

    def _fetch(self, options: dict[str, Any]) -> str:
        if not re.fullmatch("[0-9a-f]{64}", options["checksum"]):
            raise UserError(
                f"The Command Line Tools would come from {options['package']}. Needed: that package's SHA-256 in "
                "command_line_tools_checksum (`shasum -a 256 CommandLineTools.pkg` prints it): what is installed must "
                "not depend on who serves it."
            )
        script = fetching(options["package"], options["checksum"], FETCHED)
        self._try(options, options["install_timeout"], "/bin/sh", "-c", script)
        return FETCHED

    def _find_label(self, options: dict[str, Any]) -> str:
        said = ""
        for _ in range(options["attempts"]):
            said = self._try(options, options["list_timeout"], "/usr/sbin/softwareupdate", "-l")
            label = choose(said)
            if label:
                return label
        raise UserError(
            f"softwareupdate offers no Command Line Tools (asked {options['attempts']} times). Needed: a reachable "
            f"Apple or company update server that has them. {BY_HAND}\nIt said:\n{said.strip()}"
        )

    def _try(self, options: dict[str, Any], seconds: int, *command: str) -> str:
        """Run a command with the placeholder there, again when it fails; returns what it said."""
        done: dict[str, Any] = {}
        for _ in range(options["attempts"]):
            done = self._shell(guarded(seconds, *command))
            if done["rc"] == 0:
                return f"{done['stdout']}\n{done['stderr']}"
        why = f"took longer than {seconds} s" if done["rc"] == ALARM else f"ended with exit code {done['rc']}"
        said = f"{done['stdout']}\n{done['stderr']}".strip()
        raise UserError(
            f"`{shlex.join(command)}` {why}, {options['attempts']} times. The placeholder is removed and the next run "
            f"starts afresh. {BY_HAND}\nIt said:\n{said}"
        )

    def _shell(self, script: str) -> dict[str, Any]:
        # In a child, so that the placeholder's trap is no business of the shell that Ansible's own lines run in.
        return self.shell(f"/bin/sh -c {shlex.quote(script)}")

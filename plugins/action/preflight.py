"""Action `preflight`: read a machine's state in one round trip, without Python there, and refuse it or describe it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.utils.display import Display

from ...verify import text
from ...verify.errors import UserError
from ...verify.profile import model as profiles
from ...verify.profile.model import Profile
from ..plugin_utils import mac, run_lock, settings, waves
from ..plugin_utils.action import Action

SCRIPT = Path(__file__).resolve().parents[1] / "plugin_utils" / "facts.sh"
KIB, GB = 1024, 10**9
PROVIDERS = ("conda", "uv")


@dataclass(frozen=True)
class Facts:
    """What plugin_utils/facts.sh printed, checked and typed.

    Sizes are in KiB, None where df did not tell; mac is None elsewhere than on a Mac.
    """

    system: str
    machine: str
    user: str
    home: str
    data: str
    shell: str
    zdotdir: str
    login_file: str
    prefix: str
    env_present: bool
    disk_at: str
    disk_free_kib: int | None
    writable: bool
    macos: str
    translated: bool
    mac: mac.Mac | None

    @property
    def platform(self) -> str:
        """Kernel and machine as the profile names them, for example linux-x86_64."""
        return f"{self.system.lower()}-{self.machine}"


def parse(output: str) -> Facts:
    """Read the script's answer strictly.

    Raises:
        UserError: the answer is cut off or has a value of another form; the message shows what was seen.
    """
    pairs = dict(line.split("=", 1) for line in output.splitlines() if re.match(r"^[a-z0-9_]+=", line))
    try:
        if pairs["end"] != "1":
            raise ValueError("end")
        return Facts(
            **{name: pairs[name] for name in ("system", "machine", "user", "home", "data", "shell", "zdotdir")},
            login_file=pairs["login_file"],
            prefix=pairs["prefix"],
            env_present={"0": False, "1": True}[pairs["env_present"]],
            disk_at=pairs["disk_at"],
            disk_free_kib=int(pairs["disk_free_kib"]) if pairs["disk_free_kib"] else None,
            writable={"0": False, "1": True}[pairs["writable"]],
            macos=pairs.get("macos", ""),
            translated=pairs.get("translated") == "1",
            mac=mac.parse(pairs) if pairs["system"] == "Darwin" else None,
        )
    except (KeyError, ValueError) as error:
        raise UserError(f"The machine's answer to preflight is not complete ({error}). It said:\n{output}") from error


def choose_provider(wanted: str, system: str) -> str:
    """Who makes the environment: what was asked for, else conda on macOS and uv elsewhere.

    Raises:
        UserError: what was asked for is unknown.
    """
    if wanted and wanted not in PROVIDERS:
        raise UserError(
            f"The env_provider '{wanted}' is unknown. Set it to {' or '.join(PROVIDERS)}, or leave it empty."
        )
    return wanted or ("conda" if system == "Darwin" else "uv")


def judge(facts: Facts, profile: Profile, frameworks: list[str], order: mac.Order) -> list[str]:
    """Everything that stands in the way: what was found, what is needed, what to do. Empty: nothing does."""
    return [
        *_platform_problems(facts, profile, frameworks),
        *_macos_problems(facts, profile),
        *_disk_problems(facts, profile),
        *(mac.problems(facts.mac, order) if facts.mac else []),
    ]


def notes(facts: Facts, profile: Profile, order: mac.Order) -> list[str]:
    """What does not stand in the way; one line each."""
    told = []
    if facts.disk_free_kib is None and not facts.env_present:
        need = f"the profile '{profile.name}' takes {profile.disk_gb} GB"
        told.append(f"df did not tell how much is free at {facts.disk_at}; {need}")
    if facts.mac is None:
        return told
    wheels = mac.wheels(facts.mac, profile.wheels(facts.platform))
    return [*told, *mac.notes(facts.mac, order), *profile.known_on(facts.macos), *wheels]


def _platform_problems(facts: Facts, profile: Profile, frameworks: list[str]) -> list[str]:
    if facts.system == "Darwin" and facts.translated:
        return [
            "This shell runs translated by Rosetta, so everything would be installed for Intel. Needed: a native "
            "shell. In Finder choose Get Info on your terminal, clear 'Open using Rosetta', and start it again."
        ]
    if facts.platform not in profile.platforms:
        return [
            f"Found {facts.system} on {facts.machine}. The profile '{profile.name}' is made for "
            f"{', '.join(profile.platforms)}: use such a machine, or another profile."
        ]
    try:
        profile.select(frameworks, facts.platform)
        profile.lock(facts.platform)
    except UserError as error:
        return [str(error)]
    return []


def _macos_problems(facts: Facts, profile: Profile) -> list[str]:
    target = profile.platforms.get(facts.platform)
    floor = target.macos_floor if target else None
    if floor is None:
        return []
    if not re.fullmatch(r"\d+(\.\d+)+", facts.macos):
        return [f"sw_vers -productVersion printed {facts.macos!r}, which is not a macOS version."]
    if _version(facts.macos) < _version(floor):
        return [
            f"Found macOS {facts.macos}. Needed for the profile '{profile.name}': {floor} or newer. Update it in "
            "System Settings > General > Software Update."
        ]
    return []


def _disk_problems(facts: Facts, profile: Profile) -> list[str]:
    problems = []
    free = facts.disk_free_kib
    if not facts.env_present and free is not None and free * KIB < profile.disk_gb * GB:
        # df counts it as used; how much it is, only Foundation tells (Apple's documentation of NSURL,
        # NSURLVolumeAvailableCapacityForImportantUsageKey), which no shell asks.
        purgeable = " What macOS would purge by itself is not counted: Finder may show more." if facts.mac else ""
        problems.append(
            f"Found {free * KIB / GB:.1f} GB free at {facts.disk_at}. Needed for a first installation of the "
            f"profile '{profile.name}': {profile.disk_gb} GB.{purgeable} Free some space, or set env_prefix to a "
            "folder on another disk."
        )
    if not facts.writable:
        problems.append(
            f"{facts.disk_at} cannot be written to by {facts.user}, and {facts.prefix} lies below it. Needed: a "
            "folder of your own. Set env_prefix to one."
        )
    return problems


def _version(text: str) -> tuple[int, ...]:
    """A macOS version: numbers between dots, nothing else."""
    return tuple(int(part) for part in text.split("."))


def _tags(task_vars: dict[str, Any]) -> tuple[set[str], set[str]]:
    """What the run's --tags and --skip-tags name; without --tags that is `all`."""
    return set(task_vars.get("ansible_run_tags", [])), set(task_vars.get("ansible_skip_tags", []))


def _sets(frameworks: list[str], task_vars: dict[str, Any]) -> list[str]:
    """The package sets that the run is to install: `base` and the frameworks, as far as its tags ask for them."""
    run, left_out = _tags(task_vars)
    tags = {profiles.BASE: {profiles.BASE}, **{name: {"frameworks", name} for name in frameworks}}
    return [name for name, own in tags.items() if (own | {"all"}) & run and not own & left_out]


def _interpreter(system: str) -> dict[str, str]:
    """Which Python runs the modules where the inventory names none, as a fact that Ansible would find out otherwise.

    On a Mac it is that of the Command Line Tools, whatever stands before it in PATH, without a round trip for it.
    """
    return {"discovered_interpreter_python": "/usr/bin/python3"} if system == "Darwin" else {}


class ActionModule(Action):
    """The action plugin: one command on the target, judged on the controller."""

    def act(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Read the machine and judge it; see the module's docstring."""
        if refusal := self._wave_refusal(options["wave"], options["wave_max_failed"], task_vars):
            return {"failed": True, "not_begun": True, "msg": refusal}
        if refused := settings.refused(self._templar, task_vars) + settings.exposed(options["environment"]):
            lines = "".join(f"\n- {one}" for one in refused)
            raise UserError(f"Nothing was changed. Settings that a role cannot take:{lines}")
        self._task.environment = [*(self._task.environment or []), options["environment"]]
        profile = profiles.load(options["profile"])
        asked = (profile.name, options["prefix"], options["homebrew_prefix"], *options["conda_places"])
        output = self._read(*asked, lock_for=profile.name if options["lock"] else "")
        facts = parse(output)
        provider = choose_provider(options["provider"], facts.system)
        locked = run_lock.settle(self, output, profile.name) if options["lock"] else ""
        wanted = options["frameworks"] or profile.frameworks_on(facts.platform)
        order = self._order(provider, options, task_vars)
        problems = [*judge(facts, profile, wanted, order), *([locked] if locked else [])]
        if problems:
            if options["lock"] and not locked and not self.checking:
                run_lock.ask(self, run_lock.commands("release"))
            count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
            lines = "".join(f"\n- {problem}" for problem in problems)
            said = f"Nothing was changed: {count} to solve first.{lines}"
            return {"failed": True, "profile": profile.name, "msg": said}
        for note in notes(facts, profile, order):
            Display().warning(text.line(f"{task_vars.get('inventory_hostname', 'this machine')}: {note}"))
        selected = profile.select(wanted, facts.platform)
        host = {
            "profile": profile.reference,
            "python_version": profile.python,
            "platform": facts.platform,
            "provider": provider,
            "frameworks": selected,
            "sets": _sets(selected, task_vars),
            "environment": options["environment"],
            # Of a Mac; others bring git and Python themselves.
            "tools": facts.mac.tools if facts.mac else True,
            "homebrew": facts.mac is not None and facts.mac.homebrew == "brew",
            "shellenv": facts.mac is not None and facts.mac.shellenv,
            "conda": facts.mac.conda if facts.mac else "",
            **{key: getattr(facts, key) for key in ("system", "machine", "user", "home", "data", "shell")},
            **{key: getattr(facts, key) for key in ("zdotdir", "login_file", "prefix", "env_present")},
        }
        return {"profile": profile.name, "ansible_facts": {"preflight_host": host, **_interpreter(facts.system)}}

    def _order(self, provider: str, options: dict[str, Any], task_vars: dict[str, Any]) -> mac.Order:
        run, left_out = _tags(task_vars)
        passwords = ("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass")
        return mac.Order(
            provider=provider,
            homebrew=options["homebrew_enabled"] and "system" not in left_out and bool({"all", "system"} & run),
            homebrew_user=options["homebrew_user"],
            # --ask-become-pass is in the play's context, a host's own in its variables.
            password=bool(self._play_context.become_pass) or any(task_vars.get(name) for name in passwords),
        )

    @staticmethod
    def _wave_refusal(sizes: list[int | str], limit: float, task_vars: dict[str, Any]) -> str:
        if not sizes:
            return ""
        hosts, going_on = task_vars["ansible_play_hosts_all"], task_vars["ansible_play_hosts"]
        return waves.refusal(task_vars["inventory_hostname"], hosts, going_on, sizes, limit)

    def _read(self, *arguments: str, lock_for: str) -> str:
        script = SCRIPT.read_text(encoding="utf-8")
        if lock_for:
            script += run_lock.take(self, lock_for)
        return run_lock.ask(self, script, *arguments)

"""Callback `fleet`: at the end a table by host and the report, and while it works a line about what takes long."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

from ansible import context
from ansible.plugins.callback import CallbackBase

from ...verify import RESULTS, ROOT, clean
from ...verify.results import drift
from ...verify.results.files import file_name
from ...verify.text import line, plain

TICK_S = 30
"""How long a task runs before it is named, and how often again."""
NAMED = 6
"""Hosts that such a line names; the others are counted."""

State = Literal[
    "healthy", "repaired", "drifted", "unchanged", "changed", "to change", "failed", "unreachable", "not begun"
]
COLOURS: dict[State, str] = {
    "healthy": "green",
    "repaired": "yellow",
    "drifted": "yellow",
    "unchanged": "green",
    "changed": "yellow",
    "to change": "yellow",
    "failed": "red",
    "unreachable": "bright red",
    "not begun": "cyan",
}


@dataclass(frozen=True)
class Kind:
    """What kind of run it is.

    Attributes:
        check: whether it only looks.
        converges: whether it is about a machine being as it should be; taking things away, or a cache, is not.
    """

    check: bool = False
    converges: bool = True


@dataclass
class Recap:
    """What became of a host.

    Attributes:
        begun: whether a task ran for it.
        changed: tasks that changed it, or would.
        drift: in check mode, what each of them would change.
        failed, unreachable: as Ansible says.
        why: the message of the task that failed.
        verified: whether the verification ran and passed.
        profile: which it is about, "" where the machine could not be asked.
    """

    begun: bool = False
    changed: int = 0
    failed: bool = False
    unreachable: bool = False
    why: str = ""
    verified: bool = False
    profile: str = ""
    drift: list[dict[str, Any]] = field(default_factory=list)

    def state(self, kind: Kind) -> State:
        """Its state in one word."""
        if self.unreachable:
            return "unreachable"
        if self.failed:
            return "failed"
        if not self.begun:
            return "not begun"
        words: tuple[State, State, State] = ("healthy", "repaired", "drifted")
        if not kind.converges:
            words = ("unchanged", "changed", "to change")
        return words[(2 if kind.check else 1) if self.changed else 0]

    def note(self, kind: Kind) -> str:
        """What there is to say about it, in one line."""
        if self.failed or self.unreachable or not self.begun:
            return self.why
        parts = []
        if self.changed:
            tasks = "1 task" if self.changed == 1 else f"{self.changed} tasks"
            parts.append(f"{tasks} would change it" if kind.check else f"{tasks} changed it")
        if kind.converges and not kind.check:
            parts.append("verified" if self.verified else "not verified")
        return ", ".join(parts)


def table(recaps: dict[str, Recap], kind: Kind, *, width: int) -> list[tuple[State, str]]:
    """The table's rows, each with its state; long notes go on below.

    Args:
        recaps: by host.
        kind: of the run.
        width: columns to keep to.
    """
    names = max(len("host"), *(len(line(host)) for host in recaps))
    states = max(len(state) for state in COLOURS)
    rows: list[tuple[State, str]] = []
    for host, recap in sorted(recaps.items()):
        state = recap.state(kind)
        head = f"{line(host):<{names}}  {state:<{states}}  "
        lines = textwrap.wrap(line(recap.note(kind)), max(40, width - len(head))) or [""]
        rows.append((state, (head + f"\n{' ' * len(head)}".join(lines)).rstrip()))
    return rows


def summary(recaps: dict[str, Recap], kind: Kind) -> str:
    """How many there are of each state."""
    count = Counter(recap.state(kind) for recap in recaps.values())
    parts = ", ".join(f"{count[state]} {state}" for state in COLOURS if count[state])
    return f"{len(recaps)} machine{'' if len(recaps) == 1 else 's'}: {parts}"


def waiting(running: dict[str, tuple[str, float]], now: float) -> str:
    """A line about the tasks that have run for long; "" where there is none.

    Args:
        running: by host, its task and when it began, on the clock of `now`.
        now: the time, in seconds.
    """
    by_task: dict[str, list[tuple[float, str]]] = {}
    for host, (task, since) in running.items():
        if now - since >= TICK_S:
            by_task.setdefault(task, []).append((now - since, host))
    parts = []
    for task, hosts in by_task.items():
        hosts.sort(reverse=True)
        named = ", ".join(f"{host} ({seconds:.0f} s)" for seconds, host in hosts[:NAMED])
        more = f" and {len(hosts) - NAMED} more" if len(hosts) > NAMED else ""
        parts.append(line(f"{task}: {named}{more}"))
    return "; ".join(parts)


def merge_junit(results: Path, verified: list[tuple[str, str]]) -> None:
    """Make results/junit.xml of the files that the verifications left, each by itself, in results/junit.

    Args:
        results: folder.
        verified: hosts, each with the profile.
    """
    suites = ElementTree.Element("testsuites")
    for host, profile in verified:
        file = (results / "junit" / file_name(host, profile)).with_suffix(".xml")
        try:
            suites.extend(ElementTree.parse(file).getroot())  # noqa: S314 (pytest wrote it a moment ago)
        except (OSError, ElementTree.ParseError) as error:
            # It was ended before it could say anything: a host without a line would pass for one that is well.
            suite = ElementTree.SubElement(suites, "testsuite", name="verify", tests="1", errors="1")
            case = ElementTree.SubElement(suite, "testcase", classname="verify", name=plain(host))
            ElementTree.SubElement(case, "error", message=plain(f"its verification did not come to its end: {error}"))
    if len(suites):
        ElementTree.ElementTree(suites).write(results / "junit.xml", encoding="utf-8", xml_declaration=True)


def note_drift(results: Path, recaps: dict[str, Recap], *, check: bool) -> bool:
    """Keep what a whole run over site.yml tells of drift; returns whether the report says something else now.

    Args:
        results: folder.
        recaps: by host.
        check: whether it looked only; otherwise the machines that it put in order have drifted no more.
    """
    if check:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        looked = {
            host: {recap.profile: {"time": now, "changes": recap.drift, "problem": recap.why}}
            for host, recap in recaps.items()
            if recap.begun or recap.unreachable
        }
        return drift.renew(results, looked, {})
    converged = {host: one.profile for host, one in recaps.items() if one.state(Kind()) in ("healthy", "repaired")}
    return drift.renew(results, {}, converged)


def make_page(lang: str) -> str:
    """Make results/report.html of all machines; returns what the command says.

    Args:
        lang: a language's code, "" for the environment's.
    """
    command = [sys.executable, "-m", "verify", "report", "--results", str(RESULTS), *(["--lang", lang] if lang else [])]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=clean.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return (done.stdout + done.stderr).strip()


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """The callback; see the module's docstring."""

    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "metal_lab.macs.fleet"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._recaps: dict[str, Recap] = {}
        self._running: dict[str, tuple[str, float]] = {}
        self._kind = Kind()
        self._whole = False
        self._verified: list[tuple[str, str]] = []
        self._lang = ""
        self._over = threading.Event()

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Begin to watch for long tasks; somebody else's playbook has no table."""
        if Path(playbook._file_name).resolve().parent not in (ROOT, ROOT / "playbooks"):
            self.disabled = True
            return
        tags, left_out = (set(context.CLIARGS.get(key) or ()) for key in ("tags", "skip_tags"))
        name = Path(playbook._file_name).name
        self._kind = Kind(converges=name in ("site.yml", "verify.yml"))
        self._whole = name == "site.yml" and tags <= {"all"} and left_out <= {"verify"}
        # ansible-core has a thread beside its forks too, and locks its display for them (executor/process/worker.py).
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self._over.wait(TICK_S):
            if told := waiting(dict(self._running), time.monotonic()):
                self._display.display(f"... still at work: {told}", color="cyan")

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Note the hosts of the play, those of later waves too."""
        self._kind = replace(self._kind, check=bool(play.check_mode))
        inventory = play.get_variable_manager()._inventory
        for host in inventory.get_hosts(play.hosts, ignore_restrictions=True):
            self._recaps.setdefault(host.name, Recap())

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """Note when a host's task began."""
        self._running[host.name] = (task.get_name(), time.monotonic())

    def v2_runner_on_ok(self, result: Any) -> None:
        """Count what changed, and see whether it is the verification."""
        recap = self._ended(result)
        if result.result.get("changed"):
            recap.changed += 1
            if self._kind.check:
                recap.drift.append(drift.change(result.task.get_name(), result.result))
        recap.verified = recap.verified or result.result.get("verdict") == "healthy"

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Nothing to note but that it ended."""
        self._ended(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Note why; the first reason is the one that counts."""
        recap = self._ended(result)
        if result.result.get("not_begun"):
            recap.begun = False
        else:
            recap.failed = recap.failed or not ignore_errors
        if not recap.why and not ignore_errors:
            recap.why = _message(result.result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Note why."""
        recap = self._ended(result)
        recap.unreachable = True
        recap.why = recap.why or _message(result.result)

    def _ended(self, result: Any) -> Recap:
        self._running.pop(result.host.name, None)
        recap = self._recaps.setdefault(result.host.name, Recap())
        recap.begun = True
        # preflight says it, and the verification.
        recap.profile = result.result.get("profile", recap.profile)
        if "verdict" in result.result:
            self._verified.append((result.host.name, recap.profile))
            self._lang = result.result.get("lang", self._lang)
        return recap

    def v2_playbook_on_stats(self, _: Any) -> None:
        """Put the verifications' JUnit files together, make their page, and show the table."""
        self._over.set()
        if not self._recaps:
            return
        try:
            self._keep()
        except (OSError, ElementTree.ParseError) as error:
            # A full disk here does not keep the table from being shown.
            self._display.warning(f"The run's results could not be kept in {RESULTS}: {line(str(error))}")
        self._display.banner("MACHINES")
        width = shutil.get_terminal_size((120, 24)).columns
        for state, row in table(self._recaps, self._kind, width=width):
            self._display.display(row, color=COLOURS[state])
        self._display.display(f"\n{summary(self._recaps, self._kind)}")

    def _keep(self) -> None:
        merge_junit(RESULTS, self._verified)
        told = self._whole and note_drift(RESULTS, self._recaps, check=self._kind.check)
        if told or self._verified:
            self._display.display(make_page(self._lang))


def _message(result: dict[str, Any]) -> str:
    """A failed task's message in one line."""
    said = str(result.get("msg") or result.get("stderr") or "no message")
    return line(said.removeprefix("Task failed: ").removeprefix("Module failed: "))

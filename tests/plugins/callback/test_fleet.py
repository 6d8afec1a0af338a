"""The table at the end, the line about long tasks, and what is kept of drift."""

import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible import context
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible_collections.metal_lab.macs.plugins.callback import fleet
from ansible_collections.metal_lab.macs.plugins.callback.fleet import (
    NAMED,
    Kind,
    Recap,
    merge_junit,
    note_drift,
    summary,
    table,
    waiting,
)
from ansible_collections.metal_lab.macs.verify.results import drift

from tests.helpers.plugins import typed

STORIES = {
    "a": Recap(begun=True, verified=True),
    "b-long-name": Recap(begun=True, changed=2),
    "c": Recap(begun=True, changed=1, failed=True, why="no room " * 30),
    "d": Recap(begun=True, unreachable=True, why="no route"),
    "e": Recap(),
}


def test_each_state_has_its_word_and_its_reason() -> None:
    rows = dict(zip(STORIES, table(STORIES, Kind(), width=80), strict=True))
    assert [state for state, _ in rows.values()] == ["healthy", "repaired", "failed", "unreachable", "not begun"]
    assert rows["a"][1].split() == ["a", "healthy", "verified"]
    assert "2 tasks changed it, not verified" in rows["b-long-name"][1]
    assert all(len(line) <= 80 for _, row in rows.values() for line in row.splitlines())
    assert " ".join(rows["c"][1].split()).count("no room") == 30
    assert summary(STORIES, Kind()) == "5 machines: 1 healthy, 1 repaired, 1 failed, 1 unreachable, 1 not begun"


def test_in_check_mode_what_would_change_has_drifted() -> None:
    assert STORIES["b-long-name"].state(Kind(check=True)) == "drifted"
    assert STORIES["b-long-name"].note(Kind(check=True)) == "2 tasks would change it"
    assert STORIES["a"].note(Kind(check=True)) == ""


def test_the_table_keeps_to_its_columns() -> None:
    """Names and states stand below each other; a long note goes on below, and has 40 columns at least."""
    note = "word " * 7 + "words"
    recaps = {"h": Recap(begun=True, changed=1, verified=True), "a": Recap(begun=True, failed=True, why=f"{note} end")}
    assert table(recaps, Kind(), width=59) == [
        ("failed", f"a     failed       {note}\n{' ' * 19}end"),
        ("repaired", "h     repaired     1 task changed it, verified"),
    ]
    assert table(recaps, Kind(), width=20) == table(recaps, Kind(), width=59)
    (row,) = table({"a": replace(recaps["a"], why="word " * 7 + "word x")}, Kind(), width=20)
    assert row[1].endswith("\n" + " " * 19 + "x")
    (wide,) = table({"a": recaps["a"]}, Kind(), width=63)
    assert wide[1] == f"a     failed       {note} end"
    assert summary({"h": recaps["h"]}, Kind()) == "1 machine: 1 repaired"


def test_a_run_that_does_not_converge_says_nothing_of_health() -> None:
    kind = Kind(converges=False)
    words = [row.split() for _, row in table(STORIES, kind, width=120)]
    assert words[0] == ["a", "unchanged"]
    assert words[1] == ["b-long-name", "changed", "2", "tasks", "changed", "it"]
    assert summary(STORIES, kind) == "5 machines: 1 unchanged, 1 changed, 1 failed, 1 unreachable, 1 not begun"
    assert STORIES["b-long-name"].state(Kind(check=True, converges=False)) == "to change"


def test_only_what_takes_long_is_named() -> None:
    assert waiting({"a": ("brew", 100.0)}, 129.9) == ""
    assert waiting({"a": ("brew", 100.0)}, 130.0) == "brew: a (30 s)"
    assert waiting({"a": ("brew", 10.0), "b": ("uv", 10.0)}, 100.0) == "brew: a (90 s); uv: b (90 s)"
    some = {f"h{number}": ("brew", 10.0) for number in range(NAMED)}
    assert waiting(some, 100.0).endswith("h1 (90 s), h0 (90 s)")
    running = {f"h{number:02d}": ("brew", 10.0 - number) for number in range(NAMED + 3)}
    said = waiting({**running, "new": ("brew", 100.0)}, 100.0)
    assert said.startswith("brew: h08 (98 s), ")
    assert said.endswith(" and 3 more")
    assert "new" not in said


def test_the_junit_files_of_a_run_become_one(tmp_path: Path) -> None:
    (tmp_path / "junit").mkdir()
    for host, profile in (("a", "p"), ("a", "q"), ("b", "p")):
        text = f'<testsuites><testsuite name="{host} {profile}"><testcase name="x"/></testsuite></testsuites>'
        (tmp_path / "junit" / f"{host}.{profile}.xml").write_text(text, encoding="utf-8")
    merge_junit(tmp_path, [])
    assert not (tmp_path / "junit.xml").exists()
    merge_junit(tmp_path, [("a", "p"), ("b", "p"), ("never", "p")])
    assert (tmp_path / "junit.xml").read_text(encoding="utf-8").startswith("<?xml")
    suites = ElementTree.parse(tmp_path / "junit.xml").getroot()  # noqa: S314
    # The last one, which left none, is tests/fleet/test_verdicts.py's.
    assert [suite.get("name") for suite in suites][:2] == ["a p", "b p"]


def test_a_check_is_kept_until_a_run_has_put_the_machine_in_order(tmp_path: Path) -> None:
    change = {"task": "t", "diff": ["-a", "+b"], "cut": False}
    recaps = {
        "drifted": Recap(begun=True, changed=1, drift=[change], profile="p"),
        "well": Recap(begun=True, profile="p"),
        "away": Recap(unreachable=True, why="no route"),
        "later": Recap(),
    }
    assert note_drift(tmp_path, recaps, check=True)
    found = drift.read(tmp_path)
    known = [(name, profile, one) for name, profiles in found.items() for profile, one in profiles.items()]
    assert [(name, profile, one["changes"], one["problem"]) for name, profile, one in known] == [
        ("away", "", [], "no route"),
        ("drifted", "p", [change], ""),
        ("well", "p", [], ""),
    ]
    # Another check, of one machine: what is known of the others stays.
    assert note_drift(tmp_path, {"away": Recap(begun=True, profile="p")}, check=True)
    assert drift.read(tmp_path)["away"]["p"]["problem"] == ""
    assert drift.read(tmp_path)["drifted"] == found["drifted"]
    # A run: who failed still has drifted, who was repaired has not.
    run = {"drifted": Recap(begun=True, changed=1, profile="p"), "well": Recap(begun=True, failed=True, profile="p")}
    assert note_drift(tmp_path, run, check=False)
    assert set(drift.read(tmp_path)) == {"away", "well"}
    assert not note_drift(tmp_path, run, check=False)
    # Put in order for another profile, it says nothing of this one.
    assert not note_drift(tmp_path, {"away": Recap(begun=True, profile="q")}, check=False)
    both = {name: Recap(begun=True, profile="p") for name in ("away", "well")}
    assert note_drift(tmp_path, both, check=False)
    assert not (tmp_path / drift.FILE).exists()


class Screen:
    """What a run shows; a line about long tasks is waited for."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, str | None]] = []
        self.waited = threading.Event()

    def display(self, text: str, color: str | None = None) -> None:
        self.shown.append((text, color))
        if text.startswith("..."):
            self.waited.set()

    def banner(self, text: str) -> None:
        self.shown.append((text, "banner"))

    def warning(self, text: str) -> None:
        self.shown.append((text, "warning"))


class Run:
    """A run of a playbook, as the callback is told of it, in a project whose page is made by a stand-in."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.screen = folder, Screen()
        self.results = folder / "results"
        for made in (self.results / "junit", folder / "verify", folder / "playbooks"):
            made.mkdir(parents=True)
        (folder / "verify" / "__init__.py").touch()
        (folder / "verify" / "__main__.py").write_text(
            "import sys\nprint('page', *sys.argv[1:], sys.stdin.read())\nprint('on stderr', file=sys.stderr)\n"
            # The table is shown whatever becomes of the page.
            "sys.exit(1)\n"
        )
        monkeypatch.setattr(fleet, "ROOT", folder)
        monkeypatch.setattr(fleet, "RESULTS", self.results)
        monkeypatch.setenv("COLUMNS", "120")
        self._monkeypatch = monkeypatch
        self.callback = fleet.CallbackModule()
        self.callback._display = self.screen

    def start(
        self,
        name: str = "site.yml",
        *,
        check: bool = False,
        hosts: str = "a,b",
        tags: dict[str, list[str]] | None = None,
    ) -> None:
        self._monkeypatch.setattr(context, "CLIARGS", tags or {})
        self.callback.v2_playbook_on_start(SimpleNamespace(_file_name=str(self.folder / name)))
        inventory = InventoryManager(loader=DataLoader(), sources=[f"{hosts},"])
        # A wave: the play knows the others as well.
        inventory.restrict_to_hosts(inventory.get_hosts()[:1])
        manager = SimpleNamespace(_inventory=inventory)
        play = SimpleNamespace(check_mode=check, hosts="all", get_variable_manager=lambda: manager)
        self.callback.v2_playbook_on_play_start(play)

    def tell(self, event: str, host: str = "a", **result: Any) -> None:
        options = {"ignore_errors": result.pop("ignored")} if "ignored" in result else {}
        task = SimpleNamespace(get_name=lambda: "the task")
        about = SimpleNamespace(host=SimpleNamespace(name=host), result=result, task=task)
        getattr(self.callback, f"v2_runner_on_{event}")(about, **options)

    def begin(self, host: str = "a") -> None:
        task = SimpleNamespace(get_name=lambda: "the task")
        self.callback.v2_runner_on_start(SimpleNamespace(name=host), task)

    def end(self) -> list[str]:
        """The lines of the table, after which nothing goes on."""
        self.callback.v2_playbook_on_stats(None)
        shown = [text for text, _ in self.screen.shown]
        return shown[shown.index("MACHINES") + 1 :] if "MACHINES" in shown else []

    @property
    def pages(self) -> list[str]:
        """What the command that makes the page said, on stdout and on stderr."""
        return [" ".join(text.splitlines()[:2]) for text, _ in self.screen.shown if text.startswith("page")]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(tmp_path / "project", monkeypatch)


def test_a_run_ends_with_its_table(run: Run) -> None:
    run.start(hosts="a,b,c,d,e,f")
    run.tell("ok", changed=True)
    run.tell("ok", verdict="healthy", lang="pt")
    run.tell("ok")
    run.tell("ok", "b", verdict="unhealthy")
    run.tell("failed", "c", msg="Task failed: Module failed: no\n  room")
    run.tell("failed", "c", msg="a second reason")
    run.tell("unreachable", "d", msg="no route")
    run.tell("failed", "e", not_begun=True, msg="Not begun: of the wave before")
    with typed("yes"):
        shown = run.end()
    assert shown == [
        "a     repaired     1 task changed it, verified",
        "b     healthy      not verified",
        "c     failed       no room",
        "d     unreachable  no route",
        "e     not begun    Not begun: of the wave before",
        "f     not begun",
        "\n6 machines: 1 healthy, 1 repaired, 1 failed, 1 unreachable, 2 not begun",
    ]
    colours = [colour for _, colour in run.screen.shown]
    assert colours == [None, "banner", "yellow", "green", "red", "bright red", "cyan", "cyan", None]
    assert run.pages == [f"page report --results {run.results} --lang pt  on stderr"]


def test_what_fails_without_harm_is_no_failure(run: Run) -> None:
    run.start(hosts="a,b,c")
    run.tell("failed", ignored=True, msg="never mind")
    run.tell("failed", "b", ignored=True, msg="never mind")
    run.tell("failed", "b", stderr="sh: no", ignored=False)
    run.tell("failed", "c")
    run.tell("skipped", "c")
    run.tell("unreachable", "c", msg="gone")
    assert run.end()[:3] == [
        "a     healthy      not verified",
        "b     failed       sh: no",
        "c     unreachable  no message",
    ]
    assert run.pages == []


@pytest.mark.parametrize(
    ("name", "state"),
    [("site.yml", "repaired"), ("playbooks/verify.yml", "repaired"), ("playbooks/uninstall.yml", "changed")],
)
def test_only_a_run_about_health_tells_of_it(run: Run, name: str, state: str) -> None:
    run.start(name)
    run.tell("ok", changed=True)
    assert run.end()[0].split()[:2] == ["a", state]


def test_somebody_elses_playbook_has_no_table(run: Run) -> None:
    before = set(threading.enumerate())
    run.callback.v2_playbook_on_start(SimpleNamespace(_file_name=str(run.folder.parent / "site.yml")))
    assert (run.callback.disabled, set(threading.enumerate()) - before) == (True, set())
    run.callback.v2_playbook_on_stats(None)
    assert run.screen.shown == []


@pytest.mark.parametrize(
    ("name", "tags", "noted"),
    [
        ("site.yml", {"tags": ["all"], "skip_tags": []}, True),
        ("site.yml", {"tags": [], "skip_tags": ["verify"]}, True),
        ("site.yml", {}, True),
        ("site.yml", {"tags": ["mlx"]}, False),
        ("site.yml", {"tags": ["all"], "skip_tags": ["system"]}, False),
        ("playbooks/uninstall.yml", {}, False),
    ],
)
def test_what_a_whole_check_finds_is_kept(run: Run, name: str, tags: dict[str, list[str]], noted: bool) -> None:
    run.start(name, check=True, tags=tags)
    run.tell("ok", profile="p")
    run.tell("ok", changed=True, diff={"before": "1\n", "after": "2\n", "after_header": "f"})
    run.tell("ok")
    state = "drifted" if "site" in name else "to change"
    assert run.end()[0].split() == ["a", *state.split(), "1", "task", "would", "change", "it"]
    change = {"task": "the task", "diff": ["@ f", "-1", "+2"], "cut": False}
    kept = {
        host: {name: one["changes"] for name, one in known.items()} for host, known in drift.read(run.results).items()
    }
    assert kept == ({"a": {"p": [change]}} if noted else {})
    assert run.pages == ([f"page report --results {run.results}  on stderr"] if noted else [])


def test_a_run_that_changes_keeps_no_drift(run: Run) -> None:
    run.start()
    run.tell("ok", changed=True, verdict="healthy")
    assert run.callback._recaps["a"].drift == []
    run.end()
    assert drift.read(run.results) == {}
    assert run.pages == [f"page report --results {run.results}  on stderr"]


def test_the_verifications_are_put_together(run: Run) -> None:
    text = '<testsuites><testsuite name="a"/></testsuites>'
    (run.results / "junit" / "a.p.xml").write_text(text, encoding="utf-8")
    (run.results / "junit" / "b.p.xml").write_text(text.replace('"a"', '"b"'), encoding="utf-8")
    run.start()
    run.tell("ok", verdict="healthy", profile="p")
    run.tell("ok", "b")
    run.end()
    suites = ElementTree.parse(run.results / "junit.xml").getroot()  # noqa: S314
    assert [suite.get("name") for suite in suites] == ["a"]


def test_results_that_cannot_be_kept_do_not_hide_the_table(run: Run) -> None:
    (run.results / "junit" / "a.p.xml").write_text("<testsuites><testsuite/></testsuites>", encoding="utf-8")
    (run.results / "junit.xml").mkdir()
    run.start()
    run.tell("ok", verdict="healthy", profile="p")
    assert run.end()[0] == "a     healthy      verified"
    (warning,) = (text for text, kind in run.screen.shown if kind == "warning")
    assert warning.startswith(f"The run's results could not be kept in {run.results}: ")


def test_the_table_is_as_wide_as_the_screen(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    note = "x" * 100 + " y"
    for columns, lines in (("120", 2), ("121", 1)):
        monkeypatch.setenv("COLUMNS", columns)
        run.callback._recaps = {"a": Recap(failed=True, why=note)}
        run.screen.shown.clear()
        assert len(run.end()[0].splitlines()) == lines
    # Where there is none, as in a file, it has 120.
    monkeypatch.delenv("COLUMNS")
    monkeypatch.setattr("sys.__stdout__", None)
    for more, lines in (("", 2), ("x", 1)):
        run.callback._recaps = {"a": Recap(failed=True, why=note[len(more) :])}
        run.screen.shown.clear()
        assert len(run.end()[0].splitlines()) == lines


def test_what_takes_long_is_named_while_it_runs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "TICK_S", 0.001)
    before = set(threading.enumerate())
    run.start()
    (watcher,) = set(threading.enumerate()) - before
    # It keeps no program from ending.
    assert watcher.daemon
    run.begin("a")
    run.begin("b")
    run.tell("ok", "b")
    assert run.screen.waited.wait(30)
    run.end()
    watcher.join(30)
    assert not watcher.is_alive()
    said = {(text, colour) for text, colour in run.screen.shown if text.startswith("...")}
    assert ("... still at work: the task: a (0 s)", "cyan") in said

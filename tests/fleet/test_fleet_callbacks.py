"""The table at the end, the line about long tasks, what is kept of drift, and the settings that are refused."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from playbooks.action_plugins.role_settings import problems
from playbooks.callback_plugins.fleet import NAMED, Kind, Recap, merge_junit, note_drift, summary, table, waiting
from verify.results import drift

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


def test_a_run_that_does_not_converge_says_nothing_of_health() -> None:
    kind = Kind(converges=False)
    words = [row.split() for _, row in table(STORIES, kind, width=120)]
    assert words[0] == ["a", "unchanged"]
    assert words[1] == ["b-long-name", "changed", "2", "tasks", "changed", "it"]
    assert summary(STORIES, kind) == "5 machines: 1 unchanged, 1 changed, 1 failed, 1 unreachable, 1 not begun"
    assert STORIES["b-long-name"].state(Kind(check=True, converges=False)) == "to change"


def test_only_what_takes_long_is_named() -> None:
    assert waiting({"a": ("brew", 100.0)}, 110.0) == ""
    running = {f"h{number:02d}": ("brew", 10.0 - number) for number in range(NAMED + 3)}
    said = waiting({**running, "new": ("brew", 100.0)}, 100.0)
    assert said.startswith("brew: h08 (98 s), ")
    assert said.endswith(" and 3 more")
    assert "new" not in said


def test_the_junit_files_of_a_run_become_one(tmp_path: Path) -> None:
    (tmp_path / "junit").mkdir()
    for host in ("a", "b", "old"):
        text = f'<testsuites><testsuite name="{host}"><testcase name="x"/></testsuite></testsuites>'
        (tmp_path / "junit" / f"{host}.xml").write_text(text, encoding="utf-8")
    merge_junit(tmp_path, ["a", "b", "never"])
    suites = ElementTree.parse(tmp_path / "junit.xml").getroot()  # noqa: S314
    # The last one, which left none, is tests/fleet/test_verdicts.py's.
    assert [suite.get("name") for suite in suites][:2] == ["a", "b"]


@pytest.mark.parametrize(
    ("role", "given", "wrong"),
    [
        ("homebrew", {"homebrew_formulae": ["git"]}, ""),
        ("homebrew", {"homebrew_formulae": {"git": 1}}, "homebrew_formulae"),
        ("homebrew", {"homebrew_formulae": "git"}, """-e '{"homebrew_formulae": ["..."]}'"""),
        ("homebrew", {"homebrew_environment": "A=1"}, "Needed: a dictionary"),
        ("homebrew", {"homebrew_shellenv": "false"}, ""),
        ("miniforge", {"miniforge_install_method": "port"}, "miniforge_install_method"),
        ("mlx", {"homebrew_formulae": 3}, ""),
    ],
)
def test_a_setting_of_another_type_is_refused(role: str, given: dict[str, object], wrong: str) -> None:
    found = problems(role, given)
    assert len(found) == bool(wrong)
    assert all(one.startswith(f"{role}: ") and wrong in one for one in found)


def test_a_check_is_kept_until_a_run_has_put_the_machine_in_order(tmp_path: Path) -> None:
    change = {"task": "t", "diff": ["-a", "+b"], "cut": False}
    recaps = {
        "drifted": Recap(begun=True, changed=1, drift=[change]),
        "well": Recap(begun=True),
        "away": Recap(unreachable=True, why="no route"),
        "later": Recap(),
    }
    assert note_drift(tmp_path, recaps, check=True)
    found = drift.read(tmp_path)
    assert {name: (one["changes"], one["problem"]) for name, one in found.items()} == {
        "away": ([], "no route"),
        "drifted": ([change], ""),
        "well": ([], ""),
    }
    # Another check, of one machine: what is known of the others stays.
    assert note_drift(tmp_path, {"away": Recap(begun=True)}, check=True)
    assert drift.read(tmp_path)["away"]["problem"] == ""
    assert drift.read(tmp_path)["drifted"] == found["drifted"]
    # A run: who failed still has drifted, who was repaired has not.
    run = {"drifted": Recap(begun=True, changed=1), "well": Recap(begun=True, failed=True)}
    assert note_drift(tmp_path, run, check=False)
    assert set(drift.read(tmp_path)) == {"away", "well"}
    assert not note_drift(tmp_path, run, check=False)
    assert note_drift(tmp_path, {"away": Recap(begun=True), "well": Recap(begun=True)}, check=False)
    assert not (tmp_path / drift.FILE).exists()

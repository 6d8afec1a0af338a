"""What the playbooks make of a verification: only a result that says healthy, and is this host's and of now, is."""

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.metal_lab.macs.plugins.action import collect, verify
from ansible_collections.metal_lab.macs.plugins.callback import fleet
from ansible_collections.metal_lab.macs.plugins.callback.fleet import CallbackModule, Kind, merge_junit, table
from ansible_collections.metal_lab.macs.verify import documents
from ansible_collections.metal_lab.macs.verify.checks.advice import ADVICE
from ansible_collections.metal_lab.macs.verify.results import files
from ansible_collections.metal_lab.macs.verify.results.model import INTERNAL

from tests.helpers.plugins import action
from tests.verify.report.samples import measured

HOST = "mac-1"


def result(verdict: str = "healthy", **changes: Any) -> dict[str, Any]:
    """A result of HOST with a verdict that its checks say."""
    data = measured(host=HOST, verdict=verdict, **changes)
    broken = {"unhealthy": ("environment.platform", "too-old"), "unverified": (INTERNAL, "incomplete")}.get(verdict)
    for one in data["checks"]:
        if broken and one["check"] == broken[0]:
            fault = broken[1]
            one.update(result="fail", fault=fault, advice=ADVICE[fault], message="it says why")
    return data


class Ended:
    """A `python -m verify` that ended, and left a result or none."""

    def __init__(self, path: Path, code: int, left: str | None) -> None:
        self._path, self._left, self.returncode = path, left, code

    def __call__(self, *_: Any, **__: Any) -> "Ended":
        if self._left is not None:
            self._path.write_text(self._left, encoding="utf-8")
        return self

    def __enter__(self) -> "Ended":
        self.stdout = ["its lines\n"]
        return self

    def __exit__(self, *_: object) -> None:
        pass


def shown(outcome: dict[str, Any], kind: Kind | None = None) -> str:
    """The host's row in the table at the end, when a task ended like that."""
    callback = CallbackModule()
    told = SimpleNamespace(
        result=outcome, host=SimpleNamespace(name=HOST), task=SimpleNamespace(get_name=lambda: "verify")
    )
    (callback.v2_runner_on_failed if outcome.get("failed") else callback.v2_runner_on_ok)(told)
    ((_, row),) = table(callback._recaps, kind or Kind(), width=200)
    return row


@pytest.mark.parametrize(
    ("code", "left", "verdict", "said"),
    [
        (0, json.dumps(result()), "healthy", ""),
        (1, json.dumps(result("unhealthy")), "unhealthy", "environment.platform: it says why"),
        (2, json.dumps(result("unverified")), "unverified", "internal: it says why"),
        # Whatever ended it, what it left from its beginning on says that nothing is known.
        (-9, json.dumps(result("unverified")), "unverified", "exit code -9"),
        (0, json.dumps(result("unverified")), "unverified", "its result says unverified"),
        (0, json.dumps(result("unhealthy")), "unverified", "its result says unhealthy"),
        (1, json.dumps(result()), "unverified", "its result says healthy"),
        (0, None, "unverified", "cannot be read"),
        (0, "{", "unverified", "not JSON"),
    ],
)
def test_the_action_believes_the_exit_code_and_the_result_together(
    code: int, left: str | None, verdict: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "results").mkdir()
    path = tmp_path / "results" / f"{HOST}.ml-m1.json"
    # Of an earlier run.
    path.write_text(json.dumps(result()), encoding="utf-8")
    monkeypatch.setattr(verify, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(subprocess, "Popen", Ended(path, code, left))
    one = action(verify.ActionModule, {"profile": "ml-m1", "level": "quick"})
    outcome = one.run(None, {"inventory_hostname": HOST})
    assert outcome["verdict"] == verdict
    assert outcome.get("failed", False) is (verdict != "healthy")
    assert said in outcome.get("msg", "")
    row = shown(outcome)
    assert row.split()[:2] == [HOST, "healthy" if verdict == "healthy" else "failed"]
    assert said in row
    assert ("verified" in row) is (verdict == "healthy" or "could not be verified" in row)


NOW = datetime.now(UTC)


def at(hours: float) -> str:
    return (NOW + timedelta(hours=hours)).strftime(documents.TIME)


def last(**changes: Any) -> str:
    """A machine's note of its last run, a moment ago."""
    note = {"schema": 1, "ended": at(-0.1), "ref": "v1", "commit": "", "step": "converge", "exit_code": 0}
    return json.dumps({**note, **changes})


def collected(folder: Path, monkeypatch: pytest.MonkeyPatch, note: str, text: str) -> dict[str, Any]:
    monkeypatch.setattr(collect, "RESULTS", folder / "results")
    one = action(collect.ActionModule, {"max_age_hours": 48})
    name = files.safe(HOST)
    answer = {"rc": 0, "stdout": f"{note}\n--{name}\n{text}\n--end\n", "stderr": ""}
    monkeypatch.setattr(one, "_low_level_execute_command", lambda *_, **__: answer)
    found: dict[str, Any] = one.run(None, {"inventory_hostname": HOST})
    return found


def test_a_good_run_with_a_healthy_result_is_healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = collected(tmp_path, monkeypatch, last(), json.dumps(result()))
    assert (outcome["verdict"], outcome.get("failed")) == ("healthy", None)
    assert files.load(tmp_path / "results" / f"{HOST}.ml-m1.json").data == result()
    assert shown(outcome).split()[1] == "healthy"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json.dumps(result("unverified")), "it is unverified"),
        (json.dumps(result("unhealthy")), "it is unhealthy"),
        ("", "it is unverified"),
    ],
)
def test_a_good_run_whose_result_is_not_healthy_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    outcome = collected(tmp_path, monkeypatch, last(), text)
    assert outcome["failed"]
    assert "verdict" not in outcome
    assert said in outcome["msg"]
    assert shown(outcome).split()[1] == "failed"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json.dumps({**result(), "host": "mac-2"}), "it names the machine 'mac-2'"),
        (json.dumps(result(started=at(1))), "has not been yet"),
        (json.dumps(result(started="9999-12-31T23:59:59Z")), "has not been yet"),
        (json.dumps({**result(), "verdict": "unverified"}), "which its checks do not say"),
        (json.dumps(result()).ljust(documents.MAX_BYTES + 1, "\t") + ".", "more than"),
        ("[" * 10_000, "nested"),
        ("\x1b[2J", "not JSON"),
    ],
)
def test_a_result_that_lies_is_refused_and_the_one_before_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    (tmp_path / "results").mkdir()
    kept = tmp_path / "results" / f"{HOST}.ml-m1.json"
    kept.write_text("before", encoding="utf-8")
    with pytest.raises(AnsibleActionFail) as raised:
        collected(tmp_path, monkeypatch, last(), text)
    assert f"The result of {HOST} cannot be used" in str(raised.value)
    assert said in str(raised.value)
    assert "\x1b" not in str(raised.value)
    assert [one.name for one in (tmp_path / "results").iterdir()] == [kept.name]
    assert kept.read_text(encoding="utf-8") == "before"


@pytest.mark.parametrize(
    "note",
    [
        last(ended=at(1)),
        last(ended="9999-12-31T23:59:59Z"),
        last(ended="0000-00-00T00:00:00Z"),
        last(ended=None),
        last(exit_code=None),
        last(step=["converge"], exit_code=1),
        last(ref={}).replace('"exit_code": 0', '"exit_code": 1e400'),
        last().replace('"exit_code": 0', '"exit_code": NaN'),
        last().replace('"exit_code": 0', '"exit_code": 1, "exit_code": 0'),
        "[" * 10_000,
        "[]",
        "null",
        "\x00",
    ],
)
def test_a_note_that_makes_no_sense_is_no_good_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note: str) -> None:
    outcome = collected(tmp_path, monkeypatch, note, json.dumps(result()))
    assert outcome["failed"]
    assert "verdict" not in outcome
    assert outcome["msg"]


def test_a_verification_that_left_no_junit_is_an_error_in_it(tmp_path: Path) -> None:
    (tmp_path / "junit").mkdir()
    whole = '<testsuites><testsuite name="pytest"><testcase name="x"/></testsuite></testsuites>'
    (tmp_path / "junit" / "mac-1.p.xml").write_text(whole, encoding="utf-8")
    (tmp_path / "junit" / "mac-2.p.xml").write_text(whole[:40], encoding="utf-8")
    merge_junit(tmp_path, [("mac-1", "p"), ("mac-2", "p"), ("mac\x1b3", "p")])
    cases = ElementTree.parse(tmp_path / "junit.xml").iter("testcase")  # noqa: S314
    assert [(one.get("name"), len(one)) for one in cases] == [("x", 0), ("mac-2", 1), ("mac 3", 1)]


def test_results_that_cannot_be_kept_do_not_keep_the_table_from_being_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fleet, "RESULTS", tmp_path / "nowhere")
    monkeypatch.setattr(fleet, "make_page", lambda _: "made")
    callback = CallbackModule()
    told = SimpleNamespace(
        result={"failed": True, "verdict": "unverified", "msg": "why"}, host=SimpleNamespace(name=HOST)
    )
    callback.v2_runner_on_failed(told)
    callback.v2_playbook_on_stats(None)
    seen = "".join(capfd.readouterr())
    assert "could not be kept" in seen
    assert f"{HOST}  failed" in seen

"""A check's answer as a test's outcome and as a line of progress, and what pytest is told of a run."""

import functools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import testinfra

from tests.verify import macs
from tests.verify.macs import Mac
from verify.checks.advice import ADVICE, failed, warned
from verify.checks.plan import Plan
from verify.profile import model as profiles
from verify.report import language
from verify.results.model import INTERNAL, CheckResult
from verify.run import plugin
from verify.run.run import Run
from verify.run.settings import Settings


class Screen:
    """pytest's reporter and its configuration, as far as a line of progress needs them."""

    def __init__(self, verbose: int = -1) -> None:
        self.option = SimpleNamespace(verbose=verbose)
        self.pluginmanager = SimpleNamespace(getplugin={"terminalreporter": self, "capturemanager": None}.get)
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def ensure_newline(self) -> None: ...

    def write(self, text: str, **options: Any) -> None:
        self.lines.append((text, options))


def health(answer: CheckResult) -> Any:
    return SimpleNamespace(report=SimpleNamespace(host="mac-1"), check=lambda _: answer)


PASSED = CheckResult("mlx.value", "pass", "all are exact\nand more")


@pytest.mark.parametrize(
    ("answer", "line", "colour"),
    [
        (PASSED, "pass  mac-1  mlx.value: all are exact\n", "green"),
        (failed("mlx.value", "hang", "no end\x1b[2J"), "fail  mac-1  mlx.value [hang]: no end [2J\n", "red"),
        (warned("mlx.value", "noisy", "noisy"), "warn  mac-1  mlx.value [noisy]: noisy\n", "yellow"),
        (failed(INTERNAL, "internal", "verify failed"), "fail  mac-1  internal [internal]: verify failed\n", "red"),
    ],
)
def test_an_answer_is_a_line_in_its_colour(answer: CheckResult, line: str, colour: str) -> None:
    screen: Any = Screen()
    plugin._tell(screen, health(answer), answer)
    assert screen.lines == [(line, {"flush": True, colour: True})]


def test_what_was_skipped_and_that_verify_went_through_have_no_line() -> None:
    screen: Any = Screen()
    for answer in (CheckResult("mlx.value", "skip", "not reached"), CheckResult(INTERNAL, "pass", "fine")):
        plugin._tell(screen, health(answer), answer)
    assert screen.lines == []


def test_other_lines_have_no_colour_and_with_v_pytests_own_stand_for_them() -> None:
    for verbose in (-1, 0):
        screen: Any = Screen(verbose)
        plugin._say(screen, "probing")
        assert screen.lines == [("probing\n", {"flush": True})]
    for silent in (Screen(1), Screen()):
        asked: Any = silent
        if silent.option.verbose < 0:
            # As with `-p no:terminal`.
            silent.pluginmanager = SimpleNamespace(getplugin=lambda _: None)
        plugin._say(asked, "probing")
        assert silent.lines == []


@pytest.mark.parametrize(
    ("answer", "outcome", "said"),
    [
        (failed("a.b", "hang", "no end"), pytest.fail.Exception, f"[hang] a.b: no end\n{ADVICE['hang']}"),
        (warned("a.b", "noisy", "loud"), pytest.xfail.Exception, f"[noisy] a.b: loud\n{ADVICE['noisy']}"),
        (CheckResult("a.b", "skip", "not reached"), pytest.skip.Exception, "not reached"),
    ],
)
def test_an_answer_is_a_tests_outcome(answer: CheckResult, outcome: Any, said: str) -> None:
    config: Any = Screen()
    with pytest.raises(outcome) as caught:
        plugin.judge(health(answer), "a.b", config)
    assert caught.value.msg == said
    plugin.judge(health(PASSED), "mlx.value", config)


def test_the_last_answer_is_the_one_after_the_result_was_written() -> None:
    config: Any = Screen()
    anew = failed(INTERNAL, "incomplete", "its result could not be written")
    config.stash = {plugin._STATE: SimpleNamespace(close=lambda _: anew)}
    with pytest.raises(pytest.fail.Exception, match="could not be written"):
        plugin.judge(health(CheckResult(INTERNAL, "pass", "fine")), INTERNAL, config)


@pytest.mark.parametrize("name", ["collectonly", "help"])
def test_who_only_looks_at_the_checks_starts_no_run(name: str) -> None:
    option = SimpleNamespace(**{"collectonly": False, "help": False, name: True})
    config: Any = SimpleNamespace(option=option)
    plugin.pytest_configure(config)
    assert not hasattr(option, "hosts")


@pytest.mark.parametrize(
    ("when", "outcome", "expected_failure", "category"),
    [
        ("call", "passed", False, "passed"),
        ("call", "failed", False, "failed"),
        ("call", "skipped", False, "skipped"),
        # A warning: told, and no failure.
        ("call", "skipped", True, "xfailed"),
        ("setup", "passed", False, ""),
        ("setup", "failed", False, "error"),
        ("teardown", "failed", False, "error"),
    ],
)
def test_what_pytest_counts_a_check_as(when: Any, outcome: Any, expected_failure: bool, category: str) -> None:
    report = pytest.TestReport("test", ("file", None, "test"), {}, outcome, None, when)
    if expected_failure:
        report.wasxfail = "reason: [noisy]"
    assert plugin.pytest_report_teststatus(report) == (category, "", category.upper())


def test_a_host_at_which_the_run_stopped_is_told_and_never_healthy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = profiles.load("ml-m1")
    address = macs.connect(monkeypatch, {"mac-1": functools.partial(macs.honest, Mac(loaded))})
    plan = Plan(loaded, "setup", ("mlx",), None, 5.0)
    run = Run(Settings(plan, testinfra.get_hosts([address]), tmp_path, language.choose("en")), lambda _: None)
    run.begin()
    ((where, told),) = run.end(page_wanted=False)
    assert (where, told.check, told.result) == (address, INTERNAL, "fail")
    assert json.loads((tmp_path / "mac-1.ml-m1.json").read_text(encoding="utf-8"))["verdict"] == "unverified"

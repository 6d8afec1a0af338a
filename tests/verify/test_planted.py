"""A fault of verify at one of three hosts: that one could not be verified, wherever one looks; the others are whole.

The faults are exceptions, planted one at a time. What is checked is what `python -m verify` leaves behind.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.verify import macs
from tests.verify.macs import Question
from tests.verify.runs import AT, FRAMEWORKS, NAMES, PROFILE, Done, Here, Lab, said_of
from verify.checks import stages
from verify.checks.health import HostHealth
from verify.checks.plan import Plan
from verify.checks.walk import Stage
from verify.errors import UserError
from verify.profile import model as profiles
from verify.report import page, summary, view
from verify.results import files, history
from verify.results.model import INTERNAL
from verify.target import record
from verify.target.remote import INTERPRETER

Plant = Callable[[pytest.MonkeyPatch, Here], None]


@pytest.fixture(scope="module")
def well(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A run without a fault."""
    with pytest.MonkeyPatch.context() as patch:
        return Lab(tmp_path_factory.mktemp("well"), patch, str).verify()


def assert_only_one_is_unverified(done: Done, well: Done, why: str) -> None:
    assert done.code == 2
    assert "Traceback" not in done.screen
    assert "COULD NOT BE VERIFIED" in said_of(AT, done.screen)
    assert why in done.screen
    assert done.results[AT]["verdict"] == "unverified"
    failures = [case for case in done.junit.split("<testcase") if "<failure" in case]
    assert [AT in one and INTERNAL in one for one in failures] == [True]
    # Where the page itself could not show it, without a link to more.
    assert f"<h3>{AT}" in done.page or f">{AT}</a></h3>" in done.page
    assert "could not be verified" in done.page
    assert "All 3 machines are healthy" not in done.page
    for name in NAMES:
        if name != AT:
            assert "HEALTHY" in said_of(name, done.screen)
            assert done.whole(name) == well.whole(name)
            assert f">{name}</a></h3>" in done.page


def test_without_a_fault_all_are_healthy(well: Done) -> None:
    assert well.code == 0
    assert {one["verdict"] for one in well.results.values()} == {"healthy"}
    asked = stages.check_names(Plan(profiles.load(PROFILE), "soak", FRAMEWORKS, None, 5.0))
    for one in well.results.values():
        assert [check["check"] for check in one["checks"]] == asked
        assert {check["result"] for check in one["checks"]} == {"pass"}


# An environment's own first look is another run's: tests/verify/test_given.py.
@pytest.mark.parametrize(
    "stage",
    [one for one in stages.TABLE if one.probe != INTERPRETER],
    ids=lambda stage: f"{stage.probe}.{stage.name}",
)
def test_in_the_judge_of_a_stage(lab: Lab, well: Done, stage: Stage) -> None:
    judge = lab.here.planted(stage.judge, KeyError("planted"))
    table = tuple(replace(one, judge=judge) if one is stage else one for one in stages.TABLE)
    lab.patch.setattr(stages, "TABLE", table)
    done = lab.verify()
    assert_only_one_is_unverified(done, well, "verify failed: KeyError: 'planted'")
    kinds = {name: profiles.load(PROFILE).frameworks[name].kind for name in FRAMEWORKS}
    have = [name for name in FRAMEWORKS if kinds[name] in stage.kinds]
    names = [name for name, _ in stage.names(set=["base", *FRAMEWORKS], framework=have)]
    checks = {one["check"]: one for one in done.results[AT]["checks"]}
    assert {checks[name]["result"] for name in names} == {"skip"}
    # What was judged before stays told.
    told = well.results[AT]["checks"]
    before = [one["check"] for one in told].index(names[0])
    assert done.results[AT]["checks"][:before] == told[:before]
    assert "internal" in checks[INTERNAL]["fault"]


def in_the_record(patch: pytest.MonkeyPatch, here: Here) -> None:
    patch.setattr(record, "parse", here.planted(record.parse, RuntimeError("planted")))


def in_the_lock(error: Exception) -> Plant:
    def plant(patch: pytest.MonkeyPatch, here: Here) -> None:
        made = HostHealth.__init__

        def with_fault(health: HostHealth, host: Any, name: str, plan: Any, lock: Any, announce: Any) -> None:
            made(health, host, name, plan, here.planted(lock, error), announce)

        patch.setattr(HostHealth, "__init__", with_fault)

    return plant


def while_writing(error: Exception) -> Plant:
    def plant(patch: pytest.MonkeyPatch, here: Here) -> None:
        patch.setattr(files, "replace", here.planted(files.replace, error))

    return plant


def in_serialize(patch: pytest.MonkeyPatch, here: Here) -> None:
    patch.setattr(files, "serialize", here.planted(files.serialize, TypeError("planted")))


def in_the_history(patch: pytest.MonkeyPatch, here: Here) -> None:
    patch.setattr(history, "keep", here.planted(history.keep, ValueError("planted")))


def in_the_historys_reader(patch: pytest.MonkeyPatch, here: Here) -> None:
    patch.setattr(history, "_all", here.planted(history._all, ValueError("planted")))


def in_the_view(patch: pytest.MonkeyPatch, _: Here) -> None:
    host = view.host

    def with_fault(stored: Any, *rest: Any) -> Any:
        if stored.data["host"] == AT:
            raise IndexError("planted")
        return host(stored, *rest)

    patch.setattr(view, "host", with_fault)


def in_the_hosts_template(patch: pytest.MonkeyPatch, _: Here) -> None:
    host = view.host

    def with_fault(stored: Any, *rest: Any) -> Any:
        made = host(stored, *rest)
        # Nothing that a template can write.
        return replace(made, checks=None) if made.name == AT else made  # type: ignore[arg-type]

    patch.setattr(view, "host", with_fault)


def in_the_summary(patch: pytest.MonkeyPatch, _: Here) -> None:
    host = summary.host

    def with_fault(report: Any, *arguments: Any, **named: Any) -> str:
        if report.host == AT:
            raise LookupError("planted")
        return host(report, *arguments, **named)

    patch.setattr(summary, "host", with_fault)


@pytest.mark.parametrize(
    ("plant", "why"),
    [
        pytest.param(in_the_record, "verify failed: RuntimeError: planted", id="record"),
        pytest.param(in_the_lock(KeyError("planted")), "verify failed: KeyError: 'planted'", id="lock"),
        pytest.param(
            in_the_lock(UserError("planted, so mend it")), "[incomplete]: planted, so mend it", id="lock-user"
        ),
        pytest.param(in_serialize, "verify failed: TypeError: planted", id="serialize"),
        pytest.param(while_writing(RuntimeError("planted")), "verify failed: RuntimeError: planted", id="replace"),
        pytest.param(while_writing(OSError(28, "planted")), "[incomplete]: ", id="replace-full"),
        pytest.param(in_the_history, "verify failed: ValueError: planted", id="history"),
        pytest.param(in_the_historys_reader, "verify failed: ValueError: planted", id="history-reader"),
        pytest.param(in_the_view, "verify failed: IndexError: planted", id="view"),
        pytest.param(in_the_hosts_template, "verify failed: TypeError: ", id="template"),
        pytest.param(in_the_summary, "verify failed: LookupError: planted", id="summary"),
    ],
)
def test_in_what_is_made_of_one_host(lab: Lab, well: Done, plant: Plant, why: str) -> None:
    plant(lab.patch, lab.here)
    assert_only_one_is_unverified(lab.verify(), well, why)


def test_in_the_page_as_a_whole(lab: Lab) -> None:
    """Nobody can say which host it is of: none is called healthy."""

    def with_fault(*_: Any) -> Any:
        raise ZeroDivisionError("planted")

    lab.patch.setattr(page, "write", with_fault)
    done = lab.verify()
    assert done.code == 2
    assert "Traceback" not in done.screen
    for name in NAMES:
        assert "COULD NOT BE VERIFIED" in said_of(name, done.screen)
        assert done.results[name]["verdict"] == "unverified"
        assert name in done.junit
    assert done.junit.count("<failure") == len(NAMES)
    assert done.page == ""


def test_a_connection_that_raises_what_nobody_expects_is_lost_and_no_fault_of_verify(lab: Lab, well: Done) -> None:
    def with_fault(_: Question) -> Any:
        raise AssertionError("planted")

    lab.patch.setitem(macs._ANSWERING, AT, with_fault)
    done = lab.verify()
    assert done.code == 1
    assert "UNHEALTHY" in said_of(AT, done.screen)
    assert "unreachable: planted" in done.screen
    assert done.whole("mac-3") == well.whole("mac-3")


def test_a_run_that_is_interrupted(lab: Lab, well: Done) -> None:
    def interrupted(_: Question) -> Any:
        raise KeyboardInterrupt

    lab.patch.setitem(macs._ANSWERING, AT, interrupted)
    done = lab.verify()
    assert done.code == 2
    assert "HEALTHY" in said_of("mac-1", done.screen)
    assert done.whole("mac-1") == well.whole("mac-1")
    for name in ("mac-2", "mac-3"):
        assert "COULD NOT BE VERIFIED" in said_of(name, done.screen)
        assert done.results[name]["verdict"] == "unverified"
        assert "before everything was looked at" in json.dumps(done.results[name])
        assert name in done.junit
        assert f">{name}</a></h3>" in done.page


def test_a_fault_in_telling_an_answer_is_no_healthy_run(lab: Lab) -> None:
    plugin = __import__("verify.run.plugin", fromlist=["_tell"])
    lab.patch.setattr(plugin, "_tell", lab.here.planted(plugin._tell, RuntimeError("planted")))
    assert lab.verify(level="setup").code == 2

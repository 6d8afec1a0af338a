"""The health of one host: what is asked of it, for how long, and what is noted of verify's own failures."""

import functools
import json
import threading
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import testinfra

from tests.verify import macs, told
from tests.verify.macs import Mac, Question
from verify import documents
from verify.checks import health as health_module
from verify.checks import numbers, speed, stages
from verify.checks.framework import exact_operands
from verify.checks.health import HostHealth
from verify.checks.language_model import LENGTH, PROMPT, SUCCESSORS
from verify.checks.plan import Plan
from verify.errors import UserError
from verify.profile import model as profiles
from verify.results import files
from verify.results.model import INTERNAL, HostReport
from verify.target import remote

LOADED = profiles.load("ml-m1")


@pytest.fixture
def mac() -> Mac:
    return Mac(LOADED)


Checked = Callable[..., HostHealth]


@pytest.fixture
def checked(mac: Mac, monkeypatch: pytest.MonkeyPatch) -> Checked:
    """Checks the Mac, and gives its health; the last of the named checks is `internal`."""

    def check(
        level: str = "full",
        timeout_s: float | None = None,
        names: list[str] | None = None,
        answering: Any = None,
        said: list[str] | None = None,
    ) -> HostHealth:
        address = macs.connect(monkeypatch, {"mac-1": answering or functools.partial(macs.honest, mac)})
        (host,) = testinfra.get_hosts([address])
        plan = Plan(LOADED, level, ("mlx",), timeout_s, 48.0)
        found = HostHealth(host, "mac-1", plan, LOADED.lock, (said if said is not None else []).append)
        for name in names or stages.check_names(plan):
            found.check(name)
        return found

    return check


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """By the name of a probe or script: what it was asked, and for how many seconds."""
    found: dict[str, dict[str, Any]] = {}
    probe, ask = remote.probe, remote.ask

    def probing(host: Any, python: str, name: str, parameters: Any, environment: dict[str, str], seconds: float) -> Any:
        found[name] = {"python": python, "parameters": parameters, "environment": environment, "seconds": seconds}
        return probe(host, python, name, parameters, environment, seconds)

    def asking(host: Any, script: str, arguments: list[str], seconds: float) -> Any:
        found[script] = {"arguments": arguments, "seconds": seconds}
        return ask(host, script, arguments, seconds)

    monkeypatch.setattr(remote, "probe", probing)
    monkeypatch.setattr(remote, "ask", asking)
    return found


def test_what_the_environment_is_asked(checked: Checked, asked: dict[str, dict[str, Any]]) -> None:
    assert checked().report.verdict == "healthy"
    found = asked["environment"]
    packages = found["parameters"].pop("packages")
    assert packages == sorted(packages)
    assert {"numpy", "mlx"} < set(packages)
    assert found["parameters"] == {
        "prefix": macs.PREFIX,
        "everywhere": False,
        "content": True,
        "provider": "conda",
        "sets": ["base", *LOADED.frameworks_on(macs.PLATFORM)],
        "state": True,
        "terminal": macs.PREFIX,
        "conda": "/Users/me/miniforge3",
    }
    assert (found["python"], found["environment"]) == (f"{macs.PREFIX}/bin/python", {})


@pytest.mark.parametrize(
    ("level", "content", "state"), [("setup", False, False), ("quick", False, True), ("soak", True, True)]
)
def test_files_are_read_where_time_is_taken_and_the_state_where_something_runs(
    checked: Checked, asked: dict[str, dict[str, Any]], level: str, content: bool, state: bool
) -> None:
    checked(level)
    found = asked["environment"]["parameters"]
    assert (found["content"], found["state"]) == (content, state)


def test_a_machine_on_which_nobody_asked_for_a_shell_or_conda_is_not_asked_for_them(
    checked: Checked, asked: dict[str, dict[str, Any]], mac: Mac
) -> None:
    del mac.record["conda"], mac.record["homebrew"], mac.record["shell"]
    del mac.stages["environment"]["shell"]
    found = checked("setup").report
    assert {one.check for one in found.checks if one.result == "skip"} >= {"shell.login", "system.conda"}
    assert found.verdict == "healthy"
    parameters = asked["environment"]["parameters"]
    assert (parameters["terminal"], parameters["conda"], "system" in asked) == ("", "", False)


@pytest.mark.parametrize(("known", "yardstick"), [(True, False), (False, True)])
def test_what_a_framework_is_asked(
    checked: Checked, asked: dict[str, dict[str, Any]], mac: Mac, known: bool, yardstick: bool
) -> None:
    if not known:
        machine = mac.stages["environment"]["machine"]
        mac.stages["environment"]["machine"] = {**machine, "system": "Linux"}
    checked("soak")
    a, b = exact_operands()
    found = asked["mlx"]
    names = ["import", "device", "execute", "large", "numbers", "matmul", "bandwidth", "course", "training", "memory"]
    assert found["parameters"] == {
        "device": "gpu",
        "stages": [*names, "libraries", "sustained"],
        **{
            "a": a,
            "b": b,
            "large": (1024, 2048, 2048),
            "seed": 20241,
            "memory_bytes": 16 * 2**30,
            "yardstick": yardstick,
        },
        **{"successors": SUCCESSORS, "prompt": PROMPT, "length": LENGTH},
        **{"matmul_s": 20.0, "bandwidth_s": 2.0, "course_s": 10.0, "soak_s": 48.0, "window_s": 2.0},
    }
    # As in the activated environment: those of all sets.
    wanted = {key: one for name in LOADED.frameworks for key, one in LOADED.frameworks[name].environment.items()}
    assert found["environment"].items() >= wanted.items()


def test_every_question_has_its_time(
    checked: Checked, asked: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_module, "time", SimpleNamespace(monotonic=lambda: 100.0))
    checked("full")
    assert {name: one["seconds"] for name, one in asked.items()} == {
        **{"system": 60.0, "environment": 120.0},
        **{"mlx": 300.0, "coreml": 300.0},
    }
    checked("full", 7.0)
    assert {one["seconds"] for one in asked.values()} == {7.0}


@pytest.mark.parametrize(("cores", "at_once"), [(8, 4), (2, 2), (1, 1), (None, 1)])
def test_frameworks_are_asked_side_by_side_where_nothing_is_timed(
    mac: Mac, monkeypatch: pytest.MonkeyPatch, cores: int | None, at_once: int
) -> None:
    names = ("mlx", "jax", "pytorch", "tensorflow")
    mac.stages["environment"]["machine"] = {**told.MACHINE, "cores": cores}
    monkeypatch.setattr(health_module, "time", SimpleNamespace(monotonic=lambda: 100.0))
    together = threading.Barrier(at_once, timeout=60)
    asked: list[str] = []
    active: list[str] = []
    most: list[int] = []

    def answering(question: Question) -> Any:
        if question.probe in names:
            asked.append(question.probe)
            active.append(question.probe)
            most.append(len(active))
            # Each waits here for the others.
            together.wait()
            active.remove(question.probe)
        return macs.honest(mac, question)

    said: list[str] = []
    (host,) = testinfra.get_hosts([macs.connect(monkeypatch, {"mac-1": answering})])
    plan = Plan(LOADED, "quick", names, None, 5.0)
    found = HostHealth(host, "mac-1", plan, LOADED.lock, said.append)
    answers = [found.check(name) for name in stages.check_names(plan)]
    assert {one.result for one in answers} == {"pass"}
    assert sorted(asked) == sorted(names)
    assert max(most) == at_once
    assert said == ["mac-1: probing mlx, jax, pytorch, tensorflow, quick, at most 120 s"]


def test_what_takes_long_is_announced(checked: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "time", SimpleNamespace(monotonic=lambda: 100.0))
    said: list[str] = []
    checked("full", said=said)
    assert said == [
        "mac-1: probing mlx, full, at most 300 s",
        "mac-1: asking Core ML for its plan, at most 300 s",
    ]


def test_what_stands_in_the_way_of_all_that_follows_is_named(checked: Checked) -> None:
    def answering(question: Question) -> Any:
        raise ConnectionError(question)

    found = checked("quick", answering=answering)
    later = {one.message for one in found.report.checks if one.result == "skip"}
    assert later == {"not reached: environment.reachable failed", "not reached: the host is unreachable"}


def test_the_time_that_a_host_took_is_noted(checked: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [50.0]
    monkeypatch.setattr(health_module, "time", SimpleNamespace(monotonic=lambda: now[-1]))

    def answering(question: Question) -> Any:
        now.append(now[-1] + 1.23456)
        return macs.honest(Mac(LOADED), question)

    # One look, and Homebrew's and the environment's; before the first of them nothing is counted.
    found = checked("setup", answering=answering).report
    assert found.seconds == 3.704


def test_a_message_is_cut_where_it_gets_longer_than_a_result_may_hold(checked: Checked, mac: Mac) -> None:
    names = [f"{number:0100}" for number in range(30)]
    mac.record["homebrew"]["formulae"] = names
    mac.brought.update({f"formula:{name}": "missing" for name in names})
    (message,) = [one.message for one in checked("setup").report.checks if one.check == "system.formulae"]
    assert message == "; ".join(f"{name} is not installed" for name in names)[:2000]


def test_what_a_virtual_mac_cannot_show_is_a_warning_and_the_rest_is_judged(
    mac: Mac, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As GitHub's Macs are: everything runs there but MPS, which cannot allocate a few bytes."""
    environment = mac.stages["environment"]
    environment["machine"] = {**environment["machine"], "cpu": "Apple M1 (Virtual)"}
    said = {**environment["state"]["said"], "model": "VirtualMac2,1\n", "virtual": "1\n"}
    environment["state"] = {**environment["state"], "said": said}
    error = (
        "RuntimeError: MPS backend out of memory (MPS allocated: 0 bytes). Tried to allocate 256 bytes on shared pool."
    )

    def answering(question: Question) -> macs.Answer:
        if question.probe != "pytorch":
            return macs.honest(mac, question)
        found = told.records({"import": mac.found("pytorch", question.asked)["import"]})
        found.append({"stage": "device", "event": "start"})
        found.append({"stage": "device", "event": "error", "error": error, "trace": ""})
        said = {**macs.outcome({}), "records": [json.dumps(one) for one in found]}
        return macs.Answer(f"\n{question.nonce} {json.dumps(said)}\n".encode())

    def report() -> HostReport:
        address = macs.connect(monkeypatch, {"mac-1": answering})
        (host,) = testinfra.get_hosts([address])
        plan = Plan(LOADED, "quick", ("pytorch", "mlx"), None, 48.0)
        found = HostHealth(host, "mac-1", plan, LOADED.lock, print)
        for name in stages.check_names(plan):
            found.check(name)
        return found.report

    virtual = report()
    assert [one for one in virtual.checks if one.result == "fail"] == []
    assert (virtual.verdict, virtual.machine["virtual"]) == ("healthy", True)
    assert (virtual.frameworks["pytorch"].result, virtual.frameworks["mlx"].result) == ("warn", "pass")
    bad = {one.check: one.fault for one in virtual.checks if one.result in ("warn", "fail")}
    assert bad == {"pytorch.device": "virtual-limit"}
    documents.check(documents.parse(json.dumps(virtual.as_data())), files.SCHEMA)
    # The same answer of a Mac itself is a broken one.
    environment["state"] = {**environment["state"], "said": {**said, "virtual": "0\n"}}
    real = report()
    assert real.verdict == "unhealthy"
    assert {one.check: one.fault for one in real.checks if one.result == "fail"} == {"pytorch.device": "out-of-memory"}


def test_figures_are_a_share_of_the_chips_or_else_of_the_fastest_on_the_machine(checked: Checked, mac: Mac) -> None:
    found = checked().report
    assert found.yardstick == "chip"
    assert found.frameworks["mlx"].matmul[0].yardstick_tflops == pytest.approx(2.617, rel=1e-3)
    environment = mac.stages["environment"]
    environment["machine"] = {**environment["machine"], "cpu": "Apple M99"}
    unknown = checked().report
    assert unknown.yardstick is None
    assert unknown.frameworks["mlx"].matmul[0].yardstick_tflops is None
    environment["machine"] = {**environment["machine"], "system": "Linux"}
    mac.stages["framework"]["matmul"] = {**mac.stages["framework"]["matmul"], "numpy_tflops": 0.75}
    other = checked().report
    assert other.yardstick == "blas"
    assert other.frameworks["mlx"].matmul[0].yardstick_tflops == 0.75


def test_of_what_was_not_asked_for_nothing_is_claimed(checked: Checked) -> None:
    wanted = stages.check_names(Plan(LOADED, "setup", ("mlx",), None, 5.0))
    found = checked("setup", names=[wanted[0], wanted[3], INTERNAL]).report
    assert found.checks[-1].message == f"{len(wanted) - 3} of {len(wanted) - 1} checks were left out"
    assert found.verdict == "unverified"


def noted(checked: Checked, error: Exception) -> str:
    found = checked("setup")
    found.note(error)
    found.settle()
    assert found.report.verdict == "unverified"
    return found.report.checks[-1].message


def raised(function: Callable[[], Any]) -> Exception:
    try:
        function()
    except Exception as error:
        return error
    raise AssertionError


def test_a_failure_of_verify_is_told_with_its_place_in_verify(checked: Checked) -> None:
    # The innermost one, whoever called it and whatever it called.
    case = {"case": "sum", "dtype": "float32", "k": 1, "unit": "metres"}
    error = raised(lambda: numbers.cases([case]))
    line = traceback.extract_tb(error.__traceback__)[-1].lineno
    assert noted(checked, error) == f"verify failed: KeyError: 'metres' (tolerance.py, line {line})"
    assert "(speed.py, line " in noted(checked, raised(lambda: speed.quartiles([])))
    assert "(test_health.py, line " in noted(checked, raised(lambda: 1 // 0))
    assert noted(checked, KeyError("x")) == "verify failed: KeyError: 'x' (an unknown place)"
    assert noted(checked, ValueError("a\n  b " + "c" * 400)) == (
        f"verify failed: ValueError: a b {'c' * 296} (an unknown place)"
    )
    assert noted(checked, UserError("so mend it")) == "so mend it"

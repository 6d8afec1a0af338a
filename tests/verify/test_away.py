"""A machine that goes away in the middle, or whose answers are cut off: named, and never a healthy verdict."""

from collections.abc import Iterable
from concurrent.futures import wait
from typing import Any

import pytest
import testinfra
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from tests.verify.conftest import Machine
from tests.verify.macs import question
from verify.checks.health import HostHealth
from verify.checks.plan import Plan
from verify.checks.stages import check_names
from verify.target.remote import ENVIRONMENT, LOOK


class Leaving:
    """A connection to this machine which breaks when certain probes are asked, as testinfra's ssh does it: with an
    exception."""

    def __init__(self, host: Host, probes: Iterable[str]) -> None:
        self.backend = host.backend
        self._host = host
        self._probes = frozenset(probes)
        self.asked: list[str] = []

    def run(self, command: str, *arguments: str) -> CommandResult:
        probe = question(arguments).probe
        self.asked.append(probe)
        return self.answer(probe in self._probes, command, *arguments)

    def answer(self, bad: bool, command: str, *arguments: str) -> CommandResult:
        if bad:
            refused = CommandResult(
                self.backend, 255, b"ssh", b"", b"banner\nclient_loop: send disconnect: Broken pipe\n"
            )
            raise RuntimeError(refused)
        return self._host.run(command, *arguments)


class Cutting(Leaving):
    """A connection that loses the second half of what certain probes write."""

    def answer(self, bad: bool, command: str, *arguments: str) -> CommandResult:
        done = self._host.run(command, *arguments)
        if not bad:
            return done
        output = done.stdout_bytes
        return CommandResult(self.backend, done.rc, b"", output[: len(output) // 2], b"")


@pytest.fixture
def away(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HOME", str(machine.home))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)

    def run(*probes: str, kind: type[Leaving] = Leaving) -> tuple[HostHealth, Leaving]:
        host = kind(testinfra.get_host("local://"), probes)
        plan = Plan(machine.profile, "quick", None, 30.0, 5.0)
        health = HostHealth(host, "lab-1", plan, machine.profile.lock, lambda _: None)
        for check in check_names(plan):
            health.check(check)
        # What was asked ahead may be wanted by nobody; it does not outlive the test.
        wait(health._ahead.values())
        return health, host

    return run


def bad(health: HostHealth) -> list[tuple[str, str, str]]:
    return [(one.check, one.result, one.fault) for one in health.report.checks if one.result in ("warn", "fail")]


def test_before_the_environment_was_looked_at(away: Any, machine: Machine) -> None:
    first = machine.profile.frameworks_on(machine.platform)[0]
    health, host = away(ENVIRONMENT, first)
    assert bad(health) == [("environment.python", "fail", "connection-lost")]
    # One framework beside the environment, and no other after it.
    assert sorted(host.asked) == sorted([LOOK, ENVIRONMENT, first])
    assert health.report.verdict == "unhealthy"


def test_while_the_frameworks_were_probed(away: Any, machine: Machine) -> None:
    names = machine.profile.frameworks_on(machine.platform)
    health, host = away(*names)
    # All are asked before one is judged. The first that is judged stands for all: the machine is not what it was, also
    # where the framework is an optional one.
    assert sorted(host.asked) == sorted([LOOK, ENVIRONMENT, *names])
    assert bad(health) == [(f"{names[0]}.import", "fail", "connection-lost")]
    assert health.report.verdict == "unhealthy"
    message = next(one.message for one in health.report.checks if one.fault)
    assert message.endswith("client_loop: send disconnect: Broken pipe")
    later = [one for one in health.report.checks if one.check.split(".")[0] in names[1:]]
    assert {one.message for one in later} == {"not reached: the connection broke before"}


def test_answers_that_are_cut_off(away: Any, machine: Machine) -> None:
    names = machine.profile.frameworks_on(machine.platform)
    assert bad(away(ENVIRONMENT, kind=Cutting)[0]) == [("environment.python", "fail", "malformed")]
    health, _ = away(*names, kind=Cutting)
    found = {check: fault for check, _, fault in bad(health)}
    assert found == {f"{name}.import": "malformed" for name in names}
    assert health.report.verdict == "unhealthy"


def test_a_machine_that_stays_is_healthy(away: Any) -> None:
    health, _ = away()
    assert bad(health) == []
    assert health.report.verdict == "healthy"

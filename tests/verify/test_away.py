"""A machine that goes away in the middle, or whose answers are cut off: named, and never a healthy verdict."""

from typing import Any

import pytest
import testinfra
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from tests.verify.conftest import Machine
from verify.checks.health import HostHealth
from verify.checks.plan import Plan
from verify.checks.stages import check_names


class Leaving:
    """A connection to this machine which breaks at the nth command, as testinfra's ssh does it: with an exception."""

    def __init__(self, host: Host, commands: int) -> None:
        self.backend = host.backend
        self._host = host
        self.left = commands
        self.asked = 0

    def run(self, command: str, *arguments: str) -> CommandResult:
        self.asked += 1
        if self.left == 0:
            refused = CommandResult(
                self.backend, 255, b"ssh", b"", b"banner\nclient_loop: send disconnect: Broken pipe\n"
            )
            raise RuntimeError(refused)
        self.left -= 1
        return self._host.run(command, *arguments)


class Cutting(Leaving):
    """A connection that loses the second half of what the nth command and those after it write."""

    def run(self, command: str, *arguments: str) -> CommandResult:
        self.asked += 1
        done = self._host.run(command, *arguments)
        if self.asked <= self.left:
            return done
        output = done.stdout_bytes
        return CommandResult(self.backend, done.rc, b"", output[: len(output) // 2], b"")


@pytest.fixture
def away(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HOME", str(machine.home))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)

    def run(commands: int, kind: type[Leaving] = Leaving) -> tuple[HostHealth, Leaving]:
        host = kind(testinfra.get_host("local://"), commands)
        plan = Plan(machine.profile, "quick", None, 30.0, 5.0)
        health = HostHealth(host, "lab-1", plan, machine.profile.lock, lambda _: None)
        for check in check_names(plan):
            health.check(check)
        return health, host

    return run


def bad(health: HostHealth) -> list[tuple[str, str, str]]:
    return [(one.check, one.result, one.fault) for one in health.report.checks if one.result in ("warn", "fail")]


def test_before_the_environment_was_looked_at(away: Any) -> None:
    health, host = away(1)
    assert bad(health) == [("environment.python", "fail", "connection-lost")]
    assert host.asked == 2
    assert health.report.verdict == "unhealthy"


def test_while_the_frameworks_were_probed(away: Any, machine: Machine) -> None:
    names = machine.profile.frameworks_on(machine.platform)
    health, host = away(2)
    # All are asked before one is judged. The first that is judged stands for all: the machine is not what it was, also
    # where the framework is an optional one.
    assert host.asked == 2 + len(names)
    assert bad(health) == [(f"{names[0]}.import", "fail", "connection-lost")]
    assert health.report.verdict == "unhealthy"
    message = next(one.message for one in health.report.checks if one.fault)
    assert message.endswith("client_loop: send disconnect: Broken pipe")
    later = [one for one in health.report.checks if one.check.split(".")[0] in names[1:]]
    assert {one.message for one in later} == {"not reached: the connection broke before"}


def test_answers_that_are_cut_off(away: Any, machine: Machine) -> None:
    assert bad(away(1, Cutting)[0]) == [("environment.python", "fail", "malformed")]
    health, _ = away(2, Cutting)
    found = {check: fault for check, _, fault in bad(health)}
    assert found == {f"{name}.import": "malformed" for name in machine.profile.frameworks_on(machine.platform)}
    assert health.report.verdict == "unhealthy"


def test_a_machine_that_stays_is_healthy(away: Any) -> None:
    health, _ = away(100)
    assert bad(health) == []
    assert health.report.verdict == "healthy"

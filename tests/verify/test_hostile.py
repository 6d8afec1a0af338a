"""Hosts that lie, among two that do not: each is named and judged, and nothing of it is a fault of verify.

Thousands of answers, at every level of the protocol, go through everything that a run does in this process.
"""

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import testinfra

from tests.verify import macs
from tests.verify.hostile import FRAMEWORK_ASKED, Hostile
from tests.verify.macs import Mac
from verify.checks import stages
from verify.checks.plan import FULL, QUICK, SETUP, SOAK, Plan
from verify.profile import model as profiles
from verify.report import language, page
from verify.results import files
from verify.results.model import HostReport
from verify.run.run import Run
from verify.run.settings import Settings
from verify.target.remote import COREML, FRAMEWORK

ROUNDS, HOSTS = 100, 50
"""Runs, and hostile hosts in each."""
FIRST, LAST = "mac-0", "mac-z"
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.fixture(scope="module")
def mac() -> Mac:
    return Mac(profiles.load("ml-m1"))


class Fleet:
    """A run in this process over hosts that answer as told, as `python -m verify` makes it."""

    def __init__(self, folder: Path, mac: Mac, hosts: str, level: str) -> None:
        plan = Plan(mac.profile, level, (FRAMEWORK_ASKED,), None, 5.0)
        found = testinfra.get_hosts(hosts.split(","))
        self.run = Run(Settings(plan, found, folder, language.choose("en")), lambda _: None)
        self.run.begin()
        self.reports: dict[str, HostReport] = {}
        names = stages.check_names(plan.candidates, level)
        for host in found:
            health = self.run.health(host)
            for name in names:
                health.check(name)
            self.run.close(health)
            self.reports[health.report.host] = health.report
        self.told = list(self.run.end(page_wanted=True))


def wrong_with(report: HostReport, hostile: Hostile, screen: str, shown: str, folder: Path) -> Iterator[str]:
    """What must not be, of a hostile host."""
    if (internal := report.checks[-1]).result != "pass":
        yield internal.message
    if any(not one.message.strip() for one in report.checks):
        yield "an answer without a message"
    asked = {one.name for one in stages.TABLE if one.probe in (hostile.probe, FRAMEWORK) and report.level in one.levels}
    counts = hostile.probe != COREML and (hostile.unfit in ("*", "record") or hostile.unfit in asked)
    if counts and report.verdict == "healthy":
        yield f"healthy, though what it says of {hostile.unfit} is malformed"
    # That it can be read back is seen on the page.
    stored = json.loads((folder / files.file_name(report.host)).read_text(encoding="utf-8"))
    if stored["verdict"] != report.verdict:
        yield "its file says something else"
    if report.host not in screen or f">{report.host}</a></h3>" not in shown:
        yield "it is not named"


@pytest.mark.parametrize("number", range(ROUNDS))
def test_each_is_judged_and_nothing_is_a_fault_of_verify(
    number: int, mac: Mac, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    level = (SOAK, SETUP, QUICK, FULL)[number % 4]
    seeds = range(1 + number * HOSTS, 1 + (number + 1) * HOSTS)
    hostile = {f"mac-{seed}": Hostile(mac, seed, level) for seed in seeds}
    honest = functools.partial(macs.honest, mac)
    hosts = macs.connect(monkeypatch, {FIRST: honest, **hostile, LAST: honest})
    fleet = Fleet(tmp_path, mac, hosts, level)
    screen, shown = fleet.run.summary(colour=False), (tmp_path / page.FILE).read_text(encoding="utf-8")
    wrong = {
        name: found
        for name, one in hostile.items()
        if (found := list(wrong_with(fleet.reports[name], one, screen, shown, tmp_path)))
    }
    assert wrong == {}
    assert fleet.told == []
    assert 'id="refused"' not in shown
    assert fleet.run.exit_code == 1
    assert not STEERING.search(screen)
    assert not STEERING.search(shown)
    for name in (FIRST, LAST):
        assert fleet.reports[name].verdict == "healthy"
        assert {one.result for one in fleet.reports[name].checks} == {"pass"}

"""Hosts that lie, among two that do not: each is named and judged, and nothing of it is a fault of verify.

Thousands of answers, at every level of the protocol, go through everything that a run does in this process.
"""

import copy
import functools
import json
import os
import re
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
import testinfra

from tests.verify import macs, told
from tests.verify.hostile import FRAMEWORK_ASKED, Hostile
from tests.verify.macs import Mac
from verify import documents
from verify.checks import stages
from verify.checks.plan import FULL, QUICK, SETUP, SOAK, Plan
from verify.documents import MalformedError
from verify.profile import model as profiles
from verify.report import language, page
from verify.results import files
from verify.results.model import HostReport
from verify.run.run import Run
from verify.run.settings import Settings
from verify.target import remote
from verify.target.answers import SCHEMA
from verify.target.remote import COREML, ENVIRONMENT, FRAMEWORK, SYSTEM

ROUNDS, HOSTS = 100, 50
"""Runs, and hostile hosts in each."""
FIRST, LAST = "mac-0", "mac-z"
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.fixture(scope="module")
def mac() -> Mac:
    return Mac(profiles.load("ml-m1"))


class Fleet:
    """A run in this process over hosts that answer as told, as `python -m verify` makes it."""

    def __init__(
        self, folder: Path, mac: Mac, hosts: str, level: str, frameworks: tuple[str, ...] | None = (FRAMEWORK_ASKED,)
    ) -> None:
        plan = Plan(mac.profile, level, frameworks, None, 5.0)
        found = testinfra.get_hosts(hosts.split(","))
        self.run = Run(Settings(plan, found, folder, language.choose("en")), lambda _: None)
        self.run.begin()
        self.reports: dict[str, HostReport] = {}
        names = stages.check_names(plan)
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
    stored = json.loads((folder / files.file_name(report.host, report.profile)).read_text(encoding="utf-8"))
    if stored["verdict"] != report.verdict:
        yield "its file says something else"
    if report.host not in screen or f">{report.host}</a></h3>" not in shown:
        yield "it is not named"


@pytest.mark.parametrize("number", range(ROUNDS))
def test_each_is_judged_and_nothing_is_a_fault_of_verify(
    number: int, mac: Mac, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    level = (SOAK, SETUP, QUICK, FULL, SETUP, QUICK)[number % 6]
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


FLOODS = {
    "endless": "cat /dev/zero",
    "endless lines": "yes 'evil'",
    "endless on stderr": "cat /dev/zero >&2",
    "100 MB": "head -c 100000000 /dev/zero",
    "binary": "head -c 100000 /dev/urandom",
    "binary on stderr": "head -c 100000 /dev/urandom >&2; exit 3",
    "nothing": ":",
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_is_ended_in_bounded_memory_and_told(
    flood: str, mac: Mac, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here real processes write, at every step at which a machine is asked."""
    host = testinfra.get_host("local://")
    too_much = flood.startswith(("endless", "100"))
    # Another test's helpers may be there.
    children = Path("/proc/self/task") / str(os.getpid()) / "children"
    before = children.read_text(encoding="utf-8")
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    monkeypatch.setattr(remote, "_LOOK", FLOODS[flood])
    monkeypatch.setattr(remote, "_SUPERVISE", FLOODS[flood])
    (tmp_path / "system.sh").write_text(FLOODS[flood], encoding="utf-8")
    asked = [
        remote.look(host, mac.profile.name),
        remote.probe(host, "/bin/sh", FRAMEWORK_ASKED, {}, {}, 30.0),
        remote.probe(host, "/bin/sh", ENVIRONMENT, {}, {}, 30.0),
    ]
    monkeypatch.setattr(remote, "PROBES", tmp_path)
    asked.append(remote.ask(host, SYSTEM, [], 30.0))
    for outcome, ended in zip(asked, ("unreachable", "no-answer", "no-answer", "no-answer"), strict=True):
        assert (outcome.ended, outcome.reports) == ("malformed" if too_much else ended, {})
        assert outcome.evidence
        assert not STEERING.search(outcome.evidence)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held < 100_000
    assert set(children.read_text(encoding="utf-8").split()) <= set(before.split())


def test_the_most_that_frameworks_may_say_leaves_a_result_that_can_be_read(
    mac: Mac, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = copy.deepcopy(mac)
    stages_ = large.stages[FRAMEWORK]
    long, name, longest = "\N{GRINNING FACE}" * 1000, "\N{GRINNING FACE}" * 200, 0.0001234567890123456
    product = {**told.PRODUCT, "samples": [longest] * 1000}
    stages_["device"] = {**stages_["device"], "settings": {f"{number:03}{name[3:]}": long for number in range(30)}}
    stages_["numbers"] = {"cases": [{**told.CASE, "case": name, "error": None, "said": long[:400]}] * 99 + [told.CASE]}
    stages_["matmul"] = {**stages_["matmul"], "products": [product] * 24}
    stages_["bandwidth"] = {**stages_["bandwidth"], "samples": [longest] * 1000}
    stages_["training"] = {"seed": 1, "losses": [1.0] + [longest] * 1999, "cpu_losses": [1.0] + [longest] * 1999}
    stages_["sustained"] = {**stages_["sustained"], "windows": [{"products": 99, "seconds": 2.000000000001}] * 1000}
    large.stages[ENVIRONMENT]["packages"]["problems"] = {
        one: {"count": 5, "altered": 1, "first": [long * 20] * 5}
        for one in ("numpy", "tensorflow", "torch", "jax", "mlx")
    }
    hosts = macs.connect(monkeypatch, {FIRST: functools.partial(macs.honest, large)})
    fleet = Fleet(tmp_path, large, hosts, SOAK, frameworks=None)
    assert fleet.told == []
    assert [one.check for one in fleet.reports[FIRST].checks if one.fault in ("malformed", "internal")] == []
    path = tmp_path / files.file_name(FIRST, mac.profile.name)
    assert documents.MAX_BYTES / 2 < path.stat().st_size < documents.MAX_BYTES
    assert files.load(path).data["frameworks"].keys() == set(mac.profile.frameworks)
    # One more of anything is not taken.
    for stage, part in (("numbers", "cases"), ("matmul", "products"), ("training", "losses"), ("sustained", "windows")):
        found = copy.deepcopy(stages_[stage])
        found[part].append(found[part][-1])
        with pytest.raises(MalformedError):
            documents.check(found, SCHEMA, f"framework.{stage}")

"""A Python for Intel on an Apple-silicon Mac: named as what it is, whether Rosetta runs it or uname lies."""

import pytest

from tests.verify import told
from verify.checks.environment import EnvironmentJudge
from verify.profile import model as profiles
from verify.results.model import CheckResult, HostReport
from verify.target.record import Record

PLATFORM = "darwin-arm64"


def judge(*, translated: bool, machine: str) -> list[CheckResult]:
    loaded = profiles.load("ml-m1")
    version, prefix = f"{loaded.python}.9", "/Users/a/env"
    seen = {
        "machine": {
            "system": "Darwin",
            "machine": machine,
            "os_version": "15.5",
            "cpu": "Apple M1",
            "cores": 8,
            "memory_bytes": 8 << 30,
            "translated": translated,
        },
        "python": {
            "version": version,
            "machine": machine,
            "translated": translated,
            "prefix": prefix,
            "wanted_prefix": prefix,
        },
    }
    report = HostReport("mac", "mac", "ml-m1", "setup", "2026-11-21T00:00:00Z")
    subject = EnvironmentJudge(loaded, Record("ml-m1", "uv", prefix, (), ""), PLATFORM, {}, report)
    answer = told.outcome("environment", told.records(seen))
    found = told.judged("environment", subject, answer, level="setup", set=["base"])
    return [one for one in found if one.check in ("environment.platform", "environment.python")][::-1]


@pytest.mark.parametrize(
    ("translated", "machine", "expected"),
    [
        (False, "arm64", ["", ""]),
        # The one cause is named once: what Rosetta runs says x86_64 of itself.
        (True, "x86_64", ["translated", ""]),
        (False, "x86_64", ["", "wrong-python"]),
    ],
)
def test_an_intel_python_is_told(translated: bool, machine: str, expected: list[str]) -> None:
    found = judge(translated=translated, machine=machine)
    assert [one.fault for one in found] == expected
    assert [one.result for one in found] == ["fail" if fault else "pass" for fault in expected]
    assert all(one.advice for one in found if one.fault)

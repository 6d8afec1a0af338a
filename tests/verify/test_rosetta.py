"""A Python for Intel on an Apple-silicon Mac: named as what it is, whether Rosetta runs it or uname lies."""

import pytest

from verify.checks.environment import EnvironmentJudge
from verify.profile import model as profiles
from verify.results.model import CheckResult
from verify.target.record import Record
from verify.target.remote import Outcome

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
        "python": {"version": version, "machine": machine, "prefix": prefix, "wanted_prefix": prefix},
    }
    records = [{"stage": stage, "event": "end", "seconds": 0.1, "data": data} for stage, data in seen.items()]
    judged = EnvironmentJudge(loaded, Record("uv", prefix, (), ""), PLATFORM, {})
    found = judged.judge(Outcome(records, "exit", 0, "", "", 1.0))
    return [one for one in found if one.check in ("environment.platform", "environment.python")]


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

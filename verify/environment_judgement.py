"""What the environment's probe saw, judged against the profile and its lock."""

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from packaging.version import InvalidVersion, Version

from verify.advice import ADVICE
from verify.profile import Profile
from verify.record import Record
from verify.remote import Outcome
from verify.results import CheckResult

PREFIX = "environment"
# Check to the probe's stage that it rests on, in the order in which they are reported.
_STAGES = {
    "platform": "machine",
    "python": "python",
    "versions": "packages",
    "integrity": "packages",
    "variables": "variables",
    "shell": "shell",
}
FIRST = ("reachable", "record")
"""Checks that the first look at a target answers, before any probe runs."""
CHECKS = [f"{PREFIX}.{name}" for name in (*FIRST, *_STAGES)]
_NAMED = 5
_BROKEN = {
    "timeout": ("hang", "the probe did not end in time"),
    "signal": ("crash", "the environment's Python was killed by {signal}"),
    "exit": ("no-answer", "the environment's Python ended early, exit code {status}"),
    "no-answer": ("no-answer", "the environment's Python did not answer"),
}


def skip_after(check: str, reason: str) -> list[CheckResult]:
    """All checks of the environment that come after one, skipped for one reason."""
    start = CHECKS.index(check) + 1
    return [CheckResult(name, "skip", reason) for name in CHECKS[start:]]


class EnvironmentJudge:
    """Judges the environment's probe.

    Args:
        profile: what the machine must be.
        record: what the target says it has.
        platform: the target's, known to the profile.
        versions: locked version by canonical package name, of the record's sets.
    """

    def __init__(self, profile: Profile, record: Record, platform: str, versions: dict[str, str]) -> None:
        self._profile = profile
        self._record = record
        self._platform = platform
        self._versions = versions

    def judge(self, outcome: Outcome) -> list[CheckResult]:
        """The results of the checks that rest on the probe, in their order."""
        judges: dict[str, Callable[[dict[str, Any]], CheckResult]] = {
            "platform": self._machine,
            "python": self._python,
            "versions": self._installed,
            "integrity": self._integrity,
            "variables": self._variables,
            "shell": self._shell,
        }
        found: list[CheckResult] = []
        broken = ""
        for check, stage in _STAGES.items():
            if stage == "shell" and not self._record.shell:
                found.append(_skip(check, "no shell file was set up on this machine (the record names none)"))
                continue
            if broken:
                found.append(_skip(check, f"not reached: {broken} failed"))
                continue
            records = {one.get("event"): one for one in outcome.records if one["stage"] == stage}
            if "end" in records:
                try:
                    found.append(judges[check](records["end"]["data"]))
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    found.append(_fail(check, "malformed", f"the probe's report makes no sense ({error!r})"))
                continue
            broken = f"{PREFIX}.{check}"
            found.append(self._cut_short(check, records, outcome))
        return found

    def _cut_short(self, check: str, records: dict[Any, dict[str, Any]], outcome: Outcome) -> CheckResult:
        if "error" in records:
            return _fail(check, "exception", str(records["error"].get("error")))
        fault, text = _BROKEN[outcome.ended]
        message = text.format(signal=outcome.signal, status=outcome.status)
        return _fail(check, fault, f"{message}: {outcome.evidence.strip()[-600:] or 'nothing was written'}")

    def _machine(self, data: dict[str, Any]) -> CheckResult:
        text = f"{self._platform}, {data['system']} {data['os_version']}, {data['cpu']}"
        if data["translated"]:
            return _fail("platform", "translated", "Rosetta translates the environment's Python")
        floor = self._profile.platform(self._platform).macos_floor
        if floor and _older(str(data["os_version"]), floor):
            return _fail("platform", "too-old", f"macOS {data['os_version']}, needed is {floor}")
        return _pass("platform", text)

    def _python(self, data: dict[str, Any]) -> CheckResult:
        version, wanted = str(data["version"]), self._profile.python
        if not version.startswith(f"{wanted}."):
            return _fail("python", "wrong-python", f"Python {version} instead of {wanted}")
        if data["prefix"] != data["wanted_prefix"]:
            message = f"its Python belongs to {data['prefix']}, not to {data['wanted_prefix']}"
            return _fail("python", "wrong-python", message)
        return _pass("python", f"Python {version} in {self._record.prefix}")

    def _installed(self, data: dict[str, Any]) -> CheckResult:
        wrong = []
        for name, version in sorted(self._versions.items()):
            found = data["installed"].get(name, [])
            if not found:
                wrong.append(f"{name} {version} is missing")
            elif len(found) > 1:
                wrong.append(f"{name} is there {len(found)} times ({', '.join(found)}), locked is {version}")
            elif not _same(found[0], version):
                wrong.append(f"{name} is {found[0]}, locked is {version}")
        if wrong:
            return _fail("versions", "wrong-versions", _some(wrong, len(wrong)))
        return _pass("versions", f"{len(self._versions)} packages, all as locked")

    def _integrity(self, data: dict[str, Any]) -> CheckResult:
        if data["problem_count"]:
            message = _some(list(data["problems"]), int(data["problem_count"]))
            return _fail("integrity", "damaged", message)
        return _pass("integrity", f"{data['file_count']} files, all there in their recorded size")

    def _variables(self, data: dict[str, Any]) -> CheckResult:
        wrong = []
        for name in self._record.sets:
            wanted = self._profile.package_set(name).environment
            shared = "" in data["stored"]
            stored = data["stored"].get("" if shared else name, {})
            wrong += [
                f"{key} is {stored.get(key, 'not set')!r} instead of {value!r}"
                for key, value in wanted.items()
                if stored.get(key) != value
            ]
            # A user's own variables share conda's file; the files of our own sets hold what the profile says only.
            wrong += [
                f"{key} is stored for {name}, but not in the profile"
                for key in stored
                if not shared and key not in wanted
            ]
        if wrong:
            return _fail("variables", "wrong-variables", _some(wrong, len(wrong)))
        return _pass("variables", "stored as the profile says")

    def _shell(self, data: dict[str, Any]) -> CheckResult:
        wanted = str(PurePosixPath(self._record.prefix) / "bin")
        if data["error"]:
            message = f"a new {data['shell']} did not tell its Python: {data['error']}"
        elif str(PurePosixPath(data["python"]).parent) != wanted:
            message = f"a new {data['shell']} takes {data['python'] or 'no Python'}, not that of {wanted}"
        else:
            return _pass("shell", f"a new {data['shell']} takes {data['python']}")
        return _fail("shell", "not-on-path", message)


def _older(version: str, floor: str) -> bool:
    try:
        return Version(version) < Version(floor)
    except InvalidVersion:
        return True


def _same(found: str, wanted: str) -> bool:
    try:
        return Version(found) == Version(wanted)
    except InvalidVersion:
        return found == wanted


def _some(problems: list[str], count: int) -> str:
    shown = "; ".join(problems[:_NAMED])
    return shown if count <= _NAMED else f"{shown}; and {count - _NAMED} more"


def _pass(check: str, message: str) -> CheckResult:
    return CheckResult(f"{PREFIX}.{check}", "pass", message)


def _skip(check: str, reason: str) -> CheckResult:
    return CheckResult(f"{PREFIX}.{check}", "skip", reason)


def _fail(check: str, fault: str, message: str) -> CheckResult:
    return CheckResult(f"{PREFIX}.{check}", "fail", message, ADVICE[fault], fault)

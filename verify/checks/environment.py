"""What the environment's probe saw, judged against the profile, its lock and the record."""

from typing import Any

from packaging.version import InvalidVersion, Version

from verify.checks import packages as packages_judgement
from verify.checks import shell as shell_judgement
from verify.checks.advice import failed
from verify.checks.packages import Share
from verify.profile.model import Profile
from verify.results.model import CheckResult
from verify.target.record import Record
from verify.target.remote import Outcome

PREFIX = "environment"
FIRST = [f"{PREFIX}.reachable", f"{PREFIX}.record"]
"""Checks that the first look at a target answers, before any probe runs."""
_NAMED = 5
_BROKEN = {
    "timeout": ("hang", "the probe did not end in time"),
    "signal": ("crash", "the environment's Python was killed by {signal}"),
    "exit": ("no-answer", "the environment's Python ended early, exit code {status}"),
    "no-answer": ("no-answer", "the environment's Python did not answer"),
    "malformed": ("malformed", "the environment's Python gave an answer that cannot be read"),
    "lost": ("connection-lost", "the connection broke while the environment was looked at"),
}


def stages(sets: list[str]) -> dict[str, list[str]]:
    """The checks that rest on each stage of the probe, both in their order.

    Args:
        sets: names of the frameworks whose packages are looked at.
    """
    return {
        "machine": [f"{PREFIX}.platform"],
        "python": [f"{PREFIX}.python"],
        "packages": packages_judgement.check_names(sets),
        "variables": [f"{PREFIX}.variables"],
        "shell": shell_judgement.CHECKS,
    }


class EnvironmentJudge:
    """Judges the environment's probe.

    Args:
        profile: what the machine must be.
        record: what the target says it has.
        platform: the target's, known to the profile.
        shares: the locked packages, by package set.
    """

    def __init__(self, profile: Profile, record: Record, platform: str, shares: dict[str, Share]) -> None:
        self._profile = profile
        self._record = record
        self._platform = platform
        self._shares = shares
        self._translated = False

    def judge(self, outcome: Outcome) -> list[CheckResult]:
        """The results of the checks that rest on the probe, in their order."""
        found: list[CheckResult] = []
        broken = ""
        if not outcome.records:
            # Its Python did not even begin.
            broken = f"{PREFIX}.python"
        frameworks = [name for name in self._shares if name in self._profile.frameworks]
        for stage, checks in stages(frameworks).items():
            if stage == "shell" and all(shell_judgement.wanted(self._record).values()):
                found.extend(shell_judgement.judge(self._record, {}))
                continue
            if broken:
                found.extend(
                    self._cut_short(check, {}, outcome)
                    if check == broken
                    else CheckResult(check, "skip", f"not reached: {broken} failed")
                    for check in checks
                )
                continue
            results = self._stage(stage, checks[0], outcome)
            answered = {one.check for one in results}
            found.extend(results)
            missing = [check for check in checks if check not in answered]
            found.extend(CheckResult(check, "skip", f"not reached: {checks[0]} failed") for check in missing)
            if not any(one["stage"] == stage and one.get("event") == "end" for one in outcome.records):
                broken = checks[0]
        return found

    def _stage(self, stage: str, first: str, outcome: Outcome) -> list[CheckResult]:
        records = {one.get("event"): one for one in outcome.records if one["stage"] == stage}
        if "end" not in records:
            return [self._cut_short(first, records, outcome)]
        try:
            return self._judge_stage(stage, records["end"]["data"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return [failed(first, "malformed", f"the probe's report makes no sense ({error!r})")]

    def _judge_stage(self, stage: str, data: dict[str, Any]) -> list[CheckResult]:
        if stage == "packages":
            return [packages_judgement.judge(name, share, data) for name, share in self._shares.items()]
        if stage == "shell":
            return shell_judgement.judge(self._record, data)
        judges = {"machine": self._machine, "python": self._python, "variables": self._variables}
        return [judges[stage](data)]

    def _cut_short(self, check: str, records: dict[Any, dict[str, Any]], outcome: Outcome) -> CheckResult:
        if "error" in records:
            return failed(check, "exception", str(records["error"].get("error")))
        fault, text = _BROKEN[outcome.ended]
        message = text.format(signal=outcome.signal, status=outcome.status)
        return failed(check, fault, f"{message}: {outcome.evidence.strip()[-600:] or 'nothing was written'}")

    def _machine(self, data: dict[str, Any]) -> CheckResult:
        check = f"{PREFIX}.platform"
        text = f"{self._platform}, {data['system']} {data['os_version']}, {data['cpu']}"
        self._translated = bool(data["translated"])
        if self._translated:
            return failed(check, "translated", "Rosetta translates the environment's Python")
        floor = self._profile.platform(self._platform).macos_floor
        if floor and _older(str(data["os_version"]), floor):
            return failed(check, "too-old", f"macOS {data['os_version']}, needed is {floor}")
        return CheckResult(check, "pass", text)

    def _python(self, data: dict[str, Any]) -> CheckResult:
        check = f"{PREFIX}.python"
        version, wanted = str(data["version"]), self._profile.python
        machine = self._platform.partition("-")[2]
        if not version.startswith(f"{wanted}."):
            return failed(check, "wrong-python", f"Python {version} instead of {wanted}")
        if data["machine"] != machine and not self._translated:
            return failed(check, "wrong-python", f"a Python for {data['machine']} on {machine}")
        if data["prefix"] != data["wanted_prefix"]:
            message = f"its Python belongs to {data['prefix']}, not to {data['wanted_prefix']}"
            return failed(check, "wrong-python", message)
        return CheckResult(check, "pass", f"Python {version} for {machine} in {self._record.prefix}")

    def _variables(self, data: dict[str, Any]) -> CheckResult:
        check = f"{PREFIX}.variables"
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
            more = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
            return failed(check, "wrong-variables", "; ".join(wrong[:_NAMED]) + more)
        return CheckResult(check, "pass", "stored as the profile says")


def _older(version: str, floor: str) -> bool:
    try:
        return Version(version) < Version(floor)
    except InvalidVersion:
        return True

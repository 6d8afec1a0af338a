"""The health of one host: runs each probe once, when its first check is asked for, and keeps the answers."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from testinfra.host import Host

from verify import environment_judgement as environment
from verify import judgement, remote
from verify.advice import ADVICE
from verify.environment_judgement import PREFIX, EnvironmentJudge
from verify.judgement import FrameworkJudge
from verify.lock import Lock
from verify.profile import Profile
from verify.record import BadRecordError, Record, parse
from verify.remote import Target
from verify.results import CheckResult, FrameworkReport, HostReport
from verify.settings import MATMUL_BUDGET_S, SEED, Settings

ENVIRONMENT_TIMEOUT_S = 120.0
_DISTRIBUTIONS = {
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "pytorch": ("torch",),
    "jax": ("jax",),
    "mlx": ("mlx",),
}
"""Under which of these names a platform's lock has the framework itself."""


class HostHealth:
    """Checks one host.

    Args:
        host: the target.
        name: what to call it.
        settings: the run's.
        lock: reads a platform's lock.
        announce: called with a line before something that takes long.
    """

    def __init__(
        self, host: Host, name: str, settings: Settings, lock: Callable[[str], Lock], announce: Callable[[str], None]
    ) -> None:
        self._host = host
        self._settings = settings
        self._lock = lock
        self._announce = announce
        self._answers: dict[str, dict[str, CheckResult]] = {}
        self._target: Target | None = None
        self._record: Record | None = None
        self._obstacle = ""
        self._started = time.monotonic()
        self.report = HostReport(
            host=name,
            address=host.backend.get_pytest_id(),
            profile=settings.profile.name,
            level=settings.level,
            started=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )

    def check(self, name: str) -> CheckResult:
        """The answer to one check; noted in the report."""
        group = name.split(".", maxsplit=1)[0]
        if PREFIX not in self._answers:
            self._started = time.monotonic()
            self._answers[PREFIX] = {one.check: one for one in self._check_environment()}
        if group not in self._answers:
            self._answers[group] = {one.check: one for one in self._check_framework(group)}
        answer = self._answers[group][name]
        self.report.checks.append(answer)
        self.report.seconds = round(time.monotonic() - self._started, 3)
        return answer

    def _check_environment(self) -> list[CheckResult]:
        found = self._first_look()
        if self._target is None or self._record is None:
            return found
        platform = self._target.platform
        lock = self._lock(platform)
        profile, record = self._settings.profile, self._record
        pins = [pin for one in record.sets for pin in lock.closure(profile.package_set(one).requirements)]
        versions = {pin.name: pin.version for pin in pins}
        parameters = {
            "prefix": record.prefix,
            "packages": sorted(versions),
            "provider": record.provider,
            "sets": record.sets,
            "shell": bool(record.shell),
        }
        outcome = remote.probe(
            self._host, record.python, "environment", parameters, {}, min(self._limit, ENVIRONMENT_TIMEOUT_S)
        )
        for one in outcome.records:
            if one["stage"] == "machine" and isinstance(one.get("data"), dict):
                self.report.machine = one["data"]
        judged = EnvironmentJudge(profile, record, platform, versions).judge(outcome)
        if not any(one.get("event") == "end" and one["stage"] == "python" for one in outcome.records):
            self._obstacle = "not reached: the environment's Python does not run"
        return [*found, *judged]

    def _first_look(self) -> list[CheckResult]:
        """The checks before any probe, and where they fail, the skipped rest."""
        reachable, recorded = (f"{PREFIX}.{one}" for one in environment.FIRST)
        name = self._settings.profile.name
        try:
            target = remote.look(self._host, name)
        except remote.UnreachableError as error:
            failed = _fail(reachable, "unreachable", f"unreachable: {error}")
            return self._stop(failed, "not reached: the host is unreachable")
        found = [CheckResult(reachable, "pass", f"answers, {target.platform}")]
        if not target.record:
            message = f"no environment of the profile {name}: {target.record_path} is not there"
            failed = _fail(recorded, "no-environment", message)
            return [*found, *self._stop(failed, "not reached: no environment")]
        try:
            record = parse(target.record, name)
            strange = [one for one in record.frameworks if one not in self._settings.profile.frameworks]
            if strange:
                raise BadRecordError(f"it names {', '.join(strange)}, which the profile {name} does not know")
        except BadRecordError as error:
            failed = _fail(recorded, "bad-record", f"{target.record_path}: {error}")
            return [*found, *self._stop(failed, "not reached: the record cannot be used")]
        found.append(
            CheckResult(recorded, "pass", f"{record.prefix}, with {', '.join(record.frameworks) or 'no frameworks'}")
        )
        if target.platform not in self._settings.profile.platforms:
            known = ", ".join(self._settings.profile.platforms)
            message = f"this is {target.platform}; the profile {name} is made for {known}"
            failed = _fail(f"{PREFIX}.platform", "wrong-platform", message)
            return [*found, *self._stop(failed, "not reached: the platform is not in the profile")]
        self._target, self._record = target, record
        return found

    def _stop(self, failed: CheckResult, reason: str) -> list[CheckResult]:
        self._obstacle = reason
        return [failed, *environment.skip_after(failed.check, reason)]

    def _check_framework(self, name: str) -> list[CheckResult]:
        level, profile = self._settings.level, self._settings.profile
        framework = profile.frameworks[name]
        self.report.frameworks[name] = FrameworkReport(required=framework.required)
        if self._obstacle or self._target is None or self._record is None:
            return judgement.skip_all(name, level, self._obstacle)
        platform = self._target.platform
        if name not in self._record.frameworks:
            return self._absent(name, platform)
        if platform not in framework.device:
            return judgement.skip_all(name, level, f"not available on {platform}")
        self._announce(f"{self.report.host}: probing {name}, {level}, at most {self._limit:g} s")
        a, b = judgement.exact_operands()
        parameters = {
            "device": framework.device[platform],
            "level": level,
            "a": a,
            "b": b,
            "seed": SEED,
            "budget_s": MATMUL_BUDGET_S,
        }
        # All sets' variables, not the framework's alone: an activated environment has them all.
        variables = {k: v for one in self._record.sets for k, v in profile.package_set(one).environment.items()}
        outcome = remote.probe(self._host, self._record.python, name, parameters, variables, self._limit)
        judge = FrameworkJudge(
            name,
            level=level,
            required=framework.required,
            version=_version(self._lock(platform), profile, name),
            device=framework.device[platform],
            limit_s=self._limit,
        )
        found = judge.judge(outcome)
        self.report.frameworks[name] = judge.report
        return found

    def _absent(self, name: str, platform: str) -> list[CheckResult]:
        """A framework that the environment does not have: a failure only where somebody asked for it by name."""
        message = (
            f"not in this environment; the record names {', '.join(self._record.frameworks) if self._record else ''}"
        )
        skipped = judgement.skip_all(name, self._settings.level, message)
        if self._settings.frameworks is None or platform not in self._settings.profile.frameworks[name].device:
            return skipped
        self.report.frameworks[name].result = "fail"
        return [_fail(skipped[0].check, "not-installed", message), *skipped[1:]]

    @property
    def _limit(self) -> float:
        return self._settings.timeout_s


def _fail(check: str, fault: str, message: str) -> CheckResult:
    return CheckResult(check, "fail", message, ADVICE[fault], fault)


def _version(lock: Lock, profile: Profile, framework: str) -> str:
    """The locked version of the framework itself."""
    pins = {pin.name: pin.version for pin in lock.direct(profile.frameworks[framework].requirements)}
    return next(pins[name] for name in _DISTRIBUTIONS[framework] if name in pins)

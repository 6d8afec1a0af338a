"""The health of one host: runs each probe once, when its first check is asked for, and keeps the answers."""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from testinfra.host import Host

from verify.checks import coreml as coreml_judgement
from verify.checks import environment
from verify.checks import framework as judgement
from verify.checks import machine as machine_judgement
from verify.checks import packages as packages_judgement
from verify.checks import shell as shell_judgement
from verify.checks import speed as speed_judgement
from verify.checks import system as system_judgement
from verify.checks.advice import failed
from verify.checks.environment import EnvironmentJudge
from verify.checks.framework import FrameworkJudge
from verify.profile.lock import Lock
from verify.profile.model import BASE, Profile
from verify.results.model import CheckResult, FrameworkReport, HostReport
from verify.run.settings import LEAST_S, MEASURE_S, SEED, SETUP, SOAK_WINDOWS, Settings
from verify.target import remote
from verify.target.record import BadRecordError, Record, parse
from verify.target.remote import Outcome, Target

ENVIRONMENT_TIMEOUT_S = 120.0
SYSTEM_TIMEOUT_S = 60.0
_DISTRIBUTIONS = {
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "pytorch": ("torch",),
    "jax": ("jax",),
    "mlx": ("mlx",),
}
"""Under which of these names a platform's lock has the framework itself."""


def setup_checks(frameworks: Iterable[str], level: str) -> list[str]:
    """The checks that need no framework to run, in the order in which they are reported.

    Args:
        frameworks: those whose packages are looked at.
        level: the run's.
    """
    rest = [check for checks in environment.stages(list(frameworks)).values() for check in checks]
    machine = [] if level == SETUP else machine_judgement.CHECKS
    return [*environment.FIRST, *system_judgement.CHECKS, *rest, *machine]


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
        self._answers: dict[str, CheckResult] = {}
        self._asked: set[str] = set()
        self._target: Target | None = None
        self._record: Record | None = None
        self._obstacle = ""
        self._started = time.monotonic()
        self._numpy_tflops = 0.0
        self._installed: frozenset[str] = frozenset()
        self.report = HostReport(
            host=name,
            address=host.backend.get_pytest_id(),
            profile=settings.profile.name,
            level=settings.level,
            started=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )

    def check(self, name: str) -> CheckResult:
        """The answer to one check; noted in the report."""
        if not self._asked:
            self._started = time.monotonic()
            self._note("setup", self._check_setup())
        group = name.split(".", maxsplit=1)[0]
        if group in self._settings.profile.frameworks and group not in self._asked:
            self._note(group, self._check_framework(group))
        if group == coreml_judgement.PREFIX and group not in self._asked:
            self._note(group, [self._check_coreml()])
        answer = self._answers.get(name) or CheckResult(name, "skip", self._obstacle)
        self.report.checks.append(answer)
        self.report.seconds = round(time.monotonic() - self._started, 3)
        return answer

    def _note(self, group: str, answers: list[CheckResult]) -> None:
        self._asked.add(group)
        self._answers.update((one.check, one) for one in answers)

    def _check_setup(self) -> list[CheckResult]:
        found = self._first_look()
        if self._target is None or self._record is None:
            return found
        found.extend(self._check_system(self._record))
        platform = self._target.platform
        if platform not in self._settings.profile.platforms:
            known = ", ".join(self._settings.profile.platforms)
            message = f"this is {platform}; the profile {self._settings.profile.name} is made for {known}"
            self._obstacle = "not reached: the platform is not in the profile"
            return [*found, failed(f"{environment.PREFIX}.platform", "wrong-platform", message)]
        found.extend(self._check_environment(self._record, platform))
        return found

    def _check_system(self, record: Record) -> list[CheckResult]:
        arguments = system_judgement.questions(record)
        try:
            answer = (
                remote.ask(self._host, "system", arguments, min(self._limit, SYSTEM_TIMEOUT_S)) if arguments else {}
            )
        except remote.NoAnswerError as error:
            first, *rest = system_judgement.CHECKS
            skipped = [CheckResult(name, "skip", f"not reached: {first} failed") for name in rest]
            return [failed(first, "no-answer", str(error)), *skipped]
        return system_judgement.judge(record, answer)

    def _check_environment(self, record: Record, platform: str) -> list[CheckResult]:
        profile = self._settings.profile
        frameworks = [name for name in self._settings.candidates if name in record.frameworks]
        shares = packages_judgement.shares(profile, self._lock(platform), [BASE, *frameworks])
        parameters = {
            "prefix": record.prefix,
            "packages": sorted(name for one in shares.values() for name in one.versions),
            "content": self._settings.level in ("full", "soak"),
            "provider": record.provider,
            "sets": record.sets,
            "state": self._settings.level != SETUP,
            "shell": not all(shell_judgement.wanted(record).values()),
            "conda": record.conda.root if record.conda else "",
        }
        outcome = remote.probe(
            self._host, record.python, "environment", parameters, {}, min(self._limit, ENVIRONMENT_TIMEOUT_S)
        )
        for one in outcome.records:
            if one["stage"] == "machine" and isinstance(one.get("data"), dict):
                self.report.machine = one["data"]
            if one["stage"] == "packages" and isinstance(one.get("data"), dict):
                self._installed = frozenset(one["data"].get("installed", ()))
        judged = EnvironmentJudge(profile, record, platform, shares).judge(outcome)
        if self._settings.level != SETUP:
            judged.extend(machine_judgement.judge(outcome.records, self.report))
        if not any(one.get("event") == "end" and one["stage"] == "python" for one in outcome.records):
            self._obstacle = "not reached: the environment's Python does not run"
        self._note_loss(outcome)
        absent = [name for name in self._settings.candidates if name not in record.frameworks]
        return [*judged, *(self._absent(name, platform) for name in absent)]

    def _first_look(self) -> list[CheckResult]:
        """The checks before any probe; where one fails, there is no target and no record."""
        reachable, recorded = environment.FIRST
        name = self._settings.profile.name
        try:
            target = remote.look(self._host, name)
        except remote.UnreachableError as error:
            problem = failed(reachable, "unreachable", f"unreachable: {error}")
            return self._stop(problem, "not reached: the host is unreachable")
        found = [CheckResult(reachable, "pass", f"answers, {target.platform}")]
        if not target.record:
            message = f"no environment of the profile {name}: {target.record_path} is not there"
            problem = failed(recorded, "no-environment", message)
            return [*found, *self._stop(problem, "not reached: no environment")]
        try:
            record = parse(target.record, name)
            strange = [one for one in record.frameworks if one not in self._settings.profile.frameworks]
            if strange:
                raise BadRecordError(f"it names {', '.join(strange)}, which the profile {name} does not know")
        except BadRecordError as error:
            problem = failed(recorded, "bad-record", f"{target.record_path}: {error}")
            return [*found, *self._stop(problem, "not reached: the record cannot be used")]
        found.append(
            CheckResult(recorded, "pass", f"{record.prefix}, with {', '.join(record.frameworks) or 'no frameworks'}")
        )
        self._target, self._record = target, record
        return found

    def _stop(self, problem: CheckResult, reason: str) -> list[CheckResult]:
        self._obstacle = reason
        return [problem]

    def _check_framework(self, name: str) -> list[CheckResult]:
        level, profile = self._settings.level, self._settings.profile
        framework = profile.frameworks[name]
        self.report.frameworks[name] = FrameworkReport(required=framework.required)
        if self._obstacle or self._target is None or self._record is None:
            return judgement.skip_all(name, level, self._obstacle)
        platform = self._target.platform
        if name not in self._record.frameworks:
            return judgement.skip_all(name, level, self._answers[f"{packages_judgement.PREFIX}.{name}"].message)
        if platform not in framework.device:
            return judgement.skip_all(name, level, f"not available on {platform}")
        limit = self._limit
        self._announce(f"{self.report.host}: probing {name}, {level}, at most {limit:.0f} s")
        a, b = judgement.exact_operands()
        parameters = {
            "device": framework.device[platform],
            "level": level,
            "a": a,
            "b": b,
            "seed": SEED,
            "memory_bytes": self.report.machine.get("memory_bytes", 0),
            # A Mac's figures are held against its chip.
            "yardstick": self.report.chip is None,
            **MEASURE_S,
            "soak_s": self._settings.soak_s,
            "window_s": self._settings.soak_s / SOAK_WINDOWS,
        }
        # All sets' variables, not the framework's alone: an activated environment has them all.
        variables = {k: v for one in self._record.sets for k, v in profile.package_set(one).environment.items()}
        outcome = remote.probe(self._host, self._record.python, name, parameters, variables, limit)
        judge = FrameworkJudge(
            name,
            level=level,
            required=framework.required,
            version=_version(self._lock(platform), profile, name),
            device=framework.device[platform],
            limit_s=limit,
            chip=machine_judgement.chip_of(self.report),
        )
        found = judge.judge(outcome)
        self._note_loss(outcome)
        self.report.frameworks[name] = judge.report
        self._hold(judge)
        return found

    def _check_coreml(self) -> CheckResult:
        if self._obstacle or self._target is None or self._record is None:
            return coreml_judgement.skipped(self._obstacle)
        if not self._target.platform.startswith("darwin-"):
            return coreml_judgement.skipped("Core ML is a part of macOS")
        if coreml_judgement.DISTRIBUTION not in self._installed:
            return coreml_judgement.skipped(f"{coreml_judgement.DISTRIBUTION} is not in this environment")
        limit = self._limit
        self._announce(f"{self.report.host}: asking Core ML for its plan, at most {limit:.0f} s")
        outcome = remote.probe(self._host, self._record.python, "coreml", {}, {}, limit)
        self._note_loss(outcome)
        return coreml_judgement.judge(outcome)

    def _hold(self, judge: FrameworkJudge) -> None:
        """Say what the figures so far are a share of."""
        if not judge.report.matmul:
            return
        self._numpy_tflops = max(self._numpy_tflops, judge.numpy_tflops)
        if machine_judgement.chip_of(self.report):
            self.report.yardstick = "chip"
        elif self.report.chip is None:
            self.report.yardstick = "blas"
            speed_judgement.hold_against_best(list(self.report.frameworks.values()), self._numpy_tflops)

    def _note_loss(self, outcome: Outcome) -> None:
        """Ask no more of a machine that went away."""
        if outcome.ended == "lost":
            self._obstacle = "not reached: the connection broke before"

    def _absent(self, name: str, platform: str) -> CheckResult:
        """A framework that the environment does not have: a failure only where somebody asked for it by name."""
        check = f"{packages_judgement.PREFIX}.{name}"
        message = (
            f"not in this environment; the record names {', '.join(self._record.frameworks) if self._record else ''}"
        )
        if self._settings.frameworks is None or platform not in self._settings.profile.frameworks[name].device:
            return CheckResult(check, "skip", message)
        return failed(check, "not-installed", message)

    @property
    def _limit(self) -> float:
        """Seconds for the next probe: those that were asked for, or what is left of the machine's time."""
        if self._settings.timeout_s is not None:
            return self._settings.timeout_s
        least = LEAST_S + (self._settings.soak_s if self._settings.level == "soak" else 0.0)
        return max(least, self._settings.budget_s - (time.monotonic() - self._started))


def _version(lock: Lock, profile: Profile, framework: str) -> str:
    """The locked version of the framework itself."""
    pins = {pin.name: pin.version for pin in lock.direct(profile.frameworks[framework].requirements)}
    return next(pins[name] for name in _DISTRIBUTIONS[framework] if name in pins)

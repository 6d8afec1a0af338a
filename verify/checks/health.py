"""The health of one host: asks each probe once, when its first check is asked for, and keeps the answers.

Whatever goes wrong here is noted as a fault of verify, in the check `internal` of that host: it is never an exception
for who asks, and never a healthy machine.
"""

import dataclasses
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from testinfra.host import Host

from .. import ROOT, documents, text
from ..errors import UserError
from ..profile.lock import Lock
from ..profile.model import ARRAYS, BASE, Framework
from ..results.model import INTERNAL, CheckResult, FrameworkReport, HostReport, worst
from ..target import remote
from ..target.answers import Outcome
from ..target.record import Record
from ..target.remote import COREML, ENVIRONMENT, FRAMEWORK, LOOK, SYSTEM
from . import coreml, framework, language_model, machine, packages, shell, speed, stages, system
from .advice import failed
from .environment import EnvironmentJudge
from .framework import FrameworkJudge
from .plan import MEASURED, QUICK, SEED, SETUP, SOAK_WINDOWS, Plan
from .reach import ReachJudge
from .walk import LOST, NOT_JUDGED, Asked, Stage, walk

ENVIRONMENT_TIMEOUT_S = 120.0
SYSTEM_TIMEOUT_S = 60.0
MAX_MESSAGE = 2000
"""Characters of a check's message: a result must be small enough to be read back, whatever a machine says."""
_SETUP = "setup"


class HostHealth:
    """Checks one host.

    Args:
        host: the target.
        name: what to call it.
        plan: what is asked.
        lock: reads a platform's lock.
        announce: called with a line before something that takes long.
    """

    def __init__(
        self, host: Host, name: str, plan: Plan, lock: Callable[[str], Lock], announce: Callable[[str], None]
    ) -> None:
        self._host = host
        self._plan = plan
        self._lock = lock
        self._announce = announce
        self._answers: dict[str, CheckResult] = {}
        self._asked: set[str] = set()
        self._platform = ""
        self._record: Record | None = None
        self._python = ""
        self._obstacle = ""
        self._problems: dict[tuple[str, str], None] = {}
        self._started = time.monotonic()
        self._numpy_tflops = 0.0
        self._installed: frozenset[str] = frozenset()
        self._outcomes: dict[str, tuple[Outcome, float]] = {}
        self._ahead: dict[str, Future[Outcome]] = {}
        self.report = HostReport(
            host=name,
            address=host.backend.get_pytest_id(),
            profile=plan.profile.name,
            level=plan.level,
            started=datetime.now(UTC).strftime(documents.TIME),
        )

    def check(self, name: str) -> CheckResult:
        """The answer to one check, noted in the report; `internal` is the last to be asked for."""
        if not self._asked:
            self._started = time.monotonic()
            self._look_at(_SETUP, self._check_setup)
        group = name.partition(".")[0]
        if group in self._plan.profile.frameworks:
            self._look_at(group, lambda: self._check_framework(group))
        if group == coreml.PREFIX:
            self._look_at(group, self._check_coreml)
        if name == INTERNAL:
            self._note_unasked()
            answer = self._internal()
        else:
            answer = self._answers.get(name) or CheckResult(name, "skip", self._obstacle or NOT_JUDGED)
        answer = dataclasses.replace(answer, message=answer.message[:MAX_MESSAGE])
        self.report.checks.append(answer)
        self.report.seconds = round(time.monotonic() - self._started, 3)
        return answer

    def unfinished(self) -> HostReport:
        """A report that says that nothing was said yet."""
        answer = failed(INTERNAL, "incomplete", "the run that began then did not come to its end")
        return dataclasses.replace(self.report, checks=[answer], frameworks={})

    def note(self, error: Exception) -> None:
        """Note that verify failed at this host; so it could not be verified."""
        if isinstance(error, UserError):
            self._problems["incomplete", str(error)] = None
            return
        where = traceback.extract_tb(error.__traceback__)
        ours = [one for one in where if Path(one.filename).is_relative_to(ROOT / "verify")] or where
        place = f"{Path(ours[-1].filename).name}, line {ours[-1].lineno}" if ours else "an unknown place"
        said = text.line(str(error))[:300]
        self._problems["internal", f"verify failed: {type(error).__name__}: {said} ({place})"] = None

    def settle(self) -> None:
        """Bring the answer to `internal` up to date with what was noted since, and add it where it is missing."""
        if INTERNAL not in {one.check for one in self.report.checks}:
            self._problems["incomplete", "the run ended before everything was looked at"] = None
        self.report.checks = [one for one in self.report.checks if one.check != INTERNAL] + [self._internal()]

    def _note_unasked(self) -> None:
        """Who chose some checks only (pytest's -k) learns nothing of the machine as a whole."""
        asked = {one.check for one in self.report.checks}
        wanted = [one for one in stages.check_names(self._plan) if one != INTERNAL]
        if left_out := [one for one in wanted if one not in asked]:
            self._problems["incomplete", f"{len(left_out)} of {len(wanted)} checks were left out"] = None

    def _internal(self) -> CheckResult:
        if not self._problems:
            return CheckResult(INTERNAL, "pass", "nothing went wrong in verify itself")
        fault = min(fault for fault, _ in self._problems)
        return failed(INTERNAL, fault, "; ".join(message for _, message in self._problems))

    def _look_at(self, group: str, look: Callable[[], list[CheckResult]]) -> None:
        if group in self._asked:
            return
        self._asked.add(group)
        try:
            found = look()
        except Exception as error:
            self.note(error)
            found = []
            # What comes later rests on the set-up.
            self._obstacle = self._obstacle or (NOT_JUDGED if group == _SETUP else "")
        self._answers.update((one.check, one) for one in found)

    def _walk(
        self,
        probe: str,
        subject: object,
        outcome: Outcome,
        limit_s: float,
        *,
        required: bool = True,
        unneeded: tuple[str, ...] = (),
        kind: str = ARRAYS,
        virtual: bool = False,
        skipped: dict[str, str] | None = None,
        **values: list[str],
    ) -> list[CheckResult]:
        asked = stages.of(probe, self._plan.level, kind)
        over = Asked(asked, values, subject, outcome, limit_s, required, unneeded, virtual, skipped or {})
        found = walk(over, self.note)
        if any(one.fault == LOST for one in found):
            # No more is asked of a machine that went away.
            self._obstacle = "not reached: the connection broke before"
        return found

    def _check_setup(self) -> list[CheckResult]:
        profile = self._plan.profile
        reach = ReachJudge(profile)
        found = self._walk(LOOK, reach, remote.look(self._host, profile.name), remote.CONNECT_TIMEOUT_S)
        if reach.found is None:
            broken = next((one.fault for one in found if one.result == "fail"), "")
            reasons = {"no-environment": "no environment", "bad-record": "the record cannot be used"}
            self._obstacle = f"not reached: {reasons.get(broken, 'the host is unreachable')}" if broken else NOT_JUDGED
            return found
        found += self._check_system(reach.found)
        if reach.platform not in profile.platforms:
            known = ", ".join(profile.platforms)
            message = f"this is {reach.platform}; the profile {profile.name} is made for {known}"
            self._obstacle = "not reached: the platform is not in the profile"
            return [*found, failed("environment.platform", "wrong-platform", message)]
        self._platform, self._record, self._python = reach.platform, reach.found, reach.found.python
        return [*found, *self._check_environment(reach.found, reach.platform)]

    def _check_system(self, record: Record) -> list[CheckResult]:
        arguments, limit = system.questions(record), min(self._limit, SYSTEM_TIMEOUT_S)
        if not arguments:
            return self._walk(SYSTEM, record, Outcome({}, "exit"), limit, unneeded=(SYSTEM,))
        return self._walk(SYSTEM, record, remote.ask(self._host, SYSTEM, arguments, limit), limit)

    def _check_environment(self, record: Record, platform: str) -> list[CheckResult]:
        profile, level = self._plan.profile, self._plan.level
        present = [name for name in self._plan.candidates if name in record.frameworks]
        shares = packages.shares(profile, self._lock(platform), [BASE, *present])
        no_shell = all(shell.wanted(record).values())
        parameters = {
            "prefix": record.prefix,
            "packages": sorted(name for one in shares.values() for name in one.versions),
            "everywhere": False,
            "content": level in MEASURED,
            "provider": record.provider,
            "sets": record.sets,
            "state": level != SETUP,
            "terminal": "" if no_shell else (record.terminal or record).prefix,
            "conda": record.conda.root if record.conda else "",
        }
        self._go_ahead()
        limit = min(self._limit, ENVIRONMENT_TIMEOUT_S)
        outcome = remote.probe(self._host, record.python, ENVIRONMENT, parameters, {}, limit)
        subject = EnvironmentJudge(profile, record, platform, shares, self.report, profile.wheels(platform))
        found = self._walk(
            ENVIRONMENT, subject, outcome, limit, unneeded=("shell",) if no_shell else (), set=[BASE, *present]
        )
        self._installed = frozenset((outcome.data("packages") or {}).get("installed", ()))
        if outcome.data("python") is None:
            self._obstacle = self._obstacle or "not reached: the environment's Python does not run"
        absent = [name for name in self._plan.candidates if name not in record.frameworks]
        return [*found, *(self._absent(record, name, platform) for name in absent)]

    def _check_framework(self, name: str) -> list[CheckResult]:
        report = FrameworkReport(required=self._plan.profile.frameworks[name].required)
        self.report.frameworks[name] = report
        record, platform = self._record, self._platform
        if self._obstacle or record is None:
            return self._skip_all(name, self._obstacle or NOT_JUDGED)
        if name not in record.frameworks:
            return self._skip_all(name, self._answers[f"{packages.PREFIX}.{name}"].message)
        wanted = self._wanted(name)
        report.required = wanted.required
        if platform not in wanted.device:
            return self._skip_all(name, f"not available on {platform}")
        outcome, limit = self._outcome(name)
        report.seconds = outcome.seconds
        judge = FrameworkJudge(
            name,
            version=self._locked(name),
            device=wanted.device[platform],
            chip=machine.chip_of(self.report),
            report=report,
            by_default=wanted.device_by_default,
            macos=self.report.machine.get("os_version", "") if self.report.chip else "",
        )
        found = self._walk(
            FRAMEWORK,
            judge,
            outcome,
            limit,
            required=wanted.required,
            kind=wanted.kind,
            virtual=self.report.machine.get("virtual", False),
            skipped=self._skipped(name),
            framework=[name],
        )
        judged = all(one.message != NOT_JUDGED for one in found)
        report.result = worst([one.result for one in found]) if judged else "skip"
        self._hold(judge, report)
        return found

    def _outcome(self, name: str) -> tuple[Outcome, float]:
        """A framework's answer, and the seconds that it had; all are asked side by side where nothing is timed."""
        if name not in self._outcomes:
            names, limit = [name] if self._plan.level in MEASURED else self._frameworks_there(), self._limit
            self._announce(f"{self.report.host}: probing {', '.join(names)}, {self._plan.level}, at most {limit:.0f} s")
            # More than there are cores only wait for one another, with all that each has loaded.
            pool = ThreadPoolExecutor(min(len(names), self.report.machine.get("cores") or 1))
            try:
                asked = {one: self._ahead.get(one) or pool.submit(self._ask, one, limit) for one in names}
                self._outcomes |= {one: (answer.result(), limit) for one, answer in asked.items()}
            finally:
                # Not waited for: after the user's Ctrl-C nobody wants the answers.
                pool.shutdown(wait=False, cancel_futures=True)
        return self._outcomes[name]

    def _go_ahead(self) -> None:
        """Have the first framework asked while the environment is looked at, where nothing is timed: that saves a user
        the time of the one or the other."""
        there = self._frameworks_there()
        if self._plan.level == QUICK and there:
            pool = ThreadPoolExecutor(1)
            self._ahead = {there[0]: pool.submit(self._ask, there[0], self._limit)}
            pool.shutdown(wait=False)

    def _frameworks_there(self) -> list[str]:
        """The frameworks that the machine has of those that were asked for."""
        here = self._record.frameworks if self._record else ()
        return [one for one in self._plan.candidates if one in here and self._platform in self._wanted(one).device]

    def _ask(self, name: str, limit_s: float) -> Outcome:
        plan, wanted, skipped = self._plan, self._wanted(name), self._skipped(name)
        device = wanted.device[self._platform]
        a, b = framework.exact_operands()
        parameters = {
            "device": device,
            "stages": [one.name for one in self._stages(name) if one.recorded and one.name not in skipped],
            "a": a,
            "b": b,
            "large": framework.large(device),
            "successors": language_model.SUCCESSORS,
            "prompt": language_model.PROMPT,
            "length": language_model.LENGTH,
            "seed": SEED,
            "memory_bytes": self.report.machine.get("memory_bytes", 0),
            # A Mac's figures are held against its chip.
            "yardstick": self.report.chip is None,
            **self._plan.measure_s(time.monotonic() - self._started, self._waiting(name)),
            "soak_s": plan.soak_s,
            "window_s": plan.soak_s / SOAK_WINDOWS,
        }
        return remote.probe(self._host, self._python, name, parameters, self._variables(), limit_s)

    def _waiting(self, name: str) -> int:
        """How many frameworks of the machine have not been asked yet, one that is about to be among them."""
        return len({one for one in self._frameworks_there() if one not in self._outcomes} | {name})

    def _stages(self, name: str) -> list[Stage]:
        return stages.of(FRAMEWORK, self._plan.level, self._wanted(name).kind)

    def _wanted(self, name: str) -> Framework:
        """What a framework that is there must be."""
        return self._plan.profile.frameworks[name]

    def _variables(self) -> dict[str, str]:
        """All sets' variables, not a framework's alone: an activated environment has them all."""
        sets = [self._plan.profile.package_set(one) for one in self._record.sets] if self._record else []
        return {key: value for one in sets for key, value in one.environment.items()}

    def _locked(self, name: str) -> str | None:
        """The locked version of the framework itself; None where nothing is locked."""
        wanted = self._wanted(name)
        pins = {pin.name: pin.version for pin in self._lock(self._platform).direct(wanted.requirements)}
        return next(pins[name] for name in wanted.distributions if name in pins)

    def _skipped(self, name: str) -> dict[str, str]:  # noqa: ARG002 - a locked environment has all that is needed
        """Why a framework is not asked for some of its stages, by their names."""
        return {}

    def _check_coreml(self) -> list[CheckResult]:
        if self._obstacle or self._record is None:
            return [CheckResult(coreml.CHECK, "skip", self._obstacle or NOT_JUDGED)]
        if not self._platform.startswith("darwin-"):
            return [CheckResult(coreml.CHECK, "skip", "Core ML is a part of macOS")]
        if coreml.DISTRIBUTION not in self._installed:
            return [CheckResult(coreml.CHECK, "skip", f"{coreml.DISTRIBUTION} is not in this environment")]
        limit = self._limit
        self._announce(f"{self.report.host}: asking Core ML for its plan, at most {limit:.0f} s")
        outcome = remote.probe(self._host, self._python, COREML, {}, {}, limit)
        return self._walk(COREML, None, outcome, limit, required=False)

    def _skip_all(self, name: str, reason: str) -> list[CheckResult]:
        return [CheckResult(one, "skip", reason) for one in stages.framework_names(self._plan, name)]

    def _hold(self, judge: FrameworkJudge, report: FrameworkReport) -> None:
        """Say what the figures so far are a share of."""
        if not report.matmul:
            return
        self._numpy_tflops = max(self._numpy_tflops, judge.numpy_tflops)
        chip = machine.chip_of(self.report)
        if chip and chip.fp32_tflops:
            self.report.yardstick = "chip"
        elif self.report.chip is None:
            self.report.yardstick = "blas"
            speed.hold_against_best(list(self.report.frameworks.values()), self._numpy_tflops)

    def _absent(self, record: Record, name: str, platform: str) -> CheckResult:
        """A framework that the environment does not have: a failure only where somebody asked for it by name."""
        check = f"{packages.PREFIX}.{name}"
        message = f"not in this environment; the record names {', '.join(record.frameworks)}"
        if self._plan.frameworks is None or platform not in self._plan.profile.frameworks[name].device:
            return CheckResult(check, "skip", message)
        return failed(check, "not-installed", message)

    @property
    def _limit(self) -> float:
        return self._plan.limit_s(time.monotonic() - self._started)

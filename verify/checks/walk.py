"""The walk over a probe's stages: each is judged, and after the first failure the rest is skipped, with the reason.

An exception while a stage is judged is a fault of verify: it is noted, nothing is claimed of the machine, and the walk
ends there as well.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..profile.model import ARRAYS, LANGUAGE_MODEL
from ..results.model import CheckResult
from ..target.answers import Outcome, Report
from .advice import failed, warned

NOT_JUDGED = "not judged: verify itself failed (see the check `internal`)"
LOST = "connection-lost"
VIRTUAL = "not judged: this is a virtual Mac, whose GPU cannot do this"
# What PyTorch says in a virtual Mac, of the first few bytes already (actions/runner-images#9918, #11899). On a real Mac
# it is a failure, whatever the size.
_MPS_IN_A_VIRTUAL_MAC = re.compile(
    r"MPS backend out of memory \(.*\)\. Tried to allocate \d+ bytes on (private|shared) pool"
)
# What MLX says where no Metal device is visible, in sessions without the screen: since 0.32 an exception
# (mlx/backend/metal/device.cpp, load_device), before that an abort in Foundation (mlx #3148, #3397).
_NO_METAL = re.compile(
    r"\[metal::load_device\] No Metal device available|objectAtIndex:\]: index 0 beyond bounds for empty (NSA|a)rray"
)
# What the frameworks, Metal, XLA, numpy and Python say when memory does not suffice.
_OUT_OF_MEMORY = re.compile(
    r"out of memory|\bOOM\b|RESOURCE_EXHAUSTED|MemoryError|Unable to allocate|can't allocate memory|"
    r"\[metal::malloc\]|std::bad_alloc",
    re.IGNORECASE,
)
# What NumPy 2 writes where an extension is loaded that was built for 1.x (numpy/core/_multiarray_umath.py); what the
# extension's own import_array, import_umath or Cython say of another NumPy; and what PyTorch makes of it.
_NUMPY_ABI = re.compile(
    r"compiled using NumPy 1\.x cannot be run|numpy\.core\.(multiarray|umath) failed to import|"
    r"compiled against A[BP]I version 0x|numpy\.\w+ size changed, may indicate binary incompatibility|"
    r"Numpy is not available"
)
_EVIDENCE = 600


@dataclass(frozen=True)
class Check:
    """A check.

    Attributes:
        name: its stable name; {framework} and {set} stand for what it is of.
        title: for people.
        goes_on: whether its failure leaves the later stages able to tell something.
    """

    name: str
    title: str
    goes_on: bool = False


@dataclass(frozen=True)
class Stage:
    """A stage of a probe, and the checks that rest on it.

    Attributes:
        probe: of verify/target/remote.py, which is asked for it.
        name: as the probe calls it.
        checks: the first stands for the stage where it tells nothing.
        judge: takes the probe's subject and the stage's report, and gives answers; where one of them is a failure,
            those that it does not give are skipped.
        levels: at which it is asked for.
        recorded: whether the probe reports it; else it is judged by how the probe ended.
        kinds: of a framework's stage, the kinds of framework that have it.
    """

    probe: str
    name: str
    checks: tuple[Check, ...]
    judge: Callable[[Any, Report], list[CheckResult]]
    levels: tuple[str, ...]
    recorded: bool = True
    kinds: tuple[str, ...] = (ARRAYS, LANGUAGE_MODEL)

    def names(self, **values: list[str]) -> Iterator[tuple[str, Check]]:
        """The full names of its checks.

        Args:
            values: for `framework` and `set`, what they stand for: a check for each.
        """
        for check in self.checks:
            field = next((key for key in values if f"{{{key}}}" in check.name), "")
            for value in values.get(field, [""]):
                yield check.name.format(**{field: value}) if field else check.name, check


@dataclass(frozen=True)
class Asked:
    """What a walk is over.

    Attributes:
        stages: those that were asked for, in their order.
        values: for the names of their checks.
        subject: what the judges know and fill.
        outcome: what the probe answered.
        limit_s: the time that the probe had.
        required: whether a failure counts; else it is told as a warning.
        unneeded: names of stages that the probe was not asked for, since nothing rests on them here.
        virtual: whether the machine is a virtual Mac.
        skipped: why nothing is said of a stage, by its name.
    """

    stages: list[Stage]
    values: dict[str, list[str]]
    subject: Any
    outcome: Outcome
    limit_s: float
    required: bool
    unneeded: tuple[str, ...] = ()
    virtual: bool = False
    skipped: Mapping[str, str] = field(default_factory=dict)


def walk(asked: Asked, note: Callable[[Exception], None]) -> list[CheckResult]:
    """The answers of all checks of the stages, in their order.

    Args:
        asked: what to walk over.
        note: is told of an exception in a judge.
    """
    found: list[CheckResult] = []
    reason = ""
    for stage in asked.stages:
        checks = dict(stage.names(**asked.values))
        if stage.name in asked.skipped:
            found += [CheckResult(name, "skip", asked.skipped[stage.name]) for name in checks]
            continue
        answers: list[CheckResult] = []
        ends = False
        if not reason:
            try:
                answers, ends = _judged(stage, list(checks), asked)
            except Exception as error:  # whatever it is, it is not the machine's
                note(error)
                reason = NOT_JUDGED
        bad = [one.check for one in answers if one.result == "fail"]
        answered = {one.check: one for one in answers}
        # An end without a failure: the machine cannot show more.
        reason = reason or (VIRTUAL if ends and not bad else "")
        why = reason or (f"not reached: {bad[0]} failed" if bad else "")
        found += [answered.get(name) or CheckResult(name, "skip", why) for name in checks]
        broken = next((one for one in bad if ends or not checks[one].goes_on), "")
        reason = reason or (f"not reached: {broken} failed" if broken else "")
    return found if asked.required else [_optional(one) for one in found]


def _judged(stage: Stage, names: list[str], asked: Asked) -> tuple[list[CheckResult], bool]:
    """A stage's answers, and whether its failure ends the walk whatever its checks say.

    Raises:
        Exception: its judge's own; or it left a check without an answer and without a failure to explain that.
    """
    outcome, report = asked.outcome, asked.outcome.reports.get(stage.name)
    if stage.name in asked.unneeded:
        answers = stage.judge(asked.subject, Report("end"))
    elif not stage.recorded and outcome.ended == "exit" and outcome.status == 0:
        answers = stage.judge(asked.subject, Report("end", outcome.seconds))
    elif stage.recorded and report is not None and report.event == "end":
        answers = stage.judge(asked.subject, report)
    else:
        return [cut_short(names[0], stage.name, asked)], True
    told = {one.check for one in answers}
    if not told <= set(names) or (told != set(names) and not any(one.result == "fail" for one in answers)):
        raise ValueError(f"the judge of '{stage.name}' answers {sorted(told)}, asked was {names}")
    return answers, False


def cut_short(check: str, stage: str, asked: Asked) -> CheckResult:
    """The failure of a check whose stage did not come to its end; a warning where no virtual Mac can get there."""
    outcome, report = asked.outcome, asked.outcome.reports.get(stage)
    if found := _NO_METAL.search(outcome.evidence + (report.error if report else "")):
        message = f"no Metal device is visible to this process: {found[0]}"
        if asked.virtual:
            return warned(check, "virtual-limit", f"{VIRTUAL}: {message}")
        return failed(check, "no-metal", message)
    if report is not None and report.event == "error":
        if asked.virtual and _MPS_IN_A_VIRTUAL_MAC.search(report.error):
            return warned(check, "virtual-limit", f"{VIRTUAL}: {report.error}")
        kinds = {
            "numpy-abi": _NUMPY_ABI.search(outcome.evidence + report.error),
            "out-of-memory": _OUT_OF_MEMORY.search(report.error),
        }
        fault = next((kind for kind, found in kinds.items() if found), "exception")
        return failed(check, fault, report.error or "an unnamed error")
    if report is not None and report.event == "malformed":
        return failed(check, "malformed", f"the report of '{stage}' is not what it may be: {report.error}")
    wrote = outcome.evidence.strip()[-_EVIDENCE:]
    seen = f"; it wrote: {wrote}" if wrote else ""
    when = f"during '{stage}'" if report is not None or stage == "exit" else f"before '{stage}'"
    fault, message = {
        "malformed": ("malformed", f"the answer cannot be read: {outcome.evidence}"),
        "unreachable": ("unreachable", f"unreachable: {outcome.evidence}"),
        "lost": (LOST, f"the connection broke: {outcome.evidence}"),
        "timeout": ("hang", f"no end within {asked.limit_s:g} s, killed {when}{seen}"),
        "signal": ("crash", f"killed by {outcome.signal} {when}{seen}"),
    }.get(outcome.ended, ("no-answer", f"ended {when} with exit code {outcome.status}{seen}"))
    return failed(check, fault, message)


def _optional(one: CheckResult) -> CheckResult:
    # A machine that went away is no fault of something optional.
    if one.result != "fail" or one.fault == LOST:
        return one
    return replace(one, result="warn", message=f"optional, failed: {one.message}")

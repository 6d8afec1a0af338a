"""What a framework's probe saw, judged: right or wrong, and what to do about it."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from verify.checks import numbers as numbers_judgement
from verify.checks.advice import failed, warned
from verify.checks.chips import Chip
from verify.checks.speed import SpeedJudge
from verify.results.model import CheckResult, FrameworkReport, Training, worst
from verify.run.settings import SETUP
from verify.target.remote import Outcome

LEARNED = 0.5
"""The share of the first loss below which the last one must be."""
FALLBACK = "PYTORCH_ENABLE_MPS_FALLBACK"

# The first check of a stage stands for it when the stage itself fails.
_QUICK_STAGES = {"import": ("import", "version"), "device": ("device",), "execute": ("value", "placement")}
_FULL_STAGES = {
    **_QUICK_STAGES,
    # Before the timed products: they would only say that a product is wrong, the cases say from which size on.
    "numbers": ("numbers",),
    "matmul": ("matmul.value", "matmul.speed"),
    "bandwidth": ("bandwidth",),
    "course": ("course",),
    "training": ("training", "training.cpu"),
    "memory": ("memory",),
    "libraries": ("openmp",),
}
_STAGES = {"quick": _QUICK_STAGES, "full": _FULL_STAGES, "soak": {**_FULL_STAGES, "sustained": ("sustained",)}}
EXIT = "exit"
LOST = "connection-lost"
SPEED_STAGES = ("matmul", "bandwidth", "course", "sustained")
GOING_ON = (".version", ".speed", ".bandwidth")
"""Checks whose failure does not keep the later ones from telling something."""
# What the frameworks, Metal, XLA, numpy and Python say when memory does not suffice.
_OUT_OF_MEMORY = re.compile(
    r"out of memory|\bOOM\b|RESOURCE_EXHAUSTED|MemoryError|Unable to allocate|can't allocate memory|"
    r"\[metal::malloc\]|std::bad_alloc",
    re.IGNORECASE,
)


def check_names(framework: str, level: str) -> list[str]:
    """The names of a framework's checks at a level, in the order in which they are reported; none at setup."""
    if level == SETUP:
        return []
    stages = _STAGES[level]
    return [f"{framework}.{check}" for checks in stages.values() for check in checks] + [f"{framework}.{EXIT}"]


def exact_operands() -> tuple[list[list[int]], list[list[int]]]:
    """Two matrices of small integers, 24 x 40 and 40 x 16: every product and sum of theirs is exact in float32."""
    a = [[(7 * i + 3 * k) % 11 - 5 for k in range(40)] for i in range(24)]
    b = [[(5 * k + 9 * j) % 13 - 6 for j in range(16)] for k in range(40)]
    return a, b


def exact_result() -> list[list[int]]:
    """relu(a b) of `exact_operands`, in integers."""
    a, b = exact_operands()
    columns = list(zip(*b, strict=True))
    return [[max(0, sum(x * y for x, y in zip(row, column, strict=True))) for column in columns] for row in a]


def skip_all(framework: str, level: str, reason: str) -> list[CheckResult]:
    """Every check of a framework, skipped for one reason."""
    return [CheckResult(name, "skip", reason) for name in check_names(framework, level)]


class FrameworkJudge:
    """Judges one framework's probe.

    Args:
        name: the framework.
        level: quick or full.
        required: whether a failure counts.
        version: the locked version.
        device: the wanted kind of device, as the framework names it.
        limit_s: the probe's time limit.
        chip: the machine's, None where it has none or an unknown one.

    After `judge`, `report` has the figures, and `numpy_tflops` what numpy reached, 0 where it was not measured.
    """

    def __init__(
        self,
        name: str,
        *,
        level: str,
        required: bool,
        version: str,
        device: str,
        limit_s: float,
        chip: Chip | None = None,
    ) -> None:
        self._name = name
        self._level = level
        self._version = version
        self._device = device
        self._limit_s = limit_s
        self._chip = chip
        self.numpy_tflops = 0.0
        self.report = FrameworkReport(required=required)

    def judge(self, outcome: Outcome) -> list[CheckResult]:
        """The results of all checks of the level, in their order; `report` is filled on the way.

        After the first stage with a failure the others are skipped: they would only fail with it.
        """
        self.report.seconds = outcome.seconds
        stages = _STAGES[self._level]
        found: list[CheckResult] = []
        broken = ""
        for stage, checks in stages.items():
            if broken:
                found.extend(self._skip(check, f"not reached: {broken} failed") for check in checks)
                continue
            results = self._stage(stage, checks[0], outcome)
            answered = {one.check for one in results}
            bad = [one.check for one in results if one.result == "fail"]
            missing = [check for check in checks if f"{self._name}.{check}" not in answered]
            results.extend(self._skip(check, f"not reached: {bad[0]} failed") for check in missing if bad)
            found.extend(results)
            # These are worth a failure, and the rest is worth knowing all the same.
            broken = next((one for one in bad if not one.endswith(GOING_ON)), "")
        found.append(self._skip(EXIT, f"not reached: {broken} failed") if broken else self._exit(outcome))
        self.report.result = worst([one.result for one in found])
        if not self.report.required:
            found = [_optional(one) for one in found]
            self.report.result = worst([one.result for one in found])
        return found

    def _stage(self, stage: str, first: str, outcome: Outcome) -> list[CheckResult]:
        records = {one.get("event"): one for one in outcome.records if one["stage"] == stage}
        if "error" in records:
            said = str(records["error"].get("error", "an unnamed error"))
            return [self._fail(first, "out-of-memory" if _OUT_OF_MEMORY.search(said) else "exception", said)]
        if "end" not in records:
            return [self._cut_short(first, stage, outcome, started="start" in records)]
        judges: dict[str, Callable[[dict[str, Any], float], list[CheckResult]]] = {
            "import": self._import,
            "device": self._devices,
            "execute": self._execute,
            "numbers": self._numbers,
            "training": self._training,
            "memory": self._memory,
            "libraries": self._libraries,
        }
        try:
            if stage in SPEED_STAGES:
                return self._measured(stage, records["end"]["data"])
            return judges[stage](records["end"]["data"], float(records["end"]["seconds"]))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError) as error:
            return [self._fail(first, "malformed", f"the probe's report makes no sense ({error!r})")]

    def _cut_short(self, check: str, stage: str, outcome: Outcome, *, started: bool) -> CheckResult:
        seen = f"; it wrote: {outcome.evidence.strip()[-600:]}" if outcome.evidence.strip() else ""
        when = f"during '{stage}'" if started else f"before '{stage}'"
        if outcome.ended == "timeout":
            return self._fail(check, "hang", f"no end within {self._limit_s:g} s, killed {when}{seen}")
        if outcome.ended == "malformed":
            return self._fail(check, "malformed", f"the probe's answer cannot be read: {outcome.evidence}")
        if outcome.ended == "lost":
            return self._fail(check, LOST, f"the connection broke: {outcome.evidence}")
        if outcome.ended == "signal":
            return self._fail(check, "crash", f"killed by {outcome.signal} {when}{seen}")
        return self._fail(check, "no-answer", f"ended {when} with exit code {outcome.status}{seen}")

    def _exit(self, outcome: Outcome) -> CheckResult:
        if outcome.ended == "exit" and outcome.status == 0:
            return self._pass(EXIT, f"ended by itself after {outcome.seconds:.1f} s")
        return self._cut_short(EXIT, "exit", outcome, started=True)

    def _import(self, data: dict[str, Any], seconds: float) -> list[CheckResult]:
        self.report.version = str(data["version"])
        return [
            self._pass("import", f"imported in {seconds:.1f} s"),
            self._pass("version", f"{data['version']}, as locked")
            if data["version"] == self._version
            else self._fail("version", "wrong-version", f"{data['version']} instead of the locked {self._version}"),
        ]

    def _devices(self, data: dict[str, Any], _seconds: float) -> list[CheckResult]:
        self.report.settings = {str(name): value for name, value in data["settings"].items()}
        present, default = list(data["present"]), data["default"]
        if self.report.settings.get(FALLBACK) is not None:
            value = self.report.settings[FALLBACK]
            message = f"{FALLBACK}={value} is set: work that MPS cannot do moves to the CPU without a word"
            return [self._fail("device", "fallback-set", message)]
        if self._device not in present:
            message = f"no device '{self._device}': it sees {', '.join(present) or 'none'}"
            return [self._fail("device", "no-device", message)]
        # PyTorch alone takes the CPU unless told otherwise.
        if default != self._device and self._name != "pytorch":
            message = f"it takes '{default}' by default although '{self._device}' is there"
            return [self._fail("device", "other-device", message)]
        self.report.device = str(data["asked"])
        return [self._pass("device", f"'{self._device}' is there ({data['asked']})")]

    def _placed(self, data: dict[str, Any], ran_on: str) -> str:
        """What is wrong with the place of a result, or ""."""
        return "" if ran_on == data["asked"] else f"asked for {data['asked']}, but the result is on {ran_on}"

    def _execute(self, data: dict[str, Any], _seconds: float) -> list[CheckResult]:
        elsewhere = self._placed(data, data["ran_on"])
        expected = exact_result()
        if [len(row) for row in data["result"]] != [len(row) for row in expected]:
            raise ValueError("the result has another shape")
        pairs = [(i, j, want, data["result"][i][j]) for i, row in enumerate(expected) for j, want in enumerate(row)]
        wrong = [one for one in pairs if one[2] != one[3]]
        if wrong:
            i, j, want, got = wrong[0]
            message = f"{len(wrong)} of {len(pairs)} entries are wrong, the first [{i}, {j}]: {got} instead of {want}"
            value = self._fail("value", _kind(wrong), message)
        else:
            value = self._pass("value", f"all {len(pairs)} entries of relu(a b) are exact")
        if elsewhere:
            return [value, self._fail("placement", "other-device", elsewhere)]
        return [value, self._pass("placement", f"the result is on {data['ran_on']}")]

    def _measured(self, stage: str, data: dict[str, Any]) -> list[CheckResult]:
        judge = SpeedJudge(self._name, self.report.device, self._chip, self.report)
        if stage == "matmul":
            self.numpy_tflops = float(data["numpy_tflops"])
            return judge.matmul(data)
        judges = {"bandwidth": judge.bandwidth, "course": judge.course, "sustained": judge.sustained}
        return judges[stage](data)

    def _training(self, data: dict[str, Any], seconds: float) -> list[CheckResult]:
        losses = [float(loss) for loss in data["losses"]]
        if not all(math.isfinite(loss) for loss in losses):
            return [self._fail("training", "no-learning", "the loss became a number that is not finite")]
        self.report.training = Training(int(data["seed"]), losses)
        message = f"loss {losses[0]:.3g} to {losses[-1]:.3g} in {len(losses)} steps, {seconds:.1f} s"
        if losses[-1] > LEARNED * losses[0]:
            return [self._fail("training", "no-learning", f"it did not learn: {message}")]
        return [self._pass("training", message), self._beside_cpu(losses, data["cpu_losses"])]

    def _beside_cpu(self, losses: list[float], on_cpu: list[float] | None) -> CheckResult:
        if on_cpu is None:
            return self._skip("training.cpu", "the device is the CPU")
        cpu_losses = [float(loss) for loss in on_cpu]
        fault, message = numbers_judgement.training(losses, cpu_losses)
        if self.report.training and all(math.isfinite(loss) for loss in cpu_losses):
            self.report.training = replace(self.report.training, cpu_losses=cpu_losses)
        return self._answer("training.cpu", fault, message)

    def _numbers(self, data: dict[str, Any], _seconds: float) -> list[CheckResult]:
        self.report.numbers = numbers_judgement.cases(data["cases"])
        return [self._answer("numbers", *numbers_judgement.verdict(self.report.numbers))]

    def _memory(self, data: dict[str, Any], _seconds: float) -> list[CheckResult]:
        if data["before"] is None or data["after"] is None:
            return [self._skip("memory", f"nobody counts the memory of {data['asked']}")]
        before, after = int(data["before"]), int(data["after"])
        self.report.memory = {"before_bytes": before, "after_bytes": after}
        found = numbers_judgement.memory(before, after, int(data["array"]), int(data["times"]))
        return [self._answer("memory", *found)]

    def _libraries(self, data: dict[str, Any], _seconds: float) -> list[CheckResult]:
        fault, message = numbers_judgement.openmp([str(path) for path in data["openmp"]])
        # It may go well: what it does wrong shows in the other checks.
        if fault:
            return [warned(f"{self._name}.openmp", fault, message)]
        return [self._pass("openmp", message)]

    def _answer(self, check: str, fault: str, message: str) -> CheckResult:
        return self._fail(check, fault, message) if fault else self._pass(check, message)

    def _pass(self, check: str, message: str) -> CheckResult:
        return CheckResult(f"{self._name}.{check}", "pass", message)

    def _skip(self, check: str, message: str) -> CheckResult:
        return CheckResult(f"{self._name}.{check}", "skip", message)

    def _fail(self, check: str, fault: str, message: str) -> CheckResult:
        return failed(f"{self._name}.{check}", fault, message)


def _kind(wrong: list[tuple[int, int, int, Any]]) -> str:
    """The fault of wrong entries of relu(a b): row, column, wanted value and given one."""
    given = [(i, j, got) for i, j, _, got in wrong]
    if not all(isinstance(got, int | float) and math.isfinite(got) for _, _, got in given):
        return "not-finite"
    a, b = exact_operands()
    plain = [sum(x * row[j] for x, row in zip(a[i], b, strict=True)) for i, j, _ in given]
    return "wrong-relu" if plain == [got for _, _, got in given] else "wrong-value"


def _optional(one: CheckResult) -> CheckResult:
    # A machine that went away is no fault of an optional framework.
    if one.result != "fail" or one.fault == LOST:
        return one
    return replace(one, result="warn", message=f"optional, failed: {one.message}")

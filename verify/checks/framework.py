"""What a framework's probe saw, judged: right or wrong, and what to do about it."""

import math
from dataclasses import replace
from typing import Any

from ..probes import units
from ..results.model import CheckResult, FrameworkReport, Training
from ..target.answers import Report
from . import language_model, numbers, tolerance
from .advice import failed, warned
from .chips import Chip
from .plan import NO_PROFILE
from .speed import SpeedJudge

LEARNED = 0.5
"""The share of the first loss below which the last one must be."""
FALLBACK = "PYTORCH_ENABLE_MPS_FALLBACK"


def large(device: str) -> tuple[int, int, int]:
    """Rows, terms and columns of a product at which half precision was seen to go wrong on GPUs; fewer for a CPU."""
    return 16 if device.lower() == "cpu" else 1024, 2048, 2048


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


class FrameworkJudge:
    """Judges the stages of one framework's probe, and fills its report on the way.

    Args:
        name: the framework.
        version: the locked version, None where nothing says which it must be.
        device: the wanted kind of device, as the framework names it.
        chip: the machine's, None where it has none or an unknown one.
        report: to fill.
        by_default: whether the framework takes that device unless told otherwise.
        macos: its version, "" elsewhere.

    `numpy_tflops` has what numpy reached, 0 where it was not measured.
    """

    def __init__(
        self,
        name: str,
        *,
        version: str | None,
        device: str,
        chip: Chip | None,
        report: FrameworkReport,
        by_default: bool = True,
        macos: str = "",
    ) -> None:
        self._name = name
        self._version = version
        self._device = device
        self._chip = chip
        self._report = report
        self._by_default = by_default
        self._macos = macos
        self.numpy_tflops = 0.0

    def imported(self, report: Report) -> list[CheckResult]:
        """The checks import and version."""
        version = report.data["version"]
        self._report.version = version
        found = [self._pass("import", f"imported in {report.seconds:.1f} s")]
        if self._version is None:
            return [*found, self._skip("version", f"{NO_PROFILE} says which version it must be; it is {version}")]
        if version == self._version:
            return [*found, self._pass("version", f"{version}, as locked")]
        return [*found, self._fail("version", "wrong-version", f"{version} instead of the locked {self._version}")]

    def devices(self, report: Report) -> list[CheckResult]:
        """The check device."""
        data = report.data
        self._report.settings = dict(data["settings"])
        present, default = data["present"], data["default"]
        value = data["settings"].get(FALLBACK)
        if value is not None:
            message = f"{FALLBACK}={value} is set: work that MPS cannot do moves to the CPU without a word"
            return [self._fail("device", "fallback-set", message)]
        if self._device not in present:
            message = f"no device '{self._device}': it sees {', '.join(present) or 'none'}"
            return [self._fail("device", "no-device", message)]
        if default != self._device and self._by_default:
            message = f"it takes '{default}' by default although '{self._device}' is there"
            return [self._fail("device", "other-device", message)]
        self._report.device = data["asked"]
        return [self._pass("device", f"'{self._device}' is there ({data['asked']})")]

    def execute(self, report: Report) -> list[CheckResult]:
        """The checks value and placement."""
        data, expected = report.data, exact_result()
        pairs = [(i, j, want, data["result"][i][j]) for i, row in enumerate(expected) for j, want in enumerate(row)]
        wrong = [one for one in pairs if one[2] != one[3]]
        if wrong:
            i, j, want, got = wrong[0]
            message = f"{len(wrong)} of {len(pairs)} entries are wrong, the first [{i}, {j}]: {got} instead of {want}"
            value = self._fail("value", _kind(wrong), message)
        else:
            value = self._pass("value", f"all {len(pairs)} entries of relu(a b) are exact")
        return [value, self._placement(data)]

    def large(self, report: Report) -> list[CheckResult]:
        """The check large."""
        if report.data["error"] is None:
            return [self._skip("large", report.data["said"].strip() or "it did not run")]
        error, limit = float(report.data["error"]), tolerance.PRODUCT
        if not math.isfinite(error):
            return [self._fail("large", "not-finite", "the product has another shape, or values that are not finite")]
        size = " x ".join(str(one) for one in large(self._device))
        message = f"of {size} in half precision, off by {error:.3g} {units.ROUNDING}, limit {limit:.3g}"
        return [self._pass("large", message) if error <= limit else self._fail("large", "wrong-large", message)]

    def generate(self, report: Report) -> list[CheckResult]:
        """The checks generate and placement."""
        data, expected = report.data, [f"w{word}" for word in language_model.expected()]
        said = data["said"].split()
        if said == expected:
            value = self._pass("generate", f"all {len(expected)} words are right, {report.seconds:.1f} s")
        else:
            right = next((i for i, (one, other) in enumerate(zip(said, expected, strict=False)) if one != other), None)
            at = min(len(said), len(expected)) if right is None else right
            message = f"after {at} right words of {len(expected)} it says {' '.join(said[at : at + 3]) or 'nothing'!r}"
            value = self._fail("generate", "wrong-value", f"{message} instead of {' '.join(expected[at : at + 3])!r}")
        return [value, self._placement(data)]

    def numbers(self, report: Report) -> list[CheckResult]:
        """The check numbers."""
        self._report.numbers = numbers.cases(report.data["cases"])
        return [self._answer("numbers", *numbers.verdict(self._report.numbers))]

    def matmul(self, report: Report) -> list[CheckResult]:
        """The checks matmul.value and matmul.speed."""
        self.numpy_tflops = float(report.data["numpy_tflops"])
        return self._speed.matmul(report.data)

    def bandwidth(self, report: Report) -> list[CheckResult]:
        """The check bandwidth."""
        return self._speed.bandwidth(report.data)

    def course(self, report: Report) -> list[CheckResult]:
        """The check course."""
        return self._speed.course(report.data)

    def sustained(self, report: Report) -> list[CheckResult]:
        """The check sustained."""
        return self._speed.sustained(report.data)

    def training(self, report: Report) -> list[CheckResult]:
        """The checks training and training.cpu."""
        data = report.data
        losses = [float(loss) for loss in data["losses"]]
        if not all(math.isfinite(loss) for loss in losses):
            return [self._fail("training", "no-learning", "the loss became a number that is not finite")]
        self._report.training = Training(data["seed"], losses)
        message = f"loss {losses[0]:.3g} to {losses[-1]:.3g} in {len(losses)} steps, {report.seconds:.1f} s"
        if losses[-1] >= LEARNED * losses[0]:
            return [self._fail("training", "no-learning", f"it did not learn: {message}")]
        return [self._pass("training", message), self._beside_cpu(losses, data["cpu_losses"])]

    def memory(self, report: Report) -> list[CheckResult]:
        """The check memory."""
        data = report.data
        before, after = data["before"], data["after"]
        if before is None or after is None:
            return [self._skip("memory", f"nobody counts the memory of {data['asked']}")]
        self._report.memory = {"before_bytes": before, "after_bytes": after}
        return [self._answer("memory", *numbers.memory(before, after, data["array"], data["times"]))]

    def libraries(self, report: Report) -> list[CheckResult]:
        """The check openmp."""
        fault, message = numbers.openmp(report.data["openmp"])
        # It may go well: what it does wrong shows in the other checks.
        return [warned(f"{self._name}.openmp", fault, message) if fault else self._pass("openmp", message)]

    def exit(self, report: Report) -> list[CheckResult]:
        """The check exit, of a probe that ended by itself."""
        return [self._pass("exit", f"ended by itself after {report.seconds:.1f} s")]

    @property
    def _speed(self) -> SpeedJudge:
        return SpeedJudge(self._name, self._report.device, self._chip, self._report, self._macos)

    def _beside_cpu(self, losses: list[float], on_cpu: list[Any] | None) -> CheckResult:
        if on_cpu is None:
            return self._skip("training.cpu", "the device is the CPU")
        cpu_losses = [float(loss) for loss in on_cpu]
        if len(cpu_losses) != len(losses):
            message = f"{len(losses)} losses on the device, {len(cpu_losses)} on the CPU"
            return self._fail("training.cpu", "malformed", message)
        fault, message = numbers.training(losses, cpu_losses)
        if self._report.training and all(math.isfinite(loss) for loss in cpu_losses):
            self._report.training = replace(self._report.training, cpu_losses=cpu_losses)
        return self._answer("training.cpu", fault, message)

    def _placement(self, data: dict[str, Any]) -> CheckResult:
        if data["ran_on"] != data["asked"]:
            message = f"asked for {data['asked']}, but the result is on {data['ran_on']}"
            return self._fail("placement", "other-device", message)
        return self._pass("placement", f"the result is on {data['ran_on']}")

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
    # What is not finite travels as a text.
    if any(isinstance(got, str) for _, _, got in given):
        return "not-finite"
    a, b = exact_operands()
    plain = [sum(x * row[j] for x, row in zip(a[i], b, strict=True)) for i, j, _ in given]
    return "wrong-relu" if plain == [got for _, _, got in given] else "wrong-value"

"""Results: what one run found on one host, as data."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA_VERSION = 3

Result = Literal["pass", "warn", "fail", "skip"]
Verdict = Literal["healthy", "unhealthy", "unverified"]
INTERNAL = "internal"
"""The check of verify itself, the last of each host: without it, or where it fails, the host could not be verified."""


@dataclass(frozen=True)
class CheckResult:
    """One check's answer.

    Attributes:
        check: its stable dotted name, for example pytorch.value.
        result: pass, warn (told, but no reason to call the machine unhealthy), fail or skip.
        message: what was found; for skip, the reason.
        advice: what to do next; for warn and fail only.
        fault: for warn and fail, the kind of failure, for example hang, crash, wrong-value, other-device.
    """

    check: str
    result: Result
    message: str
    advice: str = ""
    fault: str = ""


@dataclass(frozen=True)
class Matmul:
    """A timed matrix product.

    Attributes:
        dtype: float32, float16 or bfloat16.
        n: order of the square matrices.
        seed: of their random values.
        first_s: seconds of the first call, which may compile.
        samples_s: seconds of each repetition, in order.
        median_s, p25_s, p75_s, min_s: of the samples, in seconds.
        tflops: 2 n^3 / median, in 10^12 operations a second; tflops_low and tflops_high at p75_s and p25_s.
        noisy: whether the quartiles are more than a tenth of the median apart.
        residual: Freivalds' residual of the timed outputs in units of rounding, None where not finite.
        yardstick_tflops: what it is held against, None where there is nothing.
        share: tflops / yardstick_tflops.
    """

    dtype: str
    n: int
    seed: int
    first_s: float
    samples_s: list[float]
    median_s: float
    p25_s: float
    p75_s: float
    min_s: float
    tflops: float
    tflops_low: float
    tflops_high: float
    noisy: bool
    residual: float | None
    yardstick_tflops: float | None = None
    share: float | None = None


@dataclass(frozen=True)
class Training:
    """A short training run: the seed, and the loss before each step, on the device and on the CPU."""

    seed: int
    losses: list[float]
    cpu_losses: list[float] | None = None


@dataclass
class FrameworkReport:
    """One framework on one host.

    Attributes:
        required: whether its failure makes the host unhealthy.
        result: the worst of its checks (fail, warn, pass), or skip where none ran.
        version, device: as the framework said them, "" where it did not get there.
        seconds: how long its probe took on the target.
        settings: variables that decide how it computes, as the probe found or set them.
    """

    required: bool
    result: Result = "skip"
    version: str = ""
    device: str = ""
    seconds: float = 0.0
    settings: dict[str, str | None] = field(default_factory=dict)
    matmul: list[Matmul] = field(default_factory=list)
    bandwidth: dict[str, Any] | None = None
    course: dict[str, Any] | None = None
    sustained: dict[str, Any] | None = None
    numbers: list[dict[str, Any]] = field(default_factory=list)
    training: Training | None = None
    memory: dict[str, Any] | None = None


@dataclass
class HostReport:
    """One host: its name, the address it was reached by, facts about it, its frameworks and checks."""

    host: str
    address: str
    profile: str
    level: str
    started: str
    seconds: float = 0.0
    machine: dict[str, Any] = field(default_factory=dict)
    chip: dict[str, Any] | None = None
    state: dict[str, Any] | None = None
    yardstick: str | None = None
    frameworks: dict[str, FrameworkReport] = field(default_factory=dict)
    checks: list[CheckResult] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """See verdict_of."""
        return verdict_of((one.check, one.result) for one in self.checks)

    def as_data(self) -> dict[str, Any]:
        """The report as plain data after result.schema.json."""
        return {"schema": SCHEMA_VERSION, "verdict": self.verdict, **dataclasses.asdict(self)}


def verdict_of(checks: Iterable[tuple[str, str]]) -> Verdict:
    """What checks, by name and result, say of their host together.

    Healthy is a host of which everything that was asked for was looked at, and nothing failed.
    """
    results = list(checks)
    if {result for check, result in results if check == INTERNAL} != {"pass"}:
        return "unverified"
    found = {result for check, result in results if check != INTERNAL}
    if "fail" in found:
        return "unhealthy"
    return "healthy" if found & {"pass", "warn"} else "unverified"


def worst(results: Iterable[str]) -> Result:
    """The result that sums others up."""
    order: list[Result] = ["fail", "warn", "pass"]
    found = set(results)
    return next((one for one in order if one in found), "skip")

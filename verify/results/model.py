"""Results: what one run found on one host, as data and as a file that others may read."""

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jsonschema import Draft202012Validator

SCHEMA_VERSION = 2
SCHEMA = Path(__file__).resolve().parent / "result.schema.json"

Result = Literal["pass", "warn", "fail", "skip"]
Verdict = Literal["healthy", "unhealthy"]
_MAX_NAME = 100


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
        """Unhealthy where a check failed."""
        return "unhealthy" if any(one.result == "fail" for one in self.checks) else "healthy"

    def as_data(self) -> dict[str, Any]:
        """The report as plain data after result.schema.json."""
        return {"schema": SCHEMA_VERSION, "verdict": self.verdict, **dataclasses.asdict(self)}


def worst(results: list[Result]) -> Result:
    """The result that sums others up."""
    order: list[Result] = ["fail", "warn", "pass"]
    return next((one for one in order if one in results), "skip")


def file_name(host: str) -> str:
    """A file name for a host: its own name where that is safe everywhere, else made safe, with a digest of it."""
    safe = re.sub(r"[^a-z0-9._-]", "_", host.lower()).lstrip(".-")[:_MAX_NAME] or "host"
    digest = "" if safe == host else "-" + hashlib.sha256(host.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{safe}{digest}.json"


def write(report: HostReport, directory: Path) -> Path:
    """Check a report against the schema and write it.

    Returns:
        the file's path.

    Raises:
        jsonschema.ValidationError: the report is not what the schema promises, a fault of this program.
        OSError: the file cannot be written.
    """
    data = report.as_data()
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(data)
    path = directory / file_name(report.host)
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # Written beside and put in place: a reader never sees half a file.
    unfinished = path.with_suffix(".json.tmp")
    unfinished.write_text(text, encoding="utf-8", errors="backslashreplace")
    unfinished.replace(path)
    return path

"""What Core ML's plan says, told: which compute units a convolution is eligible for. Never more than that, and never a
reason to call a machine unhealthy: nothing in the profile needs Core ML."""

from ..results.model import CheckResult
from ..target.answers import Report
from .advice import failed

PREFIX = "coreml"
CHECK = f"{PREFIX}.plan"
DISTRIBUTION = "coremltools"
UNITS = {
    "MLNeuralEngineComputeDevice": "Neural Engine",
    "MLGPUComputeDevice": "GPU",
    "MLCPUComputeDevice": "CPU",
}
"""coremltools/models/compute_device.py."""
OPERATION = "conv"


def judge(_subject: object, report: Report) -> list[CheckResult]:
    """The check coreml.plan: what the plan prefers."""
    data = report.data
    # Operators carry the opset they come from, for example ios16.conv.
    found = [one for one in data["operations"] if one["name"].rpartition(".")[2] == OPERATION]
    if len(found) != 1:
        names = ", ".join(one["name"] for one in data["operations"]) or "none"
        return [failed(CHECK, "malformed", f"needed is one operation {OPERATION}, the plan places: {names}")]
    (one,) = found
    others = [_unit(unit) for unit in one["supported"] if unit != one["preferred"]]
    beside = f", and for {' and '.join(others)}" if others else ""
    message = (
        f"a fp16 convolution is eligible for the {_unit(one['preferred'])}, which the plan prefers{beside}; "
        f"whether it ran there is not shown (coremltools {data['version']})"
    )
    return [CheckResult(CHECK, "pass", message)]


def _unit(name: str) -> str:
    return UNITS.get(name, f"unknown unit {name}")

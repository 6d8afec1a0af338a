"""What Core ML's plan says, told: which compute units a convolution is eligible for. Never more than that, and never a
reason to call a machine unhealthy: nothing in the profile needs Core ML."""

from typing import Any

from verify.checks.advice import warned
from verify.results.model import CheckResult
from verify.target.remote import Outcome

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
_BROKEN = {"timeout": "hang", "signal": "crash", "exit": "no-answer", "no-answer": "no-answer"}


def skipped(reason: str) -> CheckResult:
    """The check, for a machine that it does not apply to."""
    return CheckResult(CHECK, "skip", reason)


def judge(outcome: Outcome) -> CheckResult:
    """The result of the check: pass with what the plan prefers, or a warning."""
    events = {(one["stage"], one.get("event")): one for one in outcome.records}
    for stage in ("import", "plan"):
        if (stage, "error") in events:
            return warned(CHECK, "exception", f"optional, failed: {events[stage, 'error'].get('error')}")
    if ("plan", "end") not in events:
        fault = _BROKEN.get(outcome.ended, outcome.ended)
        return warned(
            CHECK, fault, f"optional, failed: no plan; {outcome.evidence.strip()[-600:] or 'nothing was written'}"
        )
    try:
        version = str(events["import", "end"]["data"]["version"])
        return _plan(events["plan", "end"]["data"], version)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return warned(CHECK, "malformed", f"optional, failed: the probe's report makes no sense ({error!r})")


def _plan(data: dict[str, Any], version: str) -> CheckResult:
    # Operators carry the opset they come from, for example ios16.conv.
    found = [one for one in data["operations"] if str(one["name"]).rpartition(".")[2] == OPERATION]
    if len(found) != 1:
        names = ", ".join(str(one["name"]) for one in data["operations"]) or "none"
        raise ValueError(f"needed is one operation {OPERATION}, the plan places: {names}")
    (one,) = found
    others = [_unit(unit) for unit in one["supported"] if unit != one["preferred"]]
    beside = f", and for {' and '.join(others)}" if others else ""
    return CheckResult(
        CHECK,
        "pass",
        f"a fp16 convolution is eligible for the {_unit(one['preferred'])}, which the plan prefers{beside}; "
        f"whether it ran there is not shown (coremltools {version})",
    )


def _unit(name: str) -> str:
    return UNITS.get(name, f"unknown unit {name}")

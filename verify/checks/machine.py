"""The machine itself: its chip and its state, noted in the report and judged."""

import dataclasses
from typing import Any

from verify.checks import chips
from verify.checks import state as host_state
from verify.checks.advice import failed
from verify.checks.chips import Chip
from verify.results.model import CheckResult, HostReport

CHECKS = [chips.CHECK, host_state.CHECK]


def judge(records: list[dict[str, Any]], report: HostReport) -> list[CheckResult]:
    """The checks of the machine, in their order; the report is filled on the way.

    Args:
        records: of the environment's probe.
        report: the host's.
    """
    ended = {one["stage"]: one.get("data") for one in records if one.get("event") == "end"}
    if not isinstance(ended.get("machine"), dict) or "state" not in ended:
        return [CheckResult(check, "skip", "not reached: the machine told nothing of itself") for check in CHECKS]
    try:
        return _judge(ended["machine"] or {}, ended["state"] or {}, report)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"the probe's report makes no sense ({error!r})"
        return [
            failed(CHECKS[0], "malformed", message),
            CheckResult(CHECKS[1], "skip", f"not reached: {CHECKS[0]} failed"),
        ]


def _judge(machine: dict[str, Any], data: dict[str, Any], report: HostReport) -> list[CheckResult]:
    state = host_state.read(data)
    cores = host_state.gpu_cores(data)
    report.machine = {**machine, "gpu_cores": cores, "model": host_state.model(data)}
    report.state = dataclasses.asdict(state)
    if machine["system"] == "Darwin":
        chip = chips.find(machine["cpu"], cores)
        report.chip = {
            "name": machine["cpu"],
            "gpu_cores": cores,
            "known": chip is not None,
            "fp32_tflops": list(chip.fp32_tflops) if chip else None,
            "fp16_tflops": list(chip.fp16_tflops) if chip else None,
            "bandwidth_gb_s": list(chip.bandwidth_gb_s) if chip else None,
        }
    return [
        chips.judge(machine["system"], machine["cpu"], cores, machine["os_version"]),
        _at_level(host_state.judge(state, machine["cores"] or 1, machine["memory_bytes"]), report.level),
    ]


def _at_level(answer: CheckResult, level: str) -> CheckResult:
    """Where nothing is timed, a machine at work is none to warn of: it may just have been converged."""
    if level != "quick" or answer.result == "pass":
        return answer
    return CheckResult(answer.check, "pass", f"noted, as nothing is timed at this level: {answer.message}")


def chip_of(report: HostReport) -> Chip | None:
    """The chip that a host's figures are held against."""
    return chips.find(report.machine.get("cpu", ""), report.machine.get("gpu_cores")) if report.chip else None

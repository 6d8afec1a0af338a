"""The machine itself: its chip and its state, noted in the report and judged."""

import dataclasses

from ..results.model import CheckResult, HostReport
from ..target.answers import Report
from . import chips, state
from .chips import Chip
from .environment import EnvironmentJudge
from .plan import QUICK


def judge(subject: EnvironmentJudge, report: Report) -> list[CheckResult]:
    """The checks machine.chip and machine.state; the host's report, which knows the machine, is filled on the way.

    Args:
        subject: the environment's, whose stage `machine` was judged before.
        report: of the stage `state`.
    """
    noted, seen = subject.report, state.read(report.data)
    cores = state.gpu_cores(report.data)
    machine = {**noted.machine, "gpu_cores": cores, "model": state.model(report.data)}
    virtual = machine["system"] == "Darwin" and state.virtual_mac(seen, machine["model"], machine["cpu"])
    noted.machine = machine = {**machine, "virtual": virtual}
    noted.state = dataclasses.asdict(seen)
    if machine["system"] == "Darwin":
        chip = chips.find(machine["cpu"], cores)
        noted.chip = {
            "name": machine["cpu"],
            "gpu_cores": cores,
            "known": chip is not None,
            "fp32_tflops": list(chip.fp32_tflops) if chip and chip.fp32_tflops else None,
            "fp16_tflops": list(chip.fp16_tflops) if chip and chip.fp16_tflops else None,
            "bandwidth_gb_s": list(chip.bandwidth_gb_s) if chip else None,
        }
    return [
        chips.judge(machine["system"], machine["cpu"], cores, machine["os_version"], virtual=virtual),
        _at_level(state.judge(seen, machine["cores"] or 1, machine["memory_bytes"]), noted.level),
    ]


def _at_level(answer: CheckResult, level: str) -> CheckResult:
    """Where nothing is timed, a machine at work is none to warn of: it may just have been converged."""
    if level != QUICK or answer.result == "pass":
        return answer
    return CheckResult(answer.check, "pass", f"noted, as nothing is timed at this level: {answer.message}")


def chip_of(report: HostReport) -> Chip | None:
    """The chip that a host's figures are held against."""
    return chips.find(report.machine.get("cpu", ""), report.machine.get("gpu_cores")) if report.chip else None

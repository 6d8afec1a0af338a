"""Apple's chips: what their GPUs can reach at most, from chips.yml, and which of them a machine has."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..results.model import CheckResult
from .advice import warned

DATA = Path(__file__).resolve().parent / "chips.yml"
CHECK = "machine.chip"
Range = tuple[float, float]


@dataclass(frozen=True)
class Chip:
    """A chip with one number of GPU cores. Ranges where sources differ, else both ends are the same.

    Attributes:
        name: as machdep.cpu.brand_string says it.
        gpu_cores: how many.
        fp32_tflops, fp16_tflops: peak of the GPU, in 10^12 operations a second; None where nobody states its clock.
        bandwidth_gb_s: of its memory, in 10^9 bytes a second.
        neural: whether its GPU has neural accelerators, by which half precision is several times as fast as fp32.
        reached_tflops, reached_gb_s: what was measured on such chips; None where nobody's figures are known.
    """

    name: str
    gpu_cores: int
    fp32_tflops: Range | None
    fp16_tflops: Range | None
    bandwidth_gb_s: Range
    neural: bool = False
    reached_tflops: Range | None = None
    reached_gb_s: Range | None = None

    def peak(self, dtype: str) -> Range | None:
        """Peak for a kind of numbers, None where it is not known; 16-bit kinds have the same."""
        return self.fp32_tflops if dtype == "float32" else self.fp16_tflops


@functools.cache
def load() -> dict[tuple[str, int | None], Chip]:
    """All chips, by name and GPU cores.

    Raises:
        KeyError, TypeError, ValueError: chips.yml is not what it must be, a fault of this program.
    """
    data = yaml.safe_load(DATA.read_text(encoding="utf-8"))
    found: dict[tuple[str, int | None], Chip] = {}
    for entry in (*data["chips"], *data["measured"]):
        if not set(entry["sources"]) <= set(data["sources"]):
            raise ValueError(f"{entry['name']}: a source that is not listed")
    for entry in data["chips"]:
        clocks = None if entry["clock_ghz"] is None else _range(entry["clock_ghz"])
        for cores in entry["gpu_cores"]:
            fp32 = clocks and (_peak(cores, clocks[0]), _peak(cores, clocks[1]))
            bandwidth = entry["bandwidth_gb_s"]
            name = entry["name"]
            chip = Chip(
                name=name,
                gpu_cores=cores,
                fp32_tflops=fp32,
                fp16_tflops=fp32 and (fp32[0], fp32[1] * float(entry["fp16_factor"])),
                bandwidth_gb_s=_range(bandwidth[cores] if isinstance(bandwidth, dict) else bandwidth),
                neural=entry.get("neural", False),
                reached_tflops=_measured(data["measured"], name, "fp32_tflops", cores),
                # Of the memory, which does not depend on the cores.
                reached_gb_s=_measured(data["measured"], name, "bandwidth_gb_s", None),
            )
            if found.setdefault((chip.name, cores), chip) is not chip:
                raise ValueError(f"{chip.name} with {cores} GPU cores is there twice")
    return found


def _measured(entries: list[dict[str, Any]], name: str, figure: str, cores: int | None) -> Range | None:
    """What was measured on a chip, from the lowest to the highest; in proportion to its cores where they are given."""
    found: list[float] = []
    for one in entries:
        if one["name"] == name and one[figure] is not None:
            share = cores / one["gpu_cores"] if cores and one["gpu_cores"] else 1.0
            found += [share * end for end in _range(one[figure])]
    return (min(found), max(found)) if found else None


def _peak(cores: int, clock_ghz: float) -> float:
    """128 lanes a core, each a multiplication and an addition a cycle (FP32), in TFLOPS."""
    return cores * 128 * 2 * clock_ghz / 1000


def _range(value: float | list[float]) -> Range:
    low, high = (value, value) if isinstance(value, int | float) else value
    if not 0 < low <= high:
        raise ValueError(f"{value} is no range")
    return float(low), float(high)


def find(name: str, gpu_cores: int | None) -> Chip | None:
    """The chip of a machine, None where it is not known."""
    return load().get((name, gpu_cores))


def judge(system: str, name: str, gpu_cores: int | None, os_version: str, *, virtual: bool) -> CheckResult:
    """The check of the chip: known, or named, so that it can be told.

    Args:
        system: as platform.system() says it.
        name: the processor's.
        gpu_cores: of its GPU, None where the machine does not say.
        os_version: the system's.
        virtual: whether it is a virtual Mac.
    """
    if system != "Darwin":
        return CheckResult(CHECK, "skip", "no Apple chip: speed is held against the CPU's own library")
    if virtual:
        return CheckResult(
            CHECK, "skip", f"a virtual Mac ({name}): its GPU is Apple's paravirtual one, which has no figures"
        )
    chip = find(name, gpu_cores)
    if chip is None:
        message = f"no figures for {name!r} with {gpu_cores or 'unknown'} GPU cores (macOS {os_version})"
        return warned(CHECK, "unknown-chip", message)
    peak = f"at most {_text(chip.fp32_tflops)} TFLOPS fp32" if chip.fp32_tflops else "peak in TFLOPS not known"
    message = f"{name}, {gpu_cores} GPU cores: {peak}, {_text(chip.bandwidth_gb_s)} GB/s"
    return CheckResult(CHECK, "pass", message)


def _text(span: Range) -> str:
    return f"{span[0]:.3g}" if span[0] == span[1] else f"{span[0]:.3g} to {span[1]:.3g}"

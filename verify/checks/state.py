"""A machine's state, read from what its own tools say, and whether figures taken in it can be trusted.

What a tool does not say, or says in another form than the one known, is None: not known.
"""

import re
from dataclasses import dataclass
from typing import Any, TypeVar

from .. import documents
from ..documents import MalformedError
from ..results.model import CheckResult
from ..target.answers import SCHEMA
from .advice import warned

CHECK = "machine.state"
THERMAL = ("nominal", "moderate", "heavy", "trapping", "sleeping")
"""Steps 0 to 4 of libkern/OSThermalNotification.h on macOS."""
PRESSURE = {"1": "normal", "2": "warning", "4": "critical"}
"""kern.memorystatus_vm_pressure_level: the values of dispatch/source.h, DISPATCH_MEMORYPRESSURE_*."""
BUSY = 0.5
"""Load for each core above which other work takes a share of what is measured."""
SWAPPED_SHARE = 0.1
"""Swap in use, as a share of memory, above which memory was short."""
_MODEL = 100
Number = TypeVar("Number", int, float, int | None, float | None)


@dataclass(frozen=True)
class State:
    """See result.schema.json; sizes in bytes, times in seconds, a temperature in degrees Celsius, a power in watts."""

    power_source: str | None = None
    low_power_mode: bool | None = None
    thermal_pressure: str | None = None
    memory_pressure: str | None = None
    memory_free_percent: float | None = None
    swap_used_bytes: int | None = None
    load_1m: float | None = None
    wired_limit_bytes: int | None = None
    virtual_machine: bool | None = None
    uptime_s: float | None = None
    battery_c: float | None = None
    power_w: float | None = None


def read(data: dict[str, Any]) -> State:
    """Read what the probe of the state brought (verify/probes/state.py)."""
    return _of_macos(data) if data["said"] else _of_linux(data)


def gpu_cores(data: dict[str, Any]) -> int | None:
    """Cores of the GPU: `sppci_cores` of system_profiler's first display device that has it."""
    try:
        said = documents.check(documents.parse(data["said"].get("gpu", "")), SCHEMA, "displays")
    except MalformedError:
        return None
    cores = [one["sppci_cores"] for one in said["SPDisplaysDataType"] if "sppci_cores" in one]
    return int(cores[0]) if cores else None


def model(data: dict[str, Any]) -> str:
    """The model's name, for example MacBookPro17,1, "" where it is not known."""
    named = data["said"].get("model", "") or data["files"].get("/sys/class/dmi/id/product_name", "")
    return str(named).strip()[:_MODEL]


def virtual_mac(state: State, name: str, cpu: str) -> bool:
    """Whether a Mac is a virtual one: its kernel says so, and its names do.

    Args:
        state: the machine's.
        name: its model.
        cpu: as machdep.cpu.brand_string says it.
    """
    # Apple's Virtualization framework: hw.model VirtualMac2,1, brand "Apple M1 (Virtual)".
    return state.virtual_machine is True and (name.startswith("VirtualMac") or cpu.endswith("(Virtual)"))


def _of_macos(data: dict[str, Any]) -> State:
    said = data["said"]
    # pmset.c, show_power_sources: "Now drawing from 'AC Power'", or 'Battery Power', or 'UPS Power'.
    source = _found(r"^Now drawing from '(\w+) Power'", said["battery"])
    # pmset(1): lowpowermode 0 or 1; on Macs that also have a high-power mode it is called powermode, 1 being low.
    low = _found(r"^\s*(?:lowpowermode|powermode)\s+(\d)\b", said["power"])
    thermal = _found(r"^com\.apple\.system\.thermalpressurelevel (\d{1,3})\s*$", said["thermal"])
    free = _found(r"^System-wide memory free percentage: (\d{1,3})%", said["memory"])
    # xnu, bsd/vm/vm_unix.c, xsw_usage, as sysctl(8) prints it.
    swap = _found(r"\bused = (\d{1,12}\.\d{1,9})M\b", said["swap"])
    wired = _found(r"^(\d{1,9})\s*$", said["wired"])
    boot = _found(r"\bsec = (\d{1,12})\b", said["boot"])
    virtual = said["virtual"].strip()
    return State(
        power_source={"AC": "ac", "Battery": "battery"}.get(source or ""),
        low_power_mode=None if low is None else low == "1",
        thermal_pressure=THERMAL[int(thermal)] if thermal is not None and int(thermal) < len(THERMAL) else None,
        memory_pressure=PRESSURE.get(said["pressure"].strip()),
        memory_free_percent=None if free is None else float(free),
        swap_used_bytes=None if swap is None else int(float(swap) * 2**20),
        load_1m=float(data["load"]),
        # 0 leaves it to macOS.
        wired_limit_bytes=None if wired is None else int(wired) * 2**20,
        virtual_machine={"0": False, "1": True}.get(virtual),
        uptime_s=_not_negative(None if boot is None else float(data["now"]) - int(boot)),
        battery_c=battery_c(said["registry"]),
        power_w=power_w(said["registry"]),
    )


def battery_c(registry: str) -> float | None:
    """Temperature of a notebook's battery, which ioreg has in hundredths of a degree Celsius.

    Args:
        registry: what `ioreg -rn AppleSmartBattery` prints; the battery's own line, not one of a table in it.
    """
    found = _found(r'^[ |]*"Temperature" = (\d{1,5})$', registry)
    return None if found is None else int(found) / 100


def power_w(registry: str) -> float | None:
    """What a notebook draws in all, from its battery and its power supply; ioreg has it in milliwatts.

    Args:
        registry: as for battery_c. macOS renews the figure every 10 to 60 seconds.
    """
    found = _found(r'^[ |]*"PowerTelemetryData" = \{.*"SystemLoad"=(\d{1,7})[,}]', registry)
    return None if found is None else int(found) / 1000


def _of_linux(data: dict[str, Any]) -> State:
    files = data["files"]
    memory = {
        name: int(size) * 1024
        for name, size in re.findall(r"^(\w+):\s+(\d{1,15}) kB$", files.get("/proc/meminfo", ""), re.MULTILINE)
    }
    plugs = [text.strip() for path, text in files.items() if path.endswith("/online")]
    uptime = _found(r"^(\d{1,12}\.\d{1,9})\b", files.get("/proc/uptime", ""))
    total, available = memory.get("MemTotal"), memory.get("MemAvailable")
    return State(
        power_source=("ac" if "1" in plugs else "battery") if plugs else None,
        memory_free_percent=100.0 * available / total if total and available is not None else None,
        swap_used_bytes=_not_negative(
            memory["SwapTotal"] - memory["SwapFree"] if {"SwapTotal", "SwapFree"} <= set(memory) else None
        ),
        load_1m=float(data["load"]),
        # The CPU's own flag for running under a hypervisor (arch/x86/include/asm/cpufeatures.h).
        virtual_machine=bool(re.search(r"^flags\s*:.*\bhypervisor\b", files.get("/proc/cpuinfo", ""), re.MULTILINE)),
        uptime_s=None if uptime is None else float(uptime),
    )


def _not_negative(value: Number) -> Number | None:
    """A time or a size; a negative one was misread, or a clock was set in between."""
    return value if value is not None and value >= 0 else None


def _found(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1] if match else None


def judge(state: State, cores: int, memory_bytes: int) -> CheckResult:
    """The check of the state: a warning with every reason not to trust a figure taken in it.

    Args:
        state: the machine's.
        cores: of its CPU.
        memory_bytes: its memory.
    """
    reasons = {
        "low-power": "it runs on battery in low-power mode"
        if state.low_power_mode and state.power_source == "battery"
        else "low-power mode is on"
        if state.low_power_mode
        else "",
        "hot": f"its thermal pressure is {state.thermal_pressure}"
        if state.thermal_pressure not in (None, THERMAL[0])
        else "",
        "short-of-memory": _memory_reason(state, memory_bytes),
        "busy": f"its load is {state.load_1m:.1f} on {cores} cores"
        if state.load_1m is not None and state.load_1m > BUSY * cores
        else "",
    }
    held = {fault: reason for fault, reason in reasons.items() if reason}
    if held:
        return warned(CHECK, next(iter(held)), "; ".join(held.values()))
    return CheckResult(CHECK, "pass", "nothing that would make its figures untrustworthy")


def _memory_reason(state: State, memory_bytes: int) -> str:
    if state.memory_pressure in ("warning", "critical"):
        return f"its memory pressure is {state.memory_pressure}"
    if state.swap_used_bytes and state.swap_used_bytes > SWAPPED_SHARE * memory_bytes:
        return f"{state.swap_used_bytes / 1e9:.1f} GB of its memory are swapped out"
    return ""

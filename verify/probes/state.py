"""What decides whether a machine's figures can be trusted: power, heat, memory, load. Nothing here needs root.

Standard library only. On macOS the tools' own words travel back and are read on the controller, by
verify/checks/state.py; a tool that fails or is missing answers "".
"""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

TOOL_TIMEOUT_S = 8
MAX_SAID = 100000
"""Characters of what a tool says that travel."""
BATTERY = ["/usr/sbin/ioreg", "-rn", "AppleSmartBattery"]
"""A notebook's battery and power controller, which anybody may read; nothing on a desktop."""
COMMANDS = {
    "battery": ["/usr/bin/pmset", "-g", "batt"],
    "power": ["/usr/bin/pmset", "-g"],
    # The notification behind NSProcessInfo's thermalState, with finer steps (libkern/OSThermalNotification.h).
    "thermal": ["/usr/bin/notifyutil", "-g", "com.apple.system.thermalpressurelevel"],
    "memory": ["/usr/bin/memory_pressure", "-Q"],
    "pressure": ["/usr/sbin/sysctl", "-n", "kern.memorystatus_vm_pressure_level"],
    "swap": ["/usr/sbin/sysctl", "-n", "vm.swapusage"],
    "wired": ["/usr/sbin/sysctl", "-n", "iogpu.wired_limit_mb"],
    "virtual": ["/usr/sbin/sysctl", "-n", "kern.hv_vmm_present"],
    "boot": ["/usr/sbin/sysctl", "-n", "kern.boottime"],
    "gpu": ["/usr/sbin/system_profiler", "SPDisplaysDataType", "-json"],
    "registry": BATTERY,
    "model": ["/usr/sbin/sysctl", "-n", "hw.model"],
}


def state() -> dict[str, Any]:
    """Returns said (what each of COMMANDS printed; {} elsewhere than on macOS), files (text of Linux' files by path),
    load (over a minute), now (seconds since 1970)."""
    darwin = platform.system() == "Darwin"
    return {
        "said": {name: _said(command) for name, command in COMMANDS.items()} if darwin else {},
        "files": {} if darwin else _files(),
        "load": os.getloadavg()[0],
        "now": time.time(),
    }


def battery() -> str:
    """What BATTERY prints; "" where there is none."""
    return _said(BATTERY) if platform.system() == "Darwin" else ""


def _said(command: list[str]) -> str:
    try:
        # In one language: `sysctl vm.swapusage` writes 6101,25M where the locale is Portuguese.
        done = subprocess.run(
            command,
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=TOOL_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout[:MAX_SAID] if done.returncode == 0 else ""


def _files() -> dict[str, str]:
    paths = [Path("/proc/meminfo"), Path("/proc/uptime"), Path("/proc/cpuinfo"), Path("/sys/class/dmi/id/product_name")]
    paths += sorted(Path("/sys/class/power_supply").glob("*/online"))
    found = {}
    for path in paths:
        try:
            found[str(path)] = path.read_text(encoding="utf-8", errors="replace")[:20000]
        except OSError:
            continue
    return found

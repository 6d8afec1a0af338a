"""Answers of machines to judge in tests: they come in as real ones do, through the boundary."""

from typing import Any

from verify.checks import stages
from verify.checks.framework import exact_result
from verify.checks.language_model import expected
from verify.checks.walk import Asked, walk
from verify.probes.units import ROUNDING
from verify.profile.model import ARRAYS
from verify.results.model import CheckResult
from verify.target import answers
from verify.target.answers import Outcome

GIB = 2**30
# What the tools print on a MacBook Pro M1 with macOS 15.6 (forms: see verify/checks/state.py).
SAID = {
    "battery": "Now drawing from 'AC Power'\n -InternalBattery-0 (id=4653155)\t100%; charged; 0:00 remaining\n",
    "power": "System-wide power settings:\nCurrently in use:\n standby              1\n lowpowermode         0\n",
    "thermal": "com.apple.system.thermalpressurelevel 0\n",
    "memory": "The system has 17179869184 (1048576 pages with a page size of 16384).\n"
    "System-wide memory free percentage: 78%\n",
    "pressure": "1\n",
    "swap": "total = 2048.00M  used = 1024.50M  free = 1023.50M  (encrypted)\n",
    "wired": "0\n",
    "virtual": "0\n",
    "boot": "{ sec = 1763600000, usec = 0 } Thu Nov 20 00:53:20 2025\n",
    "gpu": '{"SPDisplaysDataType": [{"_name": "x"}, {"sppci_cores": "8", "sppci_model": "Apple M1"}]}',
    # As notebooks print it, cut short: a table and a line of the same name, and what is drawn in milliwatts.
    "registry": "+-o AppleSmartBattery  <class AppleSmartBattery, id 0x100000c29>\n    {\n"
    '      "BatteryData" = {"Temperature"=99,"DesignCapacity"=8579}\n'
    '      "PowerTelemetryData" = {"AdapterEfficiencyLoss"=250,"SystemLoad"=14960,"SystemPowerIn"=15210}\n'
    '      "Temperature" = 2985\n      "VirtualTemperature" = 3139\n    }\n',
    "model": "MacBookPro17,1\n",
}
MACHINE = {
    "system": "Darwin",
    "machine": "arm64",
    "os_version": "15.6.1",
    "cpu": "Apple M1",
    "cores": 8,
    "memory_bytes": 16 * GIB,
    "translated": False,
}
SAMPLES = [0.010 + 0.0001 * (one % 3) for one in range(20)]
PRODUCT: dict[str, Any] = {
    "n": 1000,
    "dtype": "float32",
    "seed": 1,
    "first_s": 0.5,
    "samples": SAMPLES,
    "device": "gpu:0",
    "drain_s": 0.001,
    "residuals": [0.3, 0.2],
}
CASE = {
    "case": "sum",
    "operation": "sum",
    "dtype": "float32",
    "k": 100,
    "unit": ROUNDING,
    "error": 0.5,
    "finite": True,
    "said": "",
}
GOOD: dict[str, dict[str, Any]] = {
    "import": {"version": "1.0"},
    "device": {"present": ["cpu", "gpu"], "default": "gpu", "settings": {}, "asked": "gpu:0"},
    "execute": {"asked": "gpu:0", "ran_on": "gpu:0", "result": exact_result()},
    "large": {"error": 0.5, "said": ""},
    "numbers": {"cases": [CASE]},
    "matmul": {"asked": "gpu:0", "products": [PRODUCT], "lacking": {}, "numpy_tflops": 0.1},
    "bandwidth": {"bytes": 5 * 10**8, "samples": SAMPLES},
    "course": {"n": 10000, "samples": [1.3, 1.2], "reason": ""},
    "training": {"seed": 1, "losses": [1.0, 0.5, 0.1], "cpu_losses": [1.0, 0.5, 0.1]},
    "memory": {"asked": "gpu:0", "before": 1000, "after": 1000, "array": 4000000, "times": 5},
    "libraries": {"openmp": ["/env/libomp.dylib"]},
}
"""A framework's stages on an M1 at level full, all of them well."""
GENERATED = {"asked": "gpu:0", "ran_on": "gpu:0", "said": " ".join(f"w{one}" for one in expected())}
"""The stage of a language model."""


def records(found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """What a probe writes about stages that came to their end, from their data."""
    written: list[dict[str, Any]] = []
    for stage, data in found.items():
        written.append({"stage": stage, "event": "start"})
        written.append({"stage": stage, "event": "end", "seconds": 1.0, "data": data})
    return written


def outcome(probe: str, written: list[dict[str, Any]], **ended: Any) -> Outcome:
    """The outcome of a probe that wrote these records and, unless said otherwise, ended well."""
    return Outcome(answers.reports(probe, written), **{"ended": "exit", "seconds": 9.0, **ended})


def judged(
    probe: str,
    subject: Any,
    answer: Outcome,
    *,
    level: str = "full",
    required: bool = True,
    kind: str = ARRAYS,
    virtual: bool = False,
    **values: list[str],
) -> list[CheckResult]:
    """The answers of all checks of a probe; what goes wrong in a judge is raised."""
    problems: list[Exception] = []
    asked = Asked(stages.of(probe, level, kind), values, subject, answer, 60.0, required, virtual=virtual)
    found = walk(asked, problems.append)
    if problems:
        raise problems[0]
    return found

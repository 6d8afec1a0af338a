"""A fleet of results, made from one that was measured: for the benchmark of the report, and for its tests.

The figures of the measured result are scaled to chips of other peaks and shaken a little; what its level did not
measure is made up, so that the page has to show it; some hosts warn, some fail, some cannot be reached. Nothing of it
says anything about real Macs.
"""

import copy
import json
import random
from pathlib import Path
from typing import Any

from verify.checks.advice import ADVICE
from verify.results.files import file_name
from verify.results.model import INTERNAL

HOSTILE = "<script>alert('host')</script>"
"""A host's name, and what it says, that would do harm in a page that does not escape."""
CHIPS = [("Apple M1", 8), ("Apple M1 Pro", 16), ("Apple M2", 10), ("Apple M3 Max", 40), ("Apple M4", 10)]
_SHAKEN = 0.02


def make(measured: dict[str, Any], count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Results of `count` hosts, in the order: hostile name, failing, unreachable, warning, unverified, then healthy
    ones.

    Args:
        measured: a result at level full or soak, after result.schema.json.
        count: of hosts.
        seed: of the random numbers.
    """
    source = random.Random(seed)  # noqa: S311 - no secret
    fleet = [_mac(measured, number, source) for number in range(count)]
    spoil = [_hostile, _failing, _unreachable, _warning, _unverified]
    for one, change in zip(fleet, spoil, strict=False):
        change(one)
    return fleet


def _mac(measured: dict[str, Any], number: int, source: random.Random) -> dict[str, Any]:
    one = copy.deepcopy(measured)
    name, cores = CHIPS[number % len(CHIPS)]
    peak = cores * 0.33
    one.update(host=f"lab-{number + 1:02}", address=f"ansible://lab-{number + 1:02}", yardstick="chip")
    one["chip"] = {
        "name": name,
        "gpu_cores": cores,
        "known": True,
        "fp32_tflops": [peak, peak],
        "fp16_tflops": [peak, 2 * peak],
        "bandwidth_gb_s": [100, 120],
    }
    one["machine"].update(system="Darwin", machine="arm64", os_version="15.6.1", cpu=name, gpu_cores=cores, model="Mac")
    one["state"] = {
        "power_source": "ac",
        "low_power_mode": False,
        "thermal_pressure": "nominal",
        "memory_pressure": "normal",
        "memory_free_percent": 62,
        "swap_used_bytes": 0,
        "load_1m": 1.5,
        "wired_limit_bytes": 12_000_000_000,
        "virtual_machine": False,
        "uptime_s": 400_000,
    }
    for check in one["checks"]:
        if check["result"] == "warn":
            check.update(result="pass", fault="", advice="")
    for framework in one["frameworks"].values():
        if framework["matmul"]:
            _measure(framework, peak, source)
    return one


def _measure(framework: dict[str, Any], peak: float, source: random.Random) -> None:
    """Scale a framework's figures to a peak, and make up those that it does not have."""
    framework["result"] = "pass"
    best = max(product["tflops"] for product in framework["matmul"])
    factor = 0.7 * peak / best * source.uniform(1 - _SHAKEN, 1 + _SHAKEN)
    for product in framework["matmul"]:
        for key in ("tflops", "tflops_low", "tflops_high"):
            product[key] *= factor
        for key in ("median_s", "p25_s", "p75_s", "min_s", "first_s"):
            product[key] /= factor
        product["samples_s"] = [sample / factor for sample in product["samples_s"]]
        product.update(noisy=False, yardstick_tflops=peak, share=product["tflops"] / peak)
    if {product["dtype"] for product in framework["matmul"]} == {"float32"}:
        framework["matmul"] += [
            {**product, "dtype": dtype} for dtype in ("float16", "bfloat16") for product in framework["matmul"]
        ]
    speed = 100 * source.uniform(1 - _SHAKEN, 1 + _SHAKEN)
    framework["bandwidth"] = {
        "bytes": 2**30,
        "samples_s": [2**30 / speed / 1e9] * 20,
        "median_s": 2**30 / speed / 1e9,
        "gb_s": speed,
        "gb_s_low": speed * 0.98,
        "gb_s_high": speed * 1.01,
        "yardstick_gb_s": 100,
        "share": speed / 100,
    }
    course_s = 2 * 10_000**3 / (0.7 * peak * 1e12)
    framework["course"] = {"n": 10_000, "seconds": course_s, "products": 3, "honest_tflops": 0.7 * peak}
    windows = [0.7 * peak * (1 - 0.004 * number) * source.uniform(0.99, 1.01) for number in range(36)]
    ratio = sum(windows[-3:]) / sum(windows[:3])
    framework["sustained"] = {"dtype": "float32", "n": 4096, "window_s": 5, "tflops": windows, "ratio": ratio}
    framework["numbers"] = [
        {
            "case": case,
            "dtype": dtype,
            "error": error * source.uniform(0.5, 1),
            "tolerance": 4 * error,
            "unit": "relative",
            "result": "pass",
            "message": "within the tolerance",
        }
        for case in ("relu", "conv1d", "long-sum", "scan", "take-along-axis", "random")
        for dtype, error in (("float32", 6e-8), ("float16", 5e-4))
    ]
    framework["memory"] = {"before_bytes": 0, "after_bytes": 1_048_576}


def _spoil(one: dict[str, Any], check: str, result: str, fault: str, message: str) -> None:
    found = next(found for found in one["checks"] if found["check"] == check)
    found.update(result=result, fault=fault, message=message, advice=ADVICE[fault])


def _hostile(one: dict[str, Any]) -> None:
    one.update(host=HOSTILE, address=HOSTILE, verdict="unhealthy")
    one["machine"]["cpu"] = one["chip"]["name"] = HOSTILE
    # It has no checks, which say what a framework's result is.
    one["frameworks"][HOSTILE] = {**copy.deepcopy(next(iter(one["frameworks"].values()))), "result": "skip"}
    message = f'{HOSTILE}\x1b[2J\u202e</pre></details><img src=x onerror=alert(1)>" onfocus="alert(1)'
    _spoil(one, "environment.integrity", "fail", "damaged", message)


def _failing(one: dict[str, Any]) -> None:
    one["verdict"] = "unhealthy"
    one["frameworks"]["mlx"]["result"] = "fail"
    _spoil(one, "mlx.value", "fail", "wrong-value", "3 of 384 entries are wrong, the first [0, 1]: 7.0 instead of 6")


def _unreachable(one: dict[str, Any]) -> None:
    one.update(verdict="unhealthy", chip=None, state=None, yardstick=None, machine={}, frameworks={})
    for check in one["checks"]:
        if check["check"] != INTERNAL:
            check.update(result="skip", fault="", advice="", message="not reached: the host is unreachable")
    _spoil(one, "environment.reachable", "fail", "unreachable", "unreachable: ssh: connect to host: Connection refused")


def _unverified(one: dict[str, Any]) -> None:
    one["verdict"] = "unverified"
    _spoil(one, INTERNAL, "fail", "internal", "verify failed: KeyError: 'cpu' (machine.py, line 30)")


def _warning(one: dict[str, Any]) -> None:
    one["frameworks"]["mlx"]["result"] = "warn"
    _spoil(one, "mlx.exit", "warn", "noisy", "noisy, spread 14 %")


def write(fleet: list[dict[str, Any]], folder: Path) -> None:
    """Write results as verify does, under names that are safe whatever the hosts are called."""
    for one in fleet:
        text = json.dumps(one, indent=2, ensure_ascii=False) + "\n"
        (folder / file_name(one["host"], one["profile"])).write_text(text, encoding="utf-8")

"""What a framework computed at level full, judged: its numbers, its training beside the CPU's, its memory, OpenMP.

Each function gives a check's fault, "" for none, and its message; verify/checks/framework.py makes checks of them.
"""

import math
import sys
from typing import Any

from ..probes import units
from . import tolerance

BAND = 0.05
"""How far a loss may be from the CPU's, as a share of the CPU's. Correct float32 implementations, which add in
different orders, differ by 2e-5 of it after 80 steps (measured: PyTorch and JAX, the same weights)."""
BAND_FIRST = 0.002
"""What may come to that, as a share of the first loss: curves near zero differ by large shares of themselves."""
_TINY = sys.float_info.min


def cases(observed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The observed cases, judged, after the schema's "number".

    Args:
        observed: what verify/probes/numbers.py reports.
    """
    return [_case(one) for one in observed]


def _case(one: dict[str, Any]) -> dict[str, Any]:
    unit = one["unit"]
    limit = tolerance.limit(unit, one["k"])
    found = {"case": one["case"], "dtype": one["dtype"], "error": None, "tolerance": limit, "unit": unit}
    if one["error"] is None:
        # What the framework lacks is no fault of the machine; what raises is.
        result = "fail" if one["said"].startswith("raised ") else "skip"
        return {**found, "result": result, "message": one["said"] or "it did not run"}
    if not one["finite"]:
        return {**found, "result": "fail", "message": NOT_FINITE}
    error = float(one["error"])
    if not math.isfinite(error):
        message = "the result has another shape or cannot be had again from the same seed"
        return {**found, "result": "fail", "message": message}
    result = "pass" if 0 <= error <= limit else "fail"
    return {**found, "error": error, "result": result, "message": f"{error:.3g} {unit}, limit {limit:.3g}"}


NOT_FINITE = "the result holds values that are not finite"
_PRODUCT = "matmul-"


def verdict(judged: list[dict[str, Any]]) -> tuple[str, str]:
    """Fault and message for all cases of a framework together."""
    bad = [one for one in judged if one["result"] == "fail"]
    ran = [one for one in judged if one["result"] != "skip"]
    if not bad:
        # Where none ran, nothing is known.
        fault = "" if ran else "malformed"
        left_out = ", ".join(one["case"] for one in judged if one["result"] == "skip")
        return fault, f"{len(ran)} cases within their limits" + (f"; not there: {left_out}" if left_out else "")
    named = "; ".join(f"{one['case']}: {one['message']}" for one in bad)
    message = f"{len(bad)} of {len(ran)} cases are wrong: {named}"
    if any(one["message"] == NOT_FINITE for one in bad):
        return "not-finite", message
    if any(one["case"] == "relu" and one["error"] for one in bad):
        return "wrong-relu", message
    if all(one["message"].startswith("raised ") for one in bad):
        return "exception", message
    wrong = {one["case"] for one in bad}
    sizes = [n for n in (*units.WHOLE, *units.PROJECTED) if f"{_PRODUCT}{n}" in wrong]
    right = [n for n in (*units.WHOLE, *units.PROJECTED) if n not in sizes]
    if sizes and right and min(sizes) > max(right):
        return "wrong-large", f"products are right up to n = {max(right)} and wrong from n = {min(sizes)}: {message}"
    return "wrong-value", message


def training(losses: list[float], cpu_losses: list[float]) -> tuple[str, str]:
    """Fault and message for a training's curve beside the CPU's.

    Args:
        losses: on the device, before each step, finite.
        cpu_losses: on the CPU, from the same weights and data.

    Raises:
        ValueError: the curves have different lengths.
    """
    furthest = max(
        (
            (abs(ours - theirs) / max(BAND * abs(theirs) + BAND_FIRST * abs(cpu_losses[0]), _TINY), step, ours, theirs)
            for step, (ours, theirs) in enumerate(zip(losses, cpu_losses, strict=True))
        ),
        # NaN is further than all.
        key=lambda one: one[0] if math.isfinite(one[0]) else math.inf,
    )
    share, step, ours, theirs = furthest
    message = f"furthest from the CPU's at step {step}: {ours:.4g}, on the CPU {theirs:.4g}"
    return ("" if share <= 1 else "diverges"), f"{message} ({share:.2g} of the band)"


def memory(before: int, after: int, array: int, times: int) -> tuple[str, str]:
    """Fault and message for the memory after a few products.

    Args:
        before: bytes in use before.
        after: bytes in use after, once all was dropped.
        array: bytes of one matrix; less than that is no leak of an array.
        times: number of products.
    """
    kept = after - before
    message = f"{kept / 1e6:+.1f} MB in use after {times} products, {array / 1e6:.1f} MB each"
    return ("" if kept < array else "memory-kept"), message


def openmp(paths: list[str]) -> tuple[str, str]:
    """Fault and message for the OpenMP runtimes in the framework's process."""
    if len(paths) > 1:
        return "two-openmp", f"{len(paths)} OpenMP runtimes are loaded in one process: {', '.join(paths)}"
    return "", f"one OpenMP runtime: {paths[0]}" if paths else "no OpenMP runtime is loaded"

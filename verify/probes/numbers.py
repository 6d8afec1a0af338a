"""Small cases of what is known to go wrong on Metal, held against numpy's float64.

Each case gives one error in a unit that makes it independent of the data's scale; how large it may be is decided by
verify/checks/tolerance.py on the controller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import layers, primitives
from .deviation import FLOAT32, Case
from .reference import np

Operations = dict[str, Callable[..., Any]]
"""What a framework computes on its device, by name, as primitives.py and layers.py say; what it lacks is left out.

Each takes the argument `dtype` as well, the kind of numbers to compute with: float32 arrays are converted to it, and
the result back.
"""


def observe(operations: Operations, seed: int) -> list[dict[str, Any]]:
    """Run every case.

    Args:
        operations: the framework's.
        seed: of the data.

    Returns:
        for each case: case; operation; dtype; k (terms of a sum, 1 where there is none); unit; error, infinity where
        a result is not finite or has another shape, None where the case did not run; finite (whether all of the
        result was); said: why the case did not run (an exception, prefixed "raised "; or that the framework lacks
        the operation or the device the kind of numbers), or "".
    """
    lacking = {dtype for dtype in ("float16", "bfloat16") if not has(operations.get("matmul"), dtype)}
    return [_observe(operations, seed, case, lacking) for case in (*primitives.CASES, *layers.CASES)]


def has(matmul: Any, dtype: str) -> bool:
    """Whether a product can be had in this kind of numbers."""
    try:
        matmul(*(np.ones((2, 2), np.float32) for _ in range(2)), dtype=dtype)
    except Exception:
        return False
    return True


def _observe(operations: Operations, seed: int, case: Case, lacking: set[str]) -> dict[str, Any]:
    found = {"case": case.name, "operation": case.operation, "dtype": case.dtype, "k": case.k, "unit": case.unit}
    if case.operation not in operations:
        return {**found, "error": None, "finite": True, "said": "the framework has no " + case.operation}
    if case.dtype in lacking:
        return {**found, "error": None, "finite": True, "said": "the device has no " + case.dtype}
    more = {} if case.dtype == FLOAT32 else {"dtype": case.dtype}
    seen = []

    def watched(*given: Any) -> Any:
        output = np.asarray(operations[case.operation](*given, **more))
        seen.append(bool(np.isfinite(output).all()))
        return output

    # One operation that the device lacks is no reason to leave out the others.
    try:
        error = case.run(watched, np.random.default_rng(seed))
    except Exception as failure:
        said = "raised " + type(failure).__name__ + ": " + str(failure)[:300]
        return {**found, "error": None, "finite": True, "said": said}
    return {**found, "error": float(error), "finite": all(seen), "said": ""}

"""Small cases of the operations that are known to go wrong on Metal, held against numpy's float64.

Each case gives one error in a unit that makes it independent of the data's scale; how large it may be is decided by
verify/checks/tolerance.py on the controller. The sizes are those of the field reports, or around them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .freivalds import residual
from .units import EXACT, PROJECTED, RELATIVE, ROUNDING, SIGMA, WHOLE

Operations = dict[str, Callable[..., Any]]
"""What a framework computes on its device, by name, from numpy arrays to a numpy array:

relu(x), matmul(a, b), softmax(x), sum(x), cumsum(x) (the last three along the last axis), take_along_axis(x, indices)
(along the last axis), conv1d(x of (batch, length, channels), w of (width, channels, filters)) without padding, and
normal(seed, n): n values of the standard normal distribution. What a framework lacks is left out.
"""

EPS = float(np.finfo(np.float32).eps)
LONG_K = 40000
"""More than 32767, from which on some MPS products are wrong on the M1 and M2 (pytorch #195163)."""
FILTERS = 65537
"""One more than 2^16, where Metal's Conv1D gives wrong values (tensorflow #71577)."""
ROW = 1000
SCAN = 5000
SAMPLES = 100000


def observe(operations: Operations, seed: int) -> list[dict[str, Any]]:
    """Run every case.

    Args:
        operations: the framework's.
        seed: of the data.

    Returns:
        for each case: case; operation; dtype; k (terms of a sum, 1 where there is none); unit; error, infinity where
        a result is not finite or has another shape, None where the case did not run; finite (whether all of the
        result was); said: why the case did not run (an exception, prefixed "raised "; or that the framework lacks
        the operation), or "".
    """
    return [_observe(operations, seed, *one) for one in _cases()]


def _observe(
    operations: Operations, seed: int, case: str, operation: str, k: int, unit: str, run: Any
) -> dict[str, Any]:
    found = {"case": case, "operation": operation, "dtype": "float32", "k": k, "unit": unit}
    if operation not in operations:
        return {**found, "error": None, "finite": True, "said": "the framework has no " + operation}
    seen = []

    def watched(*given: Any) -> Any:
        output = np.asarray(operations[operation](*given))
        seen.append(bool(np.isfinite(output).all()))
        return output

    # One operation that the device lacks is no reason to leave out the others.
    try:
        error = run(watched, np.random.default_rng(seed))
    except Exception as failure:
        said = "raised " + type(failure).__name__ + ": " + str(failure)[:300]
        return {**found, "error": None, "finite": True, "said": said}
    return {**found, "error": float(error), "finite": all(seen), "said": ""}


def _cases() -> list[tuple[str, str, int, str, Any]]:
    """Name, operation, terms, unit, and what runs the operation with a source of random numbers, to the error."""
    products = [("matmul-" + str(n), "matmul", n, ROUNDING, _whole(n, n, n)) for n in WHOLE]
    large = [("matmul-" + str(n), "matmul", n, ROUNDING, _projected(n)) for n in PROJECTED]
    return [
        # relu changes nothing, or the wrong entries: tensorflow #61650, #62137.
        ("relu", "relu", 1, EXACT, _relu),
        *products,
        *large,
        # Wrong for many terms: pytorch #195163; wrong at certain shapes: pytorch #123716, #193487.
        ("matmul-long-" + str(LONG_K), "matmul", LONG_K, ROUNDING, _whole(16, LONG_K, 16)),
        ("conv1d-" + str(FILTERS), "conv1d", 6, ROUNDING, _conv1d),
        ("softmax", "softmax", ROW, RELATIVE, _softmax),
        ("sum", "sum", SAMPLES, ROUNDING, _sum),
        # Scans, gathers and random numbers are among what jax-metal gets wrong or lacks: jax #21757, #23931, #16326,
        # #16321, #17490, #20114, #20375.
        ("cumsum", "cumsum", SCAN, ROUNDING, _cumsum),
        ("take_along_axis", "take_along_axis", 1, EXACT, _take_along_axis),
        ("random", "normal", 1, SIGMA, _normal),
    ]


def _float32(values: Any) -> Any:
    return values.astype(np.float32)


def _error(output: Any, reference: Any, unit: Any) -> float:
    if output.shape != reference.shape or not np.isfinite(output).all():
        return float("inf")
    return float((np.abs(output.astype(np.float64) - reference) / unit).max())


def _wrong_entries(output: Any, reference: Any) -> float:
    # NaN differs from all.
    return float("inf") if output.shape != reference.shape else float((output != reference).sum())


def _relu(relu: Any, random: Any) -> float:
    x = _float32(random.standard_normal((67, 1025)))
    return _wrong_entries(relu(x), np.maximum(x, 0))


def _whole(m: int, k: int, n: int) -> Any:
    def run(matmul: Any, random: Any) -> float:
        a, b = _float32(random.standard_normal((m, k))), _float32(random.standard_normal((k, n)))
        return product_error(a, b, matmul(a, b))

    return run


def product_error(a: Any, b: Any, c: Any) -> float:
    """Largest error of the float32 product c of a and b over all entries, in units of eps ||a_i|| ||b_j||."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    norms = np.sqrt((a * a).sum(axis=1))[:, None] * np.sqrt((b * b).sum(axis=0))[None, :]
    return _error(c, a @ b, EPS * np.maximum(norms, np.finfo(np.float64).tiny))


def _projected(n: int) -> Any:
    def run(matmul: Any, random: Any) -> float:
        a, b = (random.standard_normal((n, n), dtype=np.float32) for _ in range(2))
        return residual(a, b, matmul(a, b), n)

    return run


def _conv1d(conv1d: Any, random: Any) -> float:
    x, w = _float32(random.standard_normal((1, 8, 2))), _float32(random.standard_normal((3, 2, FILTERS)))
    # Each output row is the product of a window, flattened, and the filters, flattened.
    windows = np.stack([x[0, start : start + 3].ravel() for start in range(6)])
    output = conv1d(x, w)
    return product_error(windows, w.reshape(6, FILTERS), output[0]) if output.shape[:1] == (1,) else float("inf")


def _softmax(softmax: Any, random: Any) -> float:
    x = _float32(random.uniform(-8, 8, (67, ROW)))
    powers = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    reference = powers / powers.sum(axis=1, keepdims=True)
    return _error(softmax(x), reference, EPS * reference)


def _sum(total: Any, random: Any) -> float:
    x = _float32(random.standard_normal((8, SAMPLES)))
    wide = x.astype(np.float64)
    # The inner product with a vector of ones, whose norm is the root of its length.
    return _error(total(x), wide.sum(axis=1), EPS * np.sqrt((wide * wide).sum(axis=1) * SAMPLES))


def _cumsum(cumsum: Any, random: Any) -> float:
    x = _float32(random.standard_normal((8, SCAN)))
    wide = x.astype(np.float64)
    unit = EPS * np.sqrt((wide * wide).sum(axis=1) * SCAN)
    return _error(cumsum(x), wide.cumsum(axis=1), unit[:, None])


def _take_along_axis(take_along_axis: Any, random: Any) -> float:
    x = _float32(random.standard_normal((67, ROW)))
    indices = random.integers(0, ROW, (67, 129)).astype(np.int32)
    return _wrong_entries(take_along_axis(x, indices), np.take_along_axis(x, indices, axis=1))


def _normal(normal: Any, random: Any) -> float:
    seed = int(random.integers(1, 2**31))
    first, again, other = normal(seed, SAMPLES), normal(seed, SAMPLES), normal(seed + 1, SAMPLES)
    # The same seed gives the same numbers, another seed gives others.
    if first.shape != (SAMPLES,) or not np.array_equal(first, again) or np.array_equal(first, other):
        return float("inf")
    errors = []
    for one in (first.astype(np.float64), other.astype(np.float64)):
        # Standard errors of the mean, 1/sqrt(n), and of the variance, sqrt(2/n), of a normal distribution.
        errors += [abs(one.mean()) * SAMPLES**0.5, abs(one.var() - 1) * (SAMPLES / 2) ** 0.5]
    return float(max(errors))

"""Cases of single operations that are known to go wrong on Metal; the sizes are those of the field reports, or near.

What they ask of a framework, from numpy arrays to a numpy array:

- relu(x) and matmul(a, b)
- softmax(x), sum(x), cumsum(x) and take_along_axis(x, indices), all along the last axis
- conv1d(x of (batch, length, channels), w of (width, channels, filters)), without padding
- normal(seed, n): n values of the standard normal distribution
"""

from __future__ import annotations

from typing import Any

from .deviation import EPS, Case, furthest, normal, product_error, wrong_entries
from .freivalds import residual
from .reference import np
from .units import EXACT, PROJECTED, RELATIVE, ROUNDING, SIGMA, WHOLE

LONG_K = 40000
"""More than 32767, from which on some MPS products are wrong on the M1 and M2 (pytorch #195163)."""
FILTERS = 65537
"""One more than 2^16, where Metal's Conv1D gives wrong values (tensorflow #71577)."""
ROW = 1000
SCAN = 5000
SAMPLES = 100000


def _relu(relu: Any, random: Any) -> float:
    x = normal(random, 67, 1025)
    return wrong_entries(relu(x), np.maximum(x, 0))


def _whole(m: int, k: int, n: int) -> Any:
    def run(matmul: Any, random: Any) -> float:
        a, b = normal(random, m, k), normal(random, k, n)
        return product_error(a, b, matmul(a, b))

    return run


def _projected(n: int) -> Any:
    def run(matmul: Any, random: Any) -> float:
        a, b = normal(random, n, n), normal(random, n, n)
        return residual(a, b, matmul(a, b), n)

    return run


def _conv1d(conv1d: Any, random: Any) -> float:
    x, w = normal(random, 1, 8, 2), normal(random, 3, 2, FILTERS)
    # Each output row is the product of a window, flattened, and the filters, flattened.
    windows = np.stack([x[0, start : start + 3].ravel() for start in range(6)])
    output = conv1d(x, w)
    return product_error(windows, w.reshape(6, FILTERS), output[0]) if output.shape[:1] == (1,) else float("inf")


def _softmax(softmax: Any, random: Any) -> float:
    x = random.uniform(-8, 8, (67, ROW)).astype(np.float32)
    powers = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    reference = powers / powers.sum(axis=1, keepdims=True)
    return furthest(softmax(x), reference, EPS * reference)


def _sum(total: Any, random: Any) -> float:
    x = normal(random, 8, SAMPLES)
    wide = x.astype(np.float64)
    # The inner product with a vector of ones, whose norm is the root of its length.
    return furthest(total(x), wide.sum(axis=1), EPS * np.sqrt((wide * wide).sum(axis=1) * SAMPLES))


def _cumsum(cumsum: Any, random: Any) -> float:
    x = normal(random, 8, SCAN)
    wide = x.astype(np.float64)
    unit = EPS * np.sqrt((wide * wide).sum(axis=1) * SCAN)
    return furthest(cumsum(x), wide.cumsum(axis=1), unit[:, None])


def _take_along_axis(take_along_axis: Any, random: Any) -> float:
    x = normal(random, 67, ROW)
    indices = random.integers(0, ROW, (67, 129)).astype(np.int32)
    return wrong_entries(take_along_axis(x, indices), np.take_along_axis(x, indices, axis=1))


def _normal(drawn: Any, random: Any) -> float:
    seed = int(random.integers(1, 2**31))
    first, again, other = drawn(seed, SAMPLES), drawn(seed, SAMPLES), drawn(seed + 1, SAMPLES)
    # The same seed gives the same numbers, another seed gives others.
    if first.shape != (SAMPLES,) or not np.array_equal(first, again) or np.array_equal(first, other):
        return float("inf")
    errors = []
    for one in (first.astype(np.float64), other.astype(np.float64)):
        # Standard errors of the mean, 1/sqrt(n), and of the variance, sqrt(2/n), of a normal distribution.
        errors += [abs(one.mean()) * SAMPLES**0.5, abs(one.var() - 1) * (SAMPLES / 2) ** 0.5]
    return float(max(errors))


CASES = [
    # relu changes nothing, or the wrong entries: tensorflow #61650, #62137.
    Case("relu", "relu", 1, EXACT, _relu),
    *(Case("matmul-" + str(n), "matmul", n, ROUNDING, _whole(n, n, n)) for n in WHOLE),
    *(Case("matmul-" + str(n), "matmul", n, ROUNDING, _projected(n)) for n in PROJECTED),
    # Wrong for many terms: pytorch #195163; wrong at certain shapes: pytorch #123716, #193487.
    Case("matmul-long-" + str(LONG_K), "matmul", LONG_K, ROUNDING, _whole(16, LONG_K, 16)),
    Case("conv1d-" + str(FILTERS), "conv1d", 6, ROUNDING, _conv1d),
    Case("softmax", "softmax", ROW, RELATIVE, _softmax),
    Case("sum", "sum", SAMPLES, ROUNDING, _sum),
    # Scans, gathers and random numbers are among what jax-metal gets wrong or lacks: jax #21757, #23931, #16326,
    # #16321, #17490, #20114, #20375.
    Case("cumsum", "cumsum", SCAN, ROUNDING, _cumsum),
    Case("take_along_axis", "take_along_axis", 1, EXACT, _take_along_axis),
    Case("random", "normal", 1, SIGMA, _normal),
]

"""How far a result is from what it should be, in units that do not depend on the data's scale; and what a case is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .freivalds import EPSILON
from .reference import np

FLOAT32 = "float32"
EPS = EPSILON[FLOAT32]
_TINY = sys.float_info.min


@dataclass(frozen=True)
class Case:
    """An operation on some data, and its error.

    Attributes:
        name: the case's.
        operation: the framework's, by name.
        k: terms of a sum, 1 where there is none.
        unit: of the error, one of units.py.
        run: takes the operation and a source of random numbers; returns the error.
        dtype: the kind of numbers that the operation computes with.
    """

    name: str
    operation: str
    k: int
    unit: str
    run: Callable[[Any, Any], float]
    dtype: str = FLOAT32


def normal(random: Any, *shape: int, dtype: str = FLOAT32) -> Any:
    """Values of the standard normal distribution that `dtype` has, as float32."""
    return rounded(random.standard_normal(shape, dtype=np.float32), dtype)


def rounded(values: Any, dtype: str) -> Any:
    """Float32 values, rounded to the nearest ones that another kind of numbers has."""
    if dtype == "float16":
        return values.astype(np.float16).astype(np.float32)
    if dtype == "bfloat16":
        # The upper half of a float32: to the nearest, and to the even one of two.
        bits = np.ascontiguousarray(values).view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)
    return values


def furthest(output: Any, reference: Any, unit: Any) -> float:
    """Largest error of an output beside its float64 reference, in a unit; infinity for another shape or no number."""
    if output.shape != reference.shape or not np.isfinite(output).all():
        return float("inf")
    return float((np.abs(output.astype(np.float64) - reference) / np.maximum(unit, _TINY)).max())


def wrong_entries(output: Any, reference: Any) -> float:
    """Number of entries that are not exactly as they should be; infinity for another shape."""
    # NaN differs from all.
    return float("inf") if output.shape != reference.shape else float((output != reference).sum())


def product_error(a: Any, b: Any, c: Any, dtype: str = FLOAT32) -> float:
    """Largest error of the product c of a and b, or of stacks of them, in units of eps ||a_i|| ||b_j||."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    norms = np.sqrt((a * a).sum(axis=-1))[..., :, None] * np.sqrt((b * b).sum(axis=-2))[..., None, :]
    return furthest(c, a @ b, EPSILON[dtype] * norms)

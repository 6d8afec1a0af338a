"""The limits let every correct float32 product pass, in whatever order it was summed, and no wrong one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from verify.checks import tolerance
from verify.probes.deviation import product_error
from verify.probes.freivalds import residual
from verify.probes.units import RELATIVE, ROUNDING

SHAPES = [(8, 1, 8), (5, 7, 9), (16, 64, 12), (24, 300, 24), (33, 1000, 17), (4, 5000, 6)]
SIZES = [64, 256, 512, 1024]
LIMIT = tolerance.limit(ROUNDING, 1000)


def operands(m: int, k: int, n: int, seed: int) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    if seed % 2:
        return random.standard_normal((m, k), dtype=np.float32), random.standard_normal((k, n), dtype=np.float32)
    return tuple(random.uniform(-1, 1, shape).astype(np.float32) for shape in ((m, k), (k, n)))  # type: ignore[return-value]


def one_after_the_other(a: Any, b: Any, kind: Any = np.float32) -> Any:
    """The plainest order: one running sum, rounded after each product and each addition."""
    total = np.zeros((a.shape[0], b.shape[1]), kind)
    for k in range(a.shape[1]):
        total = total + a[:, k, None].astype(kind) * b[None, k, :].astype(kind)
    return total.astype(np.float32)


def blocked(a: Any, b: Any, width: int = 32) -> Any:
    blocks = range(0, a.shape[1], width)
    parts = [one_after_the_other(a[:, one : one + width], b[one : one + width]) for one in blocks]
    return np.add.reduce(np.stack(parts), axis=0, dtype=np.float32)


def backwards(a: Any, b: Any) -> Any:
    return one_after_the_other(a[:, ::-1], b[::-1])


ORDERS: list[Callable[[Any, Any], Any]] = [np.matmul, one_after_the_other, blocked, backwards]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_thousand_correct_products_pass(shape: tuple[int, int, int]) -> None:
    # 42 seeds, 4 orders, 6 shapes: 1008 products, each looked at in both ways.
    for seed in range(42):
        a, b = operands(*shape, seed)
        for order in ORDERS:
            c = order(a, b)
            assert product_error(a, b, c) <= tolerance.limit(ROUNDING, shape[1]), (seed, order)
            assert residual(a, b, c, seed) <= tolerance.PRODUCT, (seed, order)


def tf32(values: Any) -> Any:
    """Rounded to 10 bits of mantissa, to nearest."""
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)


def wrong_row(a: Any, b: Any) -> Any:
    c = a @ b
    c[3] = c[4]
    return c


def transposed_tile(a: Any, b: Any) -> Any:
    c = a @ b
    c[16:32, 16:32] = c[16:32, 16:32].T.copy()
    return c


def rounded_inputs(a: Any, b: Any) -> Any:
    return tf32(a) @ tf32(b)


def half_accumulation(a: Any, b: Any) -> Any:
    """Sums in float16 of 32 products each, added up in float16."""
    parts = [(a[:, k : k + 32] @ b[k : k + 32]).astype(np.float16) for k in range(0, a.shape[1], 32)]
    return np.add.reduce(np.stack(parts), axis=0, dtype=np.float16).astype(np.float32)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("wrong", [wrong_row, transposed_tile, rounded_inputs, half_accumulation])
def test_wrong_products_are_found_at_every_size(wrong: Callable[[Any, Any], Any], n: int) -> None:
    for seed in range(3):
        a, b = operands(n, n, n, seed)
        c = wrong(a, b)
        assert residual(a, b, c, seed) > tolerance.PRODUCT
        assert product_error(a, b, c) > LIMIT


def test_rounded_inputs_are_found_where_a_sum_is_long() -> None:
    a, b = operands(16, 40000, 16, 1)
    assert product_error(a, b, a @ b) < LIMIT / 2
    assert product_error(a, b, rounded_inputs(a, b)) > 2 * LIMIT


def test_a_short_sum_has_its_worst_case_for_a_limit() -> None:
    assert tolerance.limit(ROUNDING, 1) == 1
    assert tolerance.limit(ROUNDING, 2) < tolerance.limit(ROUNDING, 5) < tolerance.PRODUCT
    assert tolerance.limit(ROUNDING, 10**6) == tolerance.PRODUCT
    # 2400 / sqrt(k) eps is what TF32 inputs are off by: the limit must stay far below it.
    assert tolerance.limit(RELATIVE, 1000) * np.finfo(np.float32).eps < 1e-4 / 4


def test_an_unknown_unit_has_no_limit() -> None:
    with pytest.raises(KeyError):
        tolerance.limit("metres", 1)

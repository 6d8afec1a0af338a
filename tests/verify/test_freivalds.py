"""Freivalds' check never fails a correct float32 product, and sees one wrong element."""

from typing import Any

import numpy as np
import pytest

from verify.checks.speed import RESIDUAL_LIMIT
from verify.probes.freivalds import residual


def product(n: int, seed: int) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(seed)
    a, b = (random.standard_normal((n, n)).astype(np.float32) for _ in range(2))
    return a, b, a @ b


@pytest.mark.parametrize("n", [1, 7, 64, 256, 1024])
@pytest.mark.parametrize("seed", range(8))
def test_a_correct_product(n: int, seed: int) -> None:
    assert residual(*product(n, seed), seed) < RESIDUAL_LIMIT


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_the_scale_does_not_matter(scale: float) -> None:
    a, b, _ = product(128, 1)
    a = (a * np.float32(scale)).astype(np.float32)
    assert residual(a, b, a @ b, 1) < RESIDUAL_LIMIT


def test_matrices_that_are_not_square() -> None:
    random = np.random.default_rng(5)
    a, b = (random.standard_normal(shape).astype(np.float32) for shape in ((1500, 30), (30, 70)))
    assert residual(a, b, a @ b, 5) < RESIDUAL_LIMIT
    assert residual(a, b, (a @ b).T, 5) == float("inf")
    wrong = a @ b
    wrong[-1, -1] += 1
    assert residual(a, b, wrong, 5) > RESIDUAL_LIMIT


@pytest.mark.parametrize(("dtype", "epsilon"), [("float32", 2.0**-23), ("float16", 2.0**-10), ("bfloat16", 2.0**-7)])
def test_the_unit_is_the_rounding_of_a_product_of_norms(dtype: str, epsilon: float) -> None:
    # A row of norm 5, and a matrix of norm 2.
    a, b = np.array([[3, 4], [300, 400]], np.float32), np.ones((2, 2), np.float32)
    c = (a @ b).astype(np.float64)
    c[0, 1] += 7 * 5 * 2 * epsilon
    assert [residual(a, b, c, seed, dtype) for seed in range(8)] == pytest.approx([7] * 8)
    assert residual(a, b, c, 0) == pytest.approx(7 * epsilon / 2.0**-23)


def test_two_errors_that_cancel_out_are_missed_in_one_of_256_cases() -> None:
    """By a vector with a probability of one half; there are eight."""
    a, b = np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)
    c = a + np.array([[1, -1], [0, 0]], np.float32)
    missed = sum(residual(a, b, c, seed) == 0 for seed in range(8000))
    assert missed == pytest.approx(8000 / 256, rel=0.3)


@pytest.mark.parametrize("n", [256, 1024])
@pytest.mark.parametrize("seed", range(8))
def test_one_wrong_element(n: int, seed: int) -> None:
    a, b, c = product(n, seed)
    i, j = np.unravel_index(np.abs(c).argmax(), c.shape)
    c[i, j] *= 1.01
    assert residual(a, b, c, seed) > RESIDUAL_LIMIT
    c[i, j] = 0
    assert residual(a, b, c, seed) > RESIDUAL_LIMIT


@pytest.mark.parametrize("n", [256, 1024])
def test_operands_demoted_to_half_precision(n: int) -> None:
    a, b, _ = product(n, 3)
    half = [one.astype(np.float16).astype(np.float32) for one in (a, b)]
    assert residual(a, b, half[0] @ half[1], 3) > RESIDUAL_LIMIT


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite(value: float) -> None:
    a, b, c = product(64, 0)
    c[3, 4] = value
    assert residual(a, b, c, 0) == float("inf")


def test_zeros() -> None:
    a = np.zeros((16, 16), np.float32)
    assert residual(a, a, a, 0) == 0
    assert residual(a, a, a + np.float32(1e-6), 0) > RESIDUAL_LIMIT

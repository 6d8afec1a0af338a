"""Freivalds' check: whether C is the product of A and B, for a small part of the product's own cost.

C x = A (B x) holds for every vector x. With random x of entries +1 and -1, an error of C survives in C x - A (B x)
with a probability of at least one half, so eight vectors miss one in at most 1 of 256 cases. The reference is
numpy's float64 on the CPU: numpy is in every environment's base set, and shares no code with the frameworks' GPUs.
"""

from __future__ import annotations

from typing import Any

from .reference import np

VECTORS = 8
_BLOCK_ROWS = 1024
"""Rows that are float64 at one time: a whole 8192 x 8192 matrix would take 512 MB."""


EPSILON = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
"""Distance of 1 to the next number, by kind."""


def residual(a: Any, b: Any, c: Any, seed: int, dtype: str = "float32") -> float:
    """Largest error of a product, in units of the rounding of its kind of numbers.

    Args:
        a: float32 array of shape (m, k); of another kind of numbers, their values.
        b: float32 array of shape (k, n), likewise.
        c: what was computed as a @ b, float32 array of shape (m, n), likewise.
        seed: of the random vectors.
        dtype: the kind of numbers that was computed with.

    Returns:
        max over rows i and vectors of |c x - a (b x)|_i / (||a_i|| ||b||_F eps), or infinity where c has another
        shape or holds a value that is not finite. Correct float32 products give 0.2 to 0.4 for n of 512 to 4096,
        one element off by 1 % gives 16 and more, inputs demoted to float16 give 169 and more (measured).
    """
    if c.shape != (a.shape[0], b.shape[1]) or not np.isfinite(c).all():
        return float("inf")
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(b.shape[1], VECTORS))
    error = np.abs(_times(c, signs) - _times(a, _times(b, signs)))
    # Norms in float64 as well; a row of zeros must not divide by zero.
    unit = np.sqrt(_squares(a)) * np.sqrt(_squares(b).sum()) * EPSILON[dtype]
    return float((error / np.maximum(unit, np.finfo(np.float64).tiny)[:, None]).max())


def _blocks(matrix: Any) -> Any:
    for start in range(0, matrix.shape[0], _BLOCK_ROWS):
        yield matrix[start : start + _BLOCK_ROWS].astype(np.float64)


def _times(matrix: Any, vectors: Any) -> Any:
    return np.concatenate([block @ vectors for block in _blocks(matrix)])


def _squares(matrix: Any) -> Any:
    return np.concatenate([(block * block).sum(axis=1) for block in _blocks(matrix)])

"""Cases of what networks are made of: products with a bias, in stacks, in half precision; attention; gradients.

Each stands for an error that was reported of a Mac's GPU, whichever framework it was found in, and every framework is
asked. What they ask of one, from numpy arrays to a numpy array, where w is of (outputs, inputs) and g of (inputs,
outputs):

- linear(x, w, b): x w^T + b, as the framework's own layer computes it; linear_transposed(x, g): x g
- dense_relu(x, g, b): relu(x g + b), as a compiled graph
- matmul_add(c, a, b): c + a b, over stacks
- attention(q, k, v), each of (batch, heads, length, size), scaled by 1/sqrt(size)
- layer_norm(x, g, b) along the last axis, with LAYER_NORM_EPS
- conv2d(x of (batch, height, width, channels), w of (height, width, channels, filters)), without padding
- embedding(table, indices), and embedding_gradient(table, indices, slopes): the gradient of the sum of
  embedding(table, indices) * slopes by the table
"""

from __future__ import annotations

from typing import Any

from .deviation import EPS, FLOAT32, Case, furthest, normal, product_error, wrong_entries
from .reference import np
from .units import EXACT, NORMED, ROUNDING, WEIGHTED

LAYER_NORM_EPS = 1e-5
LONG_KS = (32767, 40000)
"""From the first on, stacks of products are wrong on the M1 and M2 (pytorch #195163)."""
BATCH = 65537
"""One more than 2^16 rows, where the bias goes wrong (pytorch #189495)."""
DENSE_K = 2048
TOKENS, HEADS, SIZE = 128, 3, 64
FEATURES = 1000
WORDS, WIDTH, TEXT = 500, 48, 4000


def _with_bias(x: Any, g: Any, b: Any) -> tuple[Any, Any]:
    """x and g such that their product is x g + b: a bias is one term more."""
    return np.concatenate([x, np.ones_like(x[..., :1])], axis=-1), np.concatenate([g, b[None, :]])


def _linear(shape: tuple[int, ...], outputs: int, dtype: str = FLOAT32) -> Any:
    def run(linear: Any, random: Any) -> float:
        x, w, b = (normal(random, *one, dtype=dtype) for one in (shape, (outputs, shape[-1]), (outputs,)))
        # Twice: the second one differed from the first on an M5 (pytorch #180776).
        return max(_linear_error(x, w, b, linear(x, w, b), dtype) for _ in range(2))

    return run


def _linear_error(x: Any, w: Any, b: Any, y: Any, dtype: str) -> float:
    if y.shape != (*x.shape[:-1], len(b)):
        return float("inf")
    rows, columns = _with_bias(x.reshape(-1, x.shape[-1]), w.T, b)
    return product_error(rows, columns, y.reshape(-1, len(b)), dtype)


def _linear_transposed(dtype: str) -> Any:
    def run(linear: Any, random: Any) -> float:
        x, g = normal(random, 65, 256, dtype=dtype), normal(random, 256, 129, dtype=dtype)
        return product_error(x, g, linear(x, g), dtype)

    return run


def _dense_relu(dense: Any, random: Any) -> float:
    x, g, b = normal(random, 64, DENSE_K), normal(random, DENSE_K, 96), normal(random, 96)
    rows, columns = (one.astype(np.float64) for one in _with_bias(x, g, b))
    norms = np.sqrt((rows * rows).sum(axis=1))[:, None] * np.sqrt((columns * columns).sum(axis=0))
    return furthest(dense(x, g, b), np.maximum(rows @ columns, 0), EPS * norms)


def _stack(k: int) -> Any:
    def run(matmul: Any, random: Any) -> float:
        a, b = normal(random, 3, 8, k), normal(random, 3, k, 8)
        return product_error(a, b, matmul(a, b))

    return run


def _stack_added(k: int) -> Any:
    def run(matmul_add: Any, random: Any) -> float:
        a, b, c = normal(random, 3, 8, k), normal(random, 3, k, 8), normal(random, 3, 8, 8)
        # c is another term of each inner product, with 1 for the other factor.
        ones = np.broadcast_to(np.eye(8, dtype=np.float32), (3, 8, 8))
        return product_error(np.concatenate([a, ones], axis=2), np.concatenate([b, c], axis=1), matmul_add(c, a, b))

    return run


def _attention(attention: Any, random: Any) -> float:
    q, k, v = (normal(random, 2, HEADS, TOKENS, SIZE) for _ in range(3))
    wide = [one.astype(np.float64) for one in (q, k, v)]
    logits = wide[0] @ wide[1].swapaxes(-1, -2) / SIZE**0.5
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    weights = powers / powers.sum(axis=-1, keepdims=True)
    lengths = [np.sqrt((one * one).sum(axis=-1)) for one in wide[:2]]
    # A logit is off by so much, and with it the logarithm of its weight.
    scale = 1 + lengths[0] * lengths[1].max(axis=-1, keepdims=True) / SIZE**0.5
    return furthest(attention(q, k, v), weights @ wide[2], EPS * scale[..., None] * (weights @ np.abs(wide[2])))


def _layer_norm(layer_norm: Any, random: Any) -> float:
    # Not of mean zero, so that mean and deviation both matter.
    x, g, b = normal(random, 67, FEATURES) + np.float32(3), normal(random, FEATURES), normal(random, FEATURES)
    wide = x.astype(np.float64)
    deviation = np.sqrt(wide.var(axis=1, keepdims=True) + LAYER_NORM_EPS)
    ratio = np.sqrt((wide * wide).mean(axis=1, keepdims=True)) / deviation
    scaled = (wide - wide.mean(axis=1, keepdims=True)) / deviation
    unit = EPS * (np.abs(g) * (np.abs(scaled) * ratio**2 + ratio) + np.abs(b))
    return furthest(layer_norm(x, g, b), scaled * g + b, unit)


def _conv2d(conv2d: Any, random: Any) -> float:
    x, w = normal(random, 2, 13, 11, 5), normal(random, 3, 3, 5, 33)
    windows = np.stack([x[:, i : i + 11, j : j + 9] for i in range(3) for j in range(3)], axis=3)
    y = conv2d(x, w)
    if y.shape != (2, 11, 9, 33):
        return float("inf")
    return product_error(windows.reshape(-1, 45), w.reshape(45, 33), y.reshape(-1, 33))


def _words(random: Any) -> tuple[Any, Any]:
    return normal(random, WORDS, WIDTH), random.integers(0, WORDS, TEXT).astype(np.int32)


def _embedding(embedding: Any, random: Any) -> float:
    table, indices = _words(random)
    return wrong_entries(embedding(table, indices), table[indices])


def _embedding_gradient(gradient: Any, random: Any) -> float:
    table, indices = _words(random)
    slopes = normal(random, TEXT, WIDTH)
    wide = slopes.astype(np.float64)
    total, squares = np.zeros((WORDS, WIDTH)), np.zeros((WORDS, WIDTH))
    np.add.at(total, indices, wide)
    np.add.at(squares, indices, wide * wide)
    # Inner products with vectors of ones.
    counts = np.bincount(indices, minlength=WORDS)[:, None]
    return furthest(gradient(table, indices, slopes), total, EPS * np.sqrt(squares * counts))


CASES = [
    # The bias lost (pytorch #188438), wrong for many rows (#189495).
    Case("linear", "linear", 258, ROUNDING, _linear((33, 257), 129)),
    Case("linear-vector", "linear", 513, ROUNDING, _linear((512,), 256)),
    Case("linear-batch-" + str(BATCH), "linear", 9, ROUNDING, _linear((BATCH, 8), 8)),
    # Wrong in half precision, or different each time: pytorch #180776, mlx #3585, #3586, #3797.
    Case("linear-float16", "linear", 257, ROUNDING, _linear((4, 33, 256), 128, "float16"), "float16"),
    Case("linear-bfloat16", "linear", 257, ROUNDING, _linear((4, 33, 256), 128, "bfloat16"), "bfloat16"),
    # Aborts: pytorch #197796.
    Case("linear-transposed", "linear_transposed", 256, ROUNDING, _linear_transposed(FLOAT32)),
    Case("linear-transposed-bfloat16", "linear_transposed", 256, ROUNDING, _linear_transposed("bfloat16"), "bfloat16"),
    # Off by tens of units in a graph, where it is right eagerly (tensorflow-metal, Apple's developer forums).
    Case("dense-relu-" + str(DENSE_K), "dense_relu", DENSE_K + 1, ROUNDING, _dense_relu),
    *(Case("matmul-stack-" + str(k), "matmul", k, ROUNDING, _stack(k)) for k in LONG_KS),
    Case("matmul-add-stack-" + str(LONG_KS[1]), "matmul_add", LONG_KS[1] + 1, ROUNDING, _stack_added(LONG_KS[1])),
    Case("attention", "attention", TOKENS, WEIGHTED, _attention),
    Case("layer_norm", "layer_norm", FEATURES, NORMED, _layer_norm),
    Case("conv2d", "conv2d", 45, ROUNDING, _conv2d),
    Case("embedding", "embedding", 1, EXACT, _embedding),
    Case("embedding-gradient", "embedding_gradient", TEXT, ROUNDING, _embedding_gradient),
]

"""Arrays of float32, float16 and bfloat16 for the fake frameworks, by numpy: as float32, rounded to what a kind has."""

import numpy as np

KINDS = float32, float16, bfloat16 = "float32", "float16", "bfloat16"


def rounded(values, dtype):
    if dtype == float16:
        return values.astype(np.float16).astype(np.float32)
    if dtype == bfloat16:
        # To the nearest of those with a float32's upper half.
        return ((values.view(np.uint32) + 0x8000) & 0xFFFF0000).astype(np.uint32).view(np.float32)
    return values


class Array:
    def __init__(self, values, dtype=float32, device="cpu"):
        self.dtype, self.device = dtype, device
        self.values = rounded(np.ascontiguousarray(values, np.float32), dtype)

    def made(self, values):
        return type(self)(values, self.dtype, self.device)

    @property
    def shape(self):
        return self.values.shape

    def astype(self, dtype):
        return type(self)(self.values, dtype, self.device)

    def __matmul__(self, other):
        return self.made(self.values @ other.values)

    def __add__(self, other):
        return self.made(self.values + other)

    def __array__(self, dtype=None, copy=None):
        return self.values

    def tolist(self):
        return self.values.tolist()


def at_least(a, least):
    return a.made(np.maximum(a.values, least))

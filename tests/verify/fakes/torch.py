"""As much of PyTorch as the quick probe uses, by numpy."""

import types

import numpy as np

__version__ = "0"


class Tensor:
    def __init__(self, values, device="cpu"):
        self.values, self.device = values, device

    def to(self, device):
        return Tensor(self.values, device)

    def cpu(self):
        return self

    def numpy(self):
        return self.values

    def __add__(self, other):
        return Tensor(self.values + other, self.device)


backends = types.SimpleNamespace(mps=types.SimpleNamespace(is_available=lambda: False))


def get_default_device():
    return "cpu"


def empty(n, device):
    return Tensor(np.empty(n), device)


def from_numpy(values):
    return Tensor(values)


def matmul(a, b):
    return Tensor(a.values @ b.values, a.device)


def relu(a):
    return Tensor(np.maximum(a.values, 0), a.device)

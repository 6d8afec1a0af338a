"""As much of TensorFlow as the quick probe uses, by numpy. It chatters on stdout and stderr, as the real one does."""

import contextlib
import sys
import types

import numpy as np

__version__ = "0"
print('{"stage": "execute", "event": "end"}')
print("\x1b[31mI tensorflow/core/platform\x1b[0m [bold]not markup[/bold]", file=sys.stderr)

_device = types.SimpleNamespace(device_type="CPU", name="/device:CPU:0")
config = types.SimpleNamespace(
    list_physical_devices=lambda: [_device], list_logical_devices=lambda kind: [_device] if kind == "CPU" else []
)


class Tensor:
    backing_device = "/job:localhost/replica:0/task:0/device:CPU:0"

    def __init__(self, values):
        self.values = values

    def numpy(self):
        return self.values

    def __add__(self, other):
        return Tensor(self.values + other)


constant = Tensor
nn = types.SimpleNamespace(relu=lambda a: Tensor(np.maximum(a.values, 0)))


def matmul(a, b):
    return Tensor(a.values @ b.values)


def device(name):
    return contextlib.nullcontext(name)

"""As much of TensorFlow as the quick probe uses, by numpy. It chatters on stdout and stderr, as the real one does."""

import contextlib
import sys
import types

from halves import KINDS, Array, at_least

__version__ = "0"
float32, float16, bfloat16 = KINDS
print('{"stage": "execute", "event": "end"}')
print("\x1b[31mI tensorflow/core/platform\x1b[0m [bold]not markup[/bold]", file=sys.stderr)

_device = types.SimpleNamespace(device_type="CPU", name="/device:CPU:0")
config = types.SimpleNamespace(
    list_physical_devices=lambda: [_device], list_logical_devices=lambda kind: [_device] if kind == "CPU" else []
)


class Tensor(Array):
    backing_device = "/job:localhost/replica:0/task:0/device:CPU:0"

    def numpy(self):
        return self.values


constant = Tensor
nn = types.SimpleNamespace(relu=lambda a: at_least(a, 0))


def cast(a, dtype):
    return a.astype(dtype)


def matmul(a, b):
    return a @ b


def device(name):
    return contextlib.nullcontext(name)

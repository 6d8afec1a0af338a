"""As much of JAX as the quick probe uses, by numpy; the real flag gives it a second device."""

import os
import types

import halves

__version__ = "0"


class Device(types.SimpleNamespace):
    platform = "cpu"

    def __str__(self):
        return f"TFRT_CPU_{self.number}"

    __hash__ = object.__hash__


_devices = [Device(number=0)]
if "xla_force_host_platform_device_count=2" in os.environ.get("XLA_FLAGS", ""):
    _devices.append(Device(number=1))


class Array(halves.Array):
    def devices(self):
        return {self.device}


def devices():
    return _devices


def default_backend():
    return "cpu"


def device_put(values, device):
    return Array(getattr(values, "values", values), getattr(values, "dtype", halves.float32), device)


def device_get(array):
    return array.values

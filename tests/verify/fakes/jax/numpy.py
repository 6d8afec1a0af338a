import numpy as np

import jax


def matmul(a, b):
    (device,) = a.devices()
    return jax.Array(a.values @ b.values, device)


def maximum(a, least):
    (device,) = a.devices()
    return jax.Array(np.maximum(a.values, least), device)

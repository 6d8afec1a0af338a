"""The probe for JAX: platforms "mps" (jax-mps), "METAL" (jax-metal) and "cpu"."""

from __future__ import annotations

import importlib
import os
from typing import Any

from . import framework
from .benchmark import Work
from .layers import LAYER_NORM_EPS
from .numbers import Operations
from .reporting import Stage


class Jax:
    """JAX, on the first device of one platform."""

    def load(self) -> str:
        """See framework.Probe."""
        # jax-mps computes with an MLX of its own (jax-mps, CMakeLists.txt).
        os.environ[framework.TF32] = "0"
        self.jax = importlib.import_module("jax")
        self.numpy = importlib.import_module("jax.numpy")
        return str(self.jax.__version__)

    def devices(self) -> dict[str, Any]:
        """See framework.Probe."""
        # Only the default backend's: a plugin that did not load is then missing, rather than replaced by the CPU.
        return {
            "present": sorted({device.platform for device in self.jax.devices()}),
            "default": self.jax.default_backend(),
            "settings": {framework.TF32: os.environ[framework.TF32]},
        }

    def choose(self, wanted: str) -> str:
        """See framework.Probe."""
        self.device = next(device for device in self.jax.devices() if device.platform == wanted)
        return str(self.device)

    def exact(self, a: Any, b: Any) -> tuple[Any, str]:
        """See framework.Probe."""
        left, right = (self.jax.device_put(one, self.device) for one in (a, b))
        result = self.numpy.maximum(self.numpy.matmul(left, right), 0)
        return self.jax.device_get(result), _devices(result)

    def work(self) -> Work:
        """See framework.Probe."""
        return _Work(self.jax, self.numpy, self.device)

    def matmul(self, a: Any, b: Any, dtype: str = "float32") -> Any:
        """See framework.Probe."""
        return self._on_device(self.numpy.matmul)(a, b, dtype=dtype)

    def _on_device(self, function: Any) -> Any:
        jax, jnp = self.jax, self.numpy

        def run(*arrays: Any, dtype: str = "float32") -> Any:
            placed = (jax.device_put(one, self.device) for one in arrays)
            kind = getattr(jnp, dtype)
            result = function(*(one.astype(kind) if one.dtype == jnp.float32 else one for one in placed))
            return jax.device_get(result.astype(jnp.float32))

        return run

    def operations(self) -> Operations:
        """See framework.Probe."""
        jax, jnp, on_device = self.jax, self.numpy, self._on_device

        def conv1d(x: Any, w: Any) -> Any:
            return jax.lax.conv_general_dilated(x, w, (1,), "VALID", dimension_numbers=("NWC", "WIO", "NWC"))

        def conv2d(x: Any, w: Any) -> Any:
            return jax.lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))

        def attention(q: Any, k: Any, v: Any) -> Any:
            # JAX's order is (batch, length, heads, size).
            q, k, v = (jnp.swapaxes(one, 1, 2) for one in (q, k, v))
            return jnp.swapaxes(jax.nn.dot_product_attention(q, k, v), 1, 2)

        def layer_norm(x: Any, g: Any, b: Any) -> Any:
            return jax.nn.standardize(x, epsilon=LAYER_NORM_EPS) * g + b

        def embedding(table: Any, indices: Any) -> Any:
            return jnp.take(table, indices, axis=0)

        def embedding_gradient(table: Any, indices: Any, slopes: Any) -> Any:
            return jax.grad(lambda one: (embedding(one, indices) * slopes).sum())(table)

        def normal(seed: int, n: int) -> Any:
            with jax.default_device(self.device):
                return jax.device_get(jax.random.normal(jax.random.PRNGKey(seed), (n,)))

        return {
            "relu": on_device(jax.nn.relu),
            "matmul": self.matmul,
            "conv1d": on_device(conv1d),
            "softmax": on_device(jax.nn.softmax),
            "sum": on_device(lambda x: jnp.sum(x, -1)),
            "cumsum": on_device(lambda x: jnp.cumsum(x, -1)),
            "take_along_axis": on_device(lambda x, indices: jnp.take_along_axis(x, indices, -1)),
            "normal": normal,
            "linear": on_device(jax.jit(lambda x, w, b: jnp.matmul(x, w.T) + b)),
            "linear_transposed": on_device(jax.jit(jnp.matmul)),
            "dense_relu": on_device(jax.jit(lambda x, g, b: jax.nn.relu(jnp.matmul(x, g) + b))),
            "matmul_add": on_device(jax.jit(lambda c, a, b: c + jnp.matmul(a, b))),
            "attention": on_device(attention),
            "layer_norm": on_device(jax.jit(layer_norm)),
            "conv2d": on_device(conv2d),
            "embedding": on_device(embedding),
            "embedding_gradient": on_device(embedding_gradient),
        }

    def train(self, x: Any, y: Any, weights: dict[str, Any], steps: int, on_cpu: bool) -> list[float]:
        """See framework.Probe."""
        jax, jnp = self.jax, self.numpy
        device = jax.devices("cpu")[0] if on_cpu else self.device
        with jax.default_device(device):
            weights = {name: jax.device_put(value, device) for name, value in weights.items()}
            zeros = {name: jnp.zeros_like(value) for name, value in weights.items()}
            inputs, targets = (jax.device_put(one, device) for one in (x, y))

            def loss_of(values: Any) -> Any:
                hidden = jnp.maximum(jnp.matmul(inputs, values["w1"]) + values["b1"], 0)
                return jnp.mean((jnp.matmul(hidden, values["w2"]) + values["b2"] - targets) ** 2)

            # Adam written out: optax is not in the environment.
            def step(values: Any, means: Any, squares: Any, count: Any) -> Any:
                loss, slopes = jax.value_and_grad(loss_of)(values)
                means = {k: 0.9 * means[k] + 0.1 * slopes[k] for k in values}
                squares = {k: 0.999 * squares[k] + 0.001 * slopes[k] ** 2 for k in values}
                unbiased = {k: (means[k] / (1 - 0.9**count), squares[k] / (1 - 0.999**count)) for k in values}
                values = {k: values[k] - 0.02 * m / (jnp.sqrt(s) + 1e-8) for k, (m, s) in unbiased.items()}
                return values, means, squares, loss

            step = jax.jit(step)
            means, squares, losses = zeros, zeros, []
            for count in range(1, steps + 1):
                weights, means, squares, loss = step(weights, means, squares, float(count))
                losses.append(float(loss))
        return losses

    def memory(self) -> int | None:
        """See framework.Probe."""
        # None where the platform keeps no statistics: jax's Device.memory_stats.
        counted = self.device.memory_stats()
        return int(counted["bytes_in_use"]) if counted and "bytes_in_use" in counted else None


class _Work:
    def __init__(self, jax: Any, numpy: Any, device: Any) -> None:
        self._jax = jax
        self._numpy = numpy
        self._device = device

    def prepare(self, n: int, dtype: str, seed: int) -> None:
        kind = getattr(self._numpy, dtype)
        with self._jax.default_device(self._device):
            keys = self._jax.random.split(self._jax.random.PRNGKey(seed))
            self._a, self._b = (self._jax.random.normal(key, (n, n)).astype(kind) for key in keys)
        # Compiled ahead, so that no sample holds the compiler's time.
        self._compiled = self._jax.jit(self._numpy.matmul).lower(self._a, self._b).compile()

    def run(self) -> Any:
        return self._compiled(self._a, self._b).block_until_ready()

    def device_of(self, array: Any) -> str:
        return _devices(array)

    def to_numpy(self, array: Any) -> Any:
        return self._jax.device_get(array.astype(self._numpy.float32))

    def operands(self) -> tuple[Any, Any]:
        return self._a, self._b

    def prepare_stream(self, elements: int) -> None:
        with self._jax.default_device(self._device):
            self._stream = self._numpy.ones(elements, self._numpy.float32)
        self._add = self._jax.jit(lambda array: array + 1).lower(self._stream).compile()

    def run_stream(self) -> Any:
        return self._add(self._stream).block_until_ready()


def _devices(array: Any) -> str:
    return ", ".join(sorted(str(device) for device in array.devices()))


def stages(parameters: dict[str, Any]) -> list[tuple[str, Stage]]:
    """List the stages of this probe; see framework.stages."""
    return framework.stages(Jax(), parameters)

"""The probe for MLX: devices "gpu" and "cpu".

MLX arrays live in memory that all devices share and carry no device: the place of a result is that of the stream
which computes it. MLX never moves work silently; a kernel that the GPU lacks is an exception.
"""

from __future__ import annotations

import importlib
import os
import re
from contextlib import suppress
from importlib import metadata
from typing import Any

from . import framework
from .benchmark import Work
from .layers import LAYER_NORM_EPS
from .numbers import Operations
from .reference import np
from .reporting import Stage


class Mlx:
    """MLX, on its default device."""

    def load(self) -> str:
        """See framework.Probe."""
        os.environ[framework.TF32] = "0"
        self.mx = importlib.import_module("mlx.core")
        self.nn = importlib.import_module("mlx.nn")
        self.optimizers = importlib.import_module("mlx.optimizers")
        return str(self.mx.__version__)

    def devices(self) -> dict[str, Any]:
        """See framework.Probe."""
        return {
            "present": ["cpu", *(["gpu"] if self.mx.metal.is_available() else [])],
            "default": str(self.mx.default_device().type).rpartition(".")[2],
            "settings": {framework.TF32: os.environ[framework.TF32], "wheel": _wheel()},
        }

    def choose(self, wanted: str) -> str:
        """See framework.Probe."""
        # Nothing is switched: what is probed is the device that a user gets unasked.
        return str(self.mx.Device(getattr(self.mx, wanted), 0))

    def exact(self, a: Any, b: Any) -> tuple[Any, str]:
        """See framework.Probe."""
        kind = self.mx.float32
        result = self.mx.maximum(self.mx.matmul(self.mx.array(a, dtype=kind), self.mx.array(b, dtype=kind)), 0)
        # Built so far, not computed: MLX is lazy.
        self.mx.eval(result)
        return result, _place(self.mx)

    def work(self) -> Work:
        """See framework.Probe."""
        return _Work(self.mx)

    def matmul(self, a: Any, b: Any, dtype: str = "float32") -> Any:
        """See framework.Probe."""
        return self._on_device(self.mx.matmul)(a, b, dtype=dtype)

    def _on_device(self, function: Any) -> Any:
        mx = self.mx

        def run(*arrays: Any, dtype: str = "float32") -> Any:
            placed = (mx.array(one) for one in arrays)
            kind = getattr(mx, dtype)
            result = function(*(one.astype(kind) if one.dtype == mx.float32 else one for one in placed))
            return np.array(result.astype(mx.float32))

        return run

    def operations(self) -> Operations:
        """See framework.Probe."""
        mx, on_device = self.mx, self._on_device

        def conv1d(x: Any, w: Any) -> Any:
            # MLX's order of the weights is (filters, width, channels).
            return mx.conv1d(x, mx.transpose(w, (2, 0, 1)))

        def attention(q: Any, k: Any, v: Any) -> Any:
            return mx.fast.scaled_dot_product_attention(q, k, v, scale=q.shape[-1] ** -0.5)

        def embedding(table: Any, indices: Any) -> Any:
            return mx.take(table, indices, axis=0)

        def embedding_gradient(table: Any, indices: Any, slopes: Any) -> Any:
            return mx.grad(lambda one: (embedding(one, indices) * slopes).sum())(table)

        return {
            "relu": on_device(self.nn.relu),
            "matmul": self.matmul,
            "conv1d": on_device(conv1d),
            "softmax": on_device(lambda x: mx.softmax(x, axis=-1)),
            "sum": on_device(lambda x: mx.sum(x, axis=-1)),
            "cumsum": on_device(lambda x: mx.cumsum(x, axis=-1)),
            "take_along_axis": on_device(lambda x, indices: mx.take_along_axis(x, indices, axis=-1)),
            "normal": lambda seed, n: np.array(mx.random.normal((n,), key=mx.random.key(seed))),
            # As nn.Linear does.
            "linear": on_device(lambda x, w, b: mx.addmm(b, x, w.T)),
            "linear_transposed": on_device(mx.matmul),
            "dense_relu": on_device(mx.compile(lambda x, g, b: self.nn.relu(mx.addmm(b, x, g)))),
            "matmul_add": on_device(mx.addmm),
            "attention": on_device(attention),
            "layer_norm": on_device(lambda x, g, b: mx.fast.layer_norm(x, g, b, LAYER_NORM_EPS)),
            # MLX's order of the weights is (filters, height, width, channels).
            "conv2d": on_device(lambda x, w: mx.conv2d(x, mx.transpose(w, (3, 0, 1, 2)))),
            "embedding": on_device(embedding),
            "embedding_gradient": on_device(embedding_gradient),
        }

    def train(self, x: Any, y: Any, weights: dict[str, Any], steps: int, on_cpu: bool) -> list[float]:
        """See framework.Probe."""
        mx, nn = self.mx, self.nn
        with mx.stream(mx.cpu if on_cpu else mx.default_device()):
            inputs, targets = mx.array(x), mx.array(y)
            model = nn.Sequential(nn.Linear(*weights["w1"].shape), nn.ReLU(), nn.Linear(*weights["w2"].shape))
            for layer, (w, b) in ((0, ("w1", "b1")), (2, ("w2", "b2"))):
                model.layers[layer].update({"weight": mx.array(weights[w].T), "bias": mx.array(weights[b])})
            optimizer = self.optimizers.Adam(learning_rate=0.02)
            step = nn.value_and_grad(model, lambda model: nn.losses.mse_loss(model(inputs), targets))
            losses = []
            for _ in range(steps):
                loss, slopes = step(model)
                optimizer.update(model, slopes)
                mx.eval(model.parameters(), optimizer.state)
                losses.append(loss.item())
        return losses

    def memory(self) -> int | None:
        """See framework.Probe."""
        self.mx.synchronize()
        self.mx.clear_cache()
        return int(self.mx.get_active_memory())


class _Work:
    def __init__(self, mx: Any) -> None:
        self._mx = mx

    def prepare(self, n: int, dtype: str, seed: int) -> None:
        kind = getattr(self._mx, dtype)
        keys = self._mx.random.split(self._mx.random.key(seed))
        self._a, self._b = (self._mx.random.normal((n, n), key=key).astype(kind) for key in keys)
        self._mx.eval(self._a, self._b)

    def run(self) -> Any:
        output = self._mx.matmul(self._a, self._b)
        self._mx.eval(output)
        return output

    def device_of(self, array: Any) -> str:  # noqa: ARG002 - an MLX array has no device, see above
        return _place(self._mx)

    def to_numpy(self, array: Any) -> Any:
        return importlib.import_module("numpy").array(array.astype(self._mx.float32))

    def operands(self) -> tuple[Any, Any]:
        return self._a, self._b

    def prepare_stream(self, elements: int) -> None:
        self._stream = self._mx.ones((elements,))
        self._mx.eval(self._stream)

    def run_stream(self) -> Any:
        output = self._stream + 1
        self._mx.eval(output)
        return output


def _wheel() -> str | None:
    """Platform of the wheel with MLX's kernels, for example macosx_26_0_arm64; None where it came another way."""
    for name in ("mlx-metal", "mlx"):
        with suppress(metadata.PackageNotFoundError):
            text = metadata.distribution(name).read_text("WHEEL") or ""
            found = re.search(r"^Tag: \S+-(\S+)$", text, re.MULTILINE)
            return found[1] if found else None
    return None


def _place(mx: Any) -> str:
    return str(mx.default_stream(mx.default_device()).device)


def stages(parameters: dict[str, Any]) -> list[tuple[str, Stage]]:
    """List the stages of this probe; see framework.stages."""
    return framework.stages(Mlx(), parameters)

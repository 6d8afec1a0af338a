"""The probe for MLX: devices "gpu" and "cpu".

MLX arrays live in memory that all devices share and carry no device: the place of a result is that of the stream
which computes it. MLX never moves work silently; a kernel that the GPU lacks is an exception.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

from verify.probes import framework
from verify.probes.benchmark import Work
from verify.probes.reporting import Stage

TF32 = "MLX_ENABLE_TF32"
"""From the M5 on, MLX multiplies float32 matrices at TF32 precision unless this is 0 (mlx #3860): relative error
8e-4 instead of 3e-7. The probe asks for what it names, float32."""


class Mlx:
    """MLX, on its default device."""

    def load(self) -> str:
        """See framework.Probe."""
        os.environ[TF32] = "0"
        self.mx = importlib.import_module("mlx.core")
        self.nn = importlib.import_module("mlx.nn")
        self.optimizers = importlib.import_module("mlx.optimizers")
        return str(self.mx.__version__)

    def devices(self) -> dict[str, Any]:
        """See framework.Probe."""
        return {
            "present": ["cpu", *(["gpu"] if self.mx.metal.is_available() else [])],
            "default": str(self.mx.default_device().type).rsplit(".", 1)[-1],
            "settings": {TF32: os.environ[TF32]},
        }

    def choose(self, wanted: str) -> str:
        """See framework.Probe."""
        # Nothing is switched: what is probed is the device that a user gets unasked.
        return str(self.mx.Device(getattr(self.mx, wanted), 0))

    def exact(self, a: Any, b: Any) -> tuple[Any, str]:
        """See framework.Probe."""
        result = self.mx.maximum(self.mx.matmul(self.mx.array(a), self.mx.array(b)), 0)
        # Built so far, not computed: MLX is lazy.
        self.mx.eval(result)
        return result.tolist(), _place(self.mx)

    def work(self) -> Work:
        """See framework.Probe."""
        return _Work(self.mx)

    def train(self, x: Any, y: Any, steps: int, seed: int) -> list[float]:
        """See framework.Probe."""
        mx, nn = self.mx, self.nn
        mx.random.seed(seed)
        inputs, targets = mx.array(x), mx.array(y)
        model = nn.Sequential(nn.Linear(x.shape[1], 32), nn.ReLU(), nn.Linear(32, 1))
        optimizer = self.optimizers.Adam(learning_rate=0.02)
        step = nn.value_and_grad(model, lambda model: nn.losses.mse_loss(model(inputs), targets))
        losses = []
        for _ in range(steps):
            loss, slopes = step(model)
            optimizer.update(model, slopes)
            mx.eval(model.parameters(), optimizer.state)
            losses.append(loss.item())
        return losses


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


def _place(mx: Any) -> str:
    return str(mx.default_stream(mx.default_device()).device)


def stages(parameters: dict[str, Any]) -> list[tuple[str, Stage]]:
    """List the stages of this probe; see framework.stages."""
    return framework.stages(Mlx(), parameters)

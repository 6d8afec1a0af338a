"""The probe for PyTorch: devices "mps" and "cpu"."""

from __future__ import annotations

import importlib
import os
from typing import Any

from . import framework
from .benchmark import Work
from .layers import LAYER_NORM_EPS
from .numbers import Operations
from .reporting import Stage

FALLBACK = "PYTORCH_ENABLE_MPS_FALLBACK"
"""Where this is set, what MPS lacks runs on the CPU without a word: the probe never sets it, and reports it."""


class PyTorch:
    """PyTorch, on one device."""

    def load(self) -> str:
        """See framework.Probe."""
        self.torch = importlib.import_module("torch")
        return str(self.torch.__version__)

    def devices(self) -> dict[str, Any]:
        """See framework.Probe."""
        mps = self.torch.backends.mps
        return {
            "present": ["cpu", *(["mps"] if mps.is_available() else [])],
            "default": str(self.torch.get_default_device()),
            "settings": {FALLBACK: os.environ.get(FALLBACK)},
        }

    def choose(self, wanted: str) -> str:
        """See framework.Probe."""
        # A tensor made on it knows the device with its index ("mps:0"), the bare name does not.
        self.device = self.torch.empty(1, device=wanted).device
        return str(self.device)

    def exact(self, a: Any, b: Any) -> tuple[Any, str]:
        """See framework.Probe."""
        torch = self.torch
        made = (
            torch.tensor(one, dtype=torch.float32) if isinstance(one, list) else torch.from_numpy(one) for one in (a, b)
        )
        left, right = (one.to(self.device) for one in made)
        result = torch.relu(torch.matmul(left, right))
        return result.cpu(), str(result.device)

    def work(self) -> Work:
        """See framework.Probe."""
        return _Work(self.torch, self.device)

    def matmul(self, a: Any, b: Any, dtype: str = "float32") -> Any:
        """See framework.Probe."""
        return self._on_device(self.torch.matmul)(a, b, dtype=dtype)

    def _on_device(self, function: Any) -> Any:
        torch = self.torch

        def run(*arrays: Any, dtype: str = "float32") -> Any:
            placed = (torch.from_numpy(one).to(self.device) for one in arrays)
            kind = getattr(torch, dtype)
            result = function(*(one.to(kind) if one.is_floating_point() else one for one in placed))
            return result.detach().float().cpu().numpy()

        return run

    def operations(self) -> Operations:
        """See framework.Probe."""
        torch, on_device = self.torch, self._on_device
        functional = torch.nn.functional

        def conv1d(x: Any, w: Any) -> Any:
            # PyTorch's order is (batch, channels, length) and (filters, channels, width).
            return functional.conv1d(x.transpose(1, 2), w.permute(2, 1, 0)).transpose(1, 2)

        def conv2d(x: Any, w: Any) -> Any:
            return functional.conv2d(x.permute(0, 3, 1, 2), w.permute(3, 2, 0, 1)).permute(0, 2, 3, 1)

        def embedding_gradient(table: Any, indices: Any, slopes: Any) -> Any:
            table.requires_grad_()
            (functional.embedding(indices.long(), table) * slopes).sum().backward()
            return table.grad

        def normal(seed: int, n: int) -> Any:
            generator = torch.Generator(device=self.device).manual_seed(seed)
            return torch.randn(n, generator=generator, device=self.device).cpu().numpy()

        return {
            "relu": on_device(torch.relu),
            "matmul": self.matmul,
            "conv1d": on_device(conv1d),
            "softmax": on_device(lambda x: torch.softmax(x, -1)),
            "sum": on_device(lambda x: x.sum(-1)),
            "cumsum": on_device(lambda x: x.cumsum(-1)),
            "take_along_axis": on_device(lambda x, indices: torch.take_along_dim(x, indices.long(), -1)),
            "normal": normal,
            "linear": on_device(functional.linear),
            # A view: the kernel has to see that it is not contiguous.
            "linear_transposed": on_device(lambda x, g: functional.linear(x, g.T)),
            "dense_relu": on_device(lambda x, g, b: torch.relu(torch.addmm(b, x, g))),
            "matmul_add": on_device(torch.baddbmm),
            "attention": on_device(functional.scaled_dot_product_attention),
            "layer_norm": on_device(lambda x, g, b: functional.layer_norm(x, g.shape, g, b, LAYER_NORM_EPS)),
            "conv2d": on_device(conv2d),
            "embedding": on_device(lambda table, indices: functional.embedding(indices.long(), table)),
            "embedding_gradient": on_device(embedding_gradient),
        }

    def train(self, x: Any, y: Any, weights: dict[str, Any], steps: int, on_cpu: bool) -> list[float]:
        """See framework.Probe."""
        torch = self.torch
        device = torch.device("cpu") if on_cpu else self.device
        inputs, targets = (torch.from_numpy(one).to(device) for one in (x, y))
        layers = (torch.nn.Linear(*weights["w1"].shape), torch.nn.ReLU(), torch.nn.Linear(*weights["w2"].shape))
        model = torch.nn.Sequential(*layers).to(device)
        named = {"0.weight": "w1", "0.bias": "b1", "2.weight": "w2", "2.bias": "b2"}
        # PyTorch keeps a weight as (outputs, inputs).
        model.load_state_dict({key: torch.from_numpy(weights[name].T) for key, name in named.items()})
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        losses = []
        for _ in range(steps):
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(inputs), targets)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    def memory(self) -> int | None:
        """See framework.Probe."""
        # https://docs.pytorch.org/docs/stable/mps.html
        if self.device.type != "mps":
            return None
        self.torch.mps.synchronize()
        self.torch.mps.empty_cache()
        return int(self.torch.mps.current_allocated_memory())


class _Work:
    def __init__(self, torch: Any, device: Any) -> None:
        self._torch = torch
        self._device = device

    def prepare(self, n: int, dtype: str, seed: int) -> None:
        torch = self._torch
        generator = torch.Generator(device=self._device).manual_seed(seed)
        kind = getattr(torch, dtype)
        # Drawn as float32 and rounded: not every kind of numbers can be drawn on every device.
        self._a, self._b = (torch.randn(n, n, generator=generator, device=self._device).to(kind) for _ in range(2))

    def run(self) -> Any:
        return self._done(self._torch.matmul(self._a, self._b))

    def _done(self, output: Any) -> Any:
        # Not torch.mps.Event, which may hang or run backwards (pytorch #162872).
        if self._device.type == "mps":
            self._torch.mps.synchronize()
        return output

    def device_of(self, array: Any) -> str:
        return str(array.device)

    def to_numpy(self, array: Any) -> Any:
        return array.float().cpu().numpy()

    def operands(self) -> tuple[Any, Any]:
        return self._a, self._b

    def prepare_stream(self, elements: int) -> None:
        self._stream = self._torch.ones(elements, device=self._device)

    def run_stream(self) -> Any:
        return self._done(self._stream + 1)


def stages(parameters: dict[str, Any]) -> list[tuple[str, Stage]]:
    """List the stages of this probe; see framework.stages."""
    return framework.stages(PyTorch(), parameters)

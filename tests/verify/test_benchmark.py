"""The size follows the time budget, and what is checked is what was timed; by a clock that the product moves."""

from typing import Any

import numpy as np
import pytest

from verify.judgement import RESIDUAL_LIMIT
from verify.probes import benchmark


class Clock:
    """Stands for time.perf_counter."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Product:
    """A product that takes 2 n^3 / rate seconds by the clock; it computes with a small part of the matrices."""

    def __init__(self, clock: Clock, rate: float) -> None:
        self.clock, self.rate = clock, rate
        self.outputs: list[Any] = []

    def prepare(self, n: int, seed: int) -> None:
        self.n = n
        self.a, self.b = np.random.default_rng(seed).standard_normal((2, 16, 16)).astype(np.float32)

    def run(self) -> Any:
        self.clock.now += 2 * self.n**3 / self.rate
        self.outputs.append(self.a @ self.b)
        return self.outputs[-1]

    def device_of(self, array: Any) -> str:  # noqa: ARG002 - the protocol's
        return "here"

    def to_numpy(self, array: Any) -> Any:
        return array

    def operands(self) -> tuple[Any, Any]:
        return self.a, self.b


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(benchmark, "time", clock)
    return clock


@pytest.mark.parametrize(("rate", "size"), [(2e9, 512), (70e9, 2048), (1.4e12, 4096), (13e12, 8192)])
def test_the_size_follows_the_budget(clock: Clock, rate: float, size: int) -> None:
    found = benchmark.measure(Product(clock, rate), 10.0, 1)
    assert found["n"] == size
    assert len(found["samples"]) >= benchmark.MIN_SAMPLES
    assert sum(found["samples"]) >= benchmark.MIN_MEASURE_S
    assert found["samples"] == pytest.approx([2 * size**3 / rate] * len(found["samples"]))
    assert max(found["residuals"]) < 1


@pytest.mark.parametrize("which", [0, -1])
def test_a_wrong_output_among_those_timed(clock: Clock, which: int) -> None:
    class Wrong(Product):
        """Of the outputs that are checked, one is wrong."""

        checked = 0

        def to_numpy(self, array: Any) -> Any:
            is_output = any(array is one for one in self.outputs)
            self.checked += is_output
            return array + 1 if is_output and self.checked == (1 if which == 0 else 2) else array

    residuals = benchmark.measure(Wrong(clock, 2e9), 10.0, 1)["residuals"]
    assert residuals.pop(which) > RESIDUAL_LIMIT
    assert max(residuals) < RESIDUAL_LIMIT

"""Sizes follow time and memory, what is checked is what was timed; by a clock that the work moves."""

from typing import Any

import numpy as np
import pytest

from verify.checks.speed import RESIDUAL_LIMIT
from verify.probes import benchmark

MEMORY = 16 * 2**30


class Clock:
    """Stands for time.perf_counter."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Work:
    """Products that take 2 n^3 / rate seconds by the clock; they compute with a small part of the matrices."""

    def __init__(self, clock: Clock, rate: float) -> None:
        self.clock, self.rate = clock, rate
        self.outputs: list[Any] = []

    def prepare(self, n: int, dtype: str, seed: int) -> None:
        self.n = n
        self.fresh = True
        kind = np.float16 if dtype == "float16" else np.float32
        self.a, self.b = np.random.default_rng(seed).standard_normal((2, 16, 16)).astype(kind).astype(np.float32)

    def run(self) -> Any:
        # The first call compiles.
        self.clock.now += 2 * self.n**3 / self.rate + (0.5 if self.fresh else 0)
        self.fresh = False
        self.outputs.append(self.a @ self.b)
        return self.outputs[-1]

    def device_of(self, array: Any) -> str:  # noqa: ARG002 - the protocol's
        return "here"

    def to_numpy(self, array: Any) -> Any:
        return array

    def operands(self) -> tuple[Any, Any]:
        return self.a, self.b

    def prepare_stream(self, elements: int) -> None:
        self.elements = elements

    def run_stream(self) -> Any:
        self.clock.now += 8 * self.elements / self.rate


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(benchmark, "time", clock)
    return clock


def of(found: dict[str, Any], dtype: str) -> list[dict[str, Any]]:
    return [one for one in found["products"] if one["dtype"] == dtype]


@pytest.mark.parametrize(("rate", "size"), [(2e9, 1024), (70e9, 2048), (1.4e12, 8192), (13e12, 10000)])
def test_sizes_ascend_as_far_as_the_budget_goes(clock: Clock, rate: float, size: int) -> None:
    found = benchmark.products(Work(clock, rate), 20.0, MEMORY, 1)
    single = of(found, "float32")
    assert [one["n"] for one in single] == [n for n in benchmark.SIZES if n <= size]
    for one in single:
        assert len(one["samples"]) >= benchmark.MIN_SAMPLES
        assert one["samples"] == pytest.approx([2 * one["n"] ** 3 / rate] * len(one["samples"]))
        assert one["first_s"] == pytest.approx(one["samples"][0] + 0.5)
        assert max(one["residuals"]) < 1
    assert sum(single[-1]["samples"]) >= benchmark.LAST_MEASURE_S
    assert found["lacking"] == {}


@pytest.mark.parametrize("rate", [2e9, 70e9, 1.4e12])
def test_the_budget_is_kept(clock: Clock, rate: float) -> None:
    benchmark.products(Work(clock, rate), 20.0, MEMORY, 1)
    # The compiling of first calls, half a second each here, is nobody's choice.
    assert clock.now < 20.0 * 1.5 + 0.5 * 21


def test_matrices_stay_within_their_share_of_the_memory(clock: Clock) -> None:
    found = benchmark.products(Work(clock, 1e15), 20.0, 2**30, 1)
    largest = {dtype: of(found, dtype)[-1]["n"] for dtype in benchmark.DTYPES}
    assert largest == {"float32": 4096, "float16": 4096, "bfloat16": 4096}
    for dtype, n in largest.items():
        assert 3 * n * n * benchmark.DTYPES[dtype] <= 2**30 * benchmark.WORKING_SET


def test_a_kind_of_numbers_that_the_device_lacks_is_told_and_float32_is_no_such_kind(clock: Clock) -> None:
    class Lacking(Work):
        def prepare(self, n: int, dtype: str, seed: int) -> None:
            if dtype == missing:
                raise TypeError("no such numbers\nhere")
            super().prepare(n, dtype, seed)

    missing = "bfloat16"
    found = benchmark.products(Lacking(clock, 1e12), 5.0, MEMORY, 1)
    assert found["lacking"] == {"bfloat16": "no such numbers"}
    assert {one["dtype"] for one in found["products"]} == {"float32", "float16"}
    missing = "float32"
    with pytest.raises(TypeError):
        benchmark.products(Lacking(clock, 1e12), 5.0, MEMORY, 1)


@pytest.mark.parametrize("which", [0, -1])
def test_a_wrong_output_among_those_timed(clock: Clock, which: int) -> None:
    class Wrong(Work):
        """Of the outputs that are checked, the first or the last is wrong."""

        def to_numpy(self, array: Any) -> Any:
            places = [number for number, one in enumerate(self.outputs) if one is array]
            if not places:
                return array
            newest = places[0] == len(self.outputs) - 1
            fetched_first = newest and not getattr(self, "seen", False)
            self.seen = True
            return array + 1 if fetched_first == (which == 0) else array

    work = Wrong(clock, 2e9)
    work.prepare(256, "float32", 1)
    residuals = benchmark._measure(work, 256, "float32", 1, 0.1, 0.2)["residuals"]
    assert residuals.pop(which) > RESIDUAL_LIMIT
    assert max(residuals) < RESIDUAL_LIMIT


def test_work_that_is_not_waited_for_shows_when_the_last_output_is_fetched(clock: Clock) -> None:
    class Lazy(Work):
        """Returns at once; fetching an output waits for all that was asked for."""

        queued = 0.0

        def run(self) -> Any:
            self.queued += 2 * self.n**3 / self.rate
            self.clock.now += 1e-6
            return self.a @ self.b

        def to_numpy(self, array: Any) -> Any:
            self.clock.now += self.queued
            self.queued = 0.0
            return array

    work = Lazy(clock, 1e12)
    work.prepare(2048, "float32", 1)
    found = benchmark._measure(work, 2048, "float32", 1, 0.1, 0.001)
    assert found["drain_s"] > sum(found["samples"])


def test_copying_a_large_output_is_no_waiting(clock: Clock) -> None:
    class Slow(Work):
        """Computes at once, and copies slowly."""

        def to_numpy(self, array: Any) -> Any:
            self.clock.now += 10.0
            return array

    work = Slow(clock, 1e15)
    work.prepare(8192, "float16", 1)
    assert benchmark._measure(work, 8192, "float16", 1, 0.1, 0.2)["drain_s"] == pytest.approx(0.0)


def test_a_stream_reads_and_writes_every_byte(clock: Clock) -> None:
    found = benchmark.stream(Work(clock, 50e9), 2.0, MEMORY)
    assert found["bytes"] == 2 * benchmark.STREAM_BYTES
    assert found["bytes"] / found["samples"][0] == pytest.approx(50e9)
    assert benchmark.stream(Work(clock, 50e9), 2.0, 2**28)["bytes"] == 2 * 2**25


def test_the_courses_test_is_left_out_where_it_would_take_too_long(clock: Clock) -> None:
    slow = benchmark.course(Work(clock, 1e11), 10.0, MEMORY, 1)
    assert slow["samples"] == []
    assert "about 20 s" in slow["reason"]
    small = benchmark.course(Work(clock, 1e13), 10.0, 2**30, 1)
    assert (small["samples"], "memory" in small["reason"]) == ([], True)
    fast = benchmark.course(Work(clock, 2e12), 10.0, MEMORY, 1)
    assert fast["samples"] == pytest.approx([1.0, 1.0])


def test_sustained_work_is_counted_by_windows(clock: Clock) -> None:
    found = benchmark.sustain(Work(clock, 1e12), 60.0, 2.5, MEMORY, 1)
    assert len(found["windows"]) == 60 / 2.5
    for one in found["windows"]:
        assert one["products"] > 10
        assert one["products"] * 2 * found["n"] ** 3 / one["seconds"] == pytest.approx(1e12)

"""Sizes follow time and memory, what is checked is what was timed; by a clock that the work moves."""

import math
from collections.abc import Iterable
from types import SimpleNamespace
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
        self.prepared: list[tuple[int, str, int]] = []

    def prepare(self, n: int, dtype: str, seed: int) -> None:
        self.n = n
        self.fresh = True
        self.prepared.append((n, dtype, seed))
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
    # The same ones everywhere: figures are held against those of other machines.
    assert [one["n"] for one in single] == [n for n in (256, 512, 1024, 2048, 4096, 8192, 10000) if n <= size]
    for one in single:
        assert len(one["samples"]) >= benchmark.MIN_SAMPLES
        assert one["samples"] == pytest.approx([2 * one["n"] ** 3 / rate] * len(one["samples"]))
        assert one["first_s"] == pytest.approx(one["samples"][0] + 0.5)
        assert max(one["residuals"]) < 1
    assert sum(single[-1]["samples"]) >= benchmark.LAST_MEASURE_S
    assert found["lacking"] == {}


class Scripted(Work):
    """Each product, and each repetition of a stream, takes the next of these seconds; the last of them for ever."""

    def __init__(self, clock: Clock, *seconds: float) -> None:
        super().__init__(clock, 1.0)
        self.seconds = list(seconds)
        self.runs = 0

    def run(self) -> Any:
        self.clock.now += self.seconds[min(self.runs, len(self.seconds) - 1)]
        self.runs += 1
        return self.a @ self.b

    def run_stream(self) -> Any:
        self.prepare(16, "float32", 1)
        return self.run()


@pytest.mark.parametrize(
    ("seconds", "limit_s", "runs", "last"),
    [
        # Twice in a row no longer faster; a tenth faster is faster.
        ((10, 5, 5, 5), 1000, 4, 5),
        ((10, 10, 9, 9), 1000, 5, 9),
        ((10, 9, 8, 8), 1000, 5, 8),
        ((10, 5, 30, 5), 1000, 4, 5),
        # Ever faster: until the time is over.
        ((128, 64, 32, 16), 191, 2, 64),
        ((128, 64, 32, 16), 192, 3, 32),
    ],
)
def test_warm_is_who_is_no_longer_faster(
    clock: Clock, seconds: tuple[int, ...], limit_s: int, runs: int, last: int
) -> None:
    work = Scripted(clock, *seconds)
    work.prepare(16, "float32", 1)
    assert benchmark._warm_up(work.run, limit_s) == (seconds[0], last)
    assert work.runs == runs


HALVING = tuple(64 / 2**one for one in range(12))


def test_warming_up_takes_a_small_part_of_the_time(clock: Clock) -> None:
    # 15 of 100 seconds are over after two repetitions.
    stream = Scripted(clock, *HALVING)
    assert benchmark.stream(stream, 100.0, MEMORY)["samples"][0] == HALVING[2]
    course = Scripted(clock, *HALVING)
    assert "about 29802 s" in benchmark.course(course, 100.0, MEMORY, 1)["reason"]
    products = Scripted(clock, *HALVING)
    assert benchmark._ascend(products, "float32", 100.0, 256, 1)[0]["samples"][0] == HALVING[2]


@pytest.mark.parametrize(("spare_s", "sizes", "samples"), [(0.0, [256, 512], [13, 8]), (-(2.0**-10), [256], [64])])
def test_a_larger_product_needs_time_for_eight_of_it_and_a_second(
    clock: Clock, spare_s: float, sizes: list[int], samples: list[int]
) -> None:
    class Exact(Work):
        def run(self) -> Any:
            self.clock.now += (self.n / 256) ** 3 / 64
            return self.a @ self.b

    # Three repetitions make warm; one of the larger takes an eighth of a second. It is timed for a second, as the
    # largest, the smaller one before it for a fifth.
    found = benchmark._ascend(Exact(clock, 0), "float32", 3 / 64 + 1.0 + 8 / 8 + spare_s, 512, 1)
    assert [one["n"] for one in found] == sizes
    assert [len(one["samples"]) for one in found] == samples


@pytest.mark.parametrize(
    ("seconds", "least_s", "samples"), [(1 / 8, 1.0, 8), (1.0, 1.0, 5), (2.0**-12, 1.0, 1000), (2.0**-12, 2.0**-9, 8)]
)
def test_samples_are_five_to_a_thousand_as_time_allows(
    clock: Clock, seconds: float, least_s: float, samples: int
) -> None:
    work = Scripted(clock, seconds)
    work.prepare(256, "float32", 1)
    assert benchmark._measure(work, 256, "float32", 1, 0.1, least_s)["samples"] == [seconds] * samples
    assert benchmark.stream(Scripted(clock, seconds), least_s, MEMORY)["samples"] == [seconds] * samples


def test_the_kinds_of_numbers_share_the_time() -> None:
    assert sum(benchmark.BUDGET.values()) == pytest.approx(1)
    assert set(benchmark.BUDGET) == set(benchmark.DTYPES)


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("float16", 2), ("bfloat16", 2)])
def test_three_matrices_take_a_quarter_of_the_memory_at_most(clock: Clock, dtype: str, size: int) -> None:
    enough = 4 * 3 * size * 512**2
    for memory, largest in ((enough, 512), (enough - 1, 256)):
        assert of(benchmark.products(Work(clock, 1e15), 20.0, memory, 1), dtype)[-1]["n"] == largest


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
    work = Lacking(clock, 1e12)
    found = benchmark.products(work, 5.0, MEMORY, 1)
    assert found["lacking"] == {"bfloat16": "no such numbers"}
    assert {one["dtype"] for one in found["products"]} == {"float32", "float16"}
    missing = "float32"
    with pytest.raises(TypeError):
        benchmark.products(Lacking(clock, 1e12), 5.0, MEMORY, 1)


@pytest.mark.parametrize(("said", "told"), [("", "TypeError"), ("é" * 300, "é" * 200)])
def test_why_a_kind_of_numbers_is_lacking_is_a_short_line(clock: Clock, said: str, told: str) -> None:
    class Lacking(Work):
        def run(self) -> Any:
            if self.prepared[-1][1] == "float16":
                raise TypeError(said)
            return super().run()

    work = Lacking(clock, 1e12)
    found = benchmark.products(work, 5.0, MEMORY, 7)
    assert found["lacking"] == {"float16": told}
    assert of(found, "bfloat16")
    # The smallest product is enough to find that out.
    assert [one for one in work.prepared if one[1] == "float16"] == [(256, "float16", 7)]


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


def test_a_copy_that_gets_faster_is_no_time_below_zero(clock: Clock) -> None:
    class Faster(Work):
        copies = 8.0

        def to_numpy(self, array: Any) -> Any:
            self.clock.now += self.copies
            self.copies /= 2
            return array

    work = Faster(clock, 1e15)
    work.prepare(8192, "float16", 1)
    assert benchmark._measure(work, 8192, "float16", 1, 0.1, 0.2)["drain_s"] == 0


@pytest.mark.parametrize(
    ("memory", "elements"), [(MEMORY, 2**26), (2**31, 2**26), (2**31 - 8, 2**26 - 1), (8 * 1001, 250)]
)
def test_a_stream_reads_and_writes_every_byte(clock: Clock, memory: int, elements: int) -> None:
    # 256 MB, where its two arrays then take a quarter of the memory at most.
    work = Work(clock, 50e9)
    found = benchmark.stream(work, 2.0, memory)
    assert work.elements == elements
    assert found["bytes"] == 2 * 4 * elements
    assert found["bytes"] / found["samples"][0] == pytest.approx(50e9)


def test_the_courses_test_is_left_out_where_it_would_take_too_long(clock: Clock) -> None:
    slow = benchmark.course(Work(clock, 1e11), 10.0, MEMORY, 1)
    assert slow["samples"] == []
    assert "about 20 s" in slow["reason"]
    small = benchmark.course(Work(clock, 1e13), 10.0, 2**30, 1)
    assert (small["samples"], "memory" in small["reason"]) == ([], True)
    fast = benchmark.course(Work(clock, 2e12), 10.0, MEMORY, 1)
    assert fast["samples"] == pytest.approx([1.0, 1.0])


def test_the_courses_test_is_made_where_three_of_it_fit(clock: Clock) -> None:
    # A product of order 1024 in 1/1024 s makes one of order 10000 take 0.91 s.
    rate, memory = 2.0**41, 4 * 3 * 4 * 10000**2
    budget_s = 3 * 10000**3 / 2**40
    found = benchmark.course(Work(clock, rate), budget_s, memory, 1)
    assert (found["n"], found["samples"]) == (10000, pytest.approx([budget_s / 3] * 2))
    assert benchmark.course(Work(clock, rate), math.nextafter(budget_s, 0), memory, 1)["samples"] == []
    small = benchmark.course(Work(clock, rate), budget_s, memory - 1, 1)
    assert (small["n"], small["samples"], "memory" in small["reason"]) == (10000, [], True)


def test_numpys_figure_is_its_fastest_product_when_warm(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    class Matrix:
        def __matmul__(self, _: Any) -> None:
            clock.now += next(seconds)

    def standard_normal(shape: tuple[int, int, int], dtype: Any) -> Iterable[Matrix]:
        drawn.append((shape, dtype))
        return [Matrix()] * shape[0]

    # Three to be warm, of which none counts, and five, of which the fastest does.
    seconds = iter([0.05, 0.05, 0.05, 0.5, 0.25, 0.5, 1.0, 0.5, 0.001])
    drawn: list[Any] = []
    monkeypatch.setattr(
        benchmark,
        "np",
        SimpleNamespace(
            random=SimpleNamespace(default_rng=lambda _: SimpleNamespace(standard_normal=standard_normal)), float32="f"
        ),
    )
    assert benchmark.numpy_tflops(1) == pytest.approx(2 * 2048**3 / 0.25 / 1e12, rel=1e-14, abs=0)
    assert drawn == [((2, 2048, 2048), "f")]


def test_sustained_work_is_of_a_size_that_fits_many_times_into_a_window(clock: Clock) -> None:
    def found(window_s: float, memory: int = MEMORY) -> dict[str, Any]:
        return benchmark.sustain(Work(clock, 2.0**33), 1.25, window_s, memory, 7)

    # 1/256 s at order 256: eight times as long, at the next size, is the twentieth part of a window.
    window = {"products": 20, "seconds": 0.625}
    assert found(0.625) == {"n": 512, "dtype": "float32", "seed": 7, "window_s": 0.625, "windows": [window] * 2}
    assert found(math.nextafter(0.625, 0))["n"] == 256
    assert found(0.625, 4 * 3 * 4 * 512**2)["n"] == 512
    assert found(0.625, 4 * 3 * 4 * 512**2 - 1)["n"] == 256


def test_sustained_work_is_counted_by_windows(clock: Clock) -> None:
    found = benchmark.sustain(Work(clock, 1e12), 60.0, 2.5, MEMORY, 1)
    assert len(found["windows"]) == 60 / 2.5
    for one in found["windows"]:
        assert one["products"] > 10
        assert one["products"] * 2 * found["n"] ** 3 / one["seconds"] == pytest.approx(1e12)

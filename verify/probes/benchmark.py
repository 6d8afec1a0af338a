"""Times matrix products and a stream through memory, whatever the framework, and checks the outputs that were timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from .freivalds import residual
from .reference import np

SIZES = (256, 512, 1024, 2048, 4096, 8192, 10000)
"""Orders of the square matrices, up to the course's."""
DTYPES = {"float32": 4, "float16": 2, "bfloat16": 2}
"""Bytes of a number, in the order of measuring."""
WORKING_SET = 0.25
"""Share of the machine's memory that a product's three matrices, or a stream's two arrays, may take: well inside what
Metal recommends to keep resident (about 75 % of the memory)."""
BUDGET = {"float32": 0.6, "float16": 0.2, "bfloat16": 0.2}
"""Each kind's share of the time for products."""
MIN_SAMPLES = 5
MIN_MEASURE_S = 0.2
LAST_MEASURE_S = 1.0
"""For the largest product, whose figure people will quote."""
MAX_SAMPLES = 1000
STABLE = 0.1
"""Warm is who is no longer faster by more than this share."""
WARM_UP_SHARE = 0.15
COURSE_N = 10000
STREAM_BYTES = 256 * 2**20


class Work(Protocol):
    """Products of two random square matrices, and a stream through memory, on one framework's device."""

    def prepare(self, n: int, dtype: str, seed: int) -> None:
        """Make both matrices of order n on the device, and compile what needs compiling.

        Raises:
            Exception: the framework's own, where its device has no such numbers.
        """

    def run(self) -> Any:
        """Compute the product and wait until it is done; returns it as the framework's own array."""

    def device_of(self, array: Any) -> str:
        """Where an array lives, as the framework says."""

    def to_numpy(self, array: Any) -> Any:
        """Copy an array to numpy, as float32."""

    def operands(self) -> tuple[Any, Any]:
        """Both matrices, as the framework's arrays."""

    def prepare_stream(self, elements: int) -> None:
        """Make a float32 array of that many elements on the device."""

    def run_stream(self) -> Any:
        """Add 1 to each element into a new array, which reads and writes memory once each; wait until it is done."""


def products(work: Work, budget_s: float, memory_bytes: int, seed: int) -> dict[str, Any]:
    """Time products of each kind of numbers, from small to the largest that time and memory allow.

    Args:
        work: the framework's.
        budget_s: seconds for all, about.
        memory_bytes: of the machine.
        seed: of the random matrices; the same seed gives the same matrices on the same framework and device.

    Returns:
        products: a list of what `_measure` returns; lacking: the kinds that the device does not have, and why.
    """
    found: list[dict[str, Any]] = []
    lacking: dict[str, str] = {}
    for dtype, size in DTYPES.items():
        try:
            work.prepare(SIZES[0], dtype, seed)
            work.run()
        except Exception as error:
            # Every device has float32: that it fails is a failure.
            if dtype == "float32":
                raise
            lacking[dtype] = (str(error).splitlines() or [type(error).__name__])[0][:200]
            continue
        found += _ascend(work, dtype, budget_s * BUDGET[dtype], _largest(memory_bytes, size), seed)
    return {"products": found, "lacking": lacking}


def numpy_tflops(seed: int) -> float:
    """The fastest float32 product of numpy, in TFLOPS: what the library behind it reaches on this machine's CPU."""
    n = 2048
    a, b = np.random.default_rng(seed).standard_normal((2, n, n), dtype=np.float32)
    _warm_up(lambda: a @ b, MIN_MEASURE_S)
    return float(2 * n**3 / min(_timed(lambda: a @ b)[1] for _ in range(MIN_SAMPLES)) / 1e12)


def _largest(memory_bytes: int, size: int) -> int:
    return int((memory_bytes * WORKING_SET / (3 * size)) ** 0.5)


def _ascend(work: Work, dtype: str, budget_s: float, largest: int, seed: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    end = time.perf_counter() + budget_s
    sizes = [n for n in SIZES if n <= largest]
    for n, larger in zip(sizes, [*sizes[1:], 0]):  # noqa: B905 (Python 3.9)
        work.prepare(n, dtype, seed)
        first_s, typical_s = _warm_up(work.run, budget_s * WARM_UP_SHARE)
        following_s = typical_s * (larger / n) ** 3 * (MIN_SAMPLES + 3)
        last = larger == 0 or time.perf_counter() + LAST_MEASURE_S + following_s > end
        found.append(_measure(work, n, dtype, seed, first_s, LAST_MEASURE_S if last else MIN_MEASURE_S))
        if last:
            break
    return found


def _measure(work: Work, n: int, dtype: str, seed: int, first_s: float, least_s: float) -> dict[str, Any]:
    """Time the prepared product.

    Returns:
        n, dtype, seed, first_s, samples (seconds of each repetition), device (of the output), drain_s (seconds to
        fetch the last output afterwards, without the copying: long where a repetition did not wait for its end), and
        residuals: Freivalds' residual of the first and the last timed output. Both, because a wrong result may depend
        on what the allocator did before (pytorch #193487).
    """
    first, seconds = _timed(work.run)
    # What fetching compiles is compiled before it is timed; then, of an output that is done, it is the copying alone.
    fetched = work.to_numpy(first)
    copying_s = _timed(lambda: work.to_numpy(first))[1]
    times = [seconds]
    last = first
    while len(times) < MIN_SAMPLES or (sum(times) < least_s and len(times) < MAX_SAMPLES):
        last, seconds = _timed(work.run)
        times.append(seconds)
    final, drain_s = _timed(lambda: work.to_numpy(last))
    a, b = (work.to_numpy(one) for one in work.operands())
    return {
        "n": n,
        "dtype": dtype,
        "seed": seed,
        "first_s": first_s,
        "samples": times,
        "device": work.device_of(last),
        "drain_s": max(0.0, drain_s - copying_s),
        "residuals": [residual(a, b, one, seed, dtype) for one in (fetched, final)],
    }


def stream(work: Work, budget_s: float, memory_bytes: int) -> dict[str, Any]:
    """Time a stream through memory.

    Returns:
        bytes (read and written in one repetition), samples (seconds of each).
    """
    size = min(STREAM_BYTES, int(memory_bytes * WORKING_SET / 2))
    work.prepare_stream(size // 4)
    _warm_up(work.run_stream, budget_s * WARM_UP_SHARE)
    times: list[float] = []
    end = time.perf_counter() + budget_s
    while len(times) < MIN_SAMPLES or (time.perf_counter() < end and len(times) < MAX_SAMPLES):
        times.append(_timed(work.run_stream)[1])
    return {"bytes": 2 * (size // 4) * 4, "samples": times}


def course(work: Work, budget_s: float, memory_bytes: int, seed: int) -> dict[str, Any]:
    """The course's test, one product of 10000 x 10000 in float32, timed to its end after a warm-up.

    Returns:
        n, and samples: seconds of each of two repetitions; without samples, `reason` says why there are none.
    """
    if _largest(memory_bytes, DTYPES["float32"]) < COURSE_N:
        return {"n": COURSE_N, "samples": [], "reason": "its matrices would take too much of the memory"}
    small = 1024
    work.prepare(small, "float32", seed)
    _, seconds = _warm_up(work.run, budget_s * WARM_UP_SHARE)
    expected_s = seconds * (COURSE_N / small) ** 3
    if 3 * expected_s > budget_s:
        return {"n": COURSE_N, "samples": [], "reason": f"it would take about {expected_s:.0f} s here"}
    work.prepare(COURSE_N, "float32", seed)
    work.run()
    return {"n": COURSE_N, "samples": [_timed(work.run)[1] for _ in range(2)], "reason": ""}


def sustain(work: Work, seconds: float, window_s: float, memory_bytes: int, seed: int) -> dict[str, Any]:
    """Compute products without a pause, and count them window by window.

    Args:
        work: the framework's.
        seconds: how long in all.
        window_s: length of a window.
        memory_bytes: of the machine.
        seed: of the random matrices.

    Returns:
        n, dtype, window_s, and windows: for each, products done and seconds taken.
    """
    n, largest = SIZES[0], _largest(memory_bytes, DTYPES["float32"])
    # Large enough to keep the device busy, small enough for many in a window.
    for n in (one for one in SIZES if one <= largest):
        work.prepare(n, "float32", seed)
        if _warm_up(work.run, window_s)[1] * 8 > window_s / 20:
            break
    windows: list[dict[str, float]] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        done = 0
        while time.perf_counter() - started < window_s:
            work.run()
            done += 1
        windows.append({"products": done, "seconds": time.perf_counter() - started})
    return {"n": n, "dtype": "float32", "seed": seed, "window_s": window_s, "windows": windows}


def _warm_up(run: Callable[[], Any], limit_s: float) -> tuple[float, float]:
    """Run until it no longer gets faster, or for a limited time; returns seconds of the first call and the last."""
    end = time.perf_counter() + limit_s
    first = best = last = _timed(run)[1]
    steady = 0
    while steady < 2:  # noqa: PLR2004 - twice in a row
        last = _timed(run)[1]
        steady = steady + 1 if last > best * (1 - STABLE) else 0
        best = min(best, last)
        if time.perf_counter() > end:
            break
    return first, last


def _timed(run: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    output = run()
    return output, time.perf_counter() - started

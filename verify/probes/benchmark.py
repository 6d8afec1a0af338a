"""Times a float32 matrix product, whatever the framework, and checks the very outputs that were timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from verify.probes.freivalds import residual

SIZES = (256, 512, 1024, 2048, 4096, 8192)
"""Orders of the square matrices to choose from; 8192 takes 256 MB per matrix, fit for a Mac with 8 GB."""
MIN_SAMPLES = 20
MIN_MEASURE_S = 1.0
MAX_SAMPLES = 1000
WARM_UP_SHARE = 0.1


class Product(Protocol):
    """A product of two random square matrices on the device, as one framework does it."""

    def prepare(self, n: int, seed: int) -> None:
        """Make both matrices of order n on the device, and compile what needs compiling."""

    def run(self) -> Any:
        """Compute the product and wait until it is done; returns it as the framework's own array."""

    def device_of(self, array: Any) -> str:
        """Where an array lives, as the framework says."""

    def to_numpy(self, array: Any) -> Any:
        """Copy an array to numpy."""

    def operands(self) -> tuple[Any, Any]:
        """Both matrices, as the framework's arrays."""


def measure(product: Product, budget_s: float, seed: int) -> dict[str, Any]:
    """Time the product at the largest order that the time budget allows.

    Args:
        product: the framework's product.
        budget_s: seconds that the samples may take together, about.
        seed: of the random matrices; the same seed gives the same matrices on the same framework and device.

    Returns:
        n, seed, first (seconds of the first call), samples (seconds of each repetition), device (of the output), and
        residuals: Freivalds' residual of the first and the last timed output. Both, because a wrong result may depend
        on what the allocator did before (pytorch #193487).
    """
    n = _choose(product, budget_s / (MIN_SAMPLES * (1 + WARM_UP_SHARE)), seed)
    product.prepare(n, seed)
    _, first_call = _timed(product.run)
    _repeat(product.run, budget_s * WARM_UP_SHARE, minimum=2)
    first, seconds = _timed(product.run)
    times = [seconds]
    last = first
    while len(times) < MIN_SAMPLES or (sum(times) < MIN_MEASURE_S and len(times) < MAX_SAMPLES):
        last, seconds = _timed(product.run)
        times.append(seconds)
    a, b = (product.to_numpy(one) for one in product.operands())
    return {
        "n": n,
        "seed": seed,
        "first": first_call,
        "samples": times,
        "device": product.device_of(last),
        "residuals": [residual(a, b, product.to_numpy(one), seed) for one in (first, last)],
    }


def _choose(product: Product, target_s: float, seed: int) -> int:
    """The largest order whose product takes no longer than the target: it grows eightfold with each doubling."""
    for n in SIZES[:-1]:
        product.prepare(n, seed)
        product.run()
        _, seconds = _timed(product.run)
        if seconds * 8 > target_s:
            return n
    return SIZES[-1]


def _repeat(run: Callable[[], Any], seconds: float, minimum: int) -> None:
    """Warm up by time, not by count: clocks and caches care for the former."""
    end = time.perf_counter() + seconds
    done = 0
    while done < minimum or time.perf_counter() < end:
        run()
        done += 1


def _timed(run: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    output = run()
    return output, time.perf_counter() - started

"""The stages that every framework goes through; what differs stands in the framework's own probe."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from . import benchmark, libraries, numbers, state
from .deviation import normal
from .freivalds import residual
from .numbers import Operations
from .reference import np
from .reporting import Stage

TRAINING_SAMPLES, TRAINING_FEATURES = 256, 8
TRAINING_STEPS = 80
"""Steps of gradient descent on the whole set: enough for the loss to fall by far more than half."""
HIDDEN = 32
TF32 = "MLX_ENABLE_TF32"
"""From the M5 on, MLX multiplies float32 matrices at TF32 precision unless this is 0 (mlx #3860): relative error
8e-4 instead of 3e-7. A probe asks for what it names, float32."""
LARGE_DTYPE = "bfloat16"
MEMORY_N, MEMORY_TIMES = 1024, 5
"""Order and number of the products after which the memory must be given back."""


class Probe(Protocol):
    """One framework."""

    def load(self) -> str:
        """Import the framework; returns its version."""

    def devices(self) -> dict[str, Any]:
        """Return what it sees: present (names of devices), default (the one it takes unasked), settings."""

    def choose(self, wanted: str) -> str:
        """Take the first device of the wanted kind; returns its name, spelled as in `exact`."""

    def exact(self, a: Any, b: Any) -> tuple[Any, str]:
        """Return relu(a @ b) on the device, as an array that has `tolist`, and where the result lived.

        A framework that can do without numpy takes lists of rows as well as float32 numpy arrays.
        """

    def work(self) -> benchmark.Work:
        """Return what is timed on the device."""

    def matmul(self, a: Any, b: Any, dtype: str = "float32") -> Any:
        """Return a @ b, computed on the device in a kind of numbers, as float32 numpy array."""

    def operations(self) -> Operations:
        """Return what it computes on the device, for verify/probes/numbers.py."""

    def train(self, x: Any, y: Any, weights: dict[str, Any], steps: int, on_cpu: bool) -> list[float]:
        """Fit a small network to x, y with Adam, on the device or on the CPU; returns the loss before each step.

        The network is relu(x w1 + b1) w2 + b2, with the weights w1, b1, w2, b2 to begin with.
        """

    def memory(self) -> int | None:
        """Give back what is cached, and return the bytes in use on the device; None where nobody counts them."""


@contextmanager
def importing(stages: list[str]) -> Iterator[None]:
    """Import something large without looking for garbage, and keep later looks away from it.

    Such looks are a third of the time that TensorFlow takes to start and end (docs/measured.md), and find next to
    nothing. At the levels that measure, the last one, at the end of the process, sees it all, as in a user's own.

    Args:
        stages: those that are asked for.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        if "libraries" in stages:
            atexit.register(gc.unfreeze)


def stages(probe: Probe, parameters: dict[str, Any]) -> list[tuple[str, Stage]]:
    """List the stages of a framework.

    Args:
        probe: the framework.
        parameters: device (wanted, as the framework names its kind), stages (names of those that are asked for, in
            their order), a and b (matrices of small integers as lists of rows), large (rows, terms and columns of a
            product in half precision), seed, memory_bytes, yardstick (whether
            to time numpy's product, to hold others against it), and seconds for each measurement (matmul_s,
            bandwidth_s, course_s, soak_s and its window_s).
    """
    asked = {"name": ""}

    def load() -> dict[str, Any]:
        with importing(parameters["stages"]):
            return {"version": probe.load()}

    def devices() -> dict[str, Any]:
        seen = probe.devices()
        if parameters["device"] in seen["present"]:
            asked["name"] = probe.choose(parameters["device"])
        return {**seen, "asked": asked["name"]}

    def execute() -> dict[str, Any]:
        operands = parameters["a"], parameters["b"]
        if np is not None:
            operands = tuple(np.array(one, dtype=np.float32) for one in operands)
        result, ran_on = probe.exact(*operands)
        return {"asked": asked["name"], "ran_on": ran_on, "result": result.tolist()}

    installed, seed = parameters["memory_bytes"], parameters["seed"]

    def matmul() -> dict[str, Any]:
        found = benchmark.products(probe.work(), parameters["matmul_s"], installed, seed)
        numpy_tflops = benchmark.numpy_tflops(seed) if parameters["yardstick"] else 0.0
        return {"asked": asked["name"], **found, "numpy_tflops": numpy_tflops}

    def bandwidth() -> dict[str, Any]:
        return benchmark.stream(probe.work(), parameters["bandwidth_s"], installed)

    def course() -> dict[str, Any]:
        return benchmark.course(probe.work(), parameters["course_s"], installed, seed)

    def sustained() -> dict[str, Any]:
        before = state.battery()
        found = benchmark.sustain(probe.work(), parameters["soak_s"], parameters["window_s"], installed, seed)
        return {**found, "registry": [before, state.battery()]}

    def large() -> dict[str, Any]:
        # What fails in float32 as well is no matter of the kind of numbers.
        probe.matmul(*np.ones((2, 2, 2), np.float32))
        if not numbers.has(probe.matmul, LARGE_DTYPE):
            return {"error": None, "said": "the device has no " + LARGE_DTYPE}
        random = np.random.default_rng(seed)
        m, k, n = parameters["large"]
        a, b = normal(random, m, k, dtype=LARGE_DTYPE), normal(random, k, n, dtype=LARGE_DTYPE)
        error = residual(a, b, probe.matmul(a, b, dtype=LARGE_DTYPE), seed, LARGE_DTYPE)
        return {"error": error, "said": ""}

    def numeric() -> dict[str, Any]:
        return {"cases": numbers.observe(probe.operations(), seed)}

    def training() -> dict[str, Any]:
        random = np.random.default_rng(seed)
        x = random.uniform(-1, 1, (TRAINING_SAMPLES, TRAINING_FEATURES)).astype(np.float32)
        y = np.sin(x @ random.normal(size=(TRAINING_FEATURES, 1))).astype(np.float32)
        # The same first weights everywhere, so that two curves can be held against each other.
        weights = {
            "w1": (random.standard_normal((TRAINING_FEATURES, HIDDEN)) * 0.3).astype(np.float32),
            "b1": np.zeros(HIDDEN, np.float32),
            "w2": (random.standard_normal((HIDDEN, 1)) * 0.2).astype(np.float32),
            "b2": np.zeros(1, np.float32),
        }
        losses = probe.train(x, y, weights, TRAINING_STEPS, False)
        is_cpu = parameters["device"].lower() == "cpu"
        cpu_losses = None if is_cpu else probe.train(x, y, weights, TRAINING_STEPS, True)
        return {
            "seed": seed,
            "losses": [float(loss) for loss in losses],
            "cpu_losses": None if cpu_losses is None else [float(loss) for loss in cpu_losses],
        }

    def memory() -> dict[str, Any]:
        random = np.random.default_rng(seed)
        a, b = (random.standard_normal((MEMORY_N, MEMORY_N), dtype=np.float32) for _ in range(2))
        matmul = probe.matmul
        # What a first product sets up, workspaces and compiled kernels, is kept rightly.
        matmul(a, b)
        gc.collect()
        before = probe.memory()
        for _ in range(MEMORY_TIMES):
            matmul(a, b)
        gc.collect()
        return {
            "asked": asked["name"],
            "before": before,
            "after": probe.memory(),
            "array": a.nbytes,
            "times": MEMORY_TIMES,
        }

    known: dict[str, Stage] = {
        "import": load,
        "device": devices,
        "execute": execute,
        "large": large,
        "numbers": numeric,
        "matmul": matmul,
        "bandwidth": bandwidth,
        "course": course,
        "training": training,
        "memory": memory,
        "libraries": lambda: {"openmp": libraries.openmp()},
        "sustained": sustained,
    }
    return [(name, known[name]) for name in parameters["stages"]]

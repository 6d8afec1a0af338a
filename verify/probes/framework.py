"""The stages that every framework goes through; what differs stands in the framework's own probe."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from verify.probes import benchmark
from verify.probes.reporting import Stage

TRAINING_SAMPLES, TRAINING_FEATURES = 256, 8
TRAINING_STEPS = 80
"""Steps of gradient descent on the whole set: enough for the loss to fall by far more than half."""


class Probe(Protocol):
    """One framework."""

    def load(self) -> str:
        """Import the framework; returns its version."""

    def devices(self) -> dict[str, Any]:
        """Return what it sees: present (names of devices), default (the one it takes unasked), settings."""

    def choose(self, wanted: str) -> str:
        """Take the first device of the wanted kind; returns its name, spelled as in `exact`."""

    def exact(self, a: Any, b: Any) -> tuple[Any, str]:
        """Return relu(a @ b) on the device as numpy array, and where the result lived."""

    def work(self) -> benchmark.Work:
        """Return what is timed on the device."""

    def train(self, x: Any, y: Any, steps: int, seed: int) -> list[float]:
        """Fit a small network (one hidden layer of 32) to x, y with Adam; returns the loss before each step."""


def stages(probe: Probe, parameters: dict[str, Any]) -> list[tuple[str, Stage]]:
    """List the stages of a framework at a level.

    Args:
        probe: the framework.
        parameters: device (wanted, as the framework names its kind), level, a and b (matrices of small integers as
            lists of rows); at levels full and soak: seed, memory_bytes, and seconds for each measurement (matmul_s,
            bandwidth_s, course_s); at soak: soak_s and window_s.
    """
    asked = {"name": ""}

    def load() -> dict[str, Any]:
        return {"version": probe.load()}

    def devices() -> dict[str, Any]:
        seen = probe.devices()
        if parameters["device"] in seen["present"]:
            asked["name"] = probe.choose(parameters["device"])
        return {**seen, "asked": asked["name"]}

    def execute() -> dict[str, Any]:
        a, b = (np.array(parameters[one], dtype=np.float32) for one in ("a", "b"))
        result, ran_on = probe.exact(a, b)
        return {"asked": asked["name"], "ran_on": ran_on, "result": np.asarray(result).tolist()}

    memory, seed = parameters.get("memory_bytes", 0), parameters.get("seed", 0)

    def matmul() -> dict[str, Any]:
        found = benchmark.products(probe.work(), parameters["matmul_s"], memory, seed)
        return {"asked": asked["name"], **found, "numpy_tflops": benchmark.numpy_tflops(seed)}

    def bandwidth() -> dict[str, Any]:
        return benchmark.stream(probe.work(), parameters["bandwidth_s"], memory)

    def course() -> dict[str, Any]:
        return benchmark.course(probe.work(), parameters["course_s"], memory, seed)

    def sustained() -> dict[str, Any]:
        return benchmark.sustain(probe.work(), parameters["soak_s"], parameters["window_s"], memory, seed)

    def training() -> dict[str, Any]:
        random = np.random.default_rng(parameters["seed"])
        x = random.uniform(-1, 1, (TRAINING_SAMPLES, TRAINING_FEATURES)).astype(np.float32)
        y = np.sin(x @ random.normal(size=(TRAINING_FEATURES, 1))).astype(np.float32)
        losses = probe.train(x, y, TRAINING_STEPS, parameters["seed"])
        return {"seed": parameters["seed"], "losses": [float(loss) for loss in losses]}

    quick: list[tuple[str, Stage]] = [("import", load), ("device", devices), ("execute", execute)]
    if parameters["level"] == "quick":
        return quick
    full = [*quick, ("matmul", matmul), ("bandwidth", bandwidth), ("course", course), ("training", training)]
    return [*full, ("sustained", sustained)] if parameters["level"] == "soak" else full

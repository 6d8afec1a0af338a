"""What verify's timing costs: its float32 figure against a bare loop's in the same process, turn and turn about.

    .venv/bin/python -m benchmarks.harness_overhead [--runs 5] [--prefix FOLDER]

Runs in the environment of the profile on this machine. A ratio of 1 means that the harness adds nothing; below, it
makes a framework look slower than it is. Samples of all take turns, so that what else the machine does falls on each.
PyTorch is also held against torch.utils.benchmark.
"""

import argparse
import functools
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

from verify import ROOT

SIZES = {"tensorflow": 1024, "pytorch": 1024, "jax": 1024, "mlx": 256}
CLASSES = {"tensorflow": "TensorFlow", "pytorch": "PyTorch", "jax": "Jax", "mlx": "Mlx"}
SEED = 1
TURNS = 80


def main() -> None:
    """Measure each framework in a process of its own, and print ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--prefix", type=Path, help="default: the one in the machine's record")
    given = parser.parse_args()
    record = Path.home() / ".local/share/metal-lab/ml-m1.json"
    prefix = given.prefix or Path(json.loads(record.read_text(encoding="utf-8"))["prefix"])
    for name in SIZES:
        code = f"from benchmarks import harness_overhead; harness_overhead.inside({name!r}, {given.runs})"
        done = subprocess.run([prefix / "bin" / "python", "-c", code], cwd=ROOT, stdout=subprocess.PIPE, check=True)
        sys.stdout.write(done.stdout.decode())


def inside(name: str, runs: int) -> None:
    """Measure one framework, in the environment's Python."""
    # Needs numpy, which only that Python has.
    benchmark = import_module("verify.probes.benchmark")
    probe = _probe(name)
    probe.load()
    n = SIZES[name]
    seen = probe.devices()
    accelerators = [one for one in seen["present"] if one.lower() != "cpu"]
    probe.choose((accelerators or seen["present"])[0])
    work = probe.work()
    work.prepare(n, "float32", SEED)
    bare = BARE[name](work)
    others: dict[str, Callable[[], float]] = {"a bare loop": functools.partial(_bare_time, bare)}
    if name == "pytorch":
        others["torch.utils.benchmark"] = _torch_timer(work)
    for run in range(1, runs + 1):
        benchmark._warm_up(work.run, 2.0)
        harness: list[float] = []
        times: dict[str, list[float]] = {other: [] for other in others}
        for _ in range(TURNS):
            harness.append(benchmark._timed(work.run)[1])
            for other, sample in others.items():
                times[other].append(sample())
        line = f"{name:<11} run {run}: {_tflops(n, harness):.4f} TFLOPS"
        for other, found in times.items():
            line += f"; {other} {_tflops(n, found):.4f}, ratio {min(found) / min(harness):.3f}"
            line += f", of the medians {statistics.median(found) / statistics.median(harness):.3f}"
        print(line, flush=True)


def _probe(name: str) -> Any:
    return getattr(import_module(f"verify.probes.{name}"), CLASSES[name])()


def _bare_time(bare: Callable[[], Any]) -> float:
    started = perf_counter()
    bare()
    return perf_counter() - started


def _tflops(n: int, times: list[float]) -> float:
    return 2 * n**3 / min(times) / 1e12


def _bare_torch(work: Any) -> Callable[[], Any]:
    torch, (a, b) = work._torch, work.operands()
    if a.device.type == "mps":

        def run() -> None:
            torch.matmul(a, b)
            torch.mps.synchronize()

        return run
    return lambda: torch.matmul(a, b)


def _bare_jax(work: Any) -> Callable[[], Any]:
    a, b = work.operands()
    product = work._jax.jit(work._numpy.matmul)
    return lambda: product(a, b).block_until_ready()


def _bare_tensorflow(work: Any) -> Callable[[], Any]:
    a, b = work.operands()
    multiply = work._tf.matmul
    # Reading the whole result is the documented way to wait for an eager operation.
    return lambda: multiply(a, b).numpy()


def _bare_mlx(work: Any) -> Callable[[], Any]:
    mx, (a, b) = work._mx, work.operands()
    return lambda: mx.eval(mx.matmul(a, b))


BARE: dict[str, Callable[[Any], Callable[[], Any]]] = {
    "tensorflow": _bare_tensorflow,
    "pytorch": _bare_torch,
    "jax": _bare_jax,
    "mlx": _bare_mlx,
}


def _torch_timer(work: Any) -> Callable[[], float]:
    torch = work._torch
    names = dict(zip("ab", work.operands(), strict=True))
    # Its own default is one thread.
    threads = torch.get_num_threads()
    timing = import_module("torch.utils.benchmark")
    timer = timing.Timer("torch.matmul(a, b)", globals={"torch": torch, **names}, num_threads=threads)
    return lambda: float(timer.timeit(1).times[0])


if __name__ == "__main__":
    main()

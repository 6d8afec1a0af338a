"""The cases of known trouble: a framework that computes rightly passes them all, and each wrong one has its name."""

import ctypes
import importlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.verify.standins import learned
from verify import ROOT
from verify.checks import numbers as numbers_check
from verify.checks import tolerance
from verify.checks.framework import LEARNED
from verify.probes import benchmark, framework, libraries, numbers, units
from verify.probes.numbers import Operations


def operations() -> Operations:
    """A framework that computes rightly, in float32, by numpy."""

    def conv1d(x: Any, w: Any) -> Any:
        windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[0], axis=1)
        return np.einsum("blcw,wcf->blf", windows, w, dtype=x.dtype)

    def softmax(x: Any) -> Any:
        powers = np.exp(x - x.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)

    return {
        "relu": lambda x: np.maximum(x, 0),
        "matmul": np.matmul,
        "conv1d": conv1d,
        "softmax": softmax,
        "sum": lambda x: x.sum(axis=-1),
        "cumsum": lambda x: x.cumsum(axis=-1),
        "take_along_axis": lambda x, indices: np.take_along_axis(x, indices, axis=-1),
        "normal": lambda seed, n: np.random.default_rng(seed).standard_normal(n, dtype=np.float32),
    }


def judged(changed: Operations, only: set[str] | None = None, seed: int = 1) -> tuple[list[dict[str, Any]], str, str]:
    every = {**operations(), **changed}
    kept = {name: one for name, one in every.items() if only is None or name in only}
    cases = numbers_check.cases(numbers.observe(kept, seed))
    return cases, *numbers_check.verdict(cases)


def test_right_operations_pass_with_room() -> None:
    cases, fault, message = judged({})
    assert (fault, {one["result"] for one in cases}) == ("", {"pass"}), message
    assert len({one["case"] for one in cases}) == len(cases) == 14


@pytest.mark.parametrize("seed", range(12))
def test_the_seed_does_not_decide(seed: int) -> None:
    small = set(operations()) - {"matmul"}
    assert judged({}, small, seed)[1] == ""


def given() -> dict[str, list[tuple[Any, ...]]]:
    """What each operation is given, case by case."""
    seen: dict[str, list[tuple[Any, ...]]] = {}

    def watched(name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            seen.setdefault(name, []).append(arguments)
            return operation(*arguments)

        return run

    numbers.observe({name: watched(name, one) for name, one in operations().items()}, 1)
    return seen


def test_cases_are_of_the_sizes_at_which_things_are_known_to_go_wrong() -> None:
    arrays = given()
    ((seed, _), *_) = draws = arrays.pop("normal")
    assert draws == [(seed, 100000), (seed, 100000), (seed + 1, 100000)]
    # More terms than 2^15, more filters than 2^16, and rows that fill no block.
    assert {name: [tuple(one.shape for one in each) for each in calls] for name, calls in arrays.items()} == {
        "relu": [((67, 1025),)],
        "matmul": [*(((n, n), (n, n)) for n in (16, 100, 257, 512, 1024, 2048)), ((16, 40000), (40000, 16))],
        "conv1d": [((1, 8, 2), (3, 2, 65537))],
        "softmax": [((67, 1000),)],
        "sum": [((8, 100000),)],
        "cumsum": [((8, 5000),)],
        "take_along_axis": [((67, 1000), (67, 129))],
    }
    ((x,),) = arrays["softmax"]
    # The limit is made for this range.
    assert 0.99 * tolerance._RANGE < x.max() - x.min() <= tolerance._RANGE
    ((_, indices),) = arrays["take_along_axis"]
    assert (indices.min(), indices.max()) == (0, 999)


def test_every_case_has_the_unit_and_the_terms_of_what_it_computes() -> None:
    cases = [(one["case"], one["operation"], one["k"], one["unit"]) for one in numbers.observe({}, 1)]
    assert cases == [
        ("relu", "relu", 1, units.EXACT),
        *((f"matmul-{n}", "matmul", n, units.ROUNDING) for n in (16, 100, 257, 512, 1024, 2048)),
        ("matmul-long-40000", "matmul", 40000, units.ROUNDING),
        # Three wide, of two channels.
        ("conv1d-65537", "conv1d", 6, units.ROUNDING),
        ("softmax", "softmax", 1000, units.RELATIVE),
        ("sum", "sum", 100000, units.ROUNDING),
        ("cumsum", "cumsum", 5000, units.ROUNDING),
        ("take_along_axis", "take_along_axis", 1, units.EXACT),
        ("random", "normal", 1, units.SIGMA),
    ]


def observed(case: str, operation: str, run: Callable[..., Any]) -> dict[str, Any]:
    (found,) = [one for one in numbers.observe({operation: run}, 1) if one["case"] == case]
    return found


def last_window(x: Any, w: Any) -> Any:
    return np.linalg.norm(x[0, -w.shape[0] :]) * np.linalg.norm(w[..., -1])


@pytest.mark.parametrize(
    ("case", "operation", "unit"),
    [
        ("matmul-100", "matmul", lambda a, b: np.linalg.norm(a[-1]) * np.linalg.norm(b[:, -1])),
        ("conv1d-65537", "conv1d", last_window),
        ("softmax", "softmax", lambda x: operations()["softmax"](x)[-1, -1]),
        ("sum", "sum", lambda x: np.linalg.norm(x[-1]) * 100000**0.5),
        ("cumsum", "cumsum", lambda x: np.linalg.norm(x[-1]) * 5000**0.5),
    ],
)
def test_an_error_is_told_in_its_unit(case: str, operation: str, unit: Callable[..., float]) -> None:
    def three_off(*arrays: Any) -> Any:
        wide = [one.astype(np.float64) for one in arrays]
        output = operations()[operation](*wide)
        output.flat[-1] += 3 * 2.0**-23 * unit(*wide)
        return output

    assert observed(case, operation, three_off)["error"] == pytest.approx(3, rel=1e-3)


@pytest.mark.parametrize("operation", ["relu", "take_along_axis"])
def test_wrong_entries_are_counted(operation: str) -> None:
    def two_wrong(*arrays: Any) -> Any:
        output = operations()[operation](*arrays).copy()
        output.flat[[3, -1]] += 1
        return output

    assert observed(operation, operation, two_wrong)["error"] == 2


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    ("shift", "scale", "error"), [(0.01, 1.0, 0.01 * 100000**0.5), (0.0, 1.01**0.5, 0.01 * 50000**0.5)]
)
def test_random_numbers_are_judged_by_the_standard_errors_of_their_mean_and_variance(
    shift: float, scale: float, error: float, which: int
) -> None:
    seeds: list[int] = []

    def normal(seed: int, n: int) -> Any:
        seeds.append(seed)
        other = seed != seeds[0]
        # Of mean 0 and variance 1; the other seed's are other numbers.
        values = np.where(np.arange(n) % 2 == other, 1.0, -1.0)
        return values * scale + shift if other == which else values

    assert observed("random", "normal", normal)["error"] == pytest.approx(error)


def test_why_a_case_did_not_run_is_told_in_short() -> None:
    def fails(*_: Any) -> Any:
        raise RuntimeError("é" * 400)

    raised = observed("sum", "sum", fails)
    assert (raised["error"], raised["finite"]) == (None, True)
    assert raised["said"] == "raised RuntimeError: " + "é" * 300
    lacking = {one["case"]: one for one in numbers.observe({}, 1)}["sum"]
    assert (lacking["error"], lacking["finite"], lacking["said"]) == (None, True, "the framework has no sum")


def spoiled(name: str, spoil: Callable[[Any], None]) -> Operations:
    def run(*given: Any) -> Any:
        output = np.array(operations()[name](*given))
        spoil(output)
        return output

    return {name: run}


def nan_in_the_middle(values: Any) -> None:
    values.flat[values.size // 2] = np.nan


def last_filter_wrong(values: Any) -> None:
    values[..., -1] = values[..., 0]


def off_by_a_thousandth(values: Any) -> None:
    values.flat[7] *= np.float32(1.001)


def unseeded(seed: int, n: int) -> Any:  # noqa: ARG001 - the fault is that it is not used
    return np.random.default_rng().standard_normal(n, dtype=np.float32)


def no_long_sums(a: Any, b: Any) -> Any:
    """As pytorch #195163 has it: beyond 32767 terms, what comes after is lost."""
    return a[:, :32767] @ b[:32767]


def wrong_from(size: int) -> Callable[[Any, Any], Any]:
    def matmul(a: Any, b: Any) -> Any:
        c = a @ b
        if c.shape[0] >= size:
            c[-1] = 0
        return c

    return matmul


def missing(*_: Any) -> Any:
    raise NotImplementedError("UNIMPLEMENTED: cumsum")


@pytest.mark.parametrize(
    ("changed", "case", "fault"),
    [
        ({"relu": lambda x: x}, "relu", "wrong-relu"),
        (spoiled("relu", nan_in_the_middle), "relu", "not-finite"),
        (spoiled("softmax", nan_in_the_middle), "softmax", "not-finite"),
        (spoiled("softmax", off_by_a_thousandth), "softmax", "wrong-value"),
        (spoiled("conv1d", last_filter_wrong), "conv1d-65537", "wrong-value"),
        ({"conv1d": lambda x, w: np.zeros((1, 6, 1), np.float32)}, "conv1d-65537", "wrong-value"),  # noqa: ARG005
        ({"sum": lambda x: x.astype(np.float16).sum(axis=-1)}, "sum", "wrong-value"),
        ({"cumsum": lambda x: x}, "cumsum", "wrong-value"),
        ({"cumsum": missing}, "cumsum", "exception"),
        (spoiled("take_along_axis", last_filter_wrong), "take_along_axis", "wrong-value"),
        ({"normal": unseeded}, "random", "wrong-value"),
        ({"normal": lambda seed, n: np.random.default_rng(seed).uniform(-1, 1, n)}, "random", "wrong-value"),
        ({"normal": lambda seed, n: np.ones(n, np.float32)}, "random", "wrong-value"),  # noqa: ARG005
    ],
)
def test_each_wrong_operation_has_its_name(changed: Operations, case: str, fault: str) -> None:
    cases, found, message = judged(changed, set(changed))
    assert found == fault, message
    assert [one["case"] for one in cases if one["result"] == "fail"] == [case]
    assert case in message
    # What was taken out is not there, and said so.
    assert {one["result"] for one in cases} == {"fail", "skip"}


def test_values_that_are_wrong_above_a_size() -> None:
    _, fault, message = judged({"matmul": wrong_from(600)}, {"matmul"})
    assert fault == "wrong-large"
    assert "right up to n = 512 and wrong from n = 1024" in message
    assert judged({"matmul": wrong_from(0)}, {"matmul"})[1] == "wrong-value"
    cases, fault, _ = judged({"matmul": no_long_sums}, {"matmul"})
    assert fault == "wrong-value"
    assert [one["case"] for one in cases if one["result"] == "fail"] == ["matmul-long-40000"]


@pytest.mark.parametrize(
    "change", [{"unit": "metres"}, {"error": "zero"}, {"error": -1.0}, {"error": "nan"}, {"k": None}]
)
def test_a_case_that_makes_no_sense_never_passes(change: dict[str, Any]) -> None:
    good = {
        "case": "sum",
        "dtype": "float32",
        "k": 5,
        "unit": units.ROUNDING,
        "error": 0.5,
        "finite": True,
        "said": "",
    }
    assert numbers_check.cases([good])[0]["result"] == "pass"
    try:
        (one,) = numbers_check.cases([{**good, **change}])
    except (KeyError, TypeError, ValueError):
        return
    assert one["result"] == "fail"


CURVE = [0.6 * 0.95**step for step in range(80)]


@pytest.mark.parametrize(
    ("losses", "fault"),
    [
        (CURVE, ""),
        ([loss * 1.01 for loss in CURVE], ""),
        ([loss * 1.1 for loss in CURVE], "diverges"),
        ([*CURVE[:40], *CURVE[20:60]], "diverges"),
        ([*CURVE[:-1], float("nan")], "diverges"),
    ],
)
def test_a_training_that_leaves_the_band_of_the_cpus(losses: list[float], fault: str) -> None:
    assert numbers_check.training(losses, CURVE)[0] == fault


def test_curves_of_different_lengths_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="zip"):
        numbers_check.training(CURVE[:-1], CURVE)


class Counting:
    """A framework on a device with a counter of memory, which may keep what it should give back."""

    def __init__(self, *, keeps: bool) -> None:
        self.keeps, self.used, self.trained = keeps, 1000, []  # type: ignore[var-annotated]

    def operations(self) -> Operations:
        def matmul(a: Any, b: Any) -> Any:
            self.used += a.nbytes * self.keeps
            return a @ b

        return {"matmul": matmul}

    def memory(self) -> int:
        return self.used

    def train(self, x: Any, y: Any, weights: dict[str, Any], steps: int, on_cpu: bool) -> list[float]:  # noqa: ARG002
        self.trained.append((on_cpu, {name: one.copy() for name, one in weights.items()}))
        return CURVE[:steps]


def stage(probe: Any, name: str, device: str = "gpu", **changes: Any) -> dict[str, Any]:
    parameters = {"stages": [name], "device": device, "seed": 3, "memory_bytes": 0, **changes}
    return dict(framework.stages(probe, parameters))[name]()


@pytest.mark.parametrize(("keeps", "fault"), [(False, ""), (True, "memory-kept")])
def test_memory_is_given_back(keeps: bool, fault: str) -> None:
    seen = stage(Counting(keeps=keeps), "memory")
    # What the first product leaves behind is its own; five follow.
    array = 4 * 1024**2
    before = 1000 + array * keeps
    after = before + 5 * array * keeps
    assert seen == {"asked": "", "before": before, "after": after, "array": array, "times": 5}
    found, _ = numbers_check.memory(*(seen[name] for name in ("before", "after", "array", "times")))
    assert found == fault


def test_the_device_and_the_cpu_train_from_the_same_weights() -> None:
    probe = Counting(keeps=False)
    seen = stage(probe, "training")
    assert seen["cpu_losses"] == seen["losses"]
    assert [on_cpu for on_cpu, _ in probe.trained] == [False, True]
    (_, device), (_, cpu) = probe.trained
    assert all(np.array_equal(device[name], cpu[name]) for name in ("w1", "b1", "w2", "b2"))
    assert {name: (one.shape, one.dtype) for name, one in device.items()} == {
        name: (shape, np.dtype(np.float32))
        for name, shape in {"w1": (8, 32), "b1": (32,), "w2": (32, 1), "b2": (1,)}.items()
    }
    assert len(seen["losses"]) == 80


@pytest.mark.parametrize("seed", range(4))
def test_what_is_to_be_learned_can_be_learned_in_the_steps_that_are_made(seed: int) -> None:
    class Learning(Counting):
        def train(self, x: Any, y: Any, weights: dict[str, Any], steps: int, on_cpu: bool) -> list[float]:  # noqa: ARG002
            assert (x.shape, y.shape, x.dtype, y.dtype) == ((256, 8), (256, 1), np.float32, np.float32)
            # The targets are the sine of one direction of inputs that lie within -1 and 1.
            assert -1 <= x.min() < -0.99
            assert 0.99 < x.max() <= 1
            assert np.std(weights["w1"]) == pytest.approx(0.3, rel=0.15)
            assert np.std(weights["w2"]) == pytest.approx(0.2, rel=0.5)
            return learned(x, y, weights, steps)

    losses = stage(Learning(keeps=False), "training", seed=seed)["losses"]
    assert losses[-1] < LEARNED * losses[0] / 4


@pytest.mark.parametrize("device", ["cpu", "CPU"])
def test_the_cpu_is_held_against_no_cpu(device: str) -> None:
    probe = Counting(keeps=False)
    assert stage(probe, "training", device)["cpu_losses"] is None
    assert [on_cpu for on_cpu, _ in probe.trained] == [False]


def test_a_device_that_is_not_there_is_not_taken() -> None:
    class Seeing(Counting):
        def devices(self) -> dict[str, Any]:
            return {"present": ["cpu"], "default": "cpu", "settings": {}}

        def choose(self, wanted: str) -> str:
            return f"{wanted}:0"

    assert stage(Seeing(keeps=False), "device", "cpu")["asked"] == "cpu:0"
    assert stage(Seeing(keeps=False), "device", "gpu")["asked"] == ""


@pytest.mark.parametrize(("yardstick", "tflops"), [(True, 1.5), (False, 0.0)])
def test_numpy_is_timed_only_where_others_are_held_against_it(
    monkeypatch: pytest.MonkeyPatch, yardstick: bool, tflops: float
) -> None:
    monkeypatch.setattr(benchmark, "products", lambda *_: {"products": [], "lacking": {}})
    monkeypatch.setattr(benchmark, "numpy_tflops", lambda _: 1.5)
    monkeypatch.setattr(Counting, "work", lambda _: None, raising=False)
    assert stage(Counting(keeps=False), "matmul", yardstick=yardstick, matmul_s=1.0)["numpy_tflops"] == tflops


def test_on_the_cpu_there_is_one_training() -> None:
    probe = Counting(keeps=False)
    assert stage(probe, "training", "CPU")["cpu_losses"] is None
    assert len(probe.trained) == 1


MAPS = """\
7f0000000000-7f0000001000 r-xp 00000000 08:01 11 {folder}/torch/lib/libgomp-24e2ab19.so.1.0.0
7f0000001000-7f0000002000 r--p 00001000 08:01 11 {folder}/torch/lib/libgomp-24e2ab19.so.1.0.0
7f0000002000-7f0000003000 r-xp 00000000 08:01 12 {folder}/a b/libiomp5.so
7f0000003000-7f0000004000 r-xp 00000000 08:01 13 {folder}/libompl.so
7f0000004000-7f0000005000 rw-p 00000000 00:00 0
7ffe00000000-7ffe00001000 rw-p 00000000 00:00 0                          [stack]
"""


def test_openmp_runtimes_are_read_from_the_loaders_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(Path, "read_text", lambda _: MAPS.format(folder=tmp_path))
    found = libraries.openmp()
    assert found == [f"{tmp_path}/a b/libiomp5.so", f"{tmp_path}/torch/lib/libgomp-24e2ab19.so.1.0.0"]
    assert numbers_check.openmp(found)[0] == "two-openmp"
    assert numbers_check.openmp(found[:1])[0] == numbers_check.openmp([])[0] == ""


def test_openmp_runtimes_on_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [b"/usr/lib/libSystem.B.dylib", b"/e/torch/lib/libomp.dylib", b"/e/sklearn/.dylibs/libomp.dylib", None]

    class Dyld:
        @staticmethod
        def function(answer: Callable[..., Any]) -> Any:
            return type("Function", (), {"__call__": staticmethod(answer)})()

        def __init__(self, _: None) -> None:
            self._dyld_image_count = self.function(lambda: len(names))
            self._dyld_get_image_name = self.function(lambda index: names[index])

    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(ctypes, "CDLL", Dyld)
    assert libraries.openmp() == ["/e/sklearn/.dylibs/libomp.dylib", "/e/torch/lib/libomp.dylib"]


def test_a_second_runtime_that_is_really_loaded_is_seen(tmp_path: Path) -> None:
    # Any library will do: what counts is the name under which the loader has it.
    library = str(importlib.import_module("numpy.random._common").__file__)
    for name in ("libgomp-one.so.1", "libiomp5.so"):
        shutil.copy(library, tmp_path / name)
    code = (
        "import ctypes, sys\nfrom verify.probes import libraries\nprint(len(libraries.openmp()))\n"
        "for path in sys.argv[1:]: ctypes.CDLL(path)\nprint(*libraries.openmp(), sep='\\n')"
    )
    paths = [str(tmp_path / name) for name in ("libgomp-one.so.1", "libiomp5.so", "libgomp-one.so.1")]
    done = subprocess.run([sys.executable, "-c", code, *paths], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["0", *sorted(str(Path(one).resolve()) for one in set(paths))]

"""The cases of known trouble: a framework that computes rightly passes them all, and each wrong one has its name."""

import ctypes
import functools
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
from verify.probes.deviation import rounded
from verify.probes.numbers import Operations


def operations() -> Operations:
    """A framework that computes rightly, by numpy: in float32, and what it gives is rounded to half precision."""
    return {name: of_any_kind(one) for name, one in in_float32().items()}


def of_any_kind(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*arguments: Any, dtype: str = "float32") -> Any:
        return rounded(function(*arguments), dtype)

    return run


def in_float32() -> Operations:

    def conv1d(x: Any, w: Any) -> Any:
        windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[0], axis=1)
        return np.einsum("blcw,wcf->blf", windows, w, dtype=x.dtype)

    def conv2d(x: Any, w: Any) -> Any:
        height, width = (x.shape[one + 1] - w.shape[one] + 1 for one in range(2))
        parts = (x[:, i : i + height, j : j + width] @ w[i, j] for i in range(w.shape[0]) for j in range(w.shape[1]))
        return functools.reduce(np.add, parts)

    def attention(q: Any, k: Any, v: Any) -> Any:
        return softmax(q @ k.swapaxes(-1, -2) * q.dtype.type(q.shape[-1] ** -0.5)) @ v

    def layer_norm(x: Any, g: Any, b: Any) -> Any:
        mean = x.mean(axis=-1, keepdims=True)
        return (x - mean) / np.sqrt(x.var(axis=-1, keepdims=True) + x.dtype.type(1e-5)) * g + b

    def embedding_gradient(table: Any, indices: Any, slopes: Any) -> Any:
        gradient = np.zeros_like(table)
        np.add.at(gradient, indices, slopes)
        return gradient

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
        "linear": lambda x, w, b: x @ w.T + b,
        "linear_transposed": np.matmul,
        "dense_relu": lambda x, g, b: np.maximum(x @ g + b, 0),
        "matmul_add": lambda c, a, b: c + a @ b,
        "attention": attention,
        "layer_norm": layer_norm,
        "conv2d": conv2d,
        "embedding": lambda table, indices: table[indices],
        "embedding_gradient": embedding_gradient,
    }


def judged(changed: Operations, only: set[str] | None = None, seed: int = 1) -> tuple[list[dict[str, Any]], str, str]:
    every = {**operations(), **changed}
    kept = {name: one for name, one in every.items() if only is None or name in only}
    cases = numbers_check.cases(numbers.observe(kept, seed))
    return cases, *numbers_check.verdict(cases)


def test_right_operations_pass_with_room() -> None:
    cases, fault, message = judged({})
    assert (fault, {one["result"] for one in cases}) == ("", {"pass"}), message
    assert len({one["case"] for one in cases}) == len(cases) == 30


@pytest.mark.parametrize("seed", range(12))
def test_the_seed_does_not_decide(seed: int) -> None:
    small = set(operations()) - {"matmul"}
    assert judged({}, small, seed)[1] == ""


def given() -> dict[str, list[tuple[Any, ...]]]:
    """What each operation is given, case by case."""
    seen: dict[str, list[tuple[Any, ...]]] = {}

    def watched(name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            seen.setdefault(name, []).append(arguments)
            return operation(*arguments, **named)

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
        "matmul": [
            # Whether there is half precision, of either kind.
            *[((2, 2), (2, 2))] * 2,
            *(((n, n), (n, n)) for n in (16, 100, 257, 512, 1024, 2048)),
            ((16, 40000), (40000, 16)),
            *(((3, 8, k), (3, k, 8)) for k in (32767, 40000)),
        ],
        "conv1d": [((1, 8, 2), (3, 2, 65537))],
        "softmax": [((67, 1000),)],
        "sum": [((8, 100000),)],
        "cumsum": [((8, 5000),)],
        "take_along_axis": [((67, 1000), (67, 129))],
        # Each twice.
        "linear": [
            *[((33, 257), (129, 257), (129,))] * 2,
            *[((512,), (256, 512), (256,))] * 2,
            *[((65537, 8), (8, 8), (8,))] * 2,
            *[((4, 33, 256), (128, 256), (128,))] * 4,
        ],
        "linear_transposed": [((65, 256), (256, 129))] * 2,
        "dense_relu": [((64, 2048), (2048, 96), (96,))],
        "matmul_add": [((3, 8, 8), (3, 8, 40000), (3, 40000, 8))],
        "attention": [((2, 3, 128, 64),) * 3],
        "layer_norm": [((67, 1000), (1000,), (1000,))],
        "conv2d": [((2, 13, 11, 5), (3, 3, 5, 33))],
        "embedding": [((500, 48), (4000,))],
        "embedding_gradient": [((500, 48), (4000,), (4000, 48))],
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
        # A bias is one term more.
        ("linear", "linear", 258, units.ROUNDING),
        ("linear-vector", "linear", 513, units.ROUNDING),
        ("linear-batch-65537", "linear", 9, units.ROUNDING),
        ("linear-float16", "linear", 257, units.ROUNDING),
        ("linear-bfloat16", "linear", 257, units.ROUNDING),
        ("linear-transposed", "linear_transposed", 256, units.ROUNDING),
        ("linear-transposed-bfloat16", "linear_transposed", 256, units.ROUNDING),
        ("dense-relu-2048", "dense_relu", 2049, units.ROUNDING),
        ("matmul-stack-32767", "matmul", 32767, units.ROUNDING),
        ("matmul-stack-40000", "matmul", 40000, units.ROUNDING),
        ("matmul-add-stack-40000", "matmul_add", 40001, units.ROUNDING),
        ("attention", "attention", 128, units.WEIGHTED),
        ("layer_norm", "layer_norm", 1000, units.NORMED),
        # Three by three, of five channels.
        ("conv2d", "conv2d", 45, units.ROUNDING),
        ("embedding", "embedding", 1, units.EXACT),
        ("embedding-gradient", "embedding_gradient", 4000, units.ROUNDING),
    ]


def observed(case: str, operation: str, run: Callable[..., Any]) -> dict[str, Any]:
    (found,) = [one for one in numbers.observe({operation: run}, 1) if one["case"] == case]
    return found


def last_window(x: Any, w: Any) -> Any:
    return np.linalg.norm(x[0, -w.shape[0] :]) * np.linalg.norm(w[..., -1])


def last_dense(x: Any, g: Any, b: Any) -> Any:
    return np.hypot(np.linalg.norm(x[-1]), 1) * np.hypot(np.linalg.norm(g[:, -1]), b[-1])


def last_added(c: Any, a: Any, b: Any) -> Any:
    return np.hypot(np.linalg.norm(a[-1, -1]), 1) * np.hypot(np.linalg.norm(b[-1, :, -1]), np.linalg.norm(c[-1, :, -1]))


def last_weighted(q: Any, k: Any, v: Any) -> Any:
    q, k, v = (one[-1, -1] for one in (q, k, v))
    logits = np.exp(k @ q[-1] / 8)
    longest = np.linalg.norm(k, axis=1).max()
    return (1 + np.linalg.norm(q[-1]) * longest / 8) * (logits / logits.sum()) @ np.abs(v[:, -1])


def last_normed(x: Any, g: Any, b: Any) -> Any:
    deviation = (x[-1].var() + 1e-5) ** 0.5
    ratio = np.sqrt((x[-1] ** 2).mean()) / deviation
    normed = abs(x[-1, -1] - x[-1].mean()) / deviation
    return abs(g[-1]) * (normed * ratio**2 + ratio) + abs(b[-1])


def last_gradient(table: Any, indices: Any, slopes: Any) -> Any:
    of_last = slopes[indices == len(table) - 1, -1]
    return np.linalg.norm(of_last) * len(of_last) ** 0.5


@pytest.mark.parametrize(
    ("case", "operation", "unit"),
    [
        ("matmul-100", "matmul", lambda a, b: np.linalg.norm(a[-1]) * np.linalg.norm(b[:, -1])),
        ("conv1d-65537", "conv1d", last_window),
        ("softmax", "softmax", lambda x: operations()["softmax"](x)[-1, -1]),
        ("sum", "sum", lambda x: np.linalg.norm(x[-1]) * 100000**0.5),
        ("cumsum", "cumsum", lambda x: np.linalg.norm(x[-1]) * 5000**0.5),
        (
            "linear",
            "linear",
            lambda x, w, b: np.hypot(np.linalg.norm(x[-1]), 1) * np.hypot(np.linalg.norm(w[-1]), b[-1]),
        ),
        ("dense-relu-2048", "dense_relu", last_dense),
        ("matmul-stack-32767", "matmul", lambda a, b: np.linalg.norm(a[-1, -1]) * np.linalg.norm(b[-1, :, -1])),
        ("matmul-add-stack-40000", "matmul_add", last_added),
        ("attention", "attention", last_weighted),
        ("layer_norm", "layer_norm", last_normed),
        ("conv2d", "conv2d", lambda x, w: np.linalg.norm(x[-1, -3:, -3:]) * np.linalg.norm(w[..., -1])),
        ("embedding-gradient", "embedding_gradient", last_gradient),
    ],
)
def test_an_error_is_told_in_its_unit(case: str, operation: str, unit: Callable[..., float]) -> None:
    def three_off(*arrays: Any) -> Any:
        wide = [one.astype(np.float64) if one.dtype == np.float32 else one for one in arrays]
        output = operations()[operation](*wide)
        output.flat[-1] += 3 * 2.0**-23 * unit(*wide)
        return output

    assert observed(case, operation, three_off)["error"] == pytest.approx(3, rel=1e-3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_an_error_of_half_precision_is_told_in_its_own_eps(dtype: str) -> None:
    def three_off(*arrays: Any, **_: Any) -> Any:
        x, w, b = (one.astype(np.float64) for one in arrays)
        output = x @ w.T + b
        size = np.hypot(np.linalg.norm(x[-1, -1]), 1) * np.hypot(np.linalg.norm(w[-1]), b[-1])
        output.flat[-1] += 3 * {"float16": 2.0**-10, "bfloat16": 2.0**-7}[dtype] * size
        return output

    # It has what else half precision is asked for.
    known = {"linear": three_off, "matmul": operations()["matmul"]}
    (found,) = [one for one in numbers.observe(known, 1) if one["case"] == f"linear-{dtype}"]
    assert (found["dtype"], found["error"]) == (dtype, pytest.approx(3, rel=1e-3))


def test_numbers_are_rounded_to_the_nearest_that_a_kind_has() -> None:
    assert rounded(np.array([1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -1.0], np.float32), "bfloat16").tolist() == [
        # Half-way cases go to the even one.
        *(1.0, 1 + 2**-6, 1 + 2**-7, -1.0)
    ]
    assert rounded(np.array([1 + 2**-11, 1 + 3 * 2**-11, 65504.0], np.float32), "float16").tolist() == [
        1.0,
        1 + 2**-9,
        65504.0,
    ]


def test_a_kind_of_numbers_that_the_device_lacks_is_no_fault() -> None:
    def no_bfloat16(a: Any, b: Any, dtype: str = "float32") -> Any:
        if dtype == "bfloat16":
            raise TypeError("BFloat16 is not supported")
        return a @ b

    cases, fault, message = judged({"matmul": no_bfloat16})
    assert fault == "", message
    skipped = {one["case"]: one["message"] for one in cases if one["result"] == "skip"}
    assert skipped == dict.fromkeys(("linear-bfloat16", "linear-transposed-bfloat16"), "the device has no bfloat16")


@pytest.mark.parametrize("operation", ["relu", "take_along_axis", "embedding"])
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


def off_by_tens(values: Any) -> None:
    """As on Metal: tensorflow-metal, Apple's developer forums."""
    values[3:7] += 30


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


def no_long_stacks(a: Any, b: Any, **more: Any) -> Any:
    """As pytorch #195163 has it since 2.14: only stacks of products go wrong."""
    return a[..., :32766] @ b[:, :32766] if a.ndim > 2 else operations()["matmul"](a, b, **more)


def no_bias_of_vectors(x: Any, w: Any, b: Any, **more: Any) -> Any:
    """As pytorch #188438 has it."""
    return operations()["linear"](x, w, b * np.float32(x.ndim > 1), **more)


def no_bias_of_many(x: Any, w: Any, b: Any, **more: Any) -> Any:
    """As pytorch #189495 has it: rows from 2^16 on."""
    y = operations()["linear"](x, w, b, **more)
    if len(x) > 2**16:
        y[2**16 :] -= b
    return y


def other_the_second_time(kind: str) -> Callable[..., Any]:
    """As pytorch #180776 has it."""
    times: dict[str, int] = {}

    def linear(x: Any, w: Any, b: Any, dtype: str = "float32") -> Any:
        y = operations()["linear"](x, w, b, dtype=dtype)
        times[dtype] = times.get(dtype, 0) + 1
        if dtype == kind and times[dtype] == 2:
            y[-1] = y[0]
        return y

    return linear


def abort(*_: Any, dtype: str = "float32") -> Any:
    """As pytorch #197796 has it, where the process survives."""
    if dtype == "bfloat16":
        raise RuntimeError("failed assertion")
    return operations()["linear_transposed"](*_)


def in_half_precision(name: str) -> Callable[..., Any]:
    return lambda *given, **_: in_float32()[name](*(one.astype(np.float16) for one in given)).astype(np.float32)


def causal(q: Any, k: Any, v: Any, **_: Any) -> Any:
    logits = np.where(np.tri(q.shape[2]), q @ k.swapaxes(-1, -2) / 8, -np.inf)
    return operations()["softmax"](logits).astype(np.float32) @ v


def only_the_last(table: Any, indices: Any, slopes: Any, **_: Any) -> Any:
    """As a scatter that does not add up."""
    gradient = np.zeros_like(table)
    gradient[indices] = slopes
    return gradient


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
        ({"dense_relu": lambda x, g, b: np.maximum(x @ g, 0) + b}, "dense-relu-2048", "wrong-value"),
        ({"dense_relu": spoiled("dense_relu", off_by_tens)["dense_relu"]}, "dense-relu-2048", "wrong-value"),
        ({"matmul_add": lambda c, a, b: c + a[..., :32766] @ b[:, :32766]}, "matmul-add-stack-40000", "wrong-value"),
        ({"attention": causal}, "attention", "wrong-value"),
        ({"attention": lambda q, k, v: operations()["attention"](8 * q, k, v)}, "attention", "wrong-value"),
        ({"attention": in_half_precision("attention")}, "attention", "wrong-value"),
        (spoiled("attention", nan_in_the_middle), "attention", "not-finite"),
        ({"layer_norm": in_half_precision("layer_norm")}, "layer_norm", "wrong-value"),
        ({"layer_norm": lambda x, g, b: (x - x.mean(-1, keepdims=True)) * g + b}, "layer_norm", "wrong-value"),
        ({"conv2d": lambda x, w: operations()["conv2d"](x, w[::-1])}, "conv2d", "wrong-value"),
        (spoiled("conv2d", last_filter_wrong), "conv2d", "wrong-value"),
        ({"embedding": lambda table, indices: table[np.maximum(indices - 1, 0)]}, "embedding", "wrong-value"),
        ({"embedding_gradient": only_the_last}, "embedding-gradient", "wrong-value"),
    ],
)
def test_each_wrong_operation_has_its_name(changed: Operations, case: str, fault: str) -> None:
    cases, found, message = judged(changed, set(changed))
    assert found == fault, message
    assert [one["case"] for one in cases if one["result"] == "fail"] == [case]
    assert case in message
    # What was taken out is not there, and said so.
    assert {one["result"] for one in cases} == {"fail", "skip"}


@pytest.mark.parametrize(
    ("changed", "wrong", "fault"),
    [
        ({"linear": no_bias_of_vectors}, ["linear-vector"], "wrong-value"),
        ({"linear": no_bias_of_many}, ["linear-batch-65537"], "wrong-value"),
        ({"matmul": no_long_stacks}, ["matmul-stack-32767", "matmul-stack-40000"], "wrong-value"),
        ({"linear": other_the_second_time("float16")}, ["linear-float16"], "wrong-value"),
        ({"linear": other_the_second_time("bfloat16")}, ["linear-bfloat16"], "wrong-value"),
        ({"linear_transposed": abort}, ["linear-transposed-bfloat16"], "exception"),
    ],
)
def test_what_is_wrong_in_some_of_its_cases(changed: Operations, wrong: list[str], fault: str) -> None:
    cases, found, message = judged(changed, {"matmul", *changed})
    assert found == fault, message
    assert [one["case"] for one in cases if one["result"] == "fail"] == wrong


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

    def matmul(self, a: Any, b: Any) -> Any:
        self.used += a.nbytes * self.keeps
        return a @ b

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

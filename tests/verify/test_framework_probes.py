"""Each framework's probe asks for the same: the right results, on the device that was chosen, waited for."""

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tests.verify import standins
from tests.verify.standins import Log, learned
from verify import ROOT
from verify.probes import framework, jax, mlx, pytorch, tensorflow


@dataclass
class Tried:
    """A probe that has chosen a device of its stand-in."""

    name: str
    probe: Any
    log: Log
    module: Any
    place: str
    cpu: str


KINDS: dict[str, tuple[Any, str, str, str]] = {
    "jax": (jax.Jax, "METAL", "METAL:0", "cpu:0"),
    "torch": (pytorch.PyTorch, "mps", "mps:0", "cpu"),
    "mlx": (mlx.Mlx, "gpu", "Device(gpu, 0)", "Device(cpu, 0)"),
    "tensorflow": (tensorflow.TensorFlow, "GPU", "/device:GPU:0", "/device:CPU:0"),
}


@pytest.fixture(params=KINDS)
def tried(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Tried:
    kind, wanted, place, cpu = KINDS[request.param]
    log = Log()
    modules = getattr(standins, request.param)(log)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv(framework.TF32, "1")
    probe = kind()
    assert probe.load() == "1.0"
    seen = probe.devices()
    assert wanted in seen["present"]
    assert seen["default"] == ("cpu" if request.param == "torch" else wanted)
    assert probe.choose(wanted) == place
    log.places.clear()
    return Tried(request.param, probe, log, next(iter(modules.values())), place, cpu)


X = np.random.default_rng(1).standard_normal((2, 8, 3)).astype(np.float32)
A, B = X[0], X[1].T
# Two filters of two by two.
GRID = X.reshape(-1)[:8].reshape(2, 2, 1, 2)
WINDOWS = np.stack([X[:, i : i + 7, j : j + 2] for i in range(2) for j in range(2)], axis=3)
WORDS = np.array([1, 0, 7, 1], np.int32)
GONE = np.zeros((5, 3))
CASES: dict[str, tuple[tuple[Any, ...], Any]] = {
    "relu": ((X,), np.maximum(X, 0)),
    "matmul": ((A, B), A @ B),
    # Of three channels, two filters and two in a window.
    "conv1d": ((X, X.reshape(-1)[:12].reshape(2, 3, 2)), standins.conv1d(X, X.reshape(-1)[:12].reshape(2, 3, 2))),
    "softmax": ((X,), np.exp(X) / np.exp(X).sum(axis=2, keepdims=True)),
    "sum": ((X,), X.sum(axis=2)),
    "cumsum": ((X,), X.cumsum(axis=2)),
    "take_along_axis": ((A, np.array([[2, 0, 1, 1]] * 8, np.int32)), A[:, [2, 0, 1, 1]]),
    "linear": ((X, B.T[:5], A[:5, 0]), X @ B[:, :5] + A[:5, 0]),
    "linear_transposed": ((A, B), A @ B),
    "dense_relu": ((A, B, A[:, 0]), np.maximum(A @ B + A[:, 0], 0)),
    "matmul_add": ((X @ B, X, np.stack([B, -B])), X @ B + X @ np.stack([B, -B])),
    "attention": ((X[None], X[None, ::-1], X[None] + 1), standins.attention(X, X[::-1], X + 1, 3**-0.5)[None]),
    "layer_norm": ((X, A[0], A[1]), standins.standardized(X, 1e-5) * A[0] + A[1]),
    "conv2d": ((X[..., None], GRID), WINDOWS @ GRID.reshape(4, 2)),
    "embedding": ((A, WORDS), A[WORDS]),
    "embedding_gradient": ((A, WORDS, X[0, :4]), np.stack([X[0, [1]].sum(0), X[0, 0] + X[0, 3], *GONE, X[0, 2]])),
}


@pytest.mark.parametrize("name", CASES)
def test_operations_are_along_the_last_axis_and_on_the_device(tried: Tried, name: str) -> None:
    given, wanted = CASES[name]
    found = tried.probe.operations()[name](*given)
    assert type(found) is np.ndarray
    assert found == pytest.approx(wanted, rel=1e-5)
    assert tried.log.places == {tried.place}


@pytest.mark.parametrize("name", ["matmul", "linear", "linear_transposed"])
def test_half_precision_is_computed_with_and_given_back_in_single(tried: Tried, name: str) -> None:
    given, wanted = CASES[name]
    found = tried.probe.operations()[name](*given, dtype="float16")
    assert found.dtype == np.float32
    assert found == pytest.approx(wanted, rel=1e-2, abs=1e-2)
    assert not np.allclose(found, wanted, rtol=1e-5)


def test_random_numbers_follow_their_seed_and_are_made_on_the_device(tried: Tried) -> None:
    normal = tried.probe.operations()["normal"]
    found = normal(7, 100)
    assert type(found) is np.ndarray
    assert found.shape == (100,)
    assert np.array_equal(found, normal(7, 100))
    assert not np.array_equal(found, normal(8, 100))
    assert tried.log.places == {tried.place}


def test_the_exact_computation_is_relu_of_a_product(tried: Tried) -> None:
    result, place = tried.probe.exact(A, B)
    assert np.array(result) == pytest.approx(np.maximum(A @ B, 0))
    assert place == tried.place


@pytest.mark.parametrize("on_cpu", [False, True])
# By a small weight slopes become small, so that what Adam adds to their size counts.
@pytest.mark.parametrize("scale", [1, 1e-7])
def test_the_training_is_by_adam_from_the_given_weights(
    tried: Tried, on_cpu: bool, scale: float, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(2)
    # More than Keras takes at once, unless told to.
    x, y = (random.uniform(-1, 1, (40, size)).astype(np.float32) for size in (2, 1))
    shapes = {"w1": (2, 4), "b1": (4,), "w2": (4, 1), "b2": (1,)}
    weights = {name: random.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    weights["w2"] *= np.float32(scale)
    losses = tried.probe.train(x, y, weights, 5, on_cpu)
    assert losses == pytest.approx(learned(x, y, weights, 5), rel=1e-5)
    assert tried.log.places == {tried.cpu if on_cpu else tried.place}
    assert capsys.readouterr().out == ""


def test_products_are_computed_on_the_device_and_waited_for(tried: Tried) -> None:
    work = tried.probe.work()
    for dtype in ("float32", "float16", "bfloat16"):
        work.prepare(3, dtype, 5)
        a, b = (work.to_numpy(one) for one in work.operands())
        before = tried.log.waits
        output = work.run()
        assert tried.log.waits > before
        assert work.device_of(output) == tried.place
        assert work.to_numpy(output) == pytest.approx(a @ b, rel=1e-2, abs=1e-2)
        assert (a.shape, a.dtype, np.array_equal(a, b)) == ((3, 3), np.float32, False)
        work.prepare(3, dtype, 5)
        assert np.array_equal(work.to_numpy(work.operands()[0]), a)
        work.prepare(3, dtype, 6)
        assert not np.array_equal(work.to_numpy(work.operands()[0]), a)
    assert tried.log.places == {tried.place}


def test_a_stream_adds_one_on_the_device_and_is_waited_for(tried: Tried) -> None:
    work = tried.probe.work()
    work.prepare_stream(5)
    before = tried.log.waits
    output = work.run_stream()
    assert tried.log.waits > before
    assert work.to_numpy(output).tolist() == [2.0] * 5
    assert work.device_of(output) == tried.place


def test_memory_is_counted_where_the_framework_counts_it(tried: Tried) -> None:
    if tried.name == "jax":
        assert tried.probe.memory() is None
        tried.probe.device.stats = {"limit": 1}
        assert tried.probe.memory() is None
        tried.probe.device.stats = {"bytes_in_use": 4096}
    assert tried.probe.memory() == 4096
    if tried.name == "torch":
        tried.probe.choose("cpu")
        assert tried.probe.memory() is None
    if tried.name == "tensorflow":
        # One keeps no statistics, the other keeps zeros.
        for place in ("/device:GPU:1", "/device:CPU:0"):
            tried.probe.device = place
            assert tried.probe.memory() is None


@pytest.mark.parametrize(("asked", "at_the_end"), [(["import"], []), (["import", "libraries"], ["seen"])])
def test_what_was_imported_is_collected_at_the_end_where_time_is_taken(asked: list[str], at_the_end: list[str]) -> None:
    """As in a user's own process; at level quick nobody waits for that."""
    code = """
import gc
import sys
sys.path.insert(0, sys.argv[1])
from verify.probes.framework import importing

class Seen:
    def __del__(self):
        print("seen", flush=True)

with importing(sys.argv[2:]):
    enabled = gc.isenabled()
    one = Seen()
    one.itself = one
    del one
print(enabled, gc.isenabled(), gc.get_freeze_count() > 0)
gc.collect()
"""
    done = subprocess.run([sys.executable, "-c", code, str(ROOT), *asked], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:-1] == ["False True True", *at_the_end]

"""The probe for TensorFlow: devices "GPU" (tensorflow-metal) and "CPU"."""

from __future__ import annotations

import importlib
from typing import Any

from . import framework
from .benchmark import Work
from .layers import LAYER_NORM_EPS
from .numbers import Operations
from .reporting import Stage


class TensorFlow:
    """TensorFlow, on the first device of one kind."""

    def load(self) -> str:
        """See framework.Probe."""
        self.tf = importlib.import_module("tensorflow")
        return str(self.tf.__version__)

    def devices(self) -> dict[str, Any]:
        """See framework.Probe."""
        present = [device.device_type for device in self.tf.config.list_physical_devices()]
        return {
            "present": sorted(set(present)),
            # Where TensorFlow puts an operation that nobody placed. On a GPU, which takes all it has a kernel for.
            "default": "GPU" if "GPU" in present else "CPU",
            "settings": {},
        }

    def choose(self, wanted: str) -> str:
        """See framework.Probe."""
        self.device = self.tf.config.list_logical_devices(wanted)[0].name
        return str(self.device)

    def exact(self, a: Any, b: Any) -> tuple[Any, str]:
        """See framework.Probe."""
        tf = self.tf
        # Soft placement stays as users have it: what the device cannot do is moved to the CPU without an error, and
        # the result's own device tells.
        with tf.device(self.device):
            result = tf.nn.relu(tf.matmul(tf.constant(a), tf.constant(b)))
        return result.numpy(), _place(result)

    def work(self) -> Work:
        """See framework.Probe."""
        return _Work(self.tf, self.device)

    def matmul(self, a: Any, b: Any, dtype: str = "float32") -> Any:
        """See framework.Probe."""
        return self._on_device(self.tf.matmul)(a, b, dtype=dtype)

    def _on_device(self, function: Any) -> Any:
        tf = self.tf

        def run(*arrays: Any, dtype: str = "float32") -> Any:
            with tf.device(self.device):
                placed = (tf.constant(one) for one in arrays)
                result = function(*(tf.cast(one, dtype) if one.dtype == tf.float32 else one for one in placed))
                return tf.cast(result, tf.float32).numpy()

        return run

    def operations(self) -> Operations:
        """See framework.Probe."""
        tf, on_device = self.tf, self._on_device

        def linear(x: Any, w: Any, b: Any) -> Any:
            rows = tf.reshape(x, (-1, x.shape[-1]))
            return tf.reshape(tf.nn.bias_add(tf.matmul(rows, w, transpose_b=True), b), (*x.shape[:-1], len(b)))

        def dense_relu(x: Any, g: Any, b: Any) -> Any:
            return tf.nn.relu(tf.nn.bias_add(tf.matmul(x, g), b))

        def attention(q: Any, k: Any, v: Any) -> Any:
            # Keras' order is (batch, length, heads, size).
            q, k, v = (tf.transpose(one, (0, 2, 1, 3)) for one in (q, k, v))
            return tf.transpose(tf.keras.ops.dot_product_attention(q, k, v), (0, 2, 1, 3))

        def layer_norm(x: Any, g: Any, b: Any) -> Any:
            mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
            return tf.nn.batch_normalization(x, mean, variance, b, g, LAYER_NORM_EPS)

        def embedding_gradient(table: Any, indices: Any, slopes: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(table)
                total = tf.reduce_sum(tf.nn.embedding_lookup(table, indices) * slopes)
            return tf.convert_to_tensor(tape.gradient(total, table))

        def normal(seed: int, n: int) -> Any:
            with tf.device(self.device):
                return tf.random.stateless_normal((n,), seed=(seed, 0)).numpy()

        return {
            "relu": on_device(tf.nn.relu),
            "matmul": self.matmul,
            "conv1d": on_device(lambda x, w: tf.nn.conv1d(x, w, stride=1, padding="VALID")),
            "softmax": on_device(tf.nn.softmax),
            "sum": on_device(lambda x: tf.reduce_sum(x, axis=-1)),
            "cumsum": on_device(lambda x: tf.cumsum(x, axis=-1)),
            "take_along_axis": on_device(lambda x, indices: tf.gather(x, indices, axis=-1, batch_dims=1)),
            "normal": normal,
            "linear": on_device(linear),
            "linear_transposed": on_device(tf.matmul),
            # The graph's optimizer makes one kernel of it.
            "dense_relu": on_device(tf.function(dense_relu)),
            "matmul_add": on_device(lambda c, a, b: c + tf.matmul(a, b)),
            "attention": on_device(attention),
            "layer_norm": on_device(layer_norm),
            "conv2d": on_device(lambda x, w: tf.nn.conv2d(x, w, strides=1, padding="VALID")),
            "embedding": on_device(tf.nn.embedding_lookup),
            "embedding_gradient": on_device(embedding_gradient),
        }

    def train(self, x: Any, y: Any, weights: dict[str, Any], steps: int, on_cpu: bool) -> list[float]:
        """See framework.Probe."""
        keras = self.tf.keras
        with self.tf.device("/device:CPU:0" if on_cpu else self.device):
            hidden = keras.layers.Dense(weights["w1"].shape[1], activation="relu")
            model = keras.Sequential([keras.Input((x.shape[1],)), hidden, keras.layers.Dense(1)])
            model.set_weights([weights[name] for name in ("w1", "b1", "w2", "b2")])
            model.compile(optimizer=keras.optimizers.Adam(0.02), loss="mse")
            # Keras' own loop, because it is what its users run; one batch an epoch makes an epoch a step.
            history = model.fit(x, y, batch_size=len(x), epochs=steps, shuffle=False, verbose=0)
        return [float(loss) for loss in history.history["loss"]]

    def memory(self) -> int | None:
        """See framework.Probe."""
        try:
            counted = self.tf.config.experimental.get_memory_info(self.device)
        except ValueError:
            # What it raises for a device whose allocator keeps no statistics.
            return None
        # The CPU's keeps them as zeros.
        return int(counted["current"]) if counted["peak"] else None


class _Work:
    def __init__(self, tf: Any, device: str) -> None:
        self._tf = tf
        self._device = device

    def prepare(self, n: int, dtype: str, seed: int) -> None:
        tf = self._tf
        with tf.device(self._device):
            drawn = (tf.random.stateless_normal((n, n), seed=(seed, one)) for one in range(2))
            self._a, self._b = (tf.cast(one, dtype) for one in drawn)

    def run(self) -> Any:
        with self._tf.device(self._device):
            output = self._tf.matmul(self._a, self._b)
        # An eager operation returns before a GPU has done it. Reading one element waits for the device's stream,
        # with any plugin; the whole matrix would time the copy as well.
        output[0, 0].numpy()
        return output

    def device_of(self, array: Any) -> str:
        return _place(array)

    def to_numpy(self, array: Any) -> Any:
        return self._tf.cast(array, self._tf.float32).numpy()

    def operands(self) -> tuple[Any, Any]:
        return self._a, self._b

    def prepare_stream(self, elements: int) -> None:
        with self._tf.device(self._device):
            self._stream = self._tf.ones(elements)

    def run_stream(self) -> Any:
        with self._tf.device(self._device):
            output = self._stream + 1
        output[0].numpy()
        return output


def _place(tensor: Any) -> str:
    """The device that holds the tensor's memory, without job, replica and task."""
    place = str(tensor.backing_device)
    return place[place.find("/device:") :]


def stages(parameters: dict[str, Any]) -> list[tuple[str, Stage]]:
    """List the stages of this probe; see framework.stages."""
    return framework.stages(TensorFlow(), parameters)

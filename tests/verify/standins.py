"""Stand-ins for the four frameworks, by numpy, with as much of each as its probe uses at level full.

Each has a CPU and another device, the one that it takes unasked where the framework does so, and notes in `log` on
which device something was computed, and whether it was waited for. What a real one refuses is refused.
"""

import contextlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

Weights = dict[str, Any]


def slopes_of(w: Weights, x: Any, y: Any) -> tuple[float, Weights]:
    """Loss of relu(x w1 + b1) w2 + b2 beside y, the mean of the squares, and its slopes."""
    hidden = np.maximum(x @ w["w1"] + w["b1"], 0)
    off = hidden @ w["w2"] + w["b2"] - y
    back = 2 * off / off.size
    inner = (back @ w["w2"].T) * (hidden > 0)
    return float((off**2).mean()), {"w1": x.T @ inner, "b1": inner.sum(0), "w2": hidden.T @ back, "b2": back.sum(0)}


class Adam:
    """Adam by the book (Kingma and Ba 2015), in float64, with the defaults of all frameworks."""

    def __init__(self, rate: float = 0.001) -> None:
        self._rate, self._steps = rate, 0
        self._means: Weights = {}
        self._squares: Weights = {}

    def step(self, w: Weights, slopes: Weights) -> None:
        self._steps += 1
        for name, slope in slopes.items():
            mean = self._means[name] = 0.9 * self._means.get(name, 0.0) + 0.1 * slope
            square = self._squares[name] = 0.999 * self._squares.get(name, 0.0) + 0.001 * slope**2
            unbiased = mean / (1 - 0.9**self._steps), square / (1 - 0.999**self._steps)
            w[name] = w[name] - self._rate * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)


def learned(x: Any, y: Any, weights: Weights, steps: int, rate: float = 0.02) -> list[float]:
    """The loss before each step."""
    w = {name: one.astype(np.float64) for name, one in weights.items()}
    adam = Adam(rate)
    losses = []
    for _ in range(steps):
        loss, slopes = slopes_of(w, x, y)
        adam.step(w, slopes)
        losses.append(loss)
    return losses


def softmax(x: Any, axis: int | None = -1) -> Any:
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def conv1d(x: Any, w: Any, stride: int = 1) -> Any:
    """Of (batch, length, channels) and (width, channels, filters), without padding."""
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[0], axis=1)[:, ::stride]
    return np.einsum("blcw,wcf->blf", windows, w)


def conv2d(x: Any, w: Any) -> Any:
    """Of (batch, height, width, channels) and (height, width, channels, filters), without padding."""
    height, width = (x.shape[one + 1] - w.shape[one] + 1 for one in range(2))
    corners = np.ndindex(w.shape[:2])
    return np.sum([x[:, i : i + height, j : j + width] @ w[i, j] for i, j in corners], axis=0)


def attention(q: Any, k: Any, v: Any, scale: float) -> Any:
    """Of (batch, heads, length, size)."""
    return softmax(q @ k.swapaxes(-1, -2) * scale) @ v


def standardized(x: Any, epsilon: float) -> Any:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon)


def slope(function: Callable[[Any], Any], values: Any) -> Any:
    """The gradient of a number that a function makes of an array, by small steps."""
    wide = values.astype(np.float64)
    found = np.zeros_like(wide)
    for place in np.ndindex(wide.shape):
        kept, ends = wide[place], []
        for step in (1e-6, -1e-6):
            wide[place] = kept + step
            ends.append(float(function(wide)))
        wide[place] = kept
        found[place] = (ends[0] - ends[1]) / 2e-6
    return found


class Looked:
    """Rows of a table that were looked up, as far as their gradient is asked for."""

    def __init__(self, table: Any, indices: Any, slopes: Any = 1.0) -> None:
        self.table, self.indices, self.slopes = table, indices, slopes

    def gradient(self) -> Any:
        found = np.zeros(self.table.shape)
        np.add.at(found, np.array(self.indices), np.array(self.slopes))
        return found


class Array(np.ndarray[Any, Any]):
    """Numbers on a device."""

    place: Any = None
    looked: Any = None

    def __array_finalize__(self, source: Any) -> None:
        if source is not None:
            self.place = getattr(source, "place", None)


class Log:
    """What was noted: devices that computed, and how often something was waited for."""

    def __init__(self) -> None:
        self.places: set[str] = set()
        self.waits = 0

    def waited(self, *_: Any) -> None:
        self.waits += 1


def jax(log: Log) -> dict[str, Any]:
    """Devices METAL:0 and METAL:1, and beside them two CPUs; what was not placed is computed on the first METAL."""

    class Device(SimpleNamespace):
        def __str__(self) -> str:
            return f"{self.platform}:{self.id}"

        __hash__ = object.__hash__  # type: ignore[assignment]

        def memory_stats(self) -> Any:
            return self.stats

    class JaxArray(Array):
        def devices(self) -> set[Any]:
            return {self.place}

        def block_until_ready(self) -> Any:
            log.waited()
            return self

    devices = {name: [Device(platform=name, id=one, stats=None) for one in range(2)] for name in ("METAL", "cpu")}
    default = [devices["METAL"][0]]

    @contextlib.contextmanager
    def default_device(device: Any) -> Iterator[None]:
        default.append(device)
        yield
        default.pop()

    def device_put(values: Any, device: Any) -> Any:
        made = np.array(values).view(JaxArray)
        made.place = device
        return made

    def on_default(values: Any) -> Any:
        log.places.add(str(default[-1]))
        return device_put(values, default[-1])

    def noting(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            result = function(*arguments, **named)
            log.places.add(str(arguments[0].place))
            return device_put(result, arguments[0].place)

        return run

    def value_and_grad(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def run(values: Weights) -> tuple[Any, Weights]:
            wide = {name: one.astype(np.float64) for name, one in values.items()}

            def of(name: str) -> Any:
                return slope(lambda one: function({**wide, name: one}), wide[name])

            return function(wide), {name: of(name) for name in wide}

        return run

    def conv(x: Any, w: Any, strides: tuple[int, ...], padding: str, dimension_numbers: Any = None) -> Any:
        if len(strides) == 1:
            assert (padding, dimension_numbers) == ("VALID", ("NWC", "WIO", "NWC"))
            return conv1d(x, w, *strides)
        assert (strides, padding, dimension_numbers) == ((1, 1), "VALID", ("NHWC", "HWIO", "NHWC"))
        return conv2d(x, w)

    def dot_product_attention(q: Any, k: Any, v: Any) -> Any:
        # Of (batch, length, heads, size).
        q, k, v = (np.array(one).swapaxes(1, 2) for one in (q, k, v))
        return attention(q, k, v, q.shape[-1] ** -0.5).swapaxes(1, 2)

    def jit(function: Callable[..., Any]) -> Any:
        class Jitted:
            def __call__(self, *arguments: Any) -> Any:
                return function(*arguments)

            def lower(self, *_: Any) -> Any:
                return SimpleNamespace(compile=lambda: function)

        return Jitted()

    numpy = SimpleNamespace(
        **{name: noting(getattr(np, name)) for name in ("matmul", "maximum", "sum", "cumsum", "take_along_axis")},
        **{name: noting(getattr(np, name)) for name in ("take", "swapaxes")},
        **{name: getattr(np, name) for name in ("mean", "sqrt", "zeros_like", "float32", "float16")},
        bfloat16=np.float32,
        ones=lambda n, dtype: on_default(np.ones(n, dtype)),
    )
    module = SimpleNamespace(
        __version__="1.0",
        devices=lambda kind="METAL": devices[kind],
        default_backend=lambda: "METAL",
        default_device=default_device,
        device_put=device_put,
        device_get=np.array,
        nn=SimpleNamespace(
            relu=noting(lambda x: np.maximum(x, 0)),
            softmax=noting(softmax),
            dot_product_attention=noting(dot_product_attention),
            standardize=noting(standardized),
        ),
        lax=SimpleNamespace(conv_general_dilated=noting(conv)),
        random=SimpleNamespace(
            PRNGKey=lambda seed: (seed,),
            split=lambda key: [(*key, 0), (*key, 1)],
            normal=lambda key, shape: on_default(
                np.random.default_rng(list(key)).standard_normal(shape, dtype=np.float32)
            ),
        ),
        jit=jit,
        value_and_grad=value_and_grad,
        grad=lambda function: lambda table: device_put(slope(function, table), table.place),
        numpy=numpy,
    )
    return {"jax": module, "jax.numpy": numpy}


class Model:
    """A network of two layers, as a framework holds it; its layers' weights are set by name."""

    def __init__(self, *shapes: tuple[int, int]) -> None:
        self.shapes = shapes
        self.weights: Weights = {}
        self.slopes: Weights = {}

    def set(self, **weights: Any) -> None:
        (inputs, hidden), (again, outputs) = self.shapes
        assert hidden == again
        wanted = {"w1": (inputs, hidden), "b1": (hidden,), "w2": (hidden, outputs), "b2": (outputs,)}
        assert {name: one.shape for name, one in weights.items()} == wanted
        self.weights = {name: np.array(one, np.float64) for name, one in weights.items()}


def torch(log: Log) -> dict[str, Any]:
    """Devices mps:0 and cpu; what is not placed is on the CPU."""

    class Device(SimpleNamespace):
        def __str__(self) -> str:
            return "cpu" if self.type == "cpu" else f"{self.type}:0"

    def device(name: Any) -> Any:
        return Device(type=name) if isinstance(name, str) else name

    class Tensor(Array):
        @property
        def device(self) -> Any:
            return self.place

        def to(self, target: Any) -> Any:
            return tensor(self.astype(target), self.place) if isinstance(target, type) else tensor(self, target)

        def cpu(self) -> Any:
            return tensor(self, "cpu")

        def numpy(self) -> Any:
            assert self.place.type == "cpu", "can't convert mps:0 device type tensor to numpy"
            return np.array(self)

        def float(self) -> Any:
            return self.to(np.float32)

        def long(self) -> Any:
            return self.to(np.int64)

        def transpose(self, one: Any, other: Any) -> Any:  # type: ignore[override]
            return self.swapaxes(one, other)

        def permute(self, *axes: int) -> Any:
            return np.ndarray.transpose(self, axes)

        def sum(self, dim: int | None = None) -> Any:  # type: ignore[override]
            return noting(np.sum)(self, dim) if dim is not None else SimpleNamespace(backward=self.backward)

        def backward(self) -> None:
            self.looked.table.grad = tensor(self.looked.gradient(), self.place)

        def __mul__(self, other: Any) -> Any:
            made = tensor(np.array(self) * np.array(other), self.place)
            made.looked = Looked(self.looked.table, self.looked.indices, other)
            return made

        @property
        def T(self) -> Any:  # noqa: N802  # as in torch
            return self.transpose(0, 1)

        def is_floating_point(self) -> bool:
            return bool(self.dtype.kind == "f")

        def detach(self) -> Any:
            return self

        def requires_grad_(self) -> Any:
            return self

        def cumsum(self, dim: int) -> Any:  # type: ignore[override]
            return noting(np.cumsum)(self, dim)

    def tensor(values: Any, place: Any) -> Any:
        made = np.array(values).view(Tensor)
        made.place = device(place)
        return made

    def noting(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            first = arguments[0]
            assert {str(one.place) for one in arguments if isinstance(one, Tensor)} == {str(first.place)}
            log.places.add(str(first.place))
            return tensor(
                function(*(np.array(one) if isinstance(one, Tensor) else one for one in arguments)), first.place
            )

        return run

    def take_along_dim(values: Any, indices: Any, dim: int) -> Any:
        assert indices.dtype == np.int64, "dtype of indices should be Long"
        return np.take_along_axis(values, indices, dim)

    def embedding(indices: Any, table: Any) -> Any:
        assert indices.dtype == np.int64
        found = noting(lambda places, rows: rows[places])(indices, table)
        found.looked = Looked(table, indices)
        return found

    def layer_norm(x: Any, shape: tuple[int, ...], g: Any, b: Any, eps: float = 1e-5) -> Any:
        assert tuple(shape) == x.shape[-1:]
        return standardized(x, eps) * g + b

    def conv2d_(x: Any, w: Any) -> Any:
        # Of (batch, channels, height, width) and (filters, channels, height, width).
        return conv2d(x.transpose(0, 2, 3, 1), w.transpose(2, 3, 1, 0)).transpose(0, 3, 1, 2)

    class Generator:
        def __init__(self, device: Any = "cpu") -> None:
            self.place = device

        def manual_seed(self, seed: int) -> "Generator":
            self.random = np.random.default_rng(seed)
            return self

    def randn(*shape: int, generator: Any = None, device: Any = "cpu") -> Any:
        source = generator or Generator(device).manual_seed(np.random.SeedSequence().entropy % 2**32)  # type: ignore[operator]
        assert str(source.place) == str(device), "expected a generator of the same device"
        log.places.add(str(device))
        return tensor(source.random.standard_normal(shape, dtype=np.float32), device)

    class Sequential(Model):
        def __init__(self, first: Any, relu: Any, second: Any) -> None:
            assert relu == "relu"
            super().__init__(first, second)

        def to(self, place: Any) -> "Sequential":
            self.place = device(place)
            return self

        def load_state_dict(self, state: Weights) -> None:
            named = {"w1": "0.weight", "b1": "0.bias", "w2": "2.weight", "b2": "2.bias"}
            self.set(**{name: np.array(state[key]).T for name, key in named.items()})

        def parameters(self) -> "Sequential":
            return self

        def __call__(self, inputs: Any) -> Any:
            assert str(inputs.place) == str(self.place)
            log.places.add(str(self.place))
            return self, inputs

    class Loss:
        def __init__(self, output: Any, targets: Any) -> None:
            self.model, inputs = output
            self.loss, self.slopes = slopes_of(self.model.weights, np.array(inputs), np.array(targets))

        def backward(self) -> None:
            # They add up, until they are set to zero.
            held = self.model.slopes
            self.model.slopes = {name: one + held.get(name, 0) for name, one in self.slopes.items()}

        def item(self) -> float:
            return self.loss

    class Optimizer:
        def __init__(self, model: Any, lr: float = 0.001) -> None:
            self.model, self.adam = model, Adam(lr)

        def zero_grad(self) -> None:
            self.model.slopes = {}

        def step(self) -> None:
            self.adam.step(self.model.weights, self.model.slopes)

    module = SimpleNamespace(
        __version__="1.0",
        float32=np.float32,
        float16=np.float16,
        bfloat16=np.float32,
        backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: True)),
        get_default_device=lambda: device("cpu"),
        device=device,
        empty=lambda n, device="cpu": tensor(np.empty(n), device),
        from_numpy=lambda values: tensor(values, "cpu"),
        ones=lambda n, device="cpu": tensor(np.ones(n, np.float32), device),
        matmul=noting(np.matmul),
        relu=noting(lambda x: np.maximum(x, 0)),
        addmm=noting(lambda b, x, g: b + x @ g),
        baddbmm=noting(lambda c, a, b: c + a @ b),
        softmax=noting(softmax),
        take_along_dim=noting(take_along_dim),
        Generator=Generator,
        randn=randn,
        mps=SimpleNamespace(synchronize=log.waited, empty_cache=lambda: None, current_allocated_memory=lambda: 4096),
        nn=SimpleNamespace(
            functional=SimpleNamespace(
                # Of (batch, channels, length) and (filters, channels, width).
                conv1d=noting(lambda x, w: conv1d(x.swapaxes(1, 2), w.transpose(2, 1, 0)).swapaxes(1, 2)),
                mse_loss=Loss,
                linear=noting(lambda x, w, b=0: x @ w.T + b),
                scaled_dot_product_attention=noting(lambda q, k, v: attention(q, k, v, q.shape[-1] ** -0.5)),
                layer_norm=noting(layer_norm),
                conv2d=noting(conv2d_),
                embedding=embedding,
            ),
            Linear=lambda inputs, outputs: (inputs, outputs),
            ReLU=lambda: "relu",
            Sequential=Sequential,
        ),
        optim=SimpleNamespace(Adam=Optimizer),
    )
    return {"torch": module}


def mlx(log: Log) -> dict[str, Any]:
    """Devices gpu and cpu, the default being the first; arrays have none, a stream has."""

    class Device:
        def __init__(self, kind: str, index: int) -> None:
            self.type, self.index = f"DeviceType.{kind}", index

        def __str__(self) -> str:
            return f"Device({self.type.partition('.')[2]}, {self.index})"

    streams = [Device("gpu", 0)]

    @contextlib.contextmanager
    def stream(place: Any) -> Iterator[None]:
        streams.append(Device(place, 0) if isinstance(place, str) else place)
        yield
        streams.pop()

    def ran(values: Any) -> Any:
        log.places.add(str(streams[-1]))
        return np.array(values)

    def noting(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments, **named: ran(function(*arguments, **named))

    def normal(shape: tuple[int, ...], key: Any = None) -> Any:
        return ran(np.random.default_rng(key).standard_normal(shape, dtype=np.float32))

    class Sequential(Model):
        def __init__(self, first: Any, relu: Any, second: Any) -> None:
            assert relu == "relu"
            super().__init__(first, second)
            self.layers: list[Weights] = [{}, {}, {}]

        def parameters(self) -> None: ...

        def __call__(self, inputs: Any) -> Any:
            return self.weights, inputs

    def value_and_grad(model: Any, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def run(given: Any) -> Any:
            if not model.weights:
                first, _, second = model.layers
                model.set(w1=first["weight"].T, b1=first["bias"], w2=second["weight"].T, b2=second["bias"])
            log.places.add(str(streams[-1]))
            loss, slopes = function(given)
            return SimpleNamespace(item=lambda: loss), slopes

        return run

    class Optimizer:
        state = None

        def __init__(self, learning_rate: float) -> None:
            self.adam = Adam(learning_rate)

        def update(self, model: Any, slopes: Any) -> None:
            self.adam.step(model.weights, slopes)

    core = SimpleNamespace(
        __version__="1.0",
        **{name: name for name in ("cpu", "gpu")},
        float32=np.float32,
        float16=np.float16,
        bfloat16=np.float32,
        metal=SimpleNamespace(is_available=lambda: True),
        array=np.array,
        eval=log.waited,
        synchronize=log.waited,
        clear_cache=lambda: None,
        get_active_memory=lambda: 4096,
        Device=Device,
        default_device=lambda: streams[0],
        default_stream=lambda device: SimpleNamespace(device=device),
        stream=stream,
        maximum=noting(np.maximum),
        matmul=noting(np.matmul),
        ones=lambda shape: ran(np.ones(shape, np.float32)),
        transpose=np.transpose,
        # The weights are of (filters, width, channels).
        conv1d=noting(lambda x, w: conv1d(x, w.transpose(1, 2, 0))),
        softmax=noting(lambda x, axis=None: softmax(x, axis)),
        sum=noting(np.sum),
        cumsum=noting(np.cumsum),
        take_along_axis=noting(lambda x, indices, axis=None: np.take_along_axis(x, indices, axis)),
        take=noting(np.take),
        addmm=noting(lambda c, a, b: c + a @ b),
        compile=lambda function: function,
        grad=lambda function: noting(lambda table: slope(function, table)),
        fast=SimpleNamespace(
            scaled_dot_product_attention=noting(lambda q, k, v, *, scale: attention(q, k, v, scale)),
            layer_norm=noting(lambda x, g, b, eps: standardized(x, eps) * g + b),
        ),
        # The weights are of (filters, height, width, channels).
        conv2d=noting(lambda x, w: conv2d(x, w.transpose(1, 2, 3, 0))),
        random=SimpleNamespace(
            key=lambda seed: [seed],
            split=lambda key: [[*key, 0], [*key, 1]],
            normal=normal,
        ),
    )
    nn = SimpleNamespace(
        relu=noting(lambda x: np.maximum(x, 0)),
        Linear=lambda inputs, outputs: (inputs, outputs),
        ReLU=lambda: "relu",
        Sequential=Sequential,
        losses=SimpleNamespace(mse_loss=lambda output, targets: slopes_of(output[0], output[1], targets)),
        value_and_grad=value_and_grad,
    )
    return {"mlx.core": core, "mlx.nn": nn, "mlx.optimizers": SimpleNamespace(Adam=Optimizer)}


def tensorflow(log: Log) -> dict[str, Any]:
    """Devices GPU:0, GPU:1, CPU:0; what is not placed is on the first GPU."""
    places = ["/device:GPU:0"]

    class Tensor(Array):
        @property
        def backing_device(self) -> str:
            return f"/job:localhost/replica:0/task:0{self.place}"

        def __getitem__(self, place: Any) -> Any:
            return ran(np.array(self)[place])

        def numpy(self) -> Any:
            log.waited()
            return np.array(self)

        def __mul__(self, other: Any) -> Any:
            made = ran(np.array(self) * np.array(other))
            made.looked = Looked(self.looked.table, self.looked.indices, other)
            return made

    @contextlib.contextmanager
    def device(name: str) -> Iterator[None]:
        places.append(name)
        yield
        places.pop()

    def ran(values: Any) -> Any:
        log.places.add(places[-1])
        made = np.array(values).view(Tensor)
        made.place = places[-1]
        return made

    def noting(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments, **named: ran(function(*(np.array(one) for one in arguments), **named))

    def conv(x: Any, w: Any, stride: int, padding: str) -> Any:
        assert padding == "VALID"
        return conv1d(x, w, stride)

    def embedding_lookup(table: Any, indices: Any) -> Any:
        found = ran(np.array(table)[np.array(indices)])
        found.looked = Looked(table, indices)
        return found

    def reduce_sum(x: Any, axis: int | None = None) -> Any:
        found = ran(np.sum(np.array(x), axis))
        found.looked = getattr(x, "looked", None)
        return found

    class GradientTape:
        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: Any) -> None: ...

        def watch(self, table: Any) -> None:
            self.table = table

        def gradient(self, total: Any, table: Any) -> Any:
            assert total.looked.table is table is self.table
            return total.looked.gradient()

    def moments(x: Any, axes: list[int], keepdims: bool = False) -> Any:
        return [ran(one(np.array(x), axis=tuple(axes), keepdims=keepdims)) for one in (np.mean, np.var)]

    def batch_normalization(x: Any, mean: Any, variance: Any, offset: Any, scale: Any, epsilon: float) -> Any:
        return (x - mean) / np.sqrt(variance + epsilon) * scale + offset

    def conv2d_(x: Any, w: Any, strides: int, padding: str) -> Any:
        assert (strides, padding) == (1, "VALID")
        return conv2d(x, w)

    def dot_product_attention(q: Any, k: Any, v: Any) -> Any:
        # Of (batch, length, heads, size).
        q, k, v = (one.swapaxes(1, 2) for one in (q, k, v))
        return attention(q, k, v, q.shape[-1] ** -0.5).swapaxes(1, 2)

    def gather(x: Any, indices: Any, axis: int | None = None, batch_dims: int = 0) -> Any:
        axis = batch_dims if axis is None else axis
        if batch_dims == 0:
            return np.take(x, indices, axis)
        assert batch_dims == 1
        assert axis < 0 or axis >= batch_dims
        return np.stack(
            [np.take(one, places, axis if axis < 0 else axis - 1) for one, places in zip(x, indices, strict=True)]
        )

    def stateless_normal(shape: tuple[int, ...], seed: Any) -> Any:
        return ran(np.random.default_rng(list(seed)).standard_normal(shape, dtype=np.float32))

    class Sequential(Model):
        def __init__(self, layers: list[Any]) -> None:
            (inputs,), (hidden, activation), (outputs, none) = layers
            assert (activation, none) == ("relu", None)
            super().__init__((inputs, hidden), (hidden, outputs))

        def set_weights(self, weights: list[Any]) -> None:
            self.set(**dict(zip(("w1", "b1", "w2", "b2"), weights, strict=True)))

        def compile(self, optimizer: Any = None, loss: Any = None) -> None:
            assert loss == "mse"
            self.adam = optimizer

        def fit(
            self, x: Any, y: Any, batch_size: int = 32, epochs: int = 1, verbose: Any = "auto", shuffle: bool = True
        ) -> Any:
            if verbose != 0:
                print("Epoch 1")
            log.places.add(places[-1])
            losses = []
            for _ in range(epochs):
                for start in range(0, len(x), batch_size):
                    loss, slopes = slopes_of(self.weights, x[start : start + batch_size], y[start : start + batch_size])
                    self.adam.step(self.weights, slopes)
                losses.append(loss)
            assert not shuffle
            return SimpleNamespace(history={"loss": losses})

    def memory_info(name: str) -> dict[str, int]:
        if name == "/device:GPU:1":
            raise ValueError("no statistics")
        return {"current": 4096, "peak": 8192} if "GPU" in name else {"current": 0, "peak": 0}

    logical = {
        "GPU": [SimpleNamespace(name=f"/device:GPU:{one}") for one in range(2)],
        "CPU": [SimpleNamespace(name="/device:CPU:0")],
    }
    module = SimpleNamespace(
        __version__="1.0",
        float32="float32",
        config=SimpleNamespace(
            list_physical_devices=lambda: [SimpleNamespace(device_type=one) for one in ("CPU", "GPU", "GPU")],
            list_logical_devices=logical.__getitem__,
            experimental=SimpleNamespace(get_memory_info=memory_info),
        ),
        device=device,
        constant=ran,
        matmul=noting(lambda a, b, transpose_b=False: a @ (b.swapaxes(-1, -2) if transpose_b else b)),
        nn=SimpleNamespace(
            relu=noting(lambda x: np.maximum(x, 0)),
            conv1d=noting(conv),
            softmax=noting(softmax),
            bias_add=noting(np.add),
            moments=moments,
            batch_normalization=noting(batch_normalization),
            conv2d=noting(conv2d_),
            embedding_lookup=embedding_lookup,
        ),
        reshape=lambda x, shape: ran(np.array(x).reshape(shape)),
        transpose=lambda x, axes: ran(np.array(x).transpose(axes)),
        function=lambda function: function,
        GradientTape=GradientTape,
        convert_to_tensor=ran,
        reduce_sum=reduce_sum,
        cumsum=noting(lambda x, axis=0: np.cumsum(x, axis)),
        gather=noting(gather),
        random=SimpleNamespace(stateless_normal=stateless_normal),
        cast=noting(lambda x, dtype: x.astype("float32" if str(dtype) == "bfloat16" else str(dtype))),
        ones=lambda n: ran(np.ones(n, np.float32)),
        keras=SimpleNamespace(
            Input=lambda shape: shape,
            layers=SimpleNamespace(Dense=lambda units, activation=None: (units, activation)),
            Sequential=Sequential,
            optimizers=SimpleNamespace(Adam=Adam),
            ops=SimpleNamespace(dot_product_attention=noting(dot_product_attention)),
        ),
    )
    return {"tensorflow": module}

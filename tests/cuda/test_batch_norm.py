"""Batch normalisation in the simulator against the reference: layouts, types, parts, running statistics."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.epilogue import Activation
from numbacnn.kernels import reference
from numbacnn.kernels.cuda import batch_norm, memory
from numbacnn.layers import BatchNorm, Conv2D, Dense, Flatten, Sequential
from numbacnn.loss_scale import LossScale
from numbacnn.losses import SoftmaxCrossEntropy
from numbacnn.optimizers import SGD
from numbacnn.tensor import as_tensor
from numbacnn.training import CapturedStep
from tests.strategies import seeds

from .arrays import put
from .both import BFLOAT16, ROUNDING, TYPES, both, double, normal, types

F16, F32, F64 = np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64)
ACTIVATIONS = [None, Activation("relu"), Activation("clip", -0.5, 1.0), Activation("leaky_relu", 0.25)]
activations = st.sampled_from([*ACTIVATIONS, Activation("silu")])
shapes = st.tuples(st.integers(1, 40), st.sampled_from([1, 2, 3, 4, 7, 8, 12, 20]))


def kept(dtype):
    return F64 if dtype == F64 else F32


def bound(dtype):
    """Of results of ordinary size: the rounding of the type, and of sums."""
    return 2 * ROUNDING[dtype] + {F64: 3e-14}.get(dtype, 1e-5)


def check(shape, seed, dtype, activation, residual, constant, learned=True):
    c, own = shape[-1], kept(dtype)
    x, dy = (2 * double(normal(seed, shape, dtype)) + 3).astype(dtype), normal(seed + 1, shape, dtype)
    r = normal(seed + 2, shape, dtype) if residual else None
    gamma, beta = (normal(seed + 3, (c,), own), normal(seed + 4, (c,), own)) if learned else (None, None)
    old = normal(seed + 5, (c,), own), np.abs(normal(seed + 6, (c,), own))

    def device(a):
        return None if a is None else put(a)

    def ours():
        mean, variance, y, dx = (memory.empty(s, t) for s, t in (((c,), own),) * 2 + ((shape, dtype),) * 2)
        dgamma, dbeta = (memory.empty((c,), own) if learned else None for _ in range(2))
        dr = memory.empty(shape, dtype) if residual else None
        running = [put(a) for a in old]
        batch_norm.batch_norm_statistics(put(x), 0.75, *running, mean, variance)
        given = put(x), mean, variance, device(gamma), device(beta), 1e-3, device(r), activation
        batch_norm.batch_norm_forward(*given, y)
        batch_norm.batch_norm_backward(*given, constant, put(dy), dx, dr, dgamma, dbeta)
        return [a.numpy() for a in (mean, variance, *running, y, dx, dgamma, dbeta, dr) if a is not None]

    results = both(ours)
    exact = [np.empty(c), np.empty(c), *map(double, old)]
    reference.batch_norm_statistics(double(x), 0.75, exact[2], exact[3], exact[0], exact[1])
    mean, variance = (double(a) for a in results[:2])  # what a rounding of these does to a kink is no error
    args = double(x), mean, variance, gamma, beta, 1e-3, None if r is None else double(r), activation
    y, dx, dgamma, dbeta, dr = np.empty(shape), np.empty(shape), np.empty(c), np.empty(c), np.empty(shape)
    reference.batch_norm_forward(*args, y)
    outs = (dx, dr if residual else None, *((dgamma, dbeta) if learned else (None, None)))
    reference.batch_norm_backward(*args, constant, double(dy), *outs)
    exact += [y, dx, *([dgamma, dbeta] if learned else []), *([dr] if residual else [])]
    near = kinks(double(x), args)
    for got, expected in zip(results, exact, strict=True):
        if got.shape == shape:
            got, expected = double(got)[~near], expected[~near]
        elif near.any():
            continue  # a sum may hold what lies at a kink
        size = max(1.0, np.abs(expected).max(initial=0))
        np.testing.assert_allclose(double(got), expected, rtol=0, atol=bound(dtype) * size)


def kinks(x, args):
    """Where the activation is applied to what lies within rounding of a kink."""
    z = np.empty(x.shape)
    reference.batch_norm_forward(*args[:-1], None, z)
    activation = args[-1]
    if activation is None or activation.kind == "silu":
        return np.zeros(x.shape, bool)
    points = (0.0,) if activation.kind == "leaky_relu" else (activation.low, activation.high)
    return np.any([np.abs(z - p) < 1e-5 for p in points], axis=0)


@settings(max_examples=6)
@given(shapes, seeds, types, activations, st.booleans(), st.booleans(), st.booleans())
def test_any_shape_is_the_references(shape, seed, dtype, activation, residual, constant, learned):
    check(shape, seed, dtype, activation, residual, constant, learned)


@pytest.mark.parametrize("c", [4, 3])
def test_many_rows_are_summed_in_parts_and_sets(c, monkeypatch):
    """Two blocks, whose threads take several sets of rows."""
    monkeypatch.setattr(batch_norm, "_BLOCKS", 2)
    monkeypatch.setattr(batch_norm, "_SET", 3)
    monkeypatch.setattr(batch_norm, "_PASS_BLOCKS", 3)
    check((2500, c), 1, F32, ACTIVATIONS[1], False, False)


def test_many_channels_take_several_blocks_side_by_side():
    check((3, 264), 1, F32, ACTIVATIONS[1], True, False)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_a_large_mean_costs_no_places_of_the_variance(dtype):
    large = {F16: 64.0, BFLOAT16: 8.0, F32: 1e4, F64: 1e9}[dtype]
    x = (large + np.random.default_rng(0).standard_normal((600, 4))).astype(dtype)
    mean, variance = memory.empty((4,), kept(dtype)), memory.empty((4,), kept(dtype))
    batch_norm.batch_norm_statistics(put(x), 0.9, None, None, mean, variance)
    exact = double(x)
    np.testing.assert_allclose(mean.numpy(), exact.mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(variance.numpy(), exact.var(axis=0), rtol=3e-6)


def test_nothing_leaves_the_running_statistics():
    x = memory.empty((0, 4), np.float32)
    running = put(np.full(4, 7, np.float32)), put(np.full(4, 5, np.float32))
    mean, variance = memory.empty((4,), np.float32), memory.empty((4,), np.float32)
    batch_norm.batch_norm_statistics(x, 0.5, *running, mean, variance)
    assert [a.numpy()[0] for a in (*running, mean, variance)] == [7, 5, 0, 0]
    one = put(np.ones((1, 4), np.float32))
    batch_norm.batch_norm_statistics(one, 0.5, *running, mean, variance)
    assert [a.numpy()[0] for a in (*running, mean, variance)] == [7, 5, 1, 0]
    dgamma = memory.empty((4,), np.float32)
    args = x, mean, variance, None, None, 1e-5, None, None
    batch_norm.batch_norm_forward(*args, memory.empty((0, 4), np.float32))
    batch_norm.batch_norm_backward(*args, False, x, memory.empty((0, 4), np.float32), None, dgamma, None)
    assert dgamma.numpy().tolist() == [0] * 4


def model(compute_dtype=None):
    m = Sequential([Conv2D(4, 2, use_bias=False), BatchNorm(activation="relu"), Flatten(), Dense(3)])
    m.build((4, 3, 2), 1)
    return m if compute_dtype is None else m.to("cuda", compute_dtype)


def batch(step):
    rng = np.random.default_rng(step)
    return rng.standard_normal((5, 4, 3, 2)).astype(np.float32), rng.integers(0, 3, 5)


@pytest.mark.parametrize("compute_dtype", ["float32", "bfloat16"])
def test_a_model_trains_as_on_the_cpu(compute_dtype):
    """In 16 bits the layer's parameters and statistics stay float32, without copies."""
    ours, theirs, criterion = model(compute_dtype), model(), SoftmaxCrossEntropy()
    ours.precision = "exact"
    scale = None if compute_dtype == "float32" else LossScale("cuda")
    for m, s in ((ours, scale), (theirs, None)):
        optimizer = SGD(0.1)
        for step in range(3):
            x, y = (as_tensor(a, device=m.device) for a in batch(step))
            out, saved = m.forward(x, training=True)
            dy = criterion.value_and_gradient(out, y)[1]
            m.zero_grad()
            m.backward(dy if s is None else s.up(dy), saved)
            optimizer.step(m.parameters, s)
    norm = ours[1]
    assert all(p.copy is None and p.dtype == F32 for p in norm.parameters)
    for p, q in zip(ours.parameters, theirs.parameters, strict=True):
        atol = 1e-5 if compute_dtype == "float32" else 0.03
        np.testing.assert_allclose(p.value.numpy(), q.value.numpy(), rtol=0, atol=atol, err_msg=p.name)


@pytest.mark.slow
def test_captured_steps_update_the_running_statistics():
    captured, alone, criterion = model("float32"), model("float32"), SoftmaxCrossEntropy()
    step, optimizer = CapturedStep(captured, criterion, SGD(0.1), 5), SGD(0.1)
    for k in range(4):
        step(*batch(k))
        x, y = (as_tensor(a, device="cuda") for a in batch(k))
        out, saved = alone.forward(x, training=True)
        alone.zero_grad()
        alone.backward(criterion.value_and_gradient(out, y)[1], saved)
        optimizer.step(alone.parameters)
    for name, value in alone.weights().items():
        assert captured.weights()[name].tobytes() == value.tobytes(), name

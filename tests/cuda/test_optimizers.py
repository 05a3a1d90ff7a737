"""Optimizers on a simulated GPU: groups, clipping, averages and state, as on the CPU."""

import numpy as np
import pytest

from numbacnn.loss_scale import LossScale
from numbacnn.optimizers import EMA, LAMB, SGD, Adagrad, Adam, AdamW, Group, Lion, RMSprop, is_norm_or_bias
from numbacnn.parameter import Parameter
from numbacnn.regularizers import L1L2
from numbacnn.tensor import Tensor, as_tensor

NAMES, SHAPES = ["a.kernel", "a.bias", "b.kernel"], [(3, 7), (5,), (9, 4)]


def parameters(device, dtype=np.float32, compute_dtype=None):
    rng = np.random.default_rng(0)
    made = []
    for name, shape in zip(NAMES, SHAPES, strict=True):
        p = Parameter((rng.integers(-64, 65, shape) / 32).astype(dtype), name)
        p.to(device, compute_dtype and np.dtype(compute_dtype))
        made.append(p)
    made[0].penalty = L1L2(0.01, 0.1)
    return made


def feed(parameters, step, factor=1.0):
    rng = np.random.default_rng([1, step])
    for p in parameters:
        g = (factor * rng.integers(-64, 65, p.shape) / 32).astype(p.dtype)
        p.grad = as_tensor(g, dtype=p.operand.dtype, device=p.value.device)


def trained(make, device, averaged=True, dtype=np.float32, steps=4):
    stepped, optimizer = parameters(device, dtype), make()
    ema = EMA(stepped, 0.8, warmup=True)
    if averaged:
        optimizer.ema = ema
    for step in range(steps):
        feed(stepped, step)
        optimizer.lr = 0.02 / (1 + step)
        optimizer.step(stepped)
        if not averaged:
            ema.update()
    return [p.value.numpy() for p in stepped] + [ema.average(p).numpy() for p in stepped]


MAKERS = {
    "sgd": lambda: SGD(0.1, clip_norm=1.5, weight_decay=0.1, groups=[Group("*.bias", momentum=0.5)]),
    "adagrad": lambda: Adagrad(0.1, initial=0.5, clip_value=0.7),
    "adamw": lambda: AdamW(
        0.1,
        weight_decay=0.2,
        clip_norm=2.0,
        groups=[Group(is_norm_or_bias, weight_decay=0.0), Group("b.*", lr_scale=0.1, amsgrad=True)],
    ),
    "rmsprop": lambda: RMSprop(0.1, eps=1e-3, momentum=0.5, centered=True),
    "lamb": lambda: LAMB(0.1, clip_value=1.0),
    "lion": lambda: Lion(0.1, weight_decay=0.5, decay_norms_and_biases=False),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_steps_are_those_on_the_cpu(kind):
    for a, b in zip(trained(MAKERS[kind], "cuda"), trained(MAKERS[kind], "cpu"), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=5e-6 * np.abs(b).max())


def test_averages_have_the_same_bits_in_a_pass_of_their_own():
    one, other = (trained(MAKERS["adamw"], "cuda", averaged) for averaged in (True, False))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_parameters_of_two_types_share_a_norm():
    a, b = Parameter(np.ones(3, np.float32), "a"), Parameter(np.ones(4, np.float64), "b")
    for p in (a, b):
        p.to("cuda")
        p.grad = as_tensor(np.full(p.shape, 2.0, p.dtype), device="cuda")
    SGD(1.0, clip_norm=1.0).step([a, b])
    for p in (a, b):
        np.testing.assert_allclose(p.value.numpy(), 1 - 2 / np.sqrt(28), rtol=1e-6)


@pytest.mark.parametrize("clip", [{"clip_norm": 1.5}, {"clip_value": 0.6}])
def test_scaled_gradients_are_unscaled_before_they_are_clipped(clip):
    def run(compute_dtype, factor, initial):
        stepped = parameters("cuda", compute_dtype=compute_dtype)
        optimizer = Adam(0.05, eps=1e-3, **clip)
        scale = initial and LossScale("cuda", initial)
        for step in range(3):
            feed(stepped, step, factor)
            optimizer.step(stepped, scale)
        for p in stepped:
            if p.copy is not None:
                np.testing.assert_array_equal(p.copy.numpy(), p.value.numpy().astype(np.float16))
        return [p.value.numpy() for p in stepped]

    for a, b in zip(run("float16", 256.0, 256.0), run(None, 1.0, None), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


def overflowing(resumed=False, frozen=False):
    """Four steps under a loss scale, of which the second overflows; the weights and a count."""
    stepped, optimizer = parameters("cuda", compute_dtype="float16"), Adam(0.05)
    for step in range(4):
        feed(stepped, step)
        if step == 1:
            stepped[0].grad = Tensor(stepped[0].grad._array.copy())
            bad = np.full(stepped[0].shape, np.inf, np.float16)
            stepped[0].grad._array.write(bad)
        stepped[2].trainable = not (frozen and step == 3)
        optimizer.step(stepped, LossScale("cuda", 1.0))
        if resumed and step == 2:
            state = optimizer.state()
            optimizer = Adam(0.05)
            optimizer.load_state(state, stepped)
    return [p.value.numpy() for p in stepped], optimizer.state()


def test_skipped_steps_are_not_counted_wherever_the_count_goes():
    plain, state = overflowing()
    assert [int(state[f"{name}/step"]) for name in NAMES] == [3, 3, 3]
    resumed, again = overflowing(resumed=True)
    for a, b in zip(plain, resumed, strict=True):
        np.testing.assert_array_equal(a, b)
    assert [int(again[f"{name}/step"]) for name in NAMES] == [3, 3, 3]
    frozen, counts = overflowing(frozen=True)
    for a, b in zip(plain[:2], frozen[:2], strict=True):
        np.testing.assert_array_equal(a, b)
    assert [int(counts[f"{name}/step"]) for name in NAMES] == [3, 3, 2]


def test_averages_follow_their_parameters_and_are_applied_with_their_copies():
    stepped = parameters("cpu")
    ema = EMA(stepped, 0.5)
    for p in stepped:
        p.to("cuda", np.dtype(np.float16))
    before = [p.value.numpy() for p in stepped]
    feed(stepped, 0)
    SGD(0.1, ema=ema).step(stepped, LossScale("cuda", 1.0))
    kept = [(p.value, p.copy) for p in stepped]
    with ema.applied():
        for p, old, (new, _) in zip(stepped, before, kept, strict=True):
            np.testing.assert_allclose(p.value.numpy(), (old + new.numpy()) / 2, rtol=1e-6, atol=1e-7)
            np.testing.assert_array_equal(p.copy.numpy(), p.value.numpy().astype(np.float16))
    assert all(p.value is value and p.copy is copy for p, (value, copy) in zip(stepped, kept, strict=True))

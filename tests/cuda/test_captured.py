"""Captured training steps have the bits of steps made one by one."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError, DeviceError, ShapeError
from numbacnn.kernels.cuda.memory import allocator
from numbacnn.layers import Conv2D, Dense, Dropout, DropPath, Flatten, MaxPool2D, ReLU, Sequential
from numbacnn.loss_scale import LossScale
from numbacnn.losses import MeanSquaredError, SoftmaxCrossEntropy
from numbacnn.optimizers import EMA, LAMB, SGD, AdamW, Group, RMSprop
from numbacnn.regularizers import L1L2, penalty_value
from numbacnn.tensor import as_tensor
from numbacnn.training import CapturedStep

STEPS, BATCH = 4, 3
RATES = [1e-2, 3e-2, 5e-3, 0.0]


def small(compute_dtype=None, *extra):
    penalty = L1L2(1e-3, 1e-2)
    model = Sequential(
        [
            Conv2D(2, 3, padding="same", kernel_regularizer=penalty),
            ReLU(),
            MaxPool2D(2),
            Flatten(),
            *extra,
            Dense(3),
        ]
    )
    model.build((4, 4, 1), 5)
    return model.to("cuda", compute_dtype)


def batches():
    rng = np.random.default_rng(2)
    return [
        (rng.standard_normal((BATCH, 4, 4, 1), np.float32), rng.integers(0, 3, BATCH)) for _ in range(STEPS)
    ]


def one_by_one(model, optimizer, scale=None):
    losses, criterion = [], SoftmaxCrossEntropy()
    for (x, y), rate in zip(batches(), RATES, strict=True):
        optimizer.lr = rate
        out, saved = model.forward(as_tensor(x, device="cuda"), training=True)
        value, dy = criterion.value_and_gradient(out, as_tensor(y, device="cuda"))
        penalty = penalty_value(model.parameters)
        model.zero_grad()
        model.backward(dy if scale is None else scale.up(dy), saved)
        optimizer.step(model.parameters, scale)
        losses.append(np.float32(value.item()) + np.float32(penalty.item()))
    return losses


def captured(model, optimizer):
    step, losses = CapturedStep(model, SoftmaxCrossEntropy(), optimizer, BATCH), []
    for (x, y), rate in zip(batches(), RATES, strict=True):
        optimizer.lr = rate
        losses.append(step(x, y))
    return [np.float32(loss.item()) for loss in losses], step


def adamw():
    return AdamW(weight_decay=0.1)


def clipped():
    groups = [Group("*.bias", lr_scale=0.5, weight_decay=0.0)]
    return AdamW(weight_decay=0.1, clip_norm=0.5, groups=groups)


@pytest.mark.parametrize(
    ("make", "compute_dtype"),
    [
        (lambda: SGD(0.1, momentum=0.9, nesterov=True), None),
        pytest.param(lambda: SGD(0.1), "bfloat16", marks=pytest.mark.slow),
        pytest.param(RMSprop, None, marks=pytest.mark.slow),
        pytest.param(RMSprop, "float16", marks=pytest.mark.slow),
        pytest.param(adamw, None, marks=pytest.mark.slow),
        pytest.param(adamw, "float16", marks=pytest.mark.slow),
        (clipped, "float16"),
        pytest.param(LAMB, "float16", marks=pytest.mark.slow),
    ],
    ids=["sgd", "sgd-bfloat16", "rmsprop", "rmsprop-float16", "adamw", "adamw-float16", "clipped", "lamb"],
)
def test_steps_with_changing_rates_have_the_same_bits(make, compute_dtype):
    one, other = small(compute_dtype), small(compute_dtype)
    scale = None
    if compute_dtype is not None:
        half = compute_dtype == "float16"
        scale = LossScale("cuda") if half else LossScale("cuda", 1.0, dynamic=False)
    first, second = make(), make()
    first.ema, second.ema = EMA(one, 0.7, warmup=True), EMA(other, 0.7, warmup=True)
    expected = one_by_one(one, first, scale)
    losses, step = captured(other, second)
    assert losses == expected
    for name, value in one.weights().items():
        np.testing.assert_array_equal(other.weights()[name], value, err_msg=name)
    for a, b in zip(one.parameters, other.parameters, strict=True):
        np.testing.assert_array_equal(b.grad.numpy(), a.grad.numpy())
        average = second.ema.average(b).numpy()
        np.testing.assert_array_equal(average, first.ema.average(a).numpy())
        if a.copy is not None:
            np.testing.assert_array_equal(b.copy.numpy(), a.copy.numpy())
    if scale is not None:
        assert (step.scale.value, step.scale.skipped) == (scale.value, scale.skipped)


def test_a_captured_step_takes_no_memory_but_for_its_loss():
    model = small()
    step = CapturedStep(model, SoftmaxCrossEntropy(), SGD(0.1), BATCH)
    x, y = batches()[0]
    for _ in range(3):
        loss = step(x, y)
    before = allocator(0).misses
    for _ in range(3):
        loss = step(as_tensor(x, device="cuda"), y)
    assert allocator(0).misses == before
    assert loss.device == "cuda" and loss.shape == ()


def test_other_targets_and_frozen_parameters():
    model = Sequential([Dense(4), ReLU(), Dense(2)])
    model.build((3,), 0)
    model.to("cuda")
    model.layers[0].trainable = False
    before = model.weights()
    step = CapturedStep(model, MeanSquaredError(), SGD(0.1), 2, target_shape=(2,), target_dtype=np.float32)
    x, y = np.ones((2, 3), np.float32), np.ones((2, 2), np.float32)
    losses = [step(x, y).item() for _ in range(4)]
    assert losses[3] < losses[2] < losses[1] < losses[0]
    for name, value in model.weights().items():
        assert (value == before[name]).all() == name.startswith(model.layers[0].path), name
    step.optimizer.reset()
    with pytest.raises(ArgumentError, match="the optimizer's state as it was captured"):
        step(x, y)
    model.layers[0].trainable = True
    with pytest.raises(ArgumentError, match="make a new CapturedStep"):
        step(x, y)


def test_what_does_not_fit_is_refused_by_name():
    x, y = batches()[0]
    with pytest.raises(ArgumentError, match=r"dropout_1: expected no random layer"):
        CapturedStep(small(None, Dropout(0.5)), SoftmaxCrossEntropy(), SGD(0.1), BATCH)
    with pytest.raises(ArgumentError, match=r"droppath_1: expected no random layer"):
        CapturedStep(small(None, DropPath(0.5)), SoftmaxCrossEntropy(), SGD(0.1), BATCH)
    with pytest.raises(DeviceError, match="a model on a GPU"):
        CapturedStep(small().to("cpu"), SoftmaxCrossEntropy(), SGD(0.1), BATCH)
    with pytest.raises(ArgumentError, match="built"):
        CapturedStep(Sequential([Dense(2)]), SoftmaxCrossEntropy(), SGD(0.1), BATCH)
    step = CapturedStep(small(), SoftmaxCrossEntropy(), SGD(0.1), BATCH)
    with pytest.raises(ShapeError, match="inputs"):
        step(x[:2], y[:2])
    with pytest.raises(DeviceError, match="targets"):
        step(x, as_tensor(y, device="cuda:1"))

"""Losses: values by plain NumPy and by PyTorch, gradients by differences, and targets that are refused."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError, DTypeError, ShapeError, TargetError
from numbacnn.losses import MeanSquaredError, SoftmaxCrossEntropy
from tests.layers.check import difference, values

LABELS = np.array([2, 0, 4, 4, 1])
MIXED = np.random.default_rng(3).dirichlet(np.ones(5), 5)
SMOOTHING = [0.0, 0.1, 0.7]


def cross_entropy(x, target, smoothing):
    log_p = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    t = (1 - smoothing) * (np.eye(x.shape[1])[target] if target.ndim == 1 else target) + smoothing / x.shape[
        1
    ]
    return -(t * log_p).sum(axis=1).mean()


@pytest.mark.parametrize("smoothing", SMOOTHING)
@pytest.mark.parametrize("target", [LABELS, np.eye(5)[LABELS], MIXED], ids=["labels", "one-hot", "mixed"])
def test_cross_entropy(smoothing, target):
    loss, x = SoftmaxCrossEntropy(label_smoothing=smoothing), 3 * values((5, 5))
    value, dx = loss.value_and_gradient(x, target)
    assert value == pytest.approx(cross_entropy(x, target, smoothing), rel=1e-12)
    assert loss(x, target) == value
    expected = difference(lambda: cross_entropy(x, target, smoothing), x)
    np.testing.assert_allclose(dx.numpy(), expected, rtol=1e-6, atol=1e-9)


def test_labels_and_one_hot_targets_agree_in_both_dtypes():
    x = values((5, 5)).astype(np.float32)
    loss = SoftmaxCrossEntropy(0.2)
    first, dx = loss.value_and_gradient(x, LABELS.astype(np.uint8))
    second, dx_too = loss.value_and_gradient(x, np.eye(5, dtype=np.float32)[LABELS])
    assert dx.dtype == dx_too.dtype == np.float32
    assert first == pytest.approx(second, rel=1e-6)
    np.testing.assert_allclose(dx.numpy(), dx_too.numpy(), atol=1e-7)
    assert first == pytest.approx(loss(x.astype(np.float64), LABELS), rel=1e-6)


@pytest.mark.parametrize("smoothing", SMOOTHING)
def test_cross_entropy_is_that_of_torch(smoothing):
    torch = pytest.importorskip("torch")
    x = torch.tensor(values((40, 7)), requires_grad=True)
    labels = np.random.default_rng(0).integers(0, 7, 40)
    theirs = torch.nn.functional.cross_entropy(x, torch.tensor(labels), label_smoothing=smoothing)
    theirs.backward()
    value, dx = SoftmaxCrossEntropy(smoothing).value_and_gradient(x.detach().numpy(), labels)
    assert value == pytest.approx(theirs.item(), rel=1e-12)
    np.testing.assert_allclose(dx.numpy(), x.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_large_logits_do_not_overflow():
    x = np.array([[1e4, 0.0, -1e4], [-1e4, 0.0, 1e4]], np.float32)
    value, dx = SoftmaxCrossEntropy().value_and_gradient(x, np.array([0, 1]))
    assert value == pytest.approx(5e3)
    np.testing.assert_allclose(dx.numpy(), [[0, 0, 0], [0, -0.5, 0.5]])


@pytest.mark.parametrize("shape", [(4, 3), (3, 2, 5, 2)])
def test_mean_squared_error(shape):
    loss, x, target = MeanSquaredError(), values(shape), values(shape, 1)
    value, dx = loss.value_and_gradient(x, target)
    assert value == pytest.approx(((x - target) ** 2).mean(), rel=1e-12)
    assert loss(x, target) == value
    np.testing.assert_allclose(dx.numpy(), 2 * (x - target) / x.size, rtol=1e-12)
    expected = difference(lambda: loss(x, target), x)
    np.testing.assert_allclose(dx.numpy(), expected, rtol=1e-6, atol=1e-8)


def test_an_empty_batch_costs_nothing():
    for loss, target in [(SoftmaxCrossEntropy(), np.zeros(0, int)), (MeanSquaredError(), np.zeros((0, 3)))]:
        value, dx = loss.value_and_gradient(np.zeros((0, 3)), target)
        assert value == 0.0
        assert dx.shape == (0, 3)


@pytest.mark.parametrize(
    ("target", "error", "said"),
    [
        (np.array([0, 1, 2, 3, 5]), TargetError, "5"),
        (np.array([0, -1, 2, 3, 4]), TargetError, "-1"),
        (np.array([0, 1, 2, 3]), ShapeError, "4"),
        (np.array([0.5, 1.5, 2.0, 3.0, 4.0]), DTypeError, "float64"),
        (np.full((5, 5), 0.3), TargetError, "sum to 1"),
        (np.eye(5)[LABELS] * 3 - 0.4, TargetError, "row 0"),
        (np.eye(4)[[0, 1, 2, 3, 3]], ShapeError, r"\(5, 4\)"),
        (np.eye(5, dtype=np.float32)[LABELS], DTypeError, "float32"),
        (np.zeros((5, 5, 1)), ShapeError, r"\(5, 5, 1\)"),
    ],
)
@pytest.mark.parametrize("call", ["value", "gradient"])
def test_targets_that_do_not_fit_are_refused(target, error, said, call):
    loss = SoftmaxCrossEntropy()
    with pytest.raises(error, match=rf"cross_entropy: expected .*{said}"):
        (loss if call == "value" else loss.value_and_gradient)(values((5, 5)), target)


def test_values_that_do_not_fit_are_refused():
    loss = MeanSquaredError()
    with pytest.raises(ShapeError, match=r"mean_squared_error: .*\(5, 4\)"):
        loss.value_and_gradient(values((5, 5)), values((5, 4)))
    with pytest.raises(DTypeError, match="mean_squared_error"):
        loss(values((5, 5)).astype(np.float32), values((5, 5)))


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, "0.1", float("nan")])
def test_bad_smoothing_is_refused(smoothing):
    with pytest.raises(ArgumentError, match="SoftmaxCrossEntropy: expected label_smoothing"):
        SoftmaxCrossEntropy(smoothing)


def test_repr():
    assert repr(SoftmaxCrossEntropy(0.1)) == "SoftmaxCrossEntropy(label_smoothing=0.1)"
    assert repr(MeanSquaredError()) == "MeanSquaredError()"

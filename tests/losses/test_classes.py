"""Losses: values by plain NumPy and by PyTorch, gradients by differences, and targets that are refused."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError, DTypeError, ShapeError, TargetError
from numbacnn.losses import KLDivergence, SoftmaxCrossEntropy, SoftmaxFocal
from tests.layers.check import difference, values
from tests.losses.check import assert_float32_agrees, assert_gradient

LABELS = np.array([2, 0, 4, 4, 1])
MIXED = np.random.default_rng(3).dirichlet(np.ones(5), 5)
SMOOTHING = [0.0, 0.1, 0.7]
WEIGHTS = [0.5, 2.0, 1.25]


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


def test_large_logits_do_not_overflow():
    x = np.array([[1e4, 0.0, -1e4], [-1e4, 0.0, 1e4]], np.float32)
    value, dx = SoftmaxCrossEntropy().value_and_gradient(x, np.array([0, 1]))
    assert value == pytest.approx(5e3)
    np.testing.assert_allclose(dx.numpy(), [[0, 0, 0], [0, -0.5, 0.5]])


LOSSES = [
    SoftmaxCrossEntropy(class_weights=WEIGHTS),
    SoftmaxCrossEntropy(0.2, WEIGHTS, ignore_index=255),
    SoftmaxCrossEntropy(ignore_index=1),
    SoftmaxFocal(),
    SoftmaxFocal(0.5, WEIGHTS, 255),
    SoftmaxFocal(3.0, ignore_index=1),
]
RNG = np.random.default_rng(0)
MAP = RNG.integers(0, 3, (2, 3, 4))
HOLES = np.where(RNG.random(MAP.shape) < 0.3, 255, MAP)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("shape", [(6,), (2, 3), (2, 3, 2)], ids=str)
def test_gradients_of_classes_of_items_and_pixels_are_slopes(loss, shape):
    x, target = 2 * values((*shape, 3)), RNG.integers(0, 3, shape)
    if loss.ignore_index == 255:
        target.reshape(-1)[[0, -1]] = 255
    assert_gradient(loss, x, target)
    assert_float32_agrees(loss, x, target)


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(0.1), SoftmaxCrossEntropy(0.2, WEIGHTS)], ids=repr)
def test_gradients_of_probabilities_of_pixels_are_slopes(loss):
    x, target = values((2, 3, 2, 3)), RNG.dirichlet(np.ones(3), (2, 3, 2))
    value = assert_gradient(loss, x, target)
    log_p = x - np.log(np.exp(x).sum(axis=-1, keepdims=True))
    smooth = (1 - loss.label_smoothing) * target + loss.label_smoothing / 3
    weights = 1.0 if loss.class_weights is None else np.array(WEIGHTS)
    assert value == pytest.approx(-(weights * smooth * log_p).sum(axis=-1).mean(), rel=1e-12)


def test_a_weighted_mean_divides_by_the_weights_of_what_counts():
    x = values((2, 3, 4, 3))
    log_p = x - np.log(np.exp(x).sum(axis=-1, keepdims=True))
    there = HOLES != 255
    cost = -np.take_along_axis(log_p, MAP[..., None], axis=-1)[..., 0]
    weight = np.array(WEIGHTS)[MAP] * there
    loss = SoftmaxCrossEntropy(class_weights=WEIGHTS, ignore_index=255)
    assert loss(x, HOLES) == pytest.approx((cost * weight).sum() / weight.sum(), rel=1e-12)
    assert loss.weight_of(HOLES) == pytest.approx(weight.sum())
    focal = SoftmaxFocal(1.5, WEIGHTS, 255)
    expected = ((1 - np.exp(-cost)) ** 1.5 * cost * weight).sum() / there.sum()
    assert focal(x, HOLES) == pytest.approx(expected, rel=1e-9)
    assert focal.weight_of(HOLES) == there.sum()
    assert loss.weight_of(np.eye(3)[MAP[0, 0]]) == 4


@pytest.mark.parametrize("loss", [LOSSES[1], LOSSES[4]], ids=repr)
def test_where_nothing_counts_value_and_gradient_are_0(loss):
    value, dx = loss.value_and_gradient(values((2, 3, 3)), np.full((2, 3), 255))
    assert value == 0.0 and not dx.numpy().any()


def test_no_focus_is_cross_entropy():
    x = values((6, 3))
    target = np.array([0, 1, 2, 2, 1, 0])
    assert SoftmaxFocal(0.0)(x, target) == pytest.approx(SoftmaxCrossEntropy()(x, target), rel=1e-12)


def test_extremes_and_ties_of_the_focal_loss():
    x = np.array([[1e4, 0.0, -1e4], [-1e4, 0.0, 1e4], [0.0, 0.0, 0.0]], np.float32)
    for gamma in (0.0, 0.5, 2.0):
        value, dx = SoftmaxFocal(gamma).value_and_gradient(x, np.array([0, 0, 1]))
        tie = (2 / 3) ** gamma * np.log(3)
        assert value == pytest.approx((2e4 + tie) / 3, rel=1e-5)
        assert np.isfinite(dx.numpy()).all()


@pytest.mark.parametrize("log_target", [True, False])
def test_divergence(log_target):
    p, t = (RNG.dirichlet(np.ones(5), (3, 2)) for _ in range(2))
    t[0, 0] = [0, 0.5, 0.5, 0, 0]
    x, loss = np.log(p), KLDivergence(log_target)
    target = np.log(np.maximum(t, 1e-30)) if log_target else t
    value = assert_gradient(loss, x, target)
    terms = np.where(t > 0, t * (np.log(np.where(t > 0, t, 1)) - x), 0)
    assert value == pytest.approx(terms.sum() / 3, rel=1e-9)
    assert_float32_agrees(loss, x, target)
    assert KLDivergence()(x, p) == pytest.approx(0, abs=1e-12)


def test_an_empty_batch_costs_nothing():
    for loss, target in [
        (SoftmaxCrossEntropy(), np.zeros(0, int)),
        (SoftmaxCrossEntropy(0.1, [1, 2, 3], 5), np.zeros(0, int)),
        (SoftmaxFocal(ignore_index=1), np.zeros(0, int)),
        (KLDivergence(), np.zeros((0, 3))),
    ]:
        value, dx = loss.value_and_gradient(np.zeros((0, 3)), target)
        assert value == 0.0
        assert dx.shape == (0, 3)


def test_weights_and_ignored_classes_that_do_not_fit_are_refused():
    for kind in (SoftmaxCrossEntropy, SoftmaxFocal):
        for bad in ([-1.0, 1.0], [], [[1.0]], "12", [np.nan]):
            with pytest.raises(ArgumentError, match=f"{kind.__name__}: expected class_weights"):
                kind(class_weights=bad)
        with pytest.raises(ArgumentError, match="ignore_index as an integer"):
            kind(ignore_index="0")
        with pytest.raises(ShapeError, match=r"class weights of shape \(5,\), got \(3,\)"):
            kind(class_weights=WEIGHTS)(values((5, 5)), LABELS)
    with pytest.raises(ArgumentError, match="leave out ignore_index"):
        SoftmaxCrossEntropy(ignore_index=0)(values((5, 5)), np.eye(5))
    with pytest.raises(ArgumentError, match="gamma"):
        SoftmaxFocal(gamma=-1.0)


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


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, "0.1", float("nan")])
def test_bad_smoothing_is_refused(smoothing):
    with pytest.raises(ArgumentError, match="SoftmaxCrossEntropy: expected label_smoothing"):
        SoftmaxCrossEntropy(smoothing)


def test_repr():
    assert repr(SoftmaxCrossEntropy(0.1)) == "SoftmaxCrossEntropy(label_smoothing=0.1)"
    shown = "SoftmaxCrossEntropy(label_smoothing=0.0, class_weights=[1.0, 2.0], ignore_index=255)"
    assert repr(SoftmaxCrossEntropy(class_weights=[1, 2], ignore_index=255)) == shown
    assert repr(SoftmaxFocal()) == "SoftmaxFocal(gamma=2.0)"
    assert repr(KLDivergence()) == "KLDivergence(log_target=False)"

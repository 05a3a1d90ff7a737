"""Losses and their gradients against PyTorch's."""

import numpy as np
import pytest

from numbacnn import losses
from tests.strategies import arrays

torch = pytest.importorskip("torch")
F = torch.nn.functional

RNG = np.random.default_rng(0)
SHAPE = (3, 4, 2, 5)
CLASSES = RNG.integers(0, 5, SHAPE[:-1])
HOLES = np.where(RNG.random(CLASSES.shape) < 0.3, 255, CLASSES)
CHANCES = RNG.dirichlet(np.ones(5), SHAPE[:-1])
WEIGHTS = RNG.uniform(0.3, 2, 5)
BITS = RNG.integers(0, 2, SHAPE).astype(np.float64)
SIGNS = np.array([1, -1, -1, 1, -1, 1])


def first(x):
    """Channels first, as PyTorch's cross-entropy has them."""
    return x.movedim(-1, 1)


def tensor(a):
    return torch.from_numpy(np.array(a))


def cross_entropy(target, **options):
    wanted = tensor(target)
    wanted = first(wanted) if target.ndim == len(SHAPE) else wanted
    return lambda x: F.cross_entropy(first(x), wanted, **options)


def focal(x, target, alpha, gamma):
    """As in torchvision."""
    entropy = F.binary_cross_entropy_with_logits(x, target, reduction="none")
    p = torch.sigmoid(x)
    wrong = 1 - (p * target + (1 - p) * (1 - target))
    return ((alpha * target + (1 - alpha) * (1 - target)) * wrong**gamma * entropy).mean()


def softmax_focal(x):
    log_p = F.log_softmax(x, -1).gather(-1, tensor(CLASSES)[..., None])
    return (-((1 - log_p.exp()) ** 1.5) * log_p).mean()


def dice(x):
    p, t = F.softmax(x, -1), F.one_hot(tensor(CLASSES), 5).double()
    top, bottom = 2 * (p * t).sum((1, 2)) + 0.5, (p * p).sum((1, 2)) + (t * t).sum((1, 2)) + 0.5
    return 1 - (top / bottom).mean()


W = tensor(WEIGHTS)
CASES = {
    "cross-entropy": (losses.SoftmaxCrossEntropy(), CLASSES, cross_entropy(CLASSES)),
    "smoothed": (losses.SoftmaxCrossEntropy(0.3), CLASSES, cross_entropy(CLASSES, label_smoothing=0.3)),
    "weighted": (losses.SoftmaxCrossEntropy(0, WEIGHTS), CLASSES, cross_entropy(CLASSES, weight=W)),
    "ignoring": (
        losses.SoftmaxCrossEntropy(0, None, 255),
        HOLES,
        cross_entropy(HOLES, ignore_index=255),
    ),
    "all of it": (
        losses.SoftmaxCrossEntropy(0.2, WEIGHTS, 255),
        HOLES,
        cross_entropy(HOLES, weight=W, ignore_index=255, label_smoothing=0.2),
    ),
    "probabilities": (
        losses.SoftmaxCrossEntropy(0.2, WEIGHTS),
        CHANCES,
        cross_entropy(CHANCES, weight=W, label_smoothing=0.2),
    ),
    "absolute": (losses.MeanAbsoluteError(), CHANCES, lambda x: F.l1_loss(x, tensor(CHANCES))),
    "squared": (losses.MeanSquaredError(), CHANCES, lambda x: F.mse_loss(x, tensor(CHANCES))),
    "huber": (losses.Huber(0.4), CHANCES, lambda x: F.huber_loss(x, tensor(CHANCES), delta=0.4)),
    "binary": (
        losses.BinaryCrossEntropy(WEIGHTS),
        CHANCES,
        lambda x: F.binary_cross_entropy_with_logits(x, tensor(CHANCES), pos_weight=W),
    ),
    "focal": (losses.Focal(0.3, 1.5), BITS, lambda x: focal(x, tensor(BITS), 0.3, 1.5)),
    "soft focal": (losses.Focal(0.3, 1.5), CHANCES, lambda x: focal(x, tensor(CHANCES), 0.3, 1.5)),
    "softmax focal": (losses.SoftmaxFocal(1.5), CLASSES, softmax_focal),
    "dice": (losses.Dice(squared=True, smooth=0.5), CLASSES, dice),
    "divergence": (
        losses.KLDivergence(),
        CHANCES,
        lambda x: F.kl_div(x, tensor(CHANCES), reduction="batchmean"),
    ),
    "divergence of logarithms": (
        losses.KLDivergence(log_target=True),
        np.log(CHANCES),
        lambda x: F.kl_div(x, tensor(np.log(CHANCES)), reduction="batchmean", log_target=True),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_pytorchs(name):
    loss, target, peer = CASES[name]
    (x,) = arrays(1, SHAPE)
    x *= 3
    theirs = tensor(x).requires_grad_()
    expected = peer(theirs)
    expected.backward()
    value, dx = loss.value_and_gradient(x, target)
    assert value == pytest.approx(expected.item(), rel=1e-11)
    np.testing.assert_allclose(dx.numpy(), theirs.grad.numpy(), rtol=1e-9, atol=1e-12)


PAIRS = {
    "cosine": (
        losses.CosineEmbedding(0.1),
        2,
        lambda a, b: F.cosine_embedding_loss(a, b, tensor(SIGNS), margin=0.1),
    ),
    "triplet": (losses.Triplet(0.7), 3, lambda a, p, n: F.triplet_margin_loss(a, p, n, margin=0.7)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_losses_of_vectors_are_pytorchs(name):
    loss, count, peer = PAIRS[name]
    vectors = tuple(arrays(2, *[(6, 5)] * count))
    theirs = [tensor(v).requires_grad_() for v in vectors]
    expected = peer(*theirs)
    expected.backward()
    value, gradients = loss.value_and_gradient(vectors, SIGNS)
    assert value == pytest.approx(expected.item(), rel=1e-9)
    for dx, other in zip(gradients, theirs, strict=True):
        np.testing.assert_allclose(dx.numpy(), other.grad.numpy(), rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("zero_infinity", [False, True])
@pytest.mark.parametrize("blank", [0, 2])
def test_ctc_is_pytorchs(blank, zero_infinity):
    (x,) = arrays(3, (6, 9, 5))
    labels = np.random.default_rng(4).integers(0, 4, (6, 4))
    labels += labels >= blank
    labels[0] = labels[1, 0]  # equal ones
    counts, times = np.array([4, 4, 0, 1, 3, 2]), np.array([9, 7, 5, 1, 8, 9])
    if zero_infinity:
        times[4] = 2  # steps for 3 labels
    theirs = tensor(x).requires_grad_()
    log_p = F.log_softmax(theirs, -1).movedim(1, 0)
    given = tensor(labels), tensor(times), tensor(counts)
    expected = F.ctc_loss(log_p, *given, blank=blank, zero_infinity=zero_infinity)
    expected.backward()
    loss = losses.CTC(blank, zero_infinity)
    value, dx = loss.value_and_gradient(x, (labels, counts, times))
    assert value == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(dx.numpy(), theirs.grad.numpy(), rtol=1e-9, atol=1e-12)

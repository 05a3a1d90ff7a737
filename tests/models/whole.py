"""What holds of every model: it trains a step, finite everywhere, and is saved and loaded to equal bits."""

from pathlib import Path

import numpy as np

from numbacnn.layers import Container
from numbacnn.losses import SoftmaxCrossEntropy
from numbacnn.optimizers import SGD
from numbacnn.serialization import load, save
from tests.layers.check import again


def assert_whole(model: Container, shape: tuple[int, ...], folder: Path, batch: int = 2) -> None:
    """Build the model here, train it a step on a batch, save it and load it."""
    classes = model.build(shape, 0)[-1]
    assert len({p.name for p in model.parameters}) == len(model.parameters)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((batch, *shape), np.float32)
    before = model.weights()
    y, saved = model.forward(x, np.random.default_rng(2))
    assert y.shape == (batch, *(model.output_shape or ()))
    rows = y.reshape((-1, classes))
    value, dy = SoftmaxCrossEntropy().value_and_gradient(rows, rng.integers(0, classes, len(rows)))
    assert np.isfinite(value)
    model.backward(dy.reshape(y.shape), saved)
    for p in model.parameters:
        assert (p.grad is not None) == p.learned, p.name
        assert p.grad is None or np.isfinite(p.grad.numpy()).all(), p.name
    SGD(0.1).step(model.parameters)
    changed = {name for name, value in model.weights().items() if (value != before[name]).any()}
    assert changed == set(before)  # statistics too
    save(model, folder / "model.safetensors")
    other = load(folder / "model.safetensors")
    assert other(x).numpy().tobytes() == model(x).numpy().tobytes()
    other = again(model)
    other.build(shape, None)
    other.set_weights(model.weights())
    assert other(x).numpy().tobytes() == model(x).numpy().tobytes()
    assert f"{sum(p.size for p in model.parameters):,}" in model.summary().splitlines()[-1]

"""Gradients of layers against central differences in float64, and arrays to test with."""

import json
from collections.abc import Callable

import numpy as np

from numbacnn.layers import Layer
from numbacnn.layers.containers import from_config, to_config

STEP = 1e-6  # the error of a central difference, about step^2 + 1e-16 / step, is least near here


def values(shape: tuple[int, ...], seed: int = 0, margin: float = 0.0) -> np.ndarray:
    """Normal values in float64, none nearer to 0 than the margin."""
    x = np.random.default_rng(seed).standard_normal(shape)
    return x + np.copysign(margin, x)


def distinct(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Values that differ by 0.01 or more from each other, so that a maximum does not change by a step."""
    size = int(np.prod(shape))
    return (np.random.default_rng(seed).permutation(size).reshape(shape) - size / 2) * 0.01


def again(layer: Layer) -> Layer:
    """An equal unbuilt layer, by way of its description as JSON."""
    other = from_config(json.loads(json.dumps(to_config(layer))))
    assert other.config() == layer.config()
    assert type(other) is type(layer)
    return other


def difference(objective: Callable[[], float], array: np.ndarray) -> np.ndarray:
    """The gradient of the objective, which reads the array, by central differences of each element."""
    gradient = np.empty_like(array)
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + STEP
        above = objective()
        array[index] = kept - STEP
        below = objective()
        array[index] = kept
        gradient[index] = (above - below) / (2 * STEP)
    return gradient


def assert_gradients(
    layer: Layer, x: np.ndarray | list[np.ndarray], seed: int = 1, generator_seed: int | None = None
) -> None:
    """Compare all gradients of a layer with differences of ``sum(y * dy)``, for random parameters and dy.

    The layer is built here, for one input or a list of them, and may have several outputs. With a generator
    seed, each pass trains with a new generator of that seed.
    """
    rng = np.random.default_rng(seed)
    inputs = x if isinstance(x, list) else [x]
    shapes = [each.shape[1:] for each in inputs]
    shape = layer.build(shapes if isinstance(x, list) else shapes[0], rng, np.float64)
    for p in layer.parameters:
        if p.learned:
            p.value.numpy()[...] = 0.5 * rng.standard_normal(p.shape)
    n, many = len(inputs[0]), bool(shape) and isinstance(shape[0], tuple)
    dys = [rng.standard_normal((n, *each)) for each in (shape if many else [shape])]

    def training() -> bool | np.random.Generator:
        return True if generator_seed is None else np.random.default_rng(generator_seed)

    def objective() -> float:
        y = layer.forward(x, training())[0]
        return sum(float((a.numpy() * dy).sum()) for a, dy in zip(y if many else [y], dys, strict=True))

    y, saved = layer.forward(x, training())
    assert [a.shape for a in (y if many else [y])] == [dy.shape for dy in dys]
    dx = layer.backward(dys if many else dys[0], saved, input_gradient=True)
    for gradient, each in zip(dx if isinstance(x, list) else [dx], inputs, strict=True):
        assert gradient is not None
        assert gradient.dtype == np.float64
        np.testing.assert_allclose(gradient.numpy(), difference(objective, each), rtol=1e-6, atol=1e-7)
    for p in layer.parameters:
        if not p.learned:
            assert p.grad is None, p.name
            continue
        assert p.grad is not None, p.name
        expected = difference(objective, p.value.numpy())
        np.testing.assert_allclose(p.grad.numpy(), expected, rtol=1e-6, atol=1e-7, err_msg=p.name)

"""Normalisations of single examples: gradients, values, shapes, arguments, parameters."""

import numpy as np
import pytest

from numbacnn import Sequential, load, save
from numbacnn.errors import ArgumentError, ShapeError
from numbacnn.layers import Conv2D, GroupNorm, InstanceNorm, LayerNorm, LocalResponseNorm, ReLU
from tests.layers.check import again, assert_gradients, values

LAYERS = [
    (LayerNorm(), (3, 4, 5)),
    (LayerNorm(2, epsilon=0.3, shift=False), (2, 3, 4, 5)),
    (LayerNorm(None, scale=False), (2, 3, 2, 3, 2)),
    (LayerNorm(), (4, 6)),
    (GroupNorm(3), (2, 2, 3, 6)),
    (GroupNorm(1, epsilon=0.2, scale=False), (3, 5, 4)),
    (GroupNorm(2, shift=False), (2, 2, 2, 3, 4)),
    (GroupNorm(2), (3, 8)),
    (InstanceNorm(), (2, 3, 4, 3)),
    (InstanceNorm(0.5, scale=True, shift=True), (2, 7, 4)),
    (LocalResponseNorm(alpha=0.7), (2, 3, 7)),
    (LocalResponseNorm(4, alpha=1.3, beta=0.5, k=0.5), (2, 2, 3, 6)),
    (LocalResponseNorm(3, alpha=0.9, beta=1.0), (1, 2, 2, 2, 5)),
    (LocalResponseNorm(9, alpha=2.0, beta=0.6, k=2.0), (3, 4)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda v: getattr(v, "name", None))
def test_gradients_match_differences(layer, shape):
    assert_gradients(again(layer), values(shape) + 0.7)


def moments(y, axes):
    return y.mean(axis=axes), y.var(axis=axes)


def test_normalised_values_have_mean_0_and_variance_1():
    x = 3 * values((2, 4, 5, 6)) + 7
    for layer, shape, axes in (
        (LayerNorm(), (2, 4, 5, 6), -1),
        (LayerNorm(None), (2, 4, 5, 6), (1, 2, 3)),
        (GroupNorm(2), (2, 4, 5, 2, 3), (1, 2, 4)),
        (InstanceNorm(), (2, 4, 5, 6), (1, 2)),
    ):
        assert layer.build((4, 5, 6), np.random.default_rng(0), np.float64) == (4, 5, 6)
        mean, variance = moments(layer(x).numpy().reshape(shape), axes)
        np.testing.assert_allclose(mean, 0, atol=1e-12)
        np.testing.assert_allclose(variance, 1, rtol=1e-3)


def test_an_example_does_not_see_the_others():
    x = values((3, 4, 5, 6))
    for layer in (LayerNorm(2), GroupNorm(3), InstanceNorm()):
        layer.build((4, 5, 6), np.random.default_rng(0), np.float64)
        np.testing.assert_allclose(layer(x).numpy()[1:2], layer(x[1:2]).numpy(), rtol=1e-12)


def test_parameters_have_the_shape_of_what_is_normalised_alike():
    for layer, shape in (
        (LayerNorm(), (6,)),
        (LayerNorm(2), (5, 6)),
        (LayerNorm(None), (4, 5, 6)),
        (GroupNorm(3), (6,)),
        (InstanceNorm(scale=True, shift=True), (6,)),
    ):
        layer.build((4, 5, 6), np.random.default_rng(0))
        assert [(p.name, p.shape) for p in layer.parameters] == [
            (f"{layer.name}.gamma", shape),
            (f"{layer.name}.beta", shape),
        ]
        assert (layer.gamma.value.numpy() == 1).all() and (layer.beta.value.numpy() == 0).all()
    for layer in (InstanceNorm(), LocalResponseNorm()):
        layer.build((4, 5, 6), None)
        assert not layer.parameters


def test_initial_values_may_be_others():
    layer = GroupNorm(1, gamma_initializer="zeros", beta_initializer={"class": "Constant", "value": 2.0})
    layer.build((4,), np.random.default_rng(0))
    assert (layer.gamma.value.numpy() == 0).all() and (layer.beta.value.numpy() == 2).all()


def test_neighbours_are_those_of_the_paper():
    """Krizhevsky et al.: n = 5 channels, k = 2, alpha not divided by n."""
    x, alpha, layer = values((1, 1, 1, 8)), 0.3, LocalResponseNorm(5, alpha=1.5, k=2.0)
    layer.build((1, 1, 8), None, np.float64)
    a = x.ravel()
    b = [a[i] / (2 + alpha * (a[max(0, i - 2) : i + 3] ** 2).sum()) ** 0.75 for i in range(8)]
    np.testing.assert_allclose(layer(x).numpy().ravel(), b, rtol=1e-14)


def test_what_does_not_fit_is_refused_by_name():
    with pytest.raises(ArgumentError, match="norm: expected groups that divide 6 channels, got 4"):
        GroupNorm(4, name="norm").build((5, 5, 6), None)
    with pytest.raises(ArgumentError, match="norm: expected groups as an integer of 1 or more"):
        GroupNorm(0, name="norm")
    with pytest.raises(ArgumentError, match="norm: expected axes as an integer of 1 or more"):
        LayerNorm(-1, name="norm")
    with pytest.raises(ShapeError, match="norm: expected inputs of positive shape and 3 axes or more"):
        LayerNorm(3, name="norm").build((5, 6), None)
    for kind in (LayerNorm, InstanceNorm):
        for epsilon in (0.0, -1.0, np.inf, "1", None, True):
            with pytest.raises(ArgumentError, match="norm: expected a finite epsilon above 0"):
                kind(epsilon=epsilon, name="norm")
    for layer in (LayerNorm, InstanceNorm, LocalResponseNorm):
        for shape in ((), (0, 3), (3, 0)):
            with pytest.raises(ShapeError, match="norm: expected inputs of positive shape"):
                layer(name="norm").build(shape, None)
    for bad in ({"size": 0}, {"size": 2.5}, {"alpha": -1.0}, {"beta": np.nan}, {"k": 0.0}, {"k": -1.0}):
        with pytest.raises(ArgumentError, match=f"norm: .*{next(iter(bad))}"):
            LocalResponseNorm(**bad, name="norm")


def test_frozen_parameters_get_no_gradient():
    layer = LayerNorm()
    layer.build((6,), np.random.default_rng(0), np.float64)
    layer.beta.trainable = False
    y, saved = layer.forward(values((2, 6)), training=True)
    assert layer.backward(y, saved, input_gradient=False) is None
    assert layer.gamma.grad is not None and layer.beta.grad is None


def test_a_model_of_them_is_saved_and_loaded(tmp_path):
    layers = [Conv2D(6, 3), GroupNorm(2), ReLU(), LayerNorm(3), InstanceNorm(scale=True), LocalResponseNorm()]
    model = Sequential(layers)
    model.build((6, 7, 2), 0)
    for p in model.parameters:
        p.value.numpy()[...] = np.random.default_rng(1).standard_normal(p.shape)
    save(model, tmp_path / "model.npz")
    x = np.random.default_rng(0).standard_normal((2, 6, 7, 2), np.float32)
    assert load(tmp_path / "model.npz")(x).numpy().tobytes() == model(x).numpy().tobytes()
    assert "groupnorm" in model.summary()


def test_receptive_fields_are_those_of_the_windows():
    model = Sequential([Conv2D(4, 3), GroupNorm(2), LayerNorm(3), LocalResponseNorm(), Conv2D(4, 3)])
    model.build((9, 9, 1), 0)
    assert model.receptive_field().size == (5, 5)

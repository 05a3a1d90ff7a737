"""Activations on tensors against the reference, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn import functional
from numbacnn.errors import ArgumentError, DTypeError, ShapeError
from numbacnn.kernels import reference
from tests.functional.comparing import reference_of
from tests.strategies import arrays, dtypes, seeds

SELU = 1.6732632423543772, 1.0507009873554805
# By operation: options, and the reference's name with what it takes for them
CASES = {
    "elu": ({"alpha": 0.7}, "elu", (0.7, 1.0)),
    "selu": ({}, "elu", SELU),
    "gelu": ({}, "gelu", (False,)),
    "gelu tanh": ({"approximate": True}, "gelu", (True,)),
    "hardsigmoid": ({}, "hardsigmoid", ()),
    "hardswish": ({}, "hardswish", ()),
    "mish": ({}, "mish", ()),
    "softplus": ({"beta": 2.5}, "softplus", (2.5,)),
}
BY_OUTPUT = ("elu", "selu", "hardsigmoid", "softplus")
NAMES = sorted({case.partition(" ")[0] for case in CASES})

shapes = st.lists(st.integers(0, 9), max_size=3).map(tuple)


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=20)
@given(shapes, dtypes, seeds)
def test_activations_and_their_gradients_are_the_references(case, shape, dtype, seed):
    (options, stem, values), name = CASES[case], case.partition(" ")[0]
    x, dy = arrays(seed, shape, shape, dtype=dtype)
    x *= 3
    eps = np.finfo(dtype).eps
    y = getattr(functional, f"{name}_forward")(x, **options)
    expected = reference_of(getattr(reference, f"{stem}_forward"), x, *values, shape=shape)
    assert y.dtype == dtype
    assert y.shape == shape
    assert (abs(y.numpy() - expected) <= 6 * eps * (abs(expected) + abs(x))).all()
    kept = y if name in BY_OUTPUT else x
    dx = getattr(functional, f"{name}_backward")(dy, kept, **options)
    given_ = kept.numpy() if name in BY_OUTPUT else x
    expected = reference_of(getattr(reference, f"{stem}_backward"), given_, dy, *values, shape=shape)
    assert (abs(dx.numpy() - expected) <= 8 * eps * (abs(expected) + abs(dy))).all()


@pytest.mark.parametrize("name", NAMES)
def test_activations_refuse(name):
    forward, backward = getattr(functional, f"{name}_forward"), getattr(functional, f"{name}_backward")
    with pytest.raises(DTypeError, match=r"^act: expected the input of float32 or float64, got int64"):
        forward([1, 2], name="act")
    what = "output" if name in BY_OUTPUT else "input"
    with pytest.raises(
        ShapeError, match=rf"^{name}_backward: expected an {what} of shape \(2,\), got \(3,\)"
    ):
        backward(np.ones(2), np.ones(3))
    with pytest.raises(DTypeError, match=rf"expected the {what} of float64, the type of the output gradient"):
        backward(np.ones(3), np.ones(3, np.float32))


def test_options_are_checked():
    x = np.ones(3)
    for call, expected in (
        (lambda: functional.elu_forward(x, alpha=-0.1, name="act"), "a finite alpha of 0 or more"),
        (lambda: functional.elu_backward(x, x, alpha=np.inf, name="act"), "a finite alpha of 0 or more"),
        (lambda: functional.softplus_forward(x, beta=0.0, name="act"), "a beta above 0"),
        (lambda: functional.softplus_backward(x, x, beta="1", name="act"), "a finite beta of 0 or more"),
        (lambda: functional.gelu_forward(x, approximate="tanh", name="act"), "approximate as True or False"),
        (lambda: functional.gelu_backward(x, x, approximate=1, name="act"), "approximate as True or False"),
    ):
        with pytest.raises(ArgumentError, match=rf"^act: expected {expected}"):
            call()

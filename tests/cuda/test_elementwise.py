"""Elementwise kernels and the sum over pixels on a simulated GPU, against the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cuda import elementwise, reduce
from tests.strategies import seeds

from .arrays import computed
from .both import ROUNDING, TINY, TYPES, double, normal, types

NAMES = sorted(set(elementwise.__all__) - {"bias_backward"})
OPTIONS = {"leaky_relu": (0.3,), "clip": (-0.7, 1.1)}  # between the arrays read and those written

shapes = st.lists(st.integers(0, 9), max_size=3).map(tuple)


def arguments(name, shape, seed, dtype):
    """What the function reads: outputs of activations lie in their range."""
    x, dy = normal(seed, shape, dtype), normal(seed + 1, shape, dtype)
    if name.startswith("dropout"):
        return x, np.random.default_rng(seed).integers(0, 2, shape, np.uint8), 1.25
    activation = name.rpartition("_")[0]
    options = OPTIONS.get(activation, ())
    if name.endswith("forward"):
        return x, *options
    if name.endswith("backward") and activation != "silu":
        getattr(reference, f"{activation}_forward")(double(x), *options, y := np.empty(shape))
        return y.astype(dtype), dy, *options
    return x, dy


def check(name, shape, seed, dtype):
    args = arguments(name, shape, seed, dtype)
    got, expected = computed(getattr(elementwise, name), args, shape, dtype), np.empty(shape)
    doubles = [double(a) if isinstance(a, np.ndarray) else a for a in args]
    if name == "clip_backward":  # the limits as the output holds them
        doubles[2:] = [float(dtype.type(limit)) for limit in doubles[2:]]
    getattr(reference, name)(*doubles, expected)
    # 16-bit results are rounded float32 ones. SiLU's slope is a difference where it passes through 0
    relative = 8 * ROUNDING[dtype] if dtype.itemsize > 2 else 1.001 * ROUNDING[dtype]
    near = 16 * max(ROUNDING[dtype], 2.0**-24 if dtype.itemsize == 2 else 0.0) * (name == "silu_backward")
    np.testing.assert_allclose(double(got), expected, rtol=relative, atol=max(near, TINY[dtype], 1e-15))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=12)
@given(shapes, seeds, types)
def test_any_shape_gives_the_references_results(name, shape, seed, dtype):
    check(name, shape, seed, dtype)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("size", [1023, 1024, 2047, 2048, 2052, 5003])
def test_blocks_meet_without_a_gap(size, dtype):
    """A block takes 1024 elements, of 16-bit types twice as many, and the last one what is left."""
    check("add", (size,), size, dtype)
    check("dropout_forward", (size,), size, dtype)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_extremes(dtype):
    x = np.array([-np.inf, -800.0, -0.0, 0.0, 800.0, np.inf, np.nan], dtype)

    def of(name, *args):
        return double(computed(getattr(elementwise, name), args, args[0].shape, dtype))

    np.testing.assert_array_equal(of("relu_forward", x), [0, 0, 0, 0, 800, np.inf, np.nan])
    np.testing.assert_array_equal(of("sigmoid_forward", x), [0, 0, 0.5, 0.5, 1, 1, np.nan])
    np.testing.assert_array_equal(of("tanh_forward", x), [-1, -1, 0, 0, 1, 1, np.nan])
    np.testing.assert_array_equal(
        of("leaky_relu_forward", x, 0.5), [-np.inf, -400, 0, 0, 800, np.inf, np.nan]
    )
    np.testing.assert_array_equal(of("clip_forward", x, 0.0, 6.0), [0, 0, 0, 0, 6, 6, np.nan])
    np.testing.assert_array_equal(of("clip_forward", x, -np.inf, np.inf), double(x))
    np.testing.assert_array_equal(of("silu_forward", x)[1:], [0, 0, 0, 800, np.inf, np.nan])
    y, dy = np.array([0.0, -0.0, 2.0**-20], dtype), np.array([3.0, 4.0, 5.0], dtype)
    assert of("relu_backward", y, dy).tolist() == [0, 0, 5]
    assert of("leaky_relu_backward", y, dy, 0.5).tolist() == [1.5, 2, 5]
    assert of("clip_backward", y, dy, 0.0, 1.0).tolist() == [0, 0, 5]
    assert of("clip_backward", y, dy, -1.0, 0.0).tolist() == [0, 0, 0]
    x, dy = np.array([-800, -90, -0.0, 0.0, 90, 800], dtype), np.full(6, 2, dtype)
    np.testing.assert_allclose(of("silu_backward", x, dy), [0, 0, 1, 1, 2, 2], atol=1e-30)


def test_no_slope_where_a_clipped_output_was_rounded_to_its_limit():
    for dtype in TYPES:
        limit = 0.1  # of no type
        y = computed(elementwise.clip_forward, (np.ones(3, dtype), -1.0, limit), (3,), dtype)
        dx = computed(elementwise.clip_backward, (y, np.ones(3, dtype), -1.0, limit), (3,), dtype)
        assert double(dx).tolist() == [0, 0, 0]


def check_bias(shape, seed, dtype):
    dy, expected = normal(seed, shape, dtype), np.empty(shape[-1:])
    got = computed(elementwise.bias_backward, (dy,), shape[-1:], dtype)
    reference.bias_backward(double(dy), expected)
    sizes = np.abs(double(dy)).reshape(-1, shape[-1]).sum(axis=0)
    # a tree over parts: no sum passes through more than a few dozen roundings, then one to 16 bits
    near = 24 * min(ROUNDING[dtype], 2.0**-24) * sizes
    relative = 1.001 * ROUNDING[dtype] if dtype.itemsize == 2 else 0.0
    assert (np.abs(double(got) - expected) <= near + relative * np.abs(expected)).all()


@settings(max_examples=25)
@given(st.lists(st.integers(0, 9), max_size=2), st.integers(1, 70), seeds, types)
def test_bias_gradient_of_any_shape_is_the_references(leading, channels, seed, dtype):
    check_bias((*leading, channels), seed, dtype)


@pytest.mark.parametrize(
    "rows, channels", [(4100, 1), (4100, 2), (1400, 3), (200, 256), (70, 500), (70, 127), (3, 1025)]
)
def test_bias_gradient_of_several_blocks_is_the_references(rows, channels):
    check_bias((rows, channels), rows, TYPES[0])


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_bias_gradient_in_parts_of_each_type(dtype):
    check_bias((300, 64), 1, dtype)


def test_long_columns_keep_their_places():
    """A thread sums 300 rows: one after another in float32, that would lose a place and a half."""
    x = np.full((256 * 300, 1), np.float32(0.1))
    got = computed(
        lambda x, out: reduce._sum_columns(x, len(x.host), 1, 64, len(x.host), out), (x,), (1,), x.dtype
    )
    np.testing.assert_allclose(got, x.sum(dtype=np.float64), rtol=4e-7)


@settings(max_examples=15)
@given(st.integers(0, 3000), seeds, types)
def test_total_of_any_size(size, seed, dtype):
    x = normal(seed, size, dtype)
    result = np.dtype(np.float64 if dtype == np.float64 else np.float32)
    got = computed(reduce.total, (x, 0.25), (), result)
    exact = 0.25 * double(x).sum()
    assert abs(float(got) - exact) <= 24 * ROUNDING[result] * 0.25 * np.abs(double(x)).sum()

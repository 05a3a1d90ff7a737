"""The oracle against SciPy, against loops written out, and against finite differences."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import special

from numbacnn.dims import ConvDims, PoolDims
from numbacnn.kernels import reference
from tests import truth
from tests.strategies import arrays, conv_cases, pool_cases, seeds

sizes = st.integers(1, 6)


def call(function, *arguments, shape, dtype=np.float64):
    """What a kernel writes; the array given starts as NaN, so nothing may be left unwritten."""
    out = np.full(shape, np.nan, dtype)
    assert function(*arguments, out) is None
    return out


def slope(function, x, direction, step=1e-6):
    """The derivative of a function of an array along a direction, by central differences."""
    return (function(x + step * direction) - function(x - step * direction)) / (2 * step)


# --- convolution


@given(conv_cases())
def test_convolution_and_its_gradients_are_scipys_correlations(case):
    dims = case.dims
    x, w, b, dy = arrays(case.seed, dims.input_shape, dims.kernel_shape, (dims.c_out,), dims.output_shape)
    y = call(reference.conv_forward, dims, x, w, b, shape=dims.output_shape)
    np.testing.assert_allclose(y, truth.conv_forward(dims, x, w) + b, atol=1e-12)
    without = call(reference.conv_forward, dims, x, w, None, shape=dims.output_shape)
    np.testing.assert_allclose(without, truth.conv_forward(dims, x, w), atol=1e-12)
    dx = call(reference.conv_backward_data, dims, dy, w, shape=dims.input_shape)
    np.testing.assert_allclose(dx, truth.conv_backward_data(dims, dy, w), atol=1e-12)
    dw = call(reference.conv_backward_weights, dims, x, dy, shape=dims.kernel_shape)
    np.testing.assert_allclose(dw, truth.conv_backward_weights(dims, x, dy), atol=1e-12)


@given(conv_cases())
def test_convolution_and_its_gradients_are_adjoint(case):
    dims = case.dims
    x, w, dy = arrays(case.seed, dims.input_shape, dims.kernel_shape, dims.output_shape)
    y = call(reference.conv_forward, dims, x, w, None, shape=dims.output_shape)
    dx = call(reference.conv_backward_data, dims, dy, w, shape=dims.input_shape)
    dw = call(reference.conv_backward_weights, dims, x, dy, shape=dims.kernel_shape)
    inner = np.vdot(y, dy)
    assert np.vdot(x, dx) == pytest.approx(inner, abs=1e-9)
    assert np.vdot(w, dw) == pytest.approx(inner, abs=1e-9)


def test_a_convolution_worked_by_hand():
    dims = ConvDims.of((1, 3, 1), (2, 1, 1), padding=((1, 0),))
    x, w = np.array([1.0, 2.0, 3.0]).reshape(1, 3, 1), np.array([10.0, 1.0]).reshape(2, 1, 1)
    y = call(reference.conv_forward, dims, x, w, np.array([0.5]), shape=(1, 3, 1))
    assert y.ravel().tolist() == [1.5, 12.5, 23.5]


@given(conv_cases(ranks=(2,)))
def test_convolution_is_pytorchs(case):
    torch = pytest.importorskip("torch")
    dims = case.dims
    assume(dims.n > 0)  # PyTorch refuses the gradient of an empty batch
    x, w, b, dy = arrays(case.seed, dims.input_shape, dims.kernel_shape, (dims.c_out,), dims.output_shape)
    source = torch.tensor(truth.padded(dims, x)).permute(0, 3, 1, 2).requires_grad_()
    kernel = torch.tensor(w).permute(3, 2, 0, 1).requires_grad_()
    y = torch.nn.functional.conv2d(
        source, kernel, torch.tensor(b), dims.stride_, 0, dims.dilation_, dims.groups
    )
    y.backward(torch.tensor(dy).permute(0, 3, 1, 2))
    ours = call(reference.conv_forward, dims, x, w, b, shape=dims.output_shape)
    np.testing.assert_allclose(ours, y.detach().permute(0, 2, 3, 1), atol=1e-12)
    dx = call(reference.conv_backward_data, dims, dy, w, shape=dims.input_shape)
    theirs = source.grad.permute(0, 2, 3, 1).numpy()[(slice(None), *truth.inside(dims))]
    np.testing.assert_allclose(dx, theirs, atol=1e-12)
    dw = call(reference.conv_backward_weights, dims, x, dy, shape=dims.kernel_shape)
    np.testing.assert_allclose(dw, kernel.grad.permute(2, 3, 1, 0), atol=1e-12)


@given(conv_cases())
def test_float32_arrays_are_computed_in_float64(case):
    dims = case.dims
    x, w = arrays(case.seed, dims.input_shape, dims.kernel_shape, dtype=np.float32)
    y = call(reference.conv_forward, dims, x, w, None, shape=dims.output_shape, dtype=np.float32)
    exact = truth.conv_forward(dims, x.astype(np.float64), w.astype(np.float64))
    np.testing.assert_allclose(y, exact, rtol=6e-8, atol=1e-12)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=3), st.integers(1, 5), seeds)
def test_bias_gradient_is_a_sum_of_pixels(leading, channels, seed):
    (dy,) = arrays(seed, (*leading, channels))
    db = call(reference.bias_backward, dy, shape=(channels,))
    np.testing.assert_allclose(db, [math.fsum(dy[..., c].ravel()) for c in range(channels)], atol=1e-12)


@given(st.integers(0, 5), sizes, sizes, seeds)
def test_dense_and_its_gradients(n, f, k, seed):
    x, w, b, dy = arrays(seed, (n, f), (f, k), (k,), (n, k))
    y = call(reference.dense_forward, x, w, b, shape=(n, k))
    for i, j in np.ndindex(n, k):
        assert y[i, j] == pytest.approx(b[j] + sum(x[i, l] * w[l, j] for l in range(f)))  # noqa: E741
    linear = call(reference.dense_forward, x, w, None, shape=(n, k))
    np.testing.assert_allclose(linear + b, y, atol=1e-12)
    inner = pytest.approx(np.vdot(linear, dy), abs=1e-10)
    assert np.vdot(x, call(reference.dense_backward_data, dy, w, shape=(n, f))) == inner
    assert np.vdot(w, call(reference.dense_backward_weights, x, dy, shape=(f, k))) == inner


# --- pooling


def windows_by_hand(dims: PoolDims, x):
    """For each output pixel: its index, and the indices of its pixels in row-major order."""
    for index in np.ndindex(*dims.output_shape):
        n, *at, c = index
        pixels = []
        for tap in np.ndindex(*dims.k_):
            place = [
                o * s - lo + t * d
                for o, s, lo, t, d in zip(at, dims.stride_, dims.pad_lo_, tap, dims.dilation_, strict=True)
            ]
            if all(0 <= p < size for p, size in zip(place, dims.in_, strict=True)):
                pixels.append((n, *place, c))
        yield index, pixels


@given(pool_cases())
def test_pooling_is_scipys_filters(case):
    dims = case.dims
    (x,) = arrays(case.seed, dims.input_shape)
    y = call(reference.max_pool_forward, dims, x, shape=dims.output_shape)
    np.testing.assert_array_equal(y, truth.max_pool_forward(dims, x))
    for count_include_pad in (False, True):
        out = np.full(dims.output_shape, np.nan)
        reference.avg_pool_forward(dims, x, out, count_include_pad, 0.0)
        np.testing.assert_allclose(out, truth.avg_pool_forward(dims, x, count_include_pad), atol=1e-12)


@given(pool_cases(), st.sampled_from([0.0, 0.3]))
def test_max_pooling_sends_the_gradient_to_the_first_maximum(case, share_of_nan):
    """Few distinct values, so that most windows have ties; infinities and NaN among them."""
    dims = case.dims
    rng = np.random.default_rng(case.seed)
    x = rng.choice([-np.inf, -1.0, 0.0, 2.0], dims.input_shape)
    x[rng.random(x.shape) < share_of_nan] = np.nan
    dy = rng.standard_normal(dims.output_shape)
    y = call(reference.max_pool_forward, dims, x, shape=dims.output_shape)
    dx = call(reference.max_pool_backward, dims, x, y, dy, shape=dims.input_shape)
    expected = np.zeros(dims.input_shape)
    for index, pixels in windows_by_hand(dims, x):
        values = [x[p] for p in pixels]
        np.testing.assert_equal(y[index], np.max(values))
        expected[pixels[int(np.argmax(values))]] += dy[index]
    np.testing.assert_allclose(dx, expected, atol=1e-12)


@given(pool_cases())
def test_max_pooling_gradient_is_its_slope(case):
    dims = case.dims
    rng = np.random.default_rng(case.seed)
    x = rng.permutation(math.prod(dims.input_shape)).astype(float).reshape(dims.input_shape)
    direction, dy = rng.random(dims.input_shape), rng.standard_normal(dims.output_shape)

    def pooled(x):
        return call(reference.max_pool_forward, dims, x, shape=dims.output_shape)

    dx = call(reference.max_pool_backward, dims, x, pooled(x), dy, shape=dims.input_shape)
    numeric = slope(lambda x: np.vdot(pooled(x), dy), x, direction, step=0.25)  # less than the gaps
    assert np.vdot(dx, direction) == pytest.approx(numeric, abs=1e-8)


@given(pool_cases(), st.booleans())
def test_average_pooling_and_its_gradient_are_adjoint(case, count_include_pad):
    dims = case.dims
    x, dy = arrays(case.seed, dims.input_shape, dims.output_shape)
    y, dx = np.full(dims.output_shape, np.nan), np.full(dims.input_shape, np.nan)
    reference.avg_pool_forward(dims, x, y, count_include_pad, 0.0)
    reference.avg_pool_backward(dims, dy, dx, count_include_pad, 0.0)
    assert np.vdot(x, dx) == pytest.approx(np.vdot(y, dy), abs=1e-10)


def test_average_pooling_counts_pixels_or_taps():
    dims = PoolDims.of((1, 2, 1), 2, 1, 1)
    y = np.empty((1, 3, 1))
    reference.avg_pool_forward(dims, np.ones((1, 2, 1)), y, False, 0.0)
    assert y.ravel().tolist() == [1, 1, 1]
    reference.avg_pool_forward(dims, np.ones((1, 2, 1)), y, True, 0.0)
    assert y.ravel().tolist() == [0.5, 1, 0.5]


# --- elementwise


@pytest.mark.parametrize(
    ("forward", "backward", "truth_of"),
    [
        (reference.sigmoid_forward, reference.sigmoid_backward, special.expit),
        (reference.tanh_forward, reference.tanh_backward, np.tanh),
        (reference.softmax_forward, reference.softmax_backward, lambda x: special.softmax(x, axis=-1)),
        (reference.relu_forward, reference.relu_backward, lambda x: np.where(x > 0, x, 0)),
    ],
)
@given(st.lists(sizes, min_size=1, max_size=3).map(tuple), seeds)
def test_activations_and_their_slopes(forward, backward, truth_of, shape, seed):
    x, dy, direction = arrays(seed, shape, shape, shape)
    y = call(forward, x, shape=shape)
    np.testing.assert_allclose(y, truth_of(x), rtol=1e-13)
    dx = call(backward, y, dy, shape=shape)
    numeric = slope(lambda x: np.vdot(call(forward, x, shape=shape), dy), x, direction)
    assert np.vdot(dx, direction) == pytest.approx(numeric, rel=1e-6, abs=1e-7)


def test_activations_at_the_extremes():
    x = np.array([-np.inf, -800.0, -0.0, 0.0, 800.0, np.inf, np.nan])
    np.testing.assert_array_equal(call(reference.relu_forward, x, shape=7), [0, 0, 0, 0, 800, np.inf, np.nan])
    np.testing.assert_array_equal(call(reference.sigmoid_forward, x, shape=7), [0, 0, 0.5, 0.5, 1, 1, np.nan])
    np.testing.assert_array_equal(call(reference.tanh_forward, x, shape=7), [-1, -1, 0, 0, 1, 1, np.nan])
    y, dy = np.array([0.0, -0.0, 1e-300]), np.array([3.0, 4.0, 5.0])
    assert call(reference.relu_backward, y, dy, shape=3).tolist() == [0, 0, 5]
    np.testing.assert_allclose(
        call(reference.softmax_forward, np.array([[1e4, 0.0], [-1e4, -1e4]]), shape=(2, 2)),
        [[1, 0], [0.5, 0.5]],
    )


@given(st.integers(0, 5), sizes, seeds)
def test_dropout_and_add(n, k, seed):
    x, dy = arrays(seed, (n, k), (n, k))
    mask = np.random.default_rng(seed).integers(0, 2, (n, k), np.uint8)
    expected = np.where(mask == 1, x * 1.25, 0)
    np.testing.assert_array_equal(call(reference.dropout_forward, x, mask, 1.25, shape=(n, k)), expected)
    dx = call(reference.dropout_backward, dy, mask, 1.25, shape=(n, k))
    np.testing.assert_array_equal(dx, np.where(mask == 1, dy * 1.25, 0))
    np.testing.assert_array_equal(call(reference.add, x, dy, shape=(n, k)), x + dy)


# --- losses


@given(st.integers(1, 5), sizes, st.floats(0, 0.5), st.booleans(), seeds)
def test_cross_entropy_and_its_slope(n, k, smoothing, integers, seed):
    x, direction = arrays(seed, (n, k), (n, k))
    rng = np.random.default_rng(seed)
    target = rng.integers(0, k, n) if integers else rng.dirichlet(np.ones(k), n)
    p, loss = np.full((n, k), np.nan), np.full(n, np.nan)
    reference.softmax_cross_entropy_forward(x, target, None, -1, smoothing, loss, p)
    np.testing.assert_allclose(p, special.softmax(x, axis=1), rtol=1e-12)
    chances = np.zeros((n, k))
    for i in range(n):
        for j in range(k):
            chance = float(target[i] == j) if integers else target[i, j]
            chances[i, j] = chance * (1 - smoothing) + smoothing / k
    expected = [special.rel_entr(c, q).sum() + special.entr(c).sum() for c, q in zip(chances, p, strict=True)]
    np.testing.assert_allclose(loss, expected, atol=1e-12)

    def total(x):
        reference.softmax_cross_entropy_forward(x, target, None, -1, smoothing, loss, np.empty((n, k)))
        return 0.25 * loss.sum()

    dx = call(
        reference.softmax_cross_entropy_backward, p, target, None, -1, smoothing, None, 0.25, shape=(n, k)
    )
    assert np.vdot(dx, direction) == pytest.approx(slope(total, x, direction), rel=1e-6, abs=1e-8)


def test_cross_entropy_of_certain_predictions_is_finite():
    x = np.array([[1000.0, 0.0], [1000.0, 0.0]])
    loss, p = np.empty(2), np.empty((2, 2))
    reference.softmax_cross_entropy_forward(x, np.array([0, 1]), None, -1, 0.0, loss, p)
    assert loss.tolist() == [0.0, 1000.0]


@given(st.integers(1, 4), st.lists(sizes, max_size=2), seeds)
def test_mean_squared_error_and_its_slope(n, rest, seed):
    shape = (n, *rest)
    x, target, direction = arrays(seed, shape, shape, shape)
    loss = call(reference.mean_squared_error_forward, x, target, shape=n)
    np.testing.assert_allclose(loss, [np.mean((x[i] - target[i]) ** 2) for i in range(n)])
    dx = call(reference.mean_squared_error_backward, x, target, 0.25, shape=shape)

    def total(x):
        return 0.25 * call(reference.mean_squared_error_forward, x, target, shape=n).sum()

    assert np.vdot(dx, direction) == pytest.approx(slope(total, x, direction), rel=1e-6, abs=1e-8)

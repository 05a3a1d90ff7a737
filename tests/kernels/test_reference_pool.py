"""The oracle of the pooling kernels beyond maxima and averages, against SciPy and windows by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from numbacnn.dims import PoolDims
from numbacnn.kernels import reference
from numbacnn.pool_dims import WindowDims
from tests import truth
from tests.kernels.test_reference import call, slope, windows_by_hand
from tests.strategies import arrays, pool_cases, seeds, window_dims


@given(pool_cases(), st.sampled_from([1.0, 2.0, 3.5]))
def test_norms_are_scipys_sums_of_powers(case, p):
    dims = case.dims
    (x,) = arrays(case.seed, dims.input_shape)
    y = np.full(dims.output_shape, np.nan)
    reference.lp_pool_forward(dims, x, y, p)
    np.testing.assert_allclose(y, truth.lp_pool_forward(dims, x, p), atol=1e-12)


@given(pool_cases(), st.sampled_from([1.0, 2.0, 3.5]))
def test_the_gradient_of_norms_is_their_slope(case, p):
    dims = case.dims
    x, direction, dy = arrays(case.seed, dims.input_shape, dims.input_shape, dims.output_shape)
    x += np.sign(x)  # away from 0, where magnitudes have a corner

    def norm(x):
        y = np.empty(dims.output_shape)
        reference.lp_pool_forward(dims, x, y, p)
        return y

    dx = np.full(dims.input_shape, np.nan)
    reference.lp_pool_backward(dims, x, norm(x), dy, dx, p)
    numeric = slope(lambda x: np.vdot(norm(x), dy), x, direction)
    np.testing.assert_allclose(np.vdot(dx, direction), numeric, rtol=1e-5, atol=1e-6)


@given(pool_cases())
def test_weighted_averages_are_scipys_correlations(case):
    dims = case.dims
    rng = np.random.default_rng(case.seed)
    weights = tuple(tuple(0.1 + rng.random(k)) for k in dims.k_)
    x, dy = arrays(case.seed, dims.input_shape, dims.output_shape)
    y, dx = np.full(dims.output_shape, np.nan), np.full(dims.input_shape, np.nan)
    reference.weighted_pool_forward(dims, x, y, weights)
    np.testing.assert_allclose(y, truth.weighted_pool_forward(dims, x, weights), atol=1e-12)
    reference.weighted_pool_backward(dims, dy, dx, weights)
    np.testing.assert_allclose(np.vdot(x, dx), np.vdot(y, dy), atol=1e-10)


def test_gaussian_weights_filter_as_scipys_gaussian_does():
    k, sigma = 9, 1.0
    dims = PoolDims.of((1, 20, 21, 1), k, 1)
    taps = tuple(np.exp(-((np.arange(k) - k // 2) ** 2) / (2 * sigma**2)))
    (x,) = arrays(0, dims.input_shape)
    y = np.empty(dims.output_shape)
    reference.weighted_pool_forward(dims, x, y, (taps, taps))
    expected = ndimage.gaussian_filter(x[0, ..., 0], sigma, radius=k // 2)[4:-4, 4:-4]
    np.testing.assert_allclose(y[0, ..., 0], expected, atol=1e-14)


@given(pool_cases(), st.sampled_from([0.0, 0.3]))
def test_indices_are_those_of_the_first_maxima(case, share_of_nan):
    dims = case.dims
    rng = np.random.default_rng(case.seed)
    x = rng.choice([-np.inf, -1.0, 0.0, 2.0], dims.input_shape)
    x[rng.random(x.shape) < share_of_nan] = np.nan
    y, indices = np.empty(dims.output_shape), np.full(dims.output_shape, -1)
    reference.max_pool_forward(dims, x, y)
    reference.max_pool_indices(dims, x, y, indices)
    for index, pixels in windows_by_hand(dims, x):
        _, *place, _ = pixels[int(np.argmax([x[p] for p in pixels]))]
        assert indices[index] == np.ravel_multi_index(place, dims.in_)


@given(window_dims(), seeds)
def test_windows_placed_one_by_one_are_slices(dims, seed):
    (x,) = arrays(seed, dims.input_shape)
    top = call(reference.max_pool_forward, dims, x, shape=dims.output_shape)
    mean = np.full(dims.output_shape, np.nan)
    reference.avg_pool_forward(dims, x, mean, True, 0.0)
    for n, *o, c in np.ndindex(*dims.output_shape):
        ends = zip(dims.starts_, dims.counts_, o, strict=True)
        window = x[(n, *(slice(a[i], a[i] + k[i]) for a, k, i in ends), c)]
        assert top[(n, *o, c)] == window.max()
        np.testing.assert_allclose(mean[(n, *o, c)], window.mean(), atol=1e-13)


def test_adaptive_windows_of_a_divisible_input_are_regular():
    regular, adaptive = PoolDims.of((2, 6, 9, 3), (2, 3)), WindowDims.adaptive((2, 6, 9, 3), (3, 3))
    x, dy = arrays(0, regular.input_shape, regular.output_shape)
    y = [call(reference.max_pool_forward, dims, x, shape=dy.shape) for dims in (regular, adaptive)]
    np.testing.assert_array_equal(*y)
    dx = [call(reference.max_pool_backward, dims, x, y[0], dy, shape=x.shape) for dims in (regular, adaptive)]
    np.testing.assert_array_equal(*dx)


def test_unpooling_worked_by_hand():
    x = np.array([[[5.0, 1.0], [6.0, 2.0]]])
    indices = np.array([[[3, 0], [3, 2]]])
    y = call(reference.max_unpool_forward, x, indices, shape=(1, 4, 2))
    np.testing.assert_array_equal(y, [[[0, 1], [0, 0], [0, 2], [6, 0]]])
    dx = call(reference.max_unpool_backward, np.arange(8.0).reshape(1, 4, 2), indices, shape=(1, 2, 2))
    np.testing.assert_array_equal(dx, [[[6, 1], [6, 5]]])

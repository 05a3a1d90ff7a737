"""Local response normalisation against the reference: windows wider than the channels, exponents, bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cpu import response_norm
from tests.kernels.guard import assert_same_bits, threads, written
from tests.strategies import arrays, dtypes, seeds

RELATIVE = {np.dtype(np.float32): 4e-6, np.dtype(np.float64): 1e-13}
exponents = st.sampled_from([0.5, 0.75, 1.0, 0.0, 0.6, 2.5])


def close(got, expected):
    bound = RELATIVE[got.dtype] * max(1.0, np.abs(expected).max(initial=0.0))
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound)


def check(shape, numbers, seed, dtype):
    x, dy = arrays(seed, shape, shape, dtype=dtype)
    expected = np.empty(shape)
    y = written(response_norm.local_response_norm_forward, x, *numbers, shapes=shape, dtype=dtype)
    reference.local_response_norm_forward(x, *numbers, expected)
    close(y, expected)
    dx = written(response_norm.local_response_norm_backward, x, dy, *numbers, shapes=shape, dtype=dtype)
    reference.local_response_norm_backward(x, dy, *numbers, expected)
    close(dx, expected)


@given(
    st.lists(st.integers(0, 6), max_size=3),
    st.integers(1, 40),
    st.integers(1, 14),
    st.floats(0, 3),
    exponents,
    seeds,
    dtypes,
)
def test_responses_of_any_shape_are_the_references(lead, c, size, alpha, beta, seed, dtype):
    check((*lead, c), (size, alpha, beta, 1.5), seed, dtype)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    ("shape", "size"), [((3, 27, 27, 96), 5), ((1, 40, 40, 3), 3), ((2, 9, 1500), 4), ((5, 2), 2000)]
)
def test_many_parts_and_strips_give_the_references_results(shape, size, count):
    with threads(count):
        check(shape, (size, 1.0, 0.75, 2.0), 1, np.float32)


def test_bits_do_not_depend_on_the_threads_or_the_run():
    x, dy = arrays(2, (5, 30, 30, 24), (5, 30, 30, 24), dtype=np.float32)

    def results():
        y, dx = np.empty_like(x), np.empty_like(x)
        response_norm.local_response_norm_forward(x, 5, 0.1, 0.75, 1.0, y)
        response_norm.local_response_norm_backward(x, dy, 5, 0.1, 0.75, 1.0, dx)
        return [y, dx]

    assert_same_bits(results)


@pytest.mark.parametrize("beta", [0.5, 0.75, 1.0, 0.9])
def test_nan_reaches_the_channels_whose_window_holds_it(beta):
    x = np.ones((2, 9), np.float32)
    x[0, 4] = np.nan
    y = written(
        response_norm.local_response_norm_forward, x, 4, 1.0, beta, 1.0, shapes=x.shape, dtype=x.dtype
    )
    assert np.isnan(y[0]).tolist() == [False] * 3 + [True] * 4 + [False] * 2  # two before it, one after
    assert np.isfinite(y[1]).all()

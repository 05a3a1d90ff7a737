import numpy as np
import pytest

from bench import truth
from numbacnn.dims import ConvDims
from numbacnn.kernels import reference

GEOMETRIES = [
    ((2, 9, 4), (3, 4, 5), {"stride": 2, "padding": ((1, 2),), "dilation": 2}),
    (
        (2, 7, 8, 6),
        (3, 2, 3, 4),
        {"stride": (2, 1), "padding": ((1, 0), (0, 2)), "dilation": (1, 3), "groups": 2},
    ),
    ((3, 6, 5, 4), (3, 3, 1, 8), {"padding": "same", "groups": 4}),
    ((2, 4, 5, 6, 3), (2, 3, 2, 3, 2), {"stride": (1, 2, 2), "padding": ((0, 1), (1, 1), (2, 0))}),
]


@pytest.mark.parametrize(("x_shape", "w_shape", "geometry"), GEOMETRIES)
def test_three_passes_agree_with_the_reference(x_shape, w_shape, geometry):
    dims, rng = ConvDims.of(x_shape, w_shape, **geometry), np.random.default_rng(0)
    x, w, dy = (rng.standard_normal(s) for s in (dims.input_shape, dims.kernel_shape, dims.output_shape))
    y, dx, dw = np.empty_like(dy), np.empty_like(x), np.empty_like(w)
    reference.conv_forward(dims, x, w, None, y)
    reference.conv_backward_data(dims, dy, w, dx)
    reference.conv_backward_weights(dims, x, dy, dw)
    np.testing.assert_allclose(truth.conv_forward(dims, x, w), y, atol=1e-12)
    np.testing.assert_allclose(truth.conv_backward_data(dims, dy, w), dx, atol=1e-12)
    np.testing.assert_allclose(truth.conv_backward_weights(dims, x, dy), dw, atol=1e-12)


def test_errors_are_relative_to_the_largest_output():
    expected = np.array([4.0, -8.0, 0.0])
    assert truth.relative_error(np.array([4.0, -8.0, 2.0]), expected) == 0.25
    assert truth.relative_error(np.array([4.0, np.nan, 0.0]), expected) == float("inf")

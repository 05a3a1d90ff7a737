"""Weighted average pooling in the simulator against the reference and its adjoint."""

import numpy as np
import pytest
from hypothesis import given, settings

from numbacnn.dims import PoolDims
from numbacnn.kernels import reference
from numbacnn.kernels.cuda import weighted_pool
from tests.cuda.arrays import computed
from tests.cuda.ways import close, cost, dtypes, made, ways
from tests.kernels.test_weighted_pool import weights_of
from tests.strategies import arrays, pool_cases

cases = pool_cases(most_channels=9).filter(lambda case: cost(case.dims) < 1000)


def passes(dims: PoolDims, x: np.ndarray, dy: np.ndarray, weights: tuple) -> tuple[np.ndarray, np.ndarray]:
    def forward(x, y):
        weighted_pool.weighted_pool_forward(dims, x, y, weights)

    def backward(dy, dx):
        weighted_pool.weighted_pool_backward(dims, dy, dx, weights)

    y = computed(forward, (x,), dims.output_shape, x.dtype)
    return y, computed(backward, (dy,), dims.input_shape, x.dtype)


def check(dims: PoolDims, seed: int, dtype: np.dtype) -> None:
    weights = weights_of(dims, seed)
    x, dy = arrays(seed, dims.input_shape, dims.output_shape, dtype=dtype)
    y, dx = np.empty(dims.output_shape), np.empty(dims.input_shape)
    reference.weighted_pool_forward(dims, x, y, weights)
    reference.weighted_pool_backward(dims, dy, dx, weights)
    for got, expected in zip(passes(dims, x, dy, weights), (y, dx), strict=True):
        close(got, expected)


@settings(max_examples=20)
@given(cases, dtypes, ways)
def test_averages_of_any_geometry_are_the_references(case, dtype, way):
    with made(way):
        check(case.dims, case.seed, dtype)


@pytest.mark.parametrize("way", ["blocks", "splits"])
@pytest.mark.parametrize("shape", [(1, 4, 6, 8), (2, 3, 4, 3, 2)])
def test_large_windows_are_the_references_in_any_way(way, shape):
    kernel = tuple(size - 1 for size in shape[1:-1])
    with made(way):
        check(PoolDims.of(shape, kernel, 2, 1), 2, np.dtype(np.float32))


@settings(max_examples=10)
@given(cases)
def test_the_average_and_its_gradient_are_adjoint(case):
    x, dy = arrays(case.seed, case.dims.input_shape, case.dims.output_shape)
    y, dx = passes(case.dims, x, dy, weights_of(case.dims, case.seed))
    assert np.vdot(x, dx) == pytest.approx(np.vdot(y, dy), abs=1e-9)

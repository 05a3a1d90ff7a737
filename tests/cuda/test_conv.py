"""Convolution kernels of the GPU in the simulator, against the reference in float64."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings

from numbacnn.config import config
from numbacnn.kernels import reference
from numbacnn.kernels.cuda import conv
from tests.strategies import conv_cases

from .arrays import computed

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
#: Relative to the sum of absolute products: rounding of operands and, in 16 bits, of results.
BOUNDS = {"float64": 4e-15, "exact": 2e-6, "tf32": 1e-3, "float16": 1e-3, "bfloat16": 1e-2}
KINDS = list(BOUNDS)


def typed(kind):
    """The arrays' type and the precision to ask for."""
    if kind in ("exact", "tf32"):
        return np.dtype(np.float32), kind
    return (BFLOAT16 if kind == "bfloat16" else np.dtype(kind)), "default"


def drawn(seed, dtype, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def check(name, dims, kind, shape, *args, module=conv, oracle=None):
    """The pass gives the reference's result, within the kind's bound."""
    dtype, precision = typed(kind)
    before = [dims] if dims is not None else []
    with config.precision_as(precision):
        got = computed(getattr(module, name), (*before, *args), shape, dtype).astype(np.float64)
    wide = [a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in args]
    expected, size = np.empty(shape), np.empty(shape)
    (oracle or getattr(reference, name))(*before, *wide, expected)
    magnitudes = [abs(a) if isinstance(a, np.ndarray) else a for a in wide]
    (oracle or getattr(reference, name))(*before, *magnitudes, size)
    assert not np.isnan(got).any(), "not all is written"
    error = np.abs(got - expected).max(initial=0)
    assert error <= BOUNDS[kind] * size.max(initial=0), f"{name}: {error} of {size.max(initial=0)}"
    return got


def check_passes(dims, kind, seed=3):
    dtype, _ = typed(kind)
    x, w, b, dy = drawn(seed, dtype, dims.input_shape, dims.kernel_shape, (dims.c_out,), dims.output_shape)
    check("conv_forward", dims, kind, dims.output_shape, x, w, b)
    check("conv_backward_data", dims, kind, dims.input_shape, dy, w)
    check("conv_backward_weights", dims, kind, dims.kernel_shape, x, dy)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=3)
@given(case=conv_cases())
def test_every_geometry_gives_the_references_results(kind, case):
    check_passes(case.dims, kind, case.seed)

"""Normalisations of single examples on a simulated GPU, against the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cuda import group_norm, layer_norm, memory, response_norm
from numbacnn.layers import GroupNorm, LayerNorm
from numbacnn.tensor import as_tensor
from tests.strategies import seeds

from .arrays import computed, put
from .both import BFLOAT16, ROUNDING, both, double, normal, types

F16, F32, F64 = np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64)
RELATIVE = {F32: 4e-6, F64: 1e-13, F16: 2 * ROUNDING[F16], BFLOAT16: 2 * ROUNDING[BFLOAT16]}
FILES = {"group": group_norm, "layer": layer_norm}


def exact_of(dtype):
    return F64 if dtype == F64 else F32


def close(got, expected, dtype, size=1.0):
    bound = RELATIVE[dtype] * max(1.0, np.abs(expected).max(initial=0.0)) * size
    np.testing.assert_allclose(double(got), expected, rtol=0, atol=bound)


def check_norm(kind, shape, lead, dtype, seed, scale=True, shift=True, far=0.0):
    """Forward pass and all gradients: of groups, or of rows of so many leading axes."""
    inner = shape[-1:] if kind == "group" else shape[lead:]
    kept = (shape[0], lead, 2) if kind == "group" else (*shape[:lead], 2)
    x, dy = (normal(seed + i, shape, dtype) for i in (0, 1))
    x = (double(x) + far).astype(dtype)
    gamma = normal(seed + 2, inner, dtype) if scale else None
    beta = normal(seed + 3, inner, dtype) if shift else None
    exact = exact_of(dtype)
    forward, backward = (getattr(FILES[kind], f"{kind}_norm_{way}") for way in ("forward", "backward"))

    def optional(array):
        return None if array is None else put(array)

    def ran_forward():
        y, statistics = memory.empty(shape, dtype), memory.empty(kept, exact)
        forward(put(x), optional(gamma), optional(beta), 1e-3, y, statistics)
        return [y.numpy(), statistics.numpy()]

    y, statistics = both(ran_forward)
    args = double(x), None if gamma is None else double(gamma), None if beta is None else double(beta)
    expected, moments = np.empty(shape), np.empty(kept)
    getattr(reference, f"{kind}_norm_forward")(*args, 1e-3, expected, moments)
    close(y, expected, dtype)
    close(statistics, moments, exact)

    def ran_backward():
        outs = memory.empty(shape, dtype), memory.empty(inner, exact), memory.empty(inner, exact)
        backward(put(x), put(statistics), optional(gamma), put(dy), *outs)
        return [out.numpy() for out in outs]

    results = both(ran_backward)
    wanted = np.empty(shape), np.empty(inner), np.empty(inner)
    getattr(reference, f"{kind}_norm_backward")(args[0], double(statistics), args[1], double(dy), *wanted)
    close(results[0], wanted[0], dtype)
    for got, want in zip(results[1:], wanted[1:], strict=True):
        close(got, want, exact)


def check_response(shape, numbers, dtype, seed):
    x, dy = (normal(seed + i, shape, dtype) for i in (0, 1))
    y = computed(lambda x, y: response_norm.local_response_norm_forward(x, *numbers, y), (x,), shape, dtype)
    expected = np.empty(shape)
    reference.local_response_norm_forward(double(x), *numbers, expected)
    close(y, expected, dtype)

    def backward(x, dy, dx):
        response_norm.local_response_norm_backward(x, dy, *numbers, dx)

    reference.local_response_norm_backward(double(x), double(dy), *numbers, expected)
    close(computed(backward, (x, dy), shape, dtype), expected, dtype)


pixels = st.lists(st.integers(1, 5), max_size=3)


@settings(max_examples=8)
@given(st.integers(0, 2), pixels, st.integers(1, 4), st.integers(1, 5), types, seeds, st.booleans())
def test_groups_of_any_shape_are_the_references(n, in_, groups, per, dtype, seed, scale):
    check_norm("group", (n, *in_, groups * per), groups, dtype, seed, scale, shift=not scale)


@settings(max_examples=8)
@given(st.lists(st.integers(0, 3), max_size=2), st.integers(1, 40), types, seeds, st.booleans())
def test_rows_of_any_shape_are_the_references(lead, size, dtype, seed, scale):
    check_norm("layer", (2, *lead, size), 1 + len(lead), dtype, seed, scale, shift=not scale)


@settings(max_examples=8)
@given(pixels, st.integers(1, 20), st.integers(1, 7), st.sampled_from([0.5, 0.75, 1.0, 0.6]), types, seeds)
def test_responses_of_any_shape_are_the_references(in_, c, size, beta, dtype, seed):
    check_response((*in_, c), (size, 1.5, beta, 2.0), dtype, seed)


@pytest.mark.parametrize("dtype", [F32, BFLOAT16], ids=str)
def test_several_chunks_of_pixels_and_tiles_of_channels(dtype):
    check_norm("group", (1, 300, 40), 2, dtype, 3)
    check_norm("group", (2, 270, 3), 3, dtype, 4)


def test_many_channels_of_a_group_are_joined_by_a_block():
    check_norm("group", (1, 2, 600), 1, F32, 5)


@pytest.mark.parametrize("size", [1, 2, 33, 700, 1500])
def test_rows_of_each_layout(size):
    check_norm("layer", (3 if size < 1000 else 1, size), 1, F32, size)


def test_rows_past_what_registers_hold_are_read_again():
    check_norm("layer", (1, 4500), 1, F64, 2)


@pytest.mark.parametrize("kind", ["group", "layer"])
def test_a_mean_far_from_0_costs_no_places_of_the_variance(kind):
    shape = (1, 260, 4) if kind == "group" else (2, 900)
    x = (1e4 + normal(1, shape, F32)).astype(np.float32)
    kept = (1, 2, 2) if kind == "group" else (2, 2)
    y, statistics = memory.empty(shape, F32), memory.empty(kept, F32)
    getattr(FILES[kind], f"{kind}_norm_forward")(put(x), None, None, 1e-5, y, statistics)
    expected, moments = np.empty(shape), np.empty(kept)
    getattr(reference, f"{kind}_norm_forward")(x, None, None, 1e-5, expected, moments)
    np.testing.assert_allclose(statistics.numpy(), moments, rtol=1e-6)
    np.testing.assert_allclose(y.numpy(), expected, atol=3e-6)


@pytest.mark.parametrize("layer", [GroupNorm(2), LayerNorm(2)], ids=["group", "layer"])
def test_a_layer_in_sixteen_bits_keeps_its_parameters_and_their_gradients_in_float32(layer):
    layer.build((3, 4, 6), np.random.default_rng(0))
    x = normal(0, (2, 3, 4, 6), F32)
    expected = layer(x).numpy()
    half = as_tensor(x, device="cuda").astype("bfloat16")
    y, saved = layer.to("cuda", "bfloat16").forward(half, training=True)
    dx = layer.backward(y, saved)
    assert y.dtype.name == dx.dtype.name == "bfloat16"
    assert layer.gamma.grad.dtype == layer.beta.grad.dtype == np.float32
    np.testing.assert_allclose(y.astype(np.float32).numpy(), expected, atol=5e-2)

"""Group and layer normalisation against the reference: geometry, means far from 0, bits over threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn.kernels import reference
from numbacnn.kernels.cpu import group_norm, layer_norm
from tests.kernels.guard import assert_same_bits, threads, written
from tests.strategies import arrays, dtypes, seeds

RELATIVE = {np.dtype(np.float32): 4e-6, np.dtype(np.float64): 1e-13}
FILES = {"group": group_norm, "layer": layer_norm}
pixels = st.lists(st.integers(1, 9), max_size=3)


def close(got, expected, size=1.0):
    bound = RELATIVE[got.dtype] * max(1.0, np.abs(expected).max(initial=0.0)) * size
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound)


def shapes_of(kind, shape, lead):
    """What is normalised alike, and the statistics: of so many groups, or of so many leading axes."""
    if kind == "group":
        return shape[-1:], (shape[0], lead, 2)
    return shape[lead:], (*shape[:lead], 2)


def check(kind, shape, lead, seed, dtype, scale=True, shift=True):
    inner, kept = shapes_of(kind, shape, lead)
    x, dy, gamma, beta = arrays(seed, shape, shape, inner, inner, dtype=dtype)
    x += dtype(0.5)
    gamma, beta = gamma if scale else None, beta if shift else None
    forward, backward = (getattr(FILES[kind], f"{kind}_norm_{way}") for way in ("forward", "backward"))
    y, statistics = written(forward, x, gamma, beta, 1e-3, shapes=[shape, kept], dtype=dtype)
    expected, moments = np.empty(shape), np.empty(kept)
    getattr(reference, f"{kind}_norm_forward")(x, gamma, beta, 1e-3, expected, moments)
    close(y, expected)
    close(statistics, moments)
    results = written(backward, x, statistics, gamma, dy, shapes=[shape, inner, inner], dtype=dtype)
    wanted = np.empty(shape), np.empty(inner), np.empty(inner)
    getattr(reference, f"{kind}_norm_backward")(x, statistics, gamma, dy, *wanted)
    close(results[0], wanted[0])
    terms = np.sqrt(max(1, x.size // max(1, wanted[1].size)))
    for got, want in zip(results[1:], wanted[1:], strict=True):
        close(got, want, size=terms)


@given(st.integers(0, 3), pixels, st.integers(1, 5), st.integers(1, 9), seeds, dtypes, st.booleans())
def test_groups_of_any_shape_are_the_references(n, in_, groups, per, seed, dtype, scale):
    check("group", (n, *in_, groups * per), groups, seed, dtype, scale, shift=not scale)


@given(pixels, pixels, st.integers(1, 70), seeds, dtypes, st.booleans())
def test_rows_of_any_shape_are_the_references(lead, inner, size, seed, dtype, scale):
    check("layer", (2, *lead, *inner, size), 1 + len(lead), seed, dtype, scale, shift=not scale)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    ("kind", "shape", "lead"),
    [
        ("group", (2, 41, 37, 24), 8),  # some chunks, the last row short
        ("group", (1, 64, 64, 16), 4),  # one example for all threads
        ("group", (3, 33, 31, 3), 3),  # pixels together
        ("group", (5, 9, 1100), 2),  # rows wider than the target
        ("group", (9, 1, 64), 4),
        ("layer", (3000, 24), 1),  # many parts of rows
        ("layer", (9, 9001), 1),  # few rows, of several blocks
        ("layer", (0, 600), 1),
        ("layer", (2, 0, 600), 2),
    ],
)
def test_parts_and_chunks_give_the_references_results(kind, shape, lead, count):
    with threads(count):
        check(kind, shape, lead, 1, np.float32)


def test_bits_do_not_depend_on_the_threads_or_the_run():
    cases = [("group", (3, 40, 40, 24), 4), ("group", (8, 20, 20, 7), 7), ("layer", (700, 130), 1)]
    cases += [("layer", (10, 5000), 1)]

    def results():
        out = []
        for kind, shape, lead in cases:
            inner, kept = shapes_of(kind, shape, lead)
            x, dy, gamma, beta = arrays(4, shape, shape, inner, inner, dtype=np.float32)
            y, statistics, dx = np.empty_like(x), np.empty(kept, np.float32), np.empty_like(x)
            dgamma, dbeta = np.empty_like(gamma), np.empty_like(beta)
            getattr(FILES[kind], f"{kind}_norm_forward")(x, gamma, beta, 1e-5, y, statistics)
            getattr(FILES[kind], f"{kind}_norm_backward")(x, statistics, gamma, dy, dx, dgamma, dbeta)
            out += [y, statistics, dx, dgamma, dbeta]
        return out

    assert_same_bits(results)


@pytest.mark.parametrize(
    ("kind", "shape", "lead"),
    [
        ("group", (1, 260, 4), 2),
        ("group", (2, 50, 50, 64), 4),
        ("group", (3, 70, 3), 3),
        ("layer", (10, 64), 1),
        ("layer", (3, 20_000), 1),
    ],
)
def test_a_mean_far_from_0_costs_no_places(kind, shape, lead):
    x = arrays(1, shape)[0]
    x = (1e4 + x).astype(np.float32)
    kept = shapes_of(kind, shape, lead)[1]
    y, statistics = np.empty_like(x), np.empty(kept, np.float32)
    getattr(FILES[kind], f"{kind}_norm_forward")(x, None, None, 1e-5, y, statistics)
    expected, moments = np.empty(shape), np.empty(kept)
    getattr(reference, f"{kind}_norm_forward")(x, None, None, 1e-5, expected, moments)
    np.testing.assert_allclose(statistics, moments, rtol=5e-7)
    np.testing.assert_allclose(y, expected, rtol=0, atol=4e-6)


@pytest.mark.parametrize(("kind", "shape", "lead"), [("group", (2, 5, 6), 2), ("layer", (2, 30), 1)])
def test_constant_values_give_the_shift_and_nan_stays_within_its_statistic(kind, shape, lead):
    x = np.full(shape, 3.0, np.float32)
    x[1].flat[0] = np.nan
    y, statistics = np.empty_like(x), np.empty(shapes_of(kind, shape, lead)[1], np.float32)
    getattr(FILES[kind], f"{kind}_norm_forward")(x, None, None, 1e-2, y, statistics)
    assert (y[0] == 0).all()
    np.testing.assert_allclose(statistics[0].reshape(-1, 2), [[3.0, 10.0]] * (lead if kind == "group" else 1))
    if kind == "layer":
        assert np.isnan(y[1]).all()
    else:
        assert np.isnan(y[1, :, :3]).all() and (y[1, :, 3:] == 0).all()

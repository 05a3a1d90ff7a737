"""Augmentation against what is plain to compute: identity, shifts, quarter turns, a scalar loop."""

import numpy as np
import pytest

from numbacnn._jit import get_num_threads, set_num_threads
from numbacnn.data import Augment, warp
from numbacnn.errors import ArgumentError, DTypeError, ShapeError


def images(n=9, height=11, width=8, channels=2, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal((n, height, width, channels)).astype(dtype)


def shift_matrices(n, down, right):
    return np.tile(np.array([[1.0, 0.0, -down], [0.0, 1.0, -right]]), (n, 1, 1))


def warp_slowly(x, matrices, fill):
    """The definition, one pixel at a time, in float64."""
    _, height, width, channels = x.shape
    y = np.empty(x.shape)

    def pixel(image, i, j):
        inside = 0 <= i < height and 0 <= j < width
        return image[i, j].astype(np.float64) if inside else np.full(channels, fill)

    for image, m, out in zip(x, matrices, y, strict=True):
        for i in range(height):
            for j in range(width):
                row, column = m @ [i, j, 1]
                top, left = int(np.floor(row)), int(np.floor(column))
                p, q = row - top, column - left
                upper = (1 - q) * pixel(image, top, left) + q * pixel(image, top, left + 1)
                lower = (1 - q) * pixel(image, top + 1, left) + q * pixel(image, top + 1, left + 1)
                out[i, j] = (1 - p) * upper + p * lower
    return y


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_identity_gives_the_identical_image(dtype):
    x = images(dtype=dtype)
    y = Augment(shift=0, rotation=0, scale=0, fill=5.0)(x, np.random.default_rng(0))
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, x)
    assert not np.shares_memory(x, y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("down", "right"), [(1, 0), (0, -2), (-3, 2), (20, 0), (0, -8)])
def test_whole_shifts_equal_roll_with_the_fill_moved_in(dtype, down, right):
    x = images(dtype=dtype)
    expected = np.roll(x, (down, right), axis=(1, 2))
    rows, columns = np.arange(x.shape[1])[:, None] - down, np.arange(x.shape[2]) - right
    came_from = (rows >= 0) & (rows < x.shape[1]) & (columns >= 0) & (columns < x.shape[2])
    expected[:, ~came_from] = 0.25
    np.testing.assert_array_equal(warp(x, shift_matrices(len(x), down, right), 0.25), expected)


def test_a_quarter_turn_equals_rot90():
    x = images(height=7, width=7)
    quarter = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 6.0]])
    y = warp(x, np.tile(quarter, (len(x), 1, 1)))
    np.testing.assert_array_equal(y, np.rot90(x, axes=(1, 2)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_matrices_agree_with_the_definition(dtype, channels):
    x = images(5, 9, 12, channels, dtype)
    matrices = Augment(shift=3, rotation=40, scale=0.5).matrices(5, 9, 12, np.random.default_rng(1))
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(warp(x, matrices, -1.5), warp_slowly(x, matrices, -1.5), atol=tolerance)


def test_the_drawn_amounts_stay_in_their_ranges_and_use_them():
    augment = Augment(shift=2, rotation=10, scale=0.1)
    m = augment.matrices(4000, 28, 28, np.random.default_rng(0))
    linear = m[:, :, :2]
    factor = np.sqrt(np.linalg.det(linear)) ** -1
    angle = np.rad2deg(np.arctan2(linear[:, 0, 1], linear[:, 0, 0]))
    centre = np.array([13.5, 13.5])
    shift = centre - np.linalg.solve(linear, (centre - m[:, :, 2])[..., None])[..., 0]
    for values, least, most in ((factor, 1 / 1.1, 1.1), (angle, -10, 10), (shift, -2, 2)):
        assert least - 1e-9 <= values.min() < least + 0.02 * (most - least)
        assert most - 0.02 * (most - least) < values.max() <= most + 1e-9


def test_one_seed_gives_one_result_for_any_number_of_threads():
    x, augment, before = images(64, 28, 28, 1), Augment(), get_num_threads()
    try:
        results = []
        for threads in (1, 2) if before > 1 else (1, 1):
            set_num_threads(threads)
            results.append(augment(x, np.random.default_rng(3)))
    finally:
        set_num_threads(before)
    np.testing.assert_array_equal(*results)
    assert not np.array_equal(results[0], augment(x, np.random.default_rng(4)))


def test_an_empty_batch_passes():
    assert Augment()(images(0), np.random.default_rng(0)).shape == (0, 11, 8, 2)


def test_images_that_do_not_lie_contiguously():
    x = images(6)
    m = shift_matrices(3, 1, 1)
    np.testing.assert_array_equal(warp(x[::2], m), warp(x[::2].copy(), m))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_no_matrix_reads_outside_the_image(value):
    x = images(3, 5, 4, 1)
    y = warp(x, np.full((3, 2, 3), value), 0.5)
    allowed = np.concatenate([x.reshape(-1), [np.float32(0.5)]])
    assert np.isin(y, allowed).all()


@pytest.mark.parametrize("bad", [{"shift": -1}, {"rotation": float("nan")}, {"scale": float("inf")}])
def test_amounts_out_of_range_are_refused(bad):
    with pytest.raises(ArgumentError, match=f"Augment.{next(iter(bad))}"):
        Augment(**bad)


def test_warp_refuses_what_is_no_batch_of_images():
    with pytest.raises(ShapeError, match=r"\(N, H, W, C\)"):
        warp(images()[0], shift_matrices(1, 0, 0))
    with pytest.raises(ShapeError, match=r"\(9, 2, 3\)"):
        warp(images(), shift_matrices(8, 0, 0))
    with pytest.raises(DTypeError, match="uint8"):
        warp(np.zeros((1, 2, 2, 1), np.uint8), shift_matrices(1, 0, 0))

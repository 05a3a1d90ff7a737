"""Resizing and pixel shuffle: gradients, values, arguments."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError, ShapeError
from numbacnn.layers import PixelShuffle, PixelUnshuffle, Upsample1D, Upsample2D, Upsample3D
from tests.layers.check import again, assert_gradients, values


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Upsample1D(1.5), (2, 5, 2)),
        (Upsample1D(size=3, mode="linear"), (2, 5, 2)),
        (Upsample2D((2, 3)), (1, 3, 2, 2)),
        (Upsample2D(2, mode="linear"), (1, 3, 2, 2)),
        (Upsample2D(size=(5, 2), mode="linear", align_corners=True), (1, 3, 4, 2)),
        (Upsample3D((1, 2, 0.5), mode="linear"), (1, 2, 2, 4, 1)),
        (PixelShuffle((2, 1)), (2, 2, 3, 4)),
        (PixelShuffle(3), (2, 2, 6)),
        (PixelUnshuffle((1, 2, 3)), (1, 2, 4, 3, 2)),
        (PixelUnshuffle(2), (2, 4, 2, 3)),
    ],
)
def test_gradients_match_differences(layer, shape):
    assert_gradients(again(layer), values(shape))


def test_values():
    x = np.arange(4.0).reshape(1, 2, 2, 1)
    twice = Upsample2D(2)
    assert twice.build((2, 2, 1), None, np.float64) == (4, 4, 1)
    np.testing.assert_array_equal(twice(x).numpy(), x.repeat(2, axis=1).repeat(2, axis=2))
    line = Upsample1D(2, mode="linear")
    assert line.build((2, 1), None, np.float64) == (4, 1)
    np.testing.assert_allclose(line(np.array([[[0.0], [4.0]]])).numpy().reshape(-1), [0, 1, 3, 4])
    finer, coarser = PixelShuffle(2), PixelUnshuffle(2)
    assert finer.build((2, 3, 8), None, np.float64) == (4, 6, 2)
    assert coarser.build((4, 6, 2), None, np.float64) == (2, 3, 8)
    x = values((2, 2, 3, 8))
    np.testing.assert_array_equal(coarser(finer(x)).numpy(), x)
    np.testing.assert_array_equal(finer(x).numpy()[0, :2, :2, 1].reshape(-1), x[0, 0, 0, 4:])


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: Upsample2D(name="up"), ArgumentError, "scale or size, got neither"),
        (lambda: Upsample2D(2, size=4, name="up"), ArgumentError, "scale or size, got both"),
        (lambda: Upsample2D((1, 2, 3), name="up"), ArgumentError, "scale as one finite number above 0 or 2"),
        (lambda: Upsample2D(0, name="up"), ArgumentError, "scale as one finite number"),
        (lambda: Upsample2D(2, mode="cubic", name="up"), ArgumentError, "mode"),
        (lambda: Upsample2D(2, align_corners=True, name="up"), ArgumentError, "align_corners"),
        (lambda: Upsample2D(0.2, name="up").build((4, 8, 1), None), ShapeError, "leaves a pixel"),
        (lambda: PixelShuffle(0, name="up"), ArgumentError, "block"),
        (lambda: PixelShuffle(2, name="up").build((4, 4, 6), None), ShapeError, "multiples of 4"),
        (lambda: PixelShuffle((2, 2), name="up").build((4, 4), None), ShapeError, "height, width"),
        (lambda: PixelUnshuffle(2, name="up").build((4, 3, 1), None), ShapeError, "multiples of the block"),
        (lambda: PixelUnshuffle(2, name="up").build((4,), None), ShapeError, "positive shape"),
    ],
)
def test_errors_name_the_layer(make, error, said):
    with pytest.raises(error, match=f"up: expected .*{said}"):
        make()

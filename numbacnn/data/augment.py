"""Augmentation: each image of a batch is turned, scaled and shifted a little, at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._jit import jit, kernel, parts_for, run, split
from ..errors import ArgumentError, DTypeError, ShapeError, message
from ..tensor import empty

_IMAGES_PER_PART = 4
_NANOSECONDS_PER_VALUE = 3.0


@jit
def _frame(image, fill, page):
    # image (H, W, C) read; page (H + 3, W + 3, C) written: the image from pixel (1, 1) on, fill around it
    height, width, channels = image.shape
    page[0], page[height + 1 :] = fill, fill
    for i in range(height):
        row = page[i + 1]
        row[0], row[width + 1 :] = fill, fill
        for j in range(width):
            for c in range(channels):
                row[j + 1, c] = image[i, j, c]


@jit
def _warp_part(part, parts, x, matrices, fill, pages, flat_pages, y):
    # x (N, H, W, C), matrices (N, 2, 3) read; y (N, H, W, C) written; pages (parts, H + 3, W + 3, C) scratch,
    # flat_pages the same memory, a row per part
    lo, hi = split(part, parts, x.shape[0])
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    pixels, one = flat_pages[part], x.dtype.type(1)
    step = (width + 3) * channels
    next_row, next_column = np.uintp(step), np.uintp(channels)
    lowest, rightmost = height + 1.0, width + 1.0
    for n in range(lo, hi):
        _frame(x[n], fill, pages[part])
        out, m = y[n], matrices[n]
        for i in range(height):
            row0, column0 = m[0, 0] * i + m[0, 2] + 1.0, m[1, 0] * i + m[1, 2] + 1.0
            row_step, column_step = m[0, 1], m[1, 1]
            for j in range(width):
                # From one pixel outside the image on everything is fill: clamped there, no pixel is tested
                # for. A NaN compares false and becomes 0: no matrix leads out of the page.
                row, column = row0 + row_step * j, column0 + column_step * j
                row = row if row > 0.0 else 0.0
                row = row if row < lowest else lowest
                column = column if column > 0.0 else 0.0
                column = column if column < rightmost else rightmost
                top, left = int(row), int(column)
                down, right = x.dtype.type(row - top), x.dtype.type(column - left)
                k = np.uintp(top * step + left * channels)
                for c in range(channels):
                    upper = (one - right) * pixels[k] + right * pixels[k + next_column]
                    lower = (one - right) * pixels[k + next_row] + right * pixels[k + next_row + next_column]
                    out[i, j, c] = (one - down) * upper + down * lower
                    k += np.uintp(1)


@kernel
def _warp(team, parts, x, matrices, fill, pages, flat_pages, y):
    run(team, _warp_part, parts, (x, matrices, fill, pages, flat_pages, y))


def warp(x: np.ndarray, matrices: np.ndarray, fill: float = 0.0) -> np.ndarray:
    """``y[n, i, j] = x[n, row, column]``, ``(row, column) = M[n] (i, j, 1)``, bilinear between pixels.

    Args:
        x: (N, H, W, C) float32 or float64, finite.
        matrices: (N, 2, 3) float64: for each output pixel, where in the input it comes from, in pixels.
        fill: what the input is taken to be outside its frame.

    Returns:
        An array of x's shape and dtype. Where a source falls on a pixel, that pixel exactly.

    Raises:
        ShapeError: x has not four axes, or there is not one 2x3 matrix for each image.
        DTypeError: x is neither float32 nor float64.

    """
    if x.ndim != 4:
        raise ShapeError(
            message("warp", "images of shape (N, H, W, C)", str(x.shape), "add the missing axes")
        )
    if x.dtype not in (np.float32, np.float64):
        raise DTypeError(message("warp", "float32 or float64", str(x.dtype), "cast the images"))
    if matrices.shape != (len(x), 2, 3):
        expected = f"matrices of shape {(len(x), 2, 3)}"
        raise ShapeError(message("warp", expected, str(matrices.shape), "give one for each image"))
    n, height, width, channels = x.shape
    parts = parts_for(n, _IMAGES_PER_PART)
    y = empty(x.shape, x.dtype).numpy()
    pages = empty((parts, height + 3, width + 3, channels), x.dtype).numpy()
    x, matrices = np.ascontiguousarray(x), np.ascontiguousarray(matrices, np.float64)
    scratch = pages, pages.reshape(parts, -1)
    _warp(_NANOSECONDS_PER_VALUE * x.size, parts, x, matrices, x.dtype.type(fill), *scratch, y)
    return y


@dataclass(frozen=True)
class Augment:
    """Turn, scale and shift each image by amounts drawn evenly from small ranges.

    Attributes:
        shift: the most that an image moves up or down, and left or right, in pixels.
        rotation: the most that it turns either way about its centre, in degrees.
        scale: the most that it grows or shrinks: the factor lies in ``[1 / (1 + scale), 1 + scale]``.
        fill: what moves in from outside the image: the value of a background pixel.

    """

    shift: float = 2.0
    rotation: float = 10.0
    scale: float = 0.1
    fill: float = 0.0

    def __post_init__(self) -> None:
        for name in ("shift", "rotation", "scale"):
            value = getattr(self, name)
            if not 0 <= value < np.inf:
                raise ArgumentError(
                    message(f"Augment.{name}", "a finite number, 0 or more", repr(value), "0 switches it off")
                )

    def matrices(self, n: int, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
        """Draw one map per image from output to input pixels: (n, 2, 3) float64, as `warp` takes them."""
        angle = np.deg2rad(rng.uniform(-self.rotation, self.rotation, n))
        # Even in the logarithm: growing by a factor is as likely as shrinking by it
        factor = np.exp(rng.uniform(-1.0, 1.0, n) * np.log1p(self.scale))
        down, right = rng.uniform(-self.shift, self.shift, (2, n))
        cos, sin = np.cos(angle) / factor, np.sin(angle) / factor
        row, column = (height - 1) / 2, (width - 1) / 2  # the centre stays, but for the shift
        matrices = np.empty((n, 2, 3))
        matrices[:, 0] = np.stack([cos, sin, row - cos * (row + down) - sin * (column + right)], axis=1)
        matrices[:, 1] = np.stack([-sin, cos, column + sin * (row + down) - cos * (column + right)], axis=1)
        return matrices

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the batch (N, H, W, C), each image changed by amounts that `rng` draws."""
        n, height, width = x.shape[:3]
        return warp(x, self.matrices(n, height, width, rng), self.fill)

"""Image files as model inputs: read through Pillow, made grey or colour, inverted, centred, resized."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..errors import ArgumentError, FileFormatError, ShapeError, message, require

_INK = 0.2  # share of the image's contrast above which a pixel counts as ink rather than paper

_FAINTEST = 12.0  # of 255: less contrast is an empty page
_WORKING_SIZE = 256  # pixels along the longer side, enough to find a drawing


def read_image(path: str | os.PathLike[str], channels: int = 1) -> np.ndarray:
    """Read an image file: (H, W, channels) float32 from 0 (black) to 255 (white).

    Palettes, 1-bit, 16-bit, CMYK and rotated camera files are converted. Transparent pixels take
    whichever of black and white the drawing stands out from.

    Args:
        path: a file of any format that Pillow reads.
        channels: 1 for grey (luma of ITU-R 601), 3 for red, green, blue.

    Returns:
        The image, C-contiguous.

    Raises:
        FileFormatError: not an image, or one that is truncated or corrupt.
        MissingExtraError: Pillow is not installed.
        ArgumentError: channels is neither 1 nor 3.
        OSError: the file cannot be opened.

    """
    if channels not in (1, 3):
        raise ArgumentError(message("read_image", "1 or 3 channels", str(channels), "choose grey or colour"))
    pillow = require("PIL.Image", extra="demo", purpose="reading image files")
    operations = require("PIL.ImageOps", extra="demo", purpose="reading image files")
    with open(path, "rb") as file:  # noqa: PTH123  (a missing file is an OSError of its own, not a bad image)
        try:
            with pillow.open(file) as image:
                return _pixels(operations.exif_transpose(image), channels)
        # Pillow's decoders raise whatever a corrupt file leads them into
        except Exception as error:
            detail = str(error).partition(" <_io")[0] or type(error).__name__
            raise FileFormatError(
                message(str(path), "an image file", detail, "convert it to PNG or JPEG anew")
            ) from error


def _pixels(image: Any, channels: int) -> np.ndarray:
    if image.mode.startswith(("I", "F")):  # 16 bits and more: Pillow would clip them at 255
        values = np.asarray(image, np.float32)
        if not np.isfinite(values).all():
            raise ValueError("pixels that are NaN or infinite")
        top = 65535.0 if values.max(initial=0) > 255 else 255.0
        return np.repeat((values * np.float32(255 / top))[..., None], channels, axis=2)
    if "A" in image.mode or "transparency" in image.info:
        return _flatten(np.asarray(image.convert("RGBA"), np.float32), channels)
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"), np.float32)
    return np.ascontiguousarray(pixels.reshape(*pixels.shape[:2], channels))


def _flatten(rgba: np.ndarray, channels: int) -> np.ndarray:
    """Lay a partly transparent image (H, W, 4) on white, or on black where the drawing is light."""
    colour, alpha = rgba[..., :3], rgba[..., 3:] / 255
    luma = np.array([0.299, 0.587, 0.114], np.float32)
    weight = float(alpha.sum())
    light = weight > 0 and float(((colour @ luma) * alpha[..., 0]).sum()) / weight > 127.5
    flat = colour * alpha + (0.0 if light else 255.0) * (1 - alpha)
    return np.ascontiguousarray((flat @ luma)[..., None] if channels == 1 else flat, np.float32)


def prepare_image(
    image: np.ndarray,
    height: int,
    width: int,
    *,
    background: str | None = "dark",
    content: int | None = None,
) -> np.ndarray:
    """Bring an image into the form that a model was trained on: (height, width, C) float32, 0..255.

    In order: inverted where its border says that its background is the other one; where ``content`` is
    given, evened out in light and contrast and cropped to what is drawn, which is scaled to that size and
    laid with its centre of mass in the middle (its box, where the size leaves no room to move it); else
    scaled to fit and padded with its background. An image of the right size already is only inverted.

    Args:
        image: (H, W, C) of any size, 0..255.
        height: rows of the model's input.
        width: columns of the model's input.
        background: "dark" or "light", as in the training images; None never inverts.
        content: pixels along the drawing's longer side, for data sets cropped so (MNIST: 20); or None.

    Returns:
        The prepared image.

    Raises:
        ShapeError: the image has not three axes, or an empty one.
        ArgumentError: another name for the background.

    Source: the centring is MNIST's own, Y. LeCun et al., "The MNIST database".

    """
    if image.ndim != 3 or min(image.shape) < 1:
        raise ShapeError(message("prepare_image", "an image (H, W, C)", str(image.shape), "read it again"))
    if background not in ("dark", "light", None):
        raise ArgumentError(
            message("prepare_image", "background dark, light or None", repr(background), "choose one")
        )
    image = np.asarray(image, np.float32)
    paper = _border(image)
    if background is not None and (paper.mean() > 127.5) == (background == "dark"):
        image, paper = 255 - image, 255 - paper
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    if content is not None:
        drawing, blank = _even_out(image, paper, background)
        ink = np.abs(drawing - blank).max(axis=2)
        if ink.max() > 0:
            prepared = _centre(drawing, ink, blank, (height, width), content)
            return prepared if background is None else _stretch(prepared, blank)
    return _fit(image, paper, (height, width))


def _border(image: np.ndarray) -> np.ndarray:
    """Return the median colour (C,) along the four edges: what the drawing lies on."""
    edges = [image[0], image[-1], image[:, 0], image[:, -1]]
    return np.median(np.concatenate(edges), axis=0).astype(np.float32)


def _even_out(image: np.ndarray, paper: np.ndarray, background: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Take uneven light and faint ink out of a photograph: the drawing in full contrast, and its paper.

    The paper's brightness is taken to be a plane, fitted to the edges: light from one side makes it so.
    """
    if max(image.shape[:2]) > 2 * _WORKING_SIZE:  # noise averages out, and a camera's pixels are too many
        factor = _WORKING_SIZE / max(image.shape[:2])
        image = _resize(image, *_scaled((image.shape[0], image.shape[1]), factor))
    height, width, channels = image.shape
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    edge = np.zeros((height, width), bool)
    edge[[0, -1], :] = edge[:, [0, -1]] = True
    basis = np.stack([np.ones_like(rows), rows / height, columns / width], axis=2)
    plane, *_ = np.linalg.lstsq(basis[edge].astype(np.float64), image[edge].astype(np.float64), rcond=None)
    drawing = image - (basis.reshape(-1, 3) @ plane.astype(np.float32)).reshape(height, width, channels)
    strength = float(np.abs(drawing).max())
    if strength < _FAINTEST:
        drawing, strength = np.zeros_like(drawing), 255.0
    if background is not None:
        paper = np.full(channels, 0 if background == "dark" else 255, np.float32)
        drawing *= 255 / strength
    return np.clip(paper + drawing, 0, 255), paper


def _stretch(image: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """Bring the darkest ink back to full contrast: thin strokes pale where a drawing is made small."""
    return np.clip(paper + (image - paper) * (255 / np.abs(image - paper).max()), 0, 255)


def _resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    pillow = require("PIL.Image", extra="demo", purpose="resizing images")
    # Each channel alone, in Pillow's float mode: nothing is rounded to 8 bits
    planes = [
        np.asarray(
            pillow.fromarray(np.ascontiguousarray(plane)).resize((width, height), pillow.Resampling.BILINEAR)
        )
        for plane in np.moveaxis(image, 2, 0)
    ]
    return np.stack(planes, axis=2)


def _scaled(shape: tuple[int, int], factor: float) -> tuple[int, int]:
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def _paste(image: np.ndarray, paper: np.ndarray, size: tuple[int, int], top: int, left: int) -> np.ndarray:
    """Lay an image on paper of `size`, its corner at (top, left), what sticks out cut off."""
    page = np.empty((*size, image.shape[2]), np.float32)
    page[...] = paper
    rows = slice(max(0, top), min(size[0], top + image.shape[0]))
    columns = slice(max(0, left), min(size[1], left + image.shape[1]))
    page[rows, columns] = image[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]
    return page


def _fit(image: np.ndarray, paper: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    factor = min(size[0] / image.shape[0], size[1] / image.shape[1])
    small = _resize(image, *_scaled((image.shape[0], image.shape[1]), factor))
    return _paste(small, paper, size, (size[0] - small.shape[0]) // 2, (size[1] - small.shape[1]) // 2)


def _centre(
    image: np.ndarray, ink: np.ndarray, paper: np.ndarray, size: tuple[int, int], content: int
) -> np.ndarray:
    drawn = ink > _INK * ink.max()
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    crop = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    factor = min(content, *size) / max(crop.shape[:2])
    small = _resize(crop, *_scaled((crop.shape[0], crop.shape[1]), factor))
    if content >= min(size):  # no room to move: the box of what is drawn goes into the middle
        row, column = small.shape[0] / 2, small.shape[1] / 2
    else:
        mass = np.abs(small - paper).sum(axis=2)
        total = max(float(mass.sum()), 1e-6)
        row = float(mass.sum(axis=1) @ np.arange(len(mass))) / total
        column = float(mass.sum(axis=0) @ np.arange(mass.shape[1])) / total
    # On pixel (14, 14) of 28 x 28: in MNIST's files every centre of mass lies within half a pixel of it
    top, left = round(size[0] / 2 - row), round(size[1] / 2 - column)
    return _paste(small, paper, size, top, left)

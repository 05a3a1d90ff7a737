"""Which inputs each output of an axis takes and with what weights, and the tables that `gather` reads.

Padding and resizing are one linear map per spatial axis, each row of which has few entries.  Such a map is
kept as lists (compressed rows); the gradient's map is its transpose.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..._jit import parts_for
from ...axis_maps import AxisMap, identity

_GRAIN = 16384  # elements per part: some microseconds

Ints = NDArray[np.int64]


class GatherPlan(NamedTuple):
    """Tables of `gather`.

    Taps are pairs of a place in x, in elements, and a weight: those of the first axis, of the second and of
    the third follow each other.  A segment is a stretch of a row: runs, all as long and with as many
    taps, those of the next following those of the run before.  The pixels of a run take neighbouring inputs
    with the same weights.
    """

    sizes: Ints  # elements of x's image, x's row and y's row; outputs of axes 1 and 2; most taps of a row
    bounds: Ints  # the first tap of each output of axis 1, their end; then of axis 2
    segments: Ints  # place in y's row, elements of a run, runs, first tap, taps of a run
    places: Ints
    weights: NDArray
    elements: int  # of an image of x or of y, whichever has more
    rows: int  # of an image of y
    most: int  # taps of a row
    scratch: int  # elements per thread: a row of x and its taps' weights

    @property
    def tables(self) -> tuple[NDArray, ...]:
        """What the kernel reads."""
        return self[:5]

    def parts(self, images: int) -> int:
        """Into how many parts the rows of the output are cut."""
        return min(parts_for(images * self.elements, _GRAIN), max(1, images * self.rows))


def gather_plan(maps: tuple[AxisMap, ...], c: int, dtype: np.dtype) -> GatherPlan:
    """The tables for one to three axes and c channels."""
    depth, height, width = [identity(1)] * (3 - len(maps)) + list(maps)
    line = width.inputs * c
    segments, starts = _segments(width)
    segments[:, :2] *= c
    segments[:, 3] += len(depth.sources) + len(height.sources)
    places = depth.sources * (height.inputs * line), height.sources * line, width.sources[starts] * c
    weights = depth.weights, height.weights, width.weights[starts]
    most = int(np.diff(depth.bounds).max() * np.diff(height.bounds).max())
    sizes = depth.inputs * height.inputs * line, line, width.outputs * c, depth.outputs, height.outputs, most
    rows = depth.outputs * height.outputs
    bounds = depth.bounds, height.bounds + len(depth.sources)
    return GatherPlan(
        np.array(sizes, np.int64),
        np.concatenate(bounds, dtype=np.int64),
        segments.astype(np.int64),
        np.concatenate(places, dtype=np.int64),
        np.concatenate(weights, dtype=dtype, casting="same_kind"),
        max(sizes[0], rows * sizes[2]),
        rows,
        most,
        line + most,
    )


def _segments(axis: AxisMap) -> tuple[Ints, NDArray[np.bool_]]:
    """Rows (first pixel, pixels of a run, runs, first tap, taps of a run), and which taps these count.

    A run is of neighbours with equal weights, one source apart: only its first pixel's taps are kept.
    """
    counts = np.diff(axis.bounds)
    most = int(counts.max())
    taps = axis.bounds[:-1, None] + np.arange(most)
    present = np.arange(most) < counts[:, None]
    taps[~present] = 0
    shifts = np.diff(axis.sources[taps], axis=0) if most else 0
    steps = np.diff(axis.weights[taps], axis=0) if most else 0
    same = (((shifts == 1) & (steps == 0)) | ~present[1:]).all(axis=1) & (np.diff(counts) == 0)
    starting = np.r_[True, ~same]
    kept = np.repeat(starting, counts)
    first = np.flatnonzero(starting)
    pixels, counts = np.diff(np.r_[first, axis.outputs]), counts[starting]
    start = np.flatnonzero(np.r_[True, (np.diff(pixels) != 0) | (np.diff(counts) != 0)])
    times = np.diff(np.r_[start, len(first)])
    tap = np.cumsum(counts) - counts
    return np.stack([first[start], pixels[start], times, tap[start], counts[start]], axis=1), kept

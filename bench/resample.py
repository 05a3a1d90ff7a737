"""Padding, resizing, pixel shuffle and their gradients, as a fraction of the speed of a plain copy.

    python -m bench.resample [--megabytes 16] [--only TEXT] [--json FILE]

One thread, float32.  As in `bench.memory_bound`, the bytes counted are those that must be read and written
once, and the copy is NumPy's, of as many bytes, timed in turns; every result is checked beforehand.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from bench import memory_bound
from bench.memory_bound import Case
from bench.timing import keep_freed_pages
from numbacnn.kernels.cpu import pad, resample, shuffle

CHANNELS = (64, 8, 3, 1)
PADS = ((1, 1), (1, 1))
SHUFFLED = ((64, 2), (16, 4), (3, 2), (1, 2))  # channels afterwards, and the block


def _side(megabytes: float, values: int) -> int:
    """Pixels along an axis of four square images, whose pixels have so many values, in all of that size."""
    return max(4, int((megabytes * 1e6 / 4 / 4 / values) ** 0.5))


def _cases(megabytes: float) -> Iterator[Case]:
    rng = np.random.default_rng(0)

    def arrays(*shapes: tuple[int, ...]) -> list[np.ndarray]:
        return [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]

    for c in CHANNELS:
        side = _side(megabytes, c)
        x, dx, y, dy = arrays(*[(4, side, side, c)] * 2, *[(4, side + 2, side + 2, c)] * 2)
        for mode in ("constant", "reflect"):
            yield Case(f"pad_forward {mode} c={c}", pad.pad_forward, (x, PADS, mode, 0.0, y), (4,))
            yield Case(f"pad_backward {mode} c={c}", pad.pad_backward, (dy, PADS, mode, dx), (3,))
    for c in CHANNELS:
        side = _side(megabytes, 4 * c)
        x, dx, y, dy = arrays(*[(4, side, side, c)] * 2, *[(4, 2 * side, 2 * side, c)] * 2)
        for mode in ("nearest", "linear"):
            options = mode, False, None
            yield Case(f"resize_forward {mode} x2 c={c}", resample.resize_forward, (x, *options, y), (4,))
            yield Case(f"resize_backward {mode} x2 c={c}", resample.resize_backward, (dy, *options, dx), (4,))
    for c, block in SHUFFLED:
        side = _side(megabytes, c * block**2)
        x, dx, y, dy = arrays(*[(4, side, side, c * block**2)] * 2, *[(4, side * block, side * block, c)] * 2)
        label, blocks = f"{block}x{block} c={c}", (block, block)
        yield Case(f"pixel_shuffle_forward {label}", shuffle.pixel_shuffle_forward, (x, blocks, y), (2,))
        yield Case(f"pixel_shuffle_backward {label}", shuffle.pixel_shuffle_backward, (dy, blocks, dx), (2,))


run = functools.partial(memory_bound.run, cases=_cases)
main = functools.partial(memory_bound.main, run=run, program="bench.resample", about=__doc__)


if __name__ == "__main__":
    keep_freed_pages()
    main()

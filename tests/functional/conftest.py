"""Results lie between guards in these tests, and start as NaN: a write beside or a gap within is seen."""

import numpy as np
import pytest

from numbacnn.memory import buffer_pool

GUARD = 256  # bytes before and after each array


@pytest.fixture(autouse=True)
def guarded_memory(monkeypatch):
    blocks = []

    def array(shape, dtype):
        nbytes = int(np.prod(shape)) * dtype.itemsize
        raw = np.full(nbytes + 2 * GUARD + 64, 0xFF, np.uint8)  # NaN in either float type
        start = GUARD + -(raw.__array_interface__["data"][0] + GUARD) % 64
        blocks.append((raw, start, start + nbytes))
        return raw[start : start + nbytes].view(dtype).reshape(shape)

    monkeypatch.setattr(buffer_pool, "array", array)
    yield
    for raw, start, end in blocks:
        assert (raw[:start] == 0xFF).all(), "written before an array"
        assert (raw[end:] == 0xFF).all(), "written past an array"

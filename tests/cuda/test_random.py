"""Masks of dropout: the generator against its published vectors, the masks against their rate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.kernels.cuda import memory, random
from numbacnn.kernels.cuda.intrinsics import load, store
from numbacnn.kernels.cuda.launch import kernel

from .arrays import computed

# Counter, key and result: kat_vectors of Random123 1.14.0, philox4x32 with 10 rounds
KNOWN = [
    "00000000 00000000 00000000 00000000 00000000 00000000   6627e8d5 e169c58d bc57ac4c 9b00dbd8",
    "ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff   408f276d 41c83b0e a20bc7c6 6d5451fd",
    "243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0   d16cfe09 94fdcceb 5001e420 24126ea1",
]


philox = random.philox


@kernel("given drawn", threads=1)
def draw(given, drawn):
    """The words of the counter and key that it is given."""
    a, b, c, d = philox(
        load(given, 0), load(given, 1), load(given, 2), load(given, 3), load(given, 4), load(given, 5)
    )
    store(drawn, 0, a)
    store(drawn, 1, b)
    store(drawn, 2, c)
    store(drawn, 3, d)


words = st.integers(0, 2**64 - 1)


def expected(seed, counter):
    """The words of a counter, of 64 bits, by the kernel of one thread."""
    values = [counter % 2**32, counter >> 32, 0, 0, seed % 2**32, seed >> 32]
    return computed(lambda a, b: draw(1, a, b), (np.array(values, np.uint32),), (4,), np.uint32)


@pytest.mark.parametrize("vector", KNOWN)
def test_the_published_vectors(vector):
    words = np.array([int(word, 16) for word in vector.split()], np.uint32)
    got = computed(lambda a, b: draw(1, a, b), (words[:6],), (4,), np.uint32)
    assert got.tolist() == words[6:].tolist()


@settings(max_examples=20)
@given(
    words,
    words,
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 21),
)
def test_each_element_is_its_word_of_its_counter(seed, offset, rate, size):
    mask = computed(lambda out: random.dropout_mask(seed, offset, rate, out), (), (size,), np.uint8)
    drawn = [expected(seed, (offset + k) % 2**64) for k in range(-(-size // 4))]
    draws = np.concatenate([np.empty(0, np.uint32), *drawn])[:size]
    least = min(round(rate * 2.0**32), 2**32 - 1)
    assert mask.tolist() == (draws >= least).astype(int).tolist()


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_the_mean_of_a_mask_is_what_the_rate_says(rate):
    """Within 5 standard deviations; and neighbours are not correlated."""
    size = 20_001
    mask = computed(lambda out: random.dropout_mask(7, 0, rate, out), (), (size,), np.uint8)
    assert set(mask.tolist()) <= {0, 1}
    spread = 5 * np.sqrt(rate * (1 - rate) / size)
    assert abs(mask.mean() - (1 - rate)) <= spread
    around = mask - mask.mean()
    assert abs((around[1:] * around[:-1]).mean()) <= spread


def test_a_mask_continues_where_another_ended():
    whole, first, second = (memory.empty((n,), np.uint8) for n in (4100, 2048, 2052))
    random.dropout_mask(3, 5, 0.4, whole)
    random.dropout_mask(3, 5, 0.4, first)
    random.dropout_mask(3, 5 + 512, 0.4, second)
    np.testing.assert_array_equal(whole.numpy(), np.concatenate([first.numpy(), second.numpy()]))


def test_seeds_and_offsets_give_other_masks():
    def mask(seed, offset):
        out = memory.empty((256,), np.uint8)
        random.dropout_mask(seed, offset, 0.5, out)
        return out.numpy().tobytes()

    masks = {mask(seed, offset) for seed in (0, 1, 1 << 32, 1 << 63) for offset in (0, 64, 1 << 32)}
    assert len(masks) == 12

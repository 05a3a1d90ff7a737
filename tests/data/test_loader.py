"""Batches: what an epoch holds, and what its order depends on."""

import numpy as np
import pytest

from numbacnn.data import Batches
from numbacnn.errors import ArgumentError, ShapeError


def arrays(n=23):
    x = np.arange(n * 4, dtype=np.float32).reshape(n, 2, 2, 1)
    return x, np.arange(n)


def collect(batches, epoch):
    pairs = [(x.copy(), y.copy()) for x, y in batches.epoch(epoch)]
    return (
        np.concatenate([x for x, _ in pairs]),
        np.concatenate([y for _, y in pairs]),
        [len(x) for x, _ in pairs],
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_an_epoch_holds_every_sample_once_with_its_target(dtype):
    x, y = arrays()
    batches = Batches(x.astype(dtype), y, 5, seed=1)
    drawn_x, drawn_y, sizes = collect(batches, 0)
    assert sizes == [5, 5, 5, 5, 3]
    assert len(batches) == 5
    assert batches.samples == 23
    assert drawn_x.dtype == dtype
    np.testing.assert_array_equal(np.sort(drawn_y), y)
    np.testing.assert_array_equal(drawn_x, x[drawn_y].astype(dtype))
    assert not np.array_equal(drawn_y, y)


def test_the_order_depends_on_seed_and_epoch_alone():
    x, y = arrays()
    first, second = Batches(x, y, 4, seed=1), Batches(x, y, 7, seed=1)
    collect(first, 0)  # an epoch drawn before has no say
    np.testing.assert_array_equal(collect(first, 3)[1], collect(second, 3)[1])
    assert not np.array_equal(collect(first, 3)[1], collect(first, 4)[1])
    assert not np.array_equal(collect(first, 3)[1], collect(Batches(x, y, 4, seed=2), 3)[1])


def test_without_shuffling_the_order_stays():
    x, y = arrays()
    drawn_x, drawn_y, _ = collect(Batches(x, y, 4, shuffle=False), 2)
    np.testing.assert_array_equal(drawn_x, x)
    np.testing.assert_array_equal(drawn_y, y)


def test_augmentation_gets_each_batch_and_a_seeded_generator():
    x, y = arrays()

    def noise(batch, rng):
        return batch + rng.standard_normal(batch.shape).astype(np.float32)

    batches = Batches(x, y, 6, augment=noise, seed=4)
    np.testing.assert_array_equal(collect(batches, 1)[0], collect(batches, 1)[0])
    assert not np.array_equal(collect(batches, 1)[0], x[collect(batches, 1)[1]])


def test_batches_that_are_kept_do_not_change():
    x, y = arrays(200)
    kept = list(Batches(x, y, 8, seed=0).epoch(0))
    for batch, target in kept:
        np.testing.assert_array_equal(batch, x[target])


def test_what_cannot_be_batched_is_refused():
    x, y = arrays()
    with pytest.raises(ShapeError, match="23 and 22"):
        Batches(x, y[:-1], 4)
    with pytest.raises(ShapeError, match="at least one"):
        Batches(x[:0], y[:0], 4)
    for size in (0, -1, 2.5, True):
        with pytest.raises(ArgumentError, match="batch_size"):
            Batches(x, y, size)

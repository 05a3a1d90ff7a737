"""InceptionTime: sizes of the authors' code, and a small one whole."""

import pytest

from numbacnn.layers import Conv1D, Residual
from numbacnn.models import inception_time
from tests.models.count import count
from tests.models.whole import assert_whole


def expected(classes, channels):
    """By arithmetic over the authors' code: bottlenecks where there is more than one channel."""
    total, into = 0, channels
    for module in range(6):
        narrow = 32 if into > 1 else 1
        total += (into * 32 if into > 1 else 0) + (40 + 20 + 10) * narrow * 32 + into * 32 + 2 * 128
        if module % 3 == 2:
            total += (channels if module == 2 else 128) * 128 + 2 * 128
        into = 128
    return total + 128 * classes + classes


@pytest.mark.parametrize(("classes", "channels"), [(2, 1), (10, 1), (5, 3)])
def test_parameters_are_those_of_the_authors_code(classes, channels, monkeypatch):
    model = inception_time(classes, channels=channels)
    assert count(model, (128, channels), monkeypatch) == expected(classes, channels)
    assert model.output_shape == (classes,)
    assert sum(isinstance(layer, Residual) for layer in model) == 2


def test_the_documented_count():
    assert expected(2, 1) == 420_450


@pytest.mark.parametrize("depth", [3, 4])
def test_a_small_one_is_whole(depth, tmp_path):
    model = inception_time(3, channels=2, width=4, depth=depth, kernel_sizes=(9, 4))
    assert_whole(model, (24, 2), tmp_path)
    field = model.receptive_field()
    assert (field.size, field.stride) == ((1 + depth * 8,), (1,))
    assert sum(isinstance(layer, Conv1D) for layer in model.leaves()) == 4 * depth + 1

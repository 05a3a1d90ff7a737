"""MobileNet-v2: sizes of the paper, and a small one whole."""

from numbacnn.layers import Dense, DepthwiseConv2D, Residual
from numbacnn.models import mobilenet_v2
from tests.models.count import count
from tests.models.whole import assert_whole


def test_sizes_are_those_of_the_paper(monkeypatch):
    model = mobilenet_v2()
    assert count(model, (224, 224, 3), monkeypatch) == 3_504_872
    assert [model[f"stage_{k}_1"].output_shape for k in range(1, 8)] == [
        (112, 112, 16),
        (56, 56, 24),
        (28, 28, 32),
        (14, 14, 64),
        (14, 14, 96),
        (7, 7, 160),
        (7, 7, 320),
    ]
    assert sum(isinstance(layer, Residual) for layer in model) == 10
    assert sum(isinstance(layer, DepthwiseConv2D) for layer in model.leaves()) == 17
    convolutions = sum(layer.macs() for layer in model.leaves() if not isinstance(layer, Dense))
    assert convolutions + 1280 * 1000 == 300_774_272  # table 4: 300 M


def test_wider_and_narrower(monkeypatch):
    assert count(mobilenet_v2(width=1.4), (224, 224, 3), monkeypatch) == 6_108_776  # as others count it
    narrow = mobilenet_v2(width=0.35)
    count(narrow, (224, 224, 3), monkeypatch)
    shapes = [narrow[f"stage_{k}_1"].output_shape[-1] for k in range(1, 8)]
    assert shapes == [8, 8, 16, 24, 32, 56, 112]  # multiples of 8, none below nine tenths
    assert narrow["globalavgpool2d_1"].input_shape == (7, 7, 1280)


def test_a_small_one_is_whole(tmp_path):
    model = mobilenet_v2(5, width=0.25)
    assert_whole(model, (64, 64, 3), tmp_path)
    assert model.receptive_field().stride == (32, 32)
    assert model["dropout_1"].rate == 0.2

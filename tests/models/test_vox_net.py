"""VoxNet: sizes of the paper, and a small one whole."""

from numbacnn.models import voxnet
from tests.models.count import count
from tests.models.whole import assert_whole


def test_sizes_are_those_of_the_paper(monkeypatch):
    model = voxnet()
    assert count(model, (32, 32, 32, 1), monkeypatch) == 921_736
    assert [layer.output_shape for layer in model if layer.name.startswith(("conv", "maxpool"))] == [
        (14, 14, 14, 32),
        (12, 12, 12, 32),
        (6, 6, 6, 32),
    ]


def test_a_small_one_is_whole(tmp_path):
    model = voxnet(3, width=3, dense=8)
    assert_whole(model, (14, 15, 13, 1), tmp_path)
    assert [layer.rate for layer in model if layer.name.startswith("dropout")] == [0.2, 0.3, 0.4]
    field = model.receptive_field()
    assert (field.size, field.stride) == ((11, 11, 11), (4, 4, 4))


def test_without_dropout_nothing_is_drawn():
    model = voxnet(dropout=(0.0, 0.0, 0.0))
    assert not [layer for layer in model if layer.name.startswith("dropout")]

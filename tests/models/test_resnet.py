"""Residual networks: sizes of the paper, and small ones whole."""

import pytest

from numbacnn.layers import Conv2D, MaxPool2D, Residual
from numbacnn.models import resnet18, resnet34, resnet50
from tests.models.count import count
from tests.models.whole import assert_whole

SIZES = [(resnet18, 11_689_512), (resnet34, 21_797_672), (resnet50, 25_557_032)]


@pytest.mark.parametrize(("make", "parameters"), SIZES)
def test_parameters_are_those_of_the_paper(make, parameters, monkeypatch):
    model = make()
    assert count(model, (224, 224, 3), monkeypatch) == parameters
    assert model.output_shape == (1000,)
    ends = [
        layer.output_shape for layer in model if layer.name.endswith("_1") and isinstance(layer, Residual)
    ]
    wide = 4 if make is resnet50 else 1
    assert ends == [(56, 56, 64 * wide), (28, 28, 128 * wide), (14, 14, 256 * wide), (7, 7, 512 * wide)]


def test_multiply_adds_are_those_of_the_form_with_the_stride_in_the_middle(monkeypatch):
    model = resnet50()
    count(model, (224, 224, 3), monkeypatch)
    convolutions = sum(layer.macs() for layer in model.leaves() if isinstance(layer, Conv2D))
    assert convolutions == 4_087_136_256  # 4.09 G, where striding in the 1 x 1 ones takes 3.86 G
    strided = [layer for layer in model.leaves() if isinstance(layer, Conv2D) and layer.strides == (2, 2)]
    assert [layer.kernel_size[0] for layer in strided] == [7, 3, 1, 3, 1, 3, 1]


@pytest.mark.parametrize(("make", "small_images"), [(resnet18, True), (resnet50, False)])
def test_a_small_one_is_whole(make, small_images, tmp_path):
    model = make(5, width=4, small_images=small_images)
    assert any(isinstance(layer, MaxPool2D) for layer in model) != small_images
    assert_whole(model, (16, 16, 3) if small_images else (64, 64, 3), tmp_path)
    field = model.receptive_field()
    assert field.stride == ((8, 8) if small_images else (32, 32))


def test_small_images_keep_their_size_at_first(monkeypatch):
    model = resnet18(10, small_images=True)
    assert count(model, (32, 32, 3), monkeypatch) == 11_173_962  # as others have it for CIFAR-10
    assert model["stage_1_2"].output_shape == (32, 32, 64)
    assert model["stage_4_2"].output_shape == (4, 4, 512)

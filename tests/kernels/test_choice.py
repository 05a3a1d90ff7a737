"""Which algorithm is chosen, and that the warm-up's model meets all of them."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given

from numbacnn.cli.warmup import _model
from numbacnn.dims import ConvDims
from numbacnn.kernels.cpu.choice import (
    PASSES,
    WINOGRAD_TILES,
    choose,
    sampled,
    turned,
    winograd_cost,
)
from numbacnn.kernels.cpu.phases import as_volume
from numbacnn.layers import Conv2D, Dense
from tests.strategies import conv_cases


@given(conv_cases(most_channels=70))
def test_predictions_are_sane(case):
    for pass_ in PASSES:
        chosen = choose(case.dims, pass_, 8, True)
        assert chosen.cost >= 0 and (chosen.cost > 0) == (case.dims.macs > 0)
        if chosen.algorithm == "winograd":
            assert chosen.m in WINOGRAD_TILES[as_volume(case.dims).k_[1:]][0]
            assert chosen.cost < choose(case.dims, pass_, 8, False).cost


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_a_kept_kernel_makes_winograd_cheaper_where_images_are_small(lanes):
    dims = ConvDims.of((1, 7, 7, 512), (3, 3, 512, 512), padding=1)
    assert winograd_cost(dims, "forward", 4, lanes, kept=True) < winograd_cost(dims, "forward", 4, lanes)
    assert choose(dims, "forward", lanes, True, kept=True).algorithm == "winograd"


def test_the_warm_up_meets_every_algorithm():
    model = _model()
    model.build((16, 16, 1), np.random.default_rng(0))
    met = set()
    for layer in model.leaves():
        if isinstance(layer, Conv2D):
            dims = dataclasses.replace(layer.window(), n=4)
            met |= {(pass_, choose(dims, pass_, 8, True).algorithm) for pass_ in PASSES}
    assert any(isinstance(layer, Dense) for layer in model.leaves())  # small products
    assert met == {(p, a) for p in PASSES for a in ("direct", "winograd", "depthwise")}


def test_weight_gradients_of_large_kernels_of_one_pixel_are_products():
    large, small = (ConvDims.of((2, 14, 14, 512), (1, 1, 512, c)) for c in (256, 64))
    assert choose(large, "weights", 8, True).algorithm == "product"
    assert choose(large, "forward", 8, True).algorithm == "direct"
    assert choose(small, "weights", 8, True).algorithm == "direct"


def test_weight_gradients_of_strided_kernels_of_one_pixel_are_products_of_the_pixels_they_read():
    dims = ConvDims.of((2, 13, 14, 512), (1, 1, 512, 256), stride=2)
    product = sampled(dims)
    assert product == ConvDims.of((2, 7, 7, 512), (1, 1, 512, 256))
    assert choose(product, "weights", 8, True).algorithm == "product"
    padded = ConvDims.of((2, 13, 14, 512), (1, 1, 512, 256), stride=2, padding=1)
    small = ConvDims.of((2, 13, 14, 64), (1, 1, 64, 64), stride=2)
    assert sampled(padded) is None and sampled(small) is None


def test_weight_gradients_of_few_outputs_of_one_pixel_are_turned():
    dims = ConvDims.of((1, 9, 9, 16), (1, 1, 16, 2))
    assert turned(dims, 8) == ConvDims.of((1, 9, 9, 2), (1, 1, 2, 16))
    for channels, size in ((5, 1), (2, 3)):  # half a vector and more; several taps
        assert turned(ConvDims.of((1, 9, 9, 16), (size, size, 16, channels)), 8) is None

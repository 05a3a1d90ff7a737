import pytest

from bench.shapes import SETS, conv


@pytest.mark.parametrize(
    ("name", "shapes", "convolutions", "gigamacs"),
    [
        # He et al. give 3.8 GFLOP (multiply-adds) for ResNet-50, of which 0.002 are the dense layer's
        ("resnet_50", 20, 53, 3.86),
        # 57 convolutions and those of the two auxiliary classifiers
        ("googlenet_v1", 51, 59, 1.58),
        ("vgg_19", 9, 16, 19.51),
        ("alexnet", 5, 5, 0.666),
        # table 2: 569 million multiply-adds, of which 94.9 % in the 1x1, 3.1 % in the depthwise, 1.2 % in the
        # full convolutions; of the set's depthwise shapes the one at 512 channels comes five times there
        ("mobilenet_dw", 9, 9, 0.0174 - 4 * 14 * 14 * 512 * 9e-9),
    ],
)
def test_a_set_holds_its_network(name, shapes, convolutions, gigamacs):
    found = SETS[name]
    assert len(found) == shapes
    assert sum(c.count for c in found) == convolutions
    macs = sum(c.count * c.dims(1).macs for c in found)
    assert macs / 1e9 == pytest.approx(gigamacs, rel=0.01)


@pytest.mark.parametrize("name", SETS)
def test_shapes_are_distinct_and_padded_no_further_than_they_read(name):
    found = SETS[name]
    assert len({c.name for c in found}) == len(found)
    assert len(
        {(c.c_in, c.size, c.c_out, c.kernel, c.stride, c.dilation, c.pad_lo, c.pad_hi) for c in found}
    ) == len(found)
    for c in found:
        d = c.dims(2)
        per_axis = zip(d.in_, d.pad_lo_, d.pad_hi_, d.span_, d.stride_, d.out_, strict=True)
        for size, lo, hi, span, stride, out in per_axis:
            assert hi == max(0, (out - 1) * stride + span - size - lo)


def test_a_strided_kernel_leaves_the_far_padding_unread():
    c = conv("stem", 3, 224, 64, 7, stride=2, pad=3)
    assert c.padding == ((3, 2), (3, 2))
    assert c.dims(1).out_ == (112, 112)


def test_a_shape_prints_its_sizes():
    assert str(SETS["alexnet"][1]) == "27x27 96->256 k5 s1 g2"
    assert str(conv("c", 4, (8, 9), 6, 3, stride=(2, 1), dilation=2)) == "8x9 4->6 k3 s2x1 d2"

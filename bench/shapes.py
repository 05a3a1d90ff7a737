"""The convolutions of published networks, by set, with how often each occurs in its network.

Padding is stated as the papers and their models do, alike at both ends, and the high end is then cut to what
the last output reads: a strided kernel often leaves it unread, and every implementation may skip it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from numbacnn.dims import ConvDims

Ints = int | tuple[int, ...]


@dataclass(frozen=True)
class Conv:
    """One convolution, without its batch; it occurs ``count`` times in its network."""

    name: str
    count: int
    c_in: int
    size: tuple[int, ...]
    c_out: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pad_lo: tuple[int, ...]
    pad_hi: tuple[int, ...]
    groups: int

    @property
    def padding(self) -> tuple[tuple[int, int], ...]:
        """``((low, high), ...)`` per axis."""
        return tuple(zip(self.pad_lo, self.pad_hi, strict=True))

    def dims(self, n: int) -> ConvDims:
        """The geometry at a batch of ``n``."""
        w_shape = (*self.kernel, self.c_in // self.groups, self.c_out)
        x_shape = (n, *self.size, self.c_in)
        return ConvDims.of(
            x_shape, w_shape, self.stride, self.padding, self.dilation, self.groups, name=self.name
        )

    def __str__(self) -> str:
        size = "x".join(map(str, self.size))
        text = f"{size} {self.c_in}->{self.c_out} k{_axes(self.kernel)} s{_axes(self.stride)}"
        if any(d != 1 for d in self.dilation):
            text += f" d{_axes(self.dilation)}"
        return text if self.groups == 1 else f"{text} g{self.groups}"


def _axes(values: tuple[int, ...]) -> str:
    return "x".join(map(str, values)) if len(set(values)) > 1 else str(values[0])


def conv(
    name: str,
    c_in: int,
    size: Ints,
    c_out: int,
    kernel: Ints,
    *,
    count: int = 1,
    stride: Ints = 1,
    dilation: Ints = 1,
    pad: Ints = 0,
    pad_hi: Ints | None = None,
    groups: int = 1,
    rank: int = 2,
) -> Conv:
    """A Conv from its table entry: one integer stands for all axes, ``pad`` for both ends."""

    def axes(value: Ints) -> tuple[int, ...]:
        return (value,) * rank if isinstance(value, int) else value

    size, kernel, stride, dilation, lo = map(axes, (size, kernel, stride, dilation, pad))
    hi = lo if pad_hi is None else axes(pad_hi)
    read = []
    for i, k, s, d, low, high in zip(size, kernel, stride, dilation, lo, hi, strict=True):
        span = (k - 1) * d + 1
        outputs = (i + low + high - span) // s + 1
        read.append(max(0, (outputs - 1) * s + span - i - low))
    return Conv(name, count, c_in, size, c_out, kernel, stride, dilation, lo, tuple(read), groups)


def _merged(convs: Iterator[Conv]) -> list[Conv]:
    """Equal shapes once, under the first one's name, their counts added."""
    found: dict[Conv, Conv] = {}
    for c in convs:
        shape = replace(c, name="", count=0)
        first = found.get(shape)
        found[shape] = c if first is None else replace(first, count=first.count + c.count)
    return list(found.values())


def _resnet_50() -> Iterator[Conv]:
    """He et al., "Deep Residual Learning for Image Recognition", 2015, table 1; stride in the first 1x1."""
    yield conv("conv1", 3, 224, 64, 7, stride=2, pad=3)
    c_in, size = 64, 56
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), start=2):
        wide, name = 4 * width, f"res{stage}"
        stride = 1 if stage == 2 else 2
        yield conv(f"{name}a_branch1", c_in, size, wide, 1, stride=stride)
        yield conv(f"{name}a_branch2a", c_in, size, width, 1, stride=stride)
        size //= stride
        yield conv(f"{name}a_branch2b", width, size, width, 3, pad=1, count=blocks)
        yield conv(f"{name}a_branch2c", width, size, wide, 1, count=blocks)
        yield conv(f"{name}b_branch2a", wide, size, width, 1, count=blocks - 1)
        c_in = wide


# Module, input channels, size, then the outputs of 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection
_INCEPTION = (
    ("3a", 192, 28, 64, 96, 128, 16, 32, 32),
    ("3b", 256, 28, 128, 128, 192, 32, 96, 64),
    ("4a", 480, 14, 192, 96, 208, 16, 48, 64),
    ("4b", 512, 14, 160, 112, 224, 24, 64, 64),
    ("4c", 512, 14, 128, 128, 256, 24, 64, 64),
    ("4d", 512, 14, 112, 144, 288, 32, 64, 64),
    ("4e", 528, 14, 256, 160, 320, 32, 128, 128),
    ("5a", 832, 7, 256, 160, 320, 32, 128, 128),
    ("5b", 832, 7, 384, 192, 384, 48, 128, 128),
)


def _googlenet_v1() -> Iterator[Conv]:
    """Szegedy et al., "Going Deeper with Convolutions", 2014, table 1, with its two auxiliary classifiers."""
    yield conv("conv1/7x7_s2", 3, 224, 64, 7, stride=2, pad=3)
    yield conv("conv2/3x3_reduce", 64, 56, 64, 1)
    yield conv("conv2/3x3", 64, 56, 192, 3, pad=1)
    for module, c_in, size, c1, r3, c3, r5, c5, pool in _INCEPTION:
        name = f"inception_{module}"
        yield conv(f"{name}/1x1", c_in, size, c1, 1)
        yield conv(f"{name}/3x3_reduce", c_in, size, r3, 1)
        yield conv(f"{name}/3x3", r3, size, c3, 3, pad=1)
        yield conv(f"{name}/5x5_reduce", c_in, size, r5, 1)
        yield conv(f"{name}/5x5", r5, size, c5, 5, pad=2)
        yield conv(f"{name}/pool_proj", c_in, size, pool, 1)
        if module == "4a":
            yield conv("loss1/conv", 512, 4, 128, 1)
        if module == "4d":
            yield conv("loss2/conv", 528, 4, 128, 1)


def _vgg_19() -> Iterator[Conv]:
    """Simonyan and Zisserman, "Very Deep Convolutional Networks", 2014, table 1, column E."""
    c_in, size = 3, 224
    for block, (width, convs) in enumerate(((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)), start=1):
        for i in range(convs):
            yield conv(f"conv{block}_{i + 1}", c_in, size, width, 3, pad=1)
            c_in = width
        size //= 2


def _alexnet() -> Iterator[Conv]:
    """Krizhevsky et al., "ImageNet Classification with Deep Convolutional Networks", 2012, figure 2."""
    yield conv("conv1", 3, 227, 96, 11, stride=4)
    yield conv("conv2", 96, 27, 256, 5, pad=2, groups=2)
    yield conv("conv3", 256, 13, 384, 3, pad=1)
    yield conv("conv4", 384, 13, 384, 3, pad=1, groups=2)
    yield conv("conv5", 384, 13, 256, 3, pad=1, groups=2)


def _mobilenet() -> Iterator[Conv]:
    """Howard et al., "MobileNets", 2017, table 1: the full and the 1x1 convolutions.

    Counts sum several variants of the network; the last layer is a classifier's, of five classes.
    """
    yield conv("conv1", 3, 224, 32, 3, stride=2, pad=1, count=3)
    widths = ((32, 112, 64), (64, 56, 128), (128, 56, 128), (128, 28, 256), (256, 28, 256), (256, 14, 512))
    widths += ((512, 14, 512), (512, 7, 1024), (1024, 7, 1024), (1024, 1, 5))
    for i, (c_in, size, c_out) in enumerate(widths, start=2):
        yield conv(f"conv{i}", c_in, size, c_out, 1, count=20 if i == 8 else 4)


def _mobilenet_dw() -> Iterator[Conv]:
    """The depthwise convolutions of the same table, each shape once."""
    for name, c, size, stride in (
        ("conv2_1", 32, 112, 1),
        ("conv2_2", 64, 112, 2),
        ("conv3_1", 128, 56, 1),
        ("conv3_2", 128, 56, 2),
        ("conv4_1", 256, 28, 1),
        ("conv4_2", 256, 28, 2),
        ("conv5_1", 512, 14, 1),
        ("conv5_6", 512, 14, 2),
        ("conv6", 1024, 7, 1),
    ):
        yield conv(f"{name}/dw", c, size, c, 3, stride=stride, pad=1, groups=c)


def _unet() -> Iterator[Conv]:
    """Ronneberger et al., "U-Net", 2015, figure 1, unpadded, of a quarter of the width: levels 1 to 3.

    The 2x2 convolutions of stride 2 are the up-convolutions' gradients, of the same operations.
    """
    c_in, size, i = 1, 572, 1
    for width in (16, 32, 64):
        yield conv(f"conv{i}", c_in, size, width, 3)
        yield conv(f"conv{i + 1}", width, size - 2, width, 3)
        c_in, size, i = width, (size - 4) // 2, i + 2
    for width, size in ((32, 272), (16, 536)):
        yield conv(f"conv{i}", width, size, 2 * width, 2, stride=2)
        yield conv(f"conv{i + 1}", 2 * width, size, width, 3)
        yield conv(f"conv{i + 2}", width, size - 2, width, 3)
        i += 3
    yield conv(f"conv{i}", 16, 532, 2, 1)


def _unet_3d() -> Iterator[Conv]:
    """Çiçek et al., "3D U-Net", 2016, figure 2: the analysis path, unpadded."""
    c_in, size = 3, (116, 132, 132)
    for level, (first, second) in enumerate(((32, 64), (64, 128), (128, 256), (256, 512))):
        yield conv(f"conv_{2 * level + 1}", c_in, size, first, 3, rank=3)
        size = tuple(s - 2 for s in size)
        yield conv(f"conv_{2 * level + 2}", first, size, second, 3, rank=3)
        # two more planes at the third level: pooling alone would leave 26
        size = (28, 30, 30) if level == 1 else tuple((s - 2) // 2 for s in size)
        c_in = second


def _wavenet_1d() -> Iterator[Conv]:
    """Van den Oord et al., "WaveNet", 2016: ten dilations 1, 2, 4, ... as plain convolutions.

    A convolution of dilation d over a signal is d plain ones over its d interleaved parts; one is timed.
    """
    for i in range(10):
        yield conv(f"conv1d_{i + 1}", 32, 84350 >> i, 32, 2, rank=1)
    yield conv("conv1d_1x1_1", 32, 842, 32, 1, rank=1)
    yield conv("conv1d_1x1_2", 512, 812, 256, 1, rank=1)
    yield conv("conv1d_1x1_3", 512, 812, 512, 1, rank=1)


def _dilated() -> Iterator[Conv]:
    """Dilated convolutions, mostly of tiny images: groups, uneven strides, uneven pads, one axis only."""
    for i, (size, kernel, stride, dilation, pad, pad_hi) in enumerate(
        (
            (8, 3, 2, 2, 1, 0),
            (8, 3, 1, 2, 1, 0),
            (8, 3, 3, 3, 1, 1),
            (8, 3, 2, 4, 1, 0),
            (10, 3, 3, 3, 2, 1),
            (10, 3, 2, 4, 2, 1),
            (8, 5, 1, 2, 1, 0),
            (12, 5, 3, 3, 1, 0),
            (12, 7, 1, 2, 1, 0),
            (18, 7, 3, 3, 1, 0),
            (8, 3, (2, 1), (2, 1), 1, (2, 1)),
            (8, 3, (1, 3), (1, 3), 1, 1),
        ),
        start=1,
    ):
        yield conv(f"{i}", 4, size, 6, kernel, stride=stride, dilation=dilation, pad=pad, pad_hi=pad_hi)
    yield conv("13", 8, (5, 8), 8, 3, dilation=(2, 1), pad=(2, 1), pad_hi=(0, 1))
    yield conv("14", 8, (8, 5), 8, 3, dilation=(1, 3), pad=(1, 3), pad_hi=(1, 0))
    yield conv("15", 16, (1, 8), 6, (1, 3), dilation=(1, 3))
    yield conv("16", 32, (1, 8), 8, (1, 3), dilation=(1, 2))
    yield conv("17", 32, (1, 8), 8, (1, 3), dilation=(1, 3))
    yield conv("18", 3, 227, 48, 5, stride=2, dilation=2, pad=1)
    yield conv("19", 3, 227, 48, 5, stride=(2, 3), dilation=(2, 3))
    yield conv("20", 96, 57, 96, 5, stride=2, dilation=2, pad=1, groups=2)
    yield conv("21", 64, 11, 128, 3, dilation=3, pad=1)
    yield conv("22", 96, 11, 128, 3, dilation=4, pad=2)
    yield conv("23", 192, 11, 128, 3, dilation=3, pad=1, groups=2)
    yield conv("24", 192, 11, 128, 3, dilation=4, pad=1, pad_hi=3, groups=2)
    yield conv("25", 128, 21, 128, 5, stride=(2, 1), dilation=(4, 2), groups=2)
    yield from _dilated_lines()
    yield conv("41/dw", 32, 14, 32, 3, stride=2, dilation=(2, 1), pad=1, pad_hi=(2, 1), groups=32)
    yield conv("42/dw", 64, 112, 64, 3, stride=2, dilation=(2, 3), pad=1, pad_hi=(2, 4), groups=64)


def _along(axis: int, value: int, other: int = 1) -> tuple[int, ...]:
    return tuple(value if a == axis else other for a in range(3))


def _dilated_lines() -> Iterator[Conv]:
    """Volumes of one pixel but along ``axis``: size, taps, dilation and the two pads there."""
    for i, (axis, size, taps, dilation, low, high) in enumerate(
        (
            (0, 2, 2, 2, 0, 1),
            (0, 3, 2, 3, 1, 0),
            (1, 2, 2, 2, 0, 1),
            (1, 3, 2, 3, 1, 0),
            (2, 2, 2, 2, 0, 1),
            (2, 3, 2, 3, 1, 0),
            (0, 5, 3, 4, 7, 0),
            (0, 7, 5, 5, 9, 20),
            (0, 12, 5, 6, 13, 24),
            (1, 5, 3, 4, 7, 0),
            (1, 7, 5, 5, 9, 20),
            (1, 12, 5, 6, 13, 24),
            (2, 5, 3, 4, 4, 3),
            (2, 7, 5, 5, 9, 20),
            (2, 9, 3, 6, 12, 9),
        ),
        start=26,
    ):
        kernel, hi = _along(axis, taps), _along(axis, high, 0)
        if i == 31:  # two taps across as well, the second of them in the padding
            kernel, hi = (1, 2, 2), (0, 1, 0)
        size, dilation, lo = _along(axis, size), _along(axis, dilation), _along(axis, low, 0)
        yield conv(f"{i}", 16, size, 16, kernel, dilation=dilation, pad=lo, pad_hi=hi, rank=3)


SETS: dict[str, Sequence[Conv]] = {
    "resnet_50": _merged(_resnet_50()),
    "googlenet_v1": _merged(_googlenet_v1()),
    "vgg_19": _merged(_vgg_19()),
    "alexnet": _merged(_alexnet()),
    "mobilenet": _merged(_mobilenet()),
    "mobilenet_dw": _merged(_mobilenet_dw()),
    "unet": _merged(_unet()),
    "3d_unet": _merged(_unet_3d()),
    "1d_wavenet": _merged(_wavenet_1d()),
    "dilated": _merged(_dilated()),
}

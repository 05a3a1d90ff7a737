"""The public kernels beside the float64 reference: their cases, by sections."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bench.gpu_case import KINDS, PLAIN, Case, Drawn
from bench.gpu_check_layers import activation_cases, batch_norm_cases, layer_cases
from bench.gpu_check_losses import loss_cases
from numbacnn.dims import ConvDims, PoolDims
from numbacnn.epilogue import Activation
from numbacnn.kernels import reference
from numbacnn.pool_dims import WindowDims
from numbacnn.update_rules import RULES, Numbers


def _conv(x: tuple[int, ...], w: tuple[int, ...], **options: Any) -> ConvDims:
    options.setdefault("padding", "valid")
    return ConvDims.of(x, w, **options)


def convolutions(small: bool) -> Iterator[tuple[str, ConvDims]]:
    """Odd geometries, then those of networks."""
    yield "3x3 pad", _conv((2, 6, 5, 3), (3, 3, 3, 5), padding=((1, 2), (0, 1)))
    yield (
        "stride dilation groups",
        _conv((1, 9, 8, 4), (3, 2, 2, 6), stride=(2, 3), dilation=(2, 1), groups=2, padding=((2, 1), (1, 0))),
    )
    yield "1x1 stride", _conv((1, 5, 5, 8), (1, 1, 8, 4), stride=2)
    yield "1-D", _conv((2, 11, 4), (4, 4, 3), stride=2, padding="same")
    yield "depthwise", _conv((1, 7, 6, 8), (3, 3, 1, 8), groups=8, padding="same")
    if small:
        return
    yield "3-D", _conv((1, 5, 6, 7, 3), (2, 3, 2, 3, 4), stride=(1, 2, 1), padding="same")
    yield "empty", _conv((0, 6, 5, 3), (3, 3, 3, 5))
    yield (
        "depthwise stride multiplier",
        _conv((2, 13, 12, 6), (5, 3, 1, 12), stride=2, groups=6, padding="same"),
    )
    yield "odd channels", _conv((3, 17, 19, 37), (3, 3, 37, 71), padding="same")
    yield "conv1", _conv((2, 224, 224, 3), (7, 7, 3, 64), stride=2, padding=((3, 2), (3, 2)))
    yield "res2 3x3", _conv((2, 56, 56, 64), (3, 3, 64, 64), padding="same")
    yield "res3 1x1", _conv((2, 28, 28, 512), (1, 1, 512, 128))
    yield "res5 3x3", _conv((4, 7, 7, 512), (3, 3, 512, 512), padding="same")
    yield "mobilenet depthwise", _conv((2, 56, 56, 128), (3, 3, 1, 128), groups=128, padding="same")


def conv_cases(small: bool) -> Iterator[Case]:
    a, kinds = Drawn(), tuple(KINDS)
    for label, d in convolutions(small):
        x, w, dy = a(*d.input_shape), a(*d.kernel_shape), a(*d.output_shape)
        b, y, rest = a(d.c_out), a.out(*d.output_shape), (kinds, True)
        yield Case("conv", "conv_forward", label, (d, x, w, b, y), *rest)
        yield Case("conv", "conv_backward_data", label, (d, dy, w, a.out(*d.input_shape)), *rest)
        yield Case("conv", "conv_backward_weights", label, (d, x, dy, a.out(*d.kernel_shape)), *rest)
        bias = a(d.input_shape[-1])
        yield Case("conv", "conv_transpose_forward", label, (d, dy, w, bias, a.out(*d.input_shape)), *rest)
        if label in ("3x3 pad", "depthwise", "res2 3x3"):
            for activation in (None, Activation("relu"), Activation("clip", 0.0, 6.0)):
                scale, residual = a(d.c_out), a(*d.output_shape)
                arguments = (d, x, w, b, scale, residual, activation, y)
                shown = f"{label} {activation.kind if activation else 'no activation'}"
                yield Case("conv", "conv_forward_fused", shown, arguments, *rest)
    for n, k, m in [(5, 7, 3)] if small else [(5, 7, 3), (1, 1000, 10), (64, 400, 120), (300, 513, 257)]:
        x, w, dy, b = a(n, k), a(k, m), a(n, m), a(m)
        label = f"{n}x{k}x{m}"
        yield Case("dense", "dense_forward", label, (x, w, b, a.out(n, m)), kinds, True)
        yield Case("dense", "dense_backward_data", label, (dy, w, a.out(n, k)), kinds, True)
        yield Case("dense", "dense_backward_weights", label, (x, dy, a.out(k, m)), kinds, True)


def pool_cases(small: bool) -> Iterator[Case]:
    a = Drawn()
    geometries: list[tuple[str, Any]] = [
        ("2x2", PoolDims.of((2, 5, 4, 3), 2)),
        ("3x2 pad stride", PoolDims.of((1, 7, 6, 8), (3, 2), (2, 1), ((1, 1), (0, 1)), ceil_mode=True)),
    ]
    if not small:
        geometries += [
            ("global", WindowDims.adaptive((8, 7, 7, 512), 1)),
            ("3x3 /2", PoolDims.of((2, 112, 112, 64), 3, 2, "same")),
            ("3-D", PoolDims.of((1, 6, 7, 8, 5), 3, 2, "same")),
            ("1-D dilated", PoolDims.of((2, 31, 9), 3, 1, "same", dilation=2)),
        ]
    for label, d in geometries:
        x, dy, y, dx = a(*d.input_shape), a(*d.output_shape), a.out(*d.output_shape), a.out(*d.input_shape)
        x = np.round(x * 8) / 8  # maxima of 16-bit floats are then those of float64
        yield Case("pool", "max_pool_forward", label, (d, x, y))
        top = y.copy()
        reference.max_pool_forward(d, x, top)
        yield Case("pool", "max_pool_indices", label, (d, x, top, a.out(*y.shape, dtype=np.int64)))
        yield Case("pool", "max_pool_backward", label, (d, x, top, dy, dx))
        for pads, divisor in ((True, 0.0), (False, 3.5)):
            yield Case("pool", "avg_pool_forward", f"{label} {pads}", (d, x, y, pads, divisor))
            yield Case("pool", "avg_pool_backward", f"{label} {pads}", (d, dy, dx, pads, divisor))
        norm = y.copy()
        reference.lp_pool_forward(d, x, norm, 2.0)
        yield Case("lp_pool", "lp_pool_forward", label, (d, x, y, 2.0))
        yield Case(
            "lp_pool", "lp_pool_backward", label, (d, x, norm, dy, dx, 2.0), ("float64", "exact"), False, 4
        )
        places = a.out(*y.shape, dtype=np.int64)
        reference.max_pool_indices(d, x, top, places)
        if d.stride_ == d.k_ if isinstance(d, PoolDims) else False:
            yield Case("unpool", "max_unpool_forward", label, (top, places, dx))
        yield Case("unpool", "max_unpool_backward", label, (x, places, y))
    d = geometries[0][1]
    x, y, dx = a(*d.input_shape), a.out(*d.output_shape), a.out(*d.input_shape)
    weights = ((0.5, 1.0), (1.0, 0.25))
    yield Case("weighted_pool", "weighted_pool_forward", "2x2", (d, x, y, weights))
    yield Case("weighted_pool", "weighted_pool_backward", "2x2", (d, a(*y.shape), dx, weights))


def gather_cases(small: bool) -> Iterator[Case]:
    a, x_shape = Drawn(), (2, 4, 6, 4) if small else (2, 28, 30, 36)
    n, h, w, c = x_shape
    x = a(*x_shape)
    for mode in ("constant", "reflect", "replicate", "circular"):
        pads = ((1, 2), (2, 0))
        wide = n, h + 3, w + 2, c
        yield Case("pad", "pad_forward", mode, (x, pads, mode, 1.5, a.out(*wide)))
        yield Case("pad", "pad_backward", mode, (a(*wide), pads, mode, a.out(*x_shape)))
    for mode, corners in (("nearest", False), ("linear", False), ("linear", True)):
        out = n, 2 * h + 1, w // 2, c
        label = f"{mode} {corners}"
        yield Case("resample", "resize_forward", label, (x, mode, corners, None, a.out(*out)))
        yield Case("resample", "resize_backward", label, (a(*out), mode, corners, None, a.out(*x_shape)))
    # the transpose of an image's rows and columns, turned around along the columns
    turned, extents = a.out(n, w, h, c), (n, w, h, c)
    strides, rows = (h * w * c, -c, w * c, 1), (h * w * c, h * c, c, 1)
    yield Case("copy", "strided_copy", "", (x, (w - 1) * c, strides, extents, 0, rows, turned))
    fine = n, 2 * h, 2 * w, c // 4
    for name, source, target in (
        ("pixel_shuffle_forward", x_shape, fine), ("pixel_shuffle_backward", fine, x_shape),
        ("pixel_unshuffle_forward", fine, x_shape), ("pixel_unshuffle_backward", x_shape, fine),
    ):  # fmt: skip
        yield Case("shuffle", name, "2x2", (a(*source), (2, 2), a.out(*target)))


def elementwise_cases(small: bool) -> Iterator[Case]:
    a, shape = Drawn(), (3, 7, 5) if small else (5, 33, 1021)
    x, y, dy, out = a(*shape), a(*shape), a(*shape), a.out(*shape)
    for name, extra in (("relu", ()), ("leaky_relu", (0.1,)), ("clip", (-0.5, 0.75)), ("silu", ()),
                        ("sigmoid", ()), ("tanh", ())):  # fmt: skip
        yield Case("elementwise", f"{name}_forward", "", (x, *extra, out), PLAIN, False, 2)
        yield Case("elementwise", f"{name}_backward", "", (y, dy, *extra, out), PLAIN, False, 2)
    mask = (x > 0).astype(np.uint8)
    yield Case("elementwise", "dropout_forward", "", (x, mask, 1.25, out))
    yield Case("elementwise", "dropout_backward", "", (x, mask, 1.25, out))
    yield Case("elementwise", "add", "", (x, y, out))
    yield Case("elementwise", "multiply", "", (x, y, out))
    yield Case("elementwise", "bias_backward", "", (x, a.out(shape[-1])), PLAIN, True)
    rows, classes = (5, 7) if small else (257, 1000)
    x, y, out = a(rows, classes), np.abs(a(rows, classes)), a.out(rows, classes)
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    yield Case("softmax", "softmax_forward", "", (x, out), PLAIN, False, 2)
    yield Case("softmax", "softmax_backward", "", (p, y, out), PLAIN, False, 4)


def norm_cases(small: bool) -> Iterator[Case]:
    a = Drawn()
    yield from batch_norm_cases(small)
    shapes = [(2, 5, 4, 6)] if small else [(2, 31, 33, 24), (3, 17, 19, 7), (2, 9, 9, 512), (1, 65, 1040)]
    for shape in shapes:
        x, dy, y, dx, c = a(*shape) + 0.5, a(*shape), a.out(*shape), a.out(*shape), shape[-1]
        gamma, beta, slopes = a(c), a(c), (a.out(c), a.out(c))
        for groups in {1, 2 if c % 2 == 0 else c, c}:
            label, moments = f"{shape} in {groups}", np.abs(a(shape[0], groups, 2))
            forward = (x, gamma, beta, 1e-3, y, a.out(*moments.shape))
            yield Case("group_norm", "group_norm_forward", label, forward, PLAIN, False, 2)
            backward = (x, moments, gamma, dy, dx, *slopes)
            yield Case("group_norm", "group_norm_backward", label, backward, PLAIN, False, 8)
        for lead in range(1, len(shape)):
            inner, label, moments = shape[lead:], f"{shape} from {lead}", np.abs(a(*shape[:lead], 2))
            gamma, beta, outs = a(*inner), a(*inner), (a.out(*inner), a.out(*inner))
            forward = (x, gamma, beta, 1e-3, y, a.out(*moments.shape))
            yield Case("layer_norm", "layer_norm_forward", label, forward, PLAIN, False, 2)
            backward = (x, moments, gamma, dy, dx, *outs)
            yield Case("layer_norm", "layer_norm_backward", label, backward, PLAIN, False, 8)
        for size, exponent in ((5, 0.75), (4, 0.5), (3, 1.0), (9, 0.6)):
            numbers, label = (size, 0.5, exponent, 2.0), f"{shape} {size} {exponent}"
            file, name = "response_norm", "local_response_norm"
            yield Case(file, f"{name}_forward", label, (x, *numbers, y), PLAIN, False, 4)
            yield Case(file, f"{name}_backward", label, (x, dy, *numbers, dx), PLAIN, False, 4)


def update_cases(small: bool) -> Iterator[Case]:
    a, size = Drawn(), 131 if small else 1_000_003
    w, g, m, v, most = a(size), a(size), a(size), np.abs(a(size)), np.abs(a(size))
    kinds, average = ("float64", "exact"), a(size)
    states = {"m": [m], "v": [v], "mv": [m, v], "vm": [v, m], "vv": [v, most], "mvv": [m, v, most]}
    told = Numbers(0.01, 9.0, 0.7, 2.0, 0.01, 0.02, 0.1, 0.1, 0.9, 0.99, 1e-4, 0.2, 0.0, 0.1)
    kept = {"sgd": "m", "lion": "m", "rmsprop": "v", "rmsprop_momentum": "vm", "adagrad": "v"}
    kept |= {"adadelta": "vv", "amsgrad": "mvv"}
    for rule, count in RULES.items():
        if rule == "rmsprop_centered":
            own = [4.0 + v, m, w]  # a variance above 0
        else:
            own = states[kept.get(rule, "mv")] if count else []
        arguments = (rule, w, g, *[*own, None, None, None][:3], average, told)
        yield Case("update", "optimizer_step", rule, arguments, kinds, False, 4)
    yield Case("update", "average_step", "", (w, average, 0.1), kinds)
    yield Case("update", "penalty_value", "", (w, 0.1, 0.2), kinds, False, math.log2(size))
    yield Case("update", "square_sum", "", (g,), kinds)


SECTIONS: dict[str, Callable[[bool], Iterator[Case]]] = {
    "conv": conv_cases,
    "pool": pool_cases,
    "gather": gather_cases,
    "elementwise": elementwise_cases,
    "activation": activation_cases,
    "layers": layer_cases,
    "norm": norm_cases,
    "losses": loss_cases,
    "update": update_cases,
}

"""Cases of the kernels of activations and of layers that multiply no matrices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.gpu_case import PLAIN, Case, Drawn
from numbacnn.epilogue import Activation
from numbacnn.kernels import reference


def activation_cases(small: bool) -> Iterator[Case]:
    a, shape = Drawn(), (3, 7, 5) if small else (5, 33, 1021)
    x, dy, out, file, rest = 3.0 * a(*shape), a(*shape), a.out(*shape), "activation", (PLAIN, False, 2)
    x.flat[:2] = 3.0, -3.0  # where hard functions have corners
    y = x.copy()
    reference.elu_forward(x, 0.75, 1.25, y)
    yield Case(file, "elu_forward", "", (x, 0.75, 1.25, out), *rest)
    yield Case(file, "elu_backward", "", (y, dy, 0.75, 1.25, out), *rest)
    for approximate in (False, True):
        label = "approximate" if approximate else ""
        yield Case(file, "gelu_forward", label, (x, approximate, out), *rest)
        yield Case(file, "gelu_backward", label, (x, dy, approximate, out), *rest)
    y = x.copy()
    reference.hardsigmoid_forward(x, y)
    yield Case(file, "hardsigmoid_forward", "", (x, out), *rest)
    yield Case(file, "hardsigmoid_backward", "", (y, dy, out), *rest)
    for name in ("hardswish", "mish"):
        yield Case(file, f"{name}_forward", "", (x, out), *rest)
        yield Case(file, f"{name}_backward", "", (x, dy, out), *rest)
    for beta in (1.0, 2.5):
        y = x.copy()
        reference.softplus_forward(x, beta, y)
        yield Case(file, "softplus_forward", f"{beta}", (x, beta, out), *rest)
        yield Case(file, "softplus_backward", f"{beta}", (y, dy, beta, out), *rest)
    for size in (1, shape[-1]):
        slope, label = a(size), "a slope" if size == 1 else "a slope per channel"
        yield Case("prelu", "prelu_forward", label, (x, slope, out), *rest)
        backward = (x, slope, dy, out, a.out(size))
        yield Case("prelu", "prelu_backward", label, backward, PLAIN, False, 4)


def layer_cases(small: bool) -> Iterator[Case]:
    a = Drawn()
    for shape in [(5, 7)] if small else [(257, 1000), (4099, 10), (3, 5003)]:
        x, dy, y, dx = a(*shape), a(*shape), a.out(*shape), a.out(*shape)
        yield Case("log_softmax", "log_softmax_forward", f"{shape}", (x, y), PLAIN, False, 2)
        reference.log_softmax_forward(x, given := a.out(*shape))
        yield Case("log_softmax", "log_softmax_backward", f"{shape}", (given, dy, dx), PLAIN, False, 4)
    yield from _tables(a, small)
    yield from _masks(a, small)
    yield from _products(a, small)
    for shape in [(2, 3, 7)] if small else [(4, 28, 28, 64), (3, 11, 1021)]:
        x, y = a(*shape), a.out(*shape[:-1], 2)
        reference.channel_pool_forward(x, y)
        dy, dx, label = a(*y.shape), a.out(*shape), f"{shape}"
        yield Case("channel_pool", "channel_pool_forward", label, (x, a.out(*y.shape)), PLAIN, False, 2)
        for others, shown in ((None, label), (a(*shape), f"{label} others")):
            yield Case("channel_pool", "channel_pool_backward", shown, (x, y, dy, others, dx))


def _tables(a: Drawn, small: bool) -> Iterator[Case]:
    rows, d, count = (5, 3, (2, 6)) if small else (1000, 129, (16, 127))
    w, dy = a(rows, d), a(*count, d)
    for dtype in (np.int64, np.int32):
        x = a.rng.integers(0, rows, count).astype(dtype)
        for padding in (-1, int(x[0, 0])):
            label = f"{np.dtype(dtype)} {'padding' if padding >= 0 else ''}".strip()
            yield Case("embedding", "embedding_forward", label, (x, w, padding, a.out(*dy.shape)))
            backward = (x, dy, padding, a.out(rows, d))
            yield Case("embedding", "embedding_backward", label, backward, PLAIN, False, 2)


def _masks(a: Drawn, small: bool) -> Iterator[Case]:
    shape = (3, 4, 2, 5) if small else (16, 28, 30, 37)
    x, out = a(*shape), a.out(*shape)
    for label, of in (("examples", shape[:1]), ("channels", (shape[0], shape[-1]))):
        mask = a.rng.integers(0, 2, of).astype(np.uint8)
        for name in ("group_dropout_forward", "group_dropout_backward"):
            yield Case("group_dropout", name, label, (x, mask, 1.25, out))


def _products(a: Drawn, small: bool) -> Iterator[Case]:
    """Factors that are repeated along an axis, and sums with weights."""
    for shape in [(2, 6, 3), (5, 4, 1)] if small else [(8, 784, 64), (3, 17, 1021), (784, 67, 1)]:
        few, many, label = (shape[0], shape[2]), a.out(*shape), f"{shape}"
        x, dy, scale = a(*shape), a(*shape), a(*few)
        yield Case("modulate", "modulate_forward", label, (x, scale, None, many))
        yield Case("modulate", "modulate_forward", f"{label} shift", (x, scale, a(*few), many))
        yield Case("modulate", "modulate_backward_scale", label, (x, dy, a.out(*few)), PLAIN, True)
    file, shape = "weighted_sum", (3, 7, 5) if small else (5, 33, 1021)
    for count in (3, 5):  # 5 take two launches
        inputs, dy, out = tuple(a(*shape) for _ in range(count)), a(*shape), a.out(*shape)
        weights, gradients = 0.25 + np.abs(a(count)), tuple(a.out(*shape) for _ in range(count))
        weights[-1] = -0.5
        for epsilon in (None, 1e-2):
            label = f"{count} {'as they are' if epsilon is None else 'normalised'}"
            yield Case(file, "weighted_sum_forward", label, (inputs, weights, epsilon, out), PLAIN, False, 4)
            yield Case(file, "weighted_sum_backward", label, (dy, weights, epsilon, gradients))
            backward = (inputs, dy, weights, epsilon, a.out(count))
            yield Case(file, "weighted_sum_backward_weights", label, backward, PLAIN, False, 16)


def batch_norm_cases(small: bool) -> Iterator[Case]:
    a, file = Drawn(), "batch_norm"
    shapes = [(2, 5, 4, 6)] if small else [(2, 31, 33, 24), (3, 17, 19, 7), (2, 9, 9, 512), (1, 65, 1040)]
    for shape in shapes:
        x, dy, label, c = a(*shape) + 0.5, a(*shape), f"{shape}", shape[-1]
        y, dx, mean, gamma, beta = a.out(*shape), a.out(*shape), a(c), a(c), a(c)
        variance, results, residual = 0.5 + np.abs(a(c)), (a.out(c), a.out(c)), a(*shape)
        for running, shown in (((None, None), label), ((a(c), np.abs(a(c))), f"{label} running")):
            forward = (x, 0.9, *running, *results)
            yield Case(
                file, "batch_norm_statistics", shown, forward, PLAIN, False, 4, wide=tuple(range(2, 6))
            )
        for activation, scale, other in (
            (None, (gamma, beta), None), (Activation("relu"), (gamma, beta), residual),
            (Activation("clip", 0.0, 6.0), (gamma, beta), None), (None, (None, None), None),
        ):  # fmt: skip
            kind = activation.kind if activation else "no activation" if scale[0] is not None else "plain"
            shown, given = f"{label} {kind}", (x, mean, variance, *scale, 1e-3, other, activation)
            wide = tuple(range(1, 5))
            yield Case(file, "batch_norm_forward", shown, (*given, y), PLAIN, False, 2, wide)
            slopes = results if scale[0] is not None else (None, None)
            for constant in (False, True):
                more = dx if other is None else a.out(*shape), None if other is None else a.out(*shape)
                backward = (*given, constant, dy, *more, *slopes)
                name = f"{shown} {'constant' if constant else ''}".strip()
                yield Case(file, "batch_norm_backward", name, backward, PLAIN, False, 8, (*wide, 12, 13))

"""Cases of the kernels of losses. Those of 16-bit scores are float32.

Gradients of means are scaled by what the mean is of, as float16 holds few digits of small numbers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.gpu_case import PLAIN, Case, Drawn
from numbacnn.kernels import reference


def loss_cases(small: bool) -> Iterator[Case]:
    a = Drawn()
    yield from _entropies(a, small)
    yield from _pointwise(a, small)
    yield from _dice(a, small)
    yield from _similarities(a, small)
    yield from _sequences(a, small)


def _entropies(a: Drawn, small: bool) -> Iterator[Case]:
    """Of a softmax: p is that of other scores, whose targets are drawn."""
    file, (rows, classes) = "softmax", (5, 7) if small else (257, 1000)
    x, weights, out, loss = a(rows, classes), np.abs(a(classes)), a.out(rows, classes), a.out(rows)
    labels = a.rng.integers(0, classes, rows)
    ignore = int(labels[1])
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    soft = np.abs(a(rows, classes))
    soft /= soft.sum(axis=1, keepdims=True)
    for target, given, nothing, smoothing, divisor in (
        (labels, None, -1, 0.0, None), (labels, weights, ignore, 0.1, np.array(3.5)),
        (soft, None, -1, 0.1, None),
    ):  # fmt: skip
        label = f"{'classes' if target.ndim == 1 else 'rows'} {smoothing}"
        forward = (x, target, given, nothing, smoothing, loss, out)
        yield Case(file, "softmax_cross_entropy_forward", label, forward, PLAIN, False, 2, (2, 5))
        backward = (p, target, given, nothing, smoothing, divisor, 0.5, out)
        yield Case(file, "softmax_cross_entropy_backward", label, backward, PLAIN, False, 2, (2, 5))
    for given, nothing, gamma, divisor in ((None, -1, 2.0, None), (weights, ignore, 0.5, np.array(3.5))):
        forward = (x, labels, given, nothing, gamma, loss, out)
        yield Case(file, "focal_cross_entropy_forward", f"{gamma}", forward, PLAIN, False, 4, (2, 5))
        backward = (p, labels, given, nothing, gamma, divisor, 0.5, out)
        yield Case(file, "focal_cross_entropy_backward", f"{gamma}", backward, PLAIN, False, 4, (2, 5))
        label = "ones" if given is None else "weights"
        yield Case(file, "target_weights", label, (labels, given, nothing, loss), PLAIN, wide=(1, 3))


def _pointwise(a: Drawn, small: bool) -> Iterator[Case]:
    shape = (3, 7, 5) if small else (5, 33, 1021)
    x, y, dx, loss = 2.0 * a(*shape), a(*shape), a.out(*shape), a.out(shape[0])
    chances = 1.0 / (1.0 + np.exp(-a(*shape)))
    chances[0, 0, :2] = 0.0, 1.0
    pairs = [
        ("mean_squared_error", "", (x, y), ()),
        ("mean_absolute_error", "", (x, y), ()),
        ("huber", "", (x, y), (0.75,)),
        ("focal", "", (x, chances), (0.25, 0.75, 2.0)),
        ("focal", "0.5", (x, chances), (1.0, 1.0, 0.5)),
        ("binary_cross_entropy", "", (x, chances), (None,)),
        ("binary_cross_entropy", "a weight", (x, chances), (np.abs(a(1)),)),
        ("binary_cross_entropy", "weights", (x, chances), (np.abs(a(shape[-1])),)),
    ]
    for name, label, arrays, numbers in pairs:
        wide = (2,) if name == "binary_cross_entropy" else ()
        forward, place = (*arrays, *numbers, loss), 2 + len(numbers)
        yield Case("pointwise", f"{name}_forward", label, forward, PLAIN, False, 4, (*wide, place))
        backward = (*arrays, *numbers, 0.5 * x[0].size, dx)
        yield Case("pointwise", f"{name}_backward", label, backward, PLAIN, False, 4, wide)
    for logarithms in (False, True):
        label, target = ("logarithms", np.log(0.01 + chances)) if logarithms else ("", chances)
        forward = (-np.abs(x), target, logarithms, loss)
        yield Case("pointwise", "kl_divergence_forward", label, forward, PLAIN, False, 4, (3,))
        yield Case("pointwise", "kl_divergence_backward", label, (target, logarithms, 0.5, dx))


def _dice(a: Drawn, small: bool) -> Iterator[Case]:
    shapes = [(2, 9, 3)] if small else [(2, 17001, 3), (3, 784, 21)]
    for shape in shapes:
        (n, m, k), x = shape, a(*shape)
        masks, classes = a.rng.integers(0, 2, shape).astype(np.float64), a.rng.integers(-1, k, (n, m))
        for target, exclusive, squared, smooth in ((masks, False, False, 1.0), (classes, True, True, 0.0)):
            p, sums, loss = a.out(*shape), a.out(n, 2, k), a.out(n)
            reference.dice_forward(x, target, exclusive, squared, smooth, loss, p, sums)
            label = f"{shape} {'classes' if exclusive else 'masks'}"
            outs = a.out(n), a.out(*shape), a.out(n, 2, k)
            forward = (x, target, exclusive, squared, smooth, *outs)
            yield Case("dice", "dice_forward", label, forward, PLAIN, False, 4, (5, 7))
            backward = (p, target, sums, exclusive, squared, 0.5 * m, a.out(*shape))
            yield Case("dice", "dice_backward", label, backward, PLAIN, False, 4, (2,))


def _similarities(a: Drawn, small: bool) -> Iterator[Case]:
    file, margin, scale = "similarity", 0.1, 0.5
    for shape in [(6, 5)] if small else [(257, 128), (1031, 3), (5, 4099)]:
        one, two, three, label = a(*shape), a(*shape), a(*shape), f"{shape}"
        alike = a.rng.choice((-1, 1), shape[0]).astype(np.int64)
        loss, outs = a.out(shape[0]), tuple(a.out(*shape) for _ in range(3))
        forward = (one, two, alike, margin, loss)
        yield Case(file, "cosine_embedding_forward", label, forward, PLAIN, False, 4, (4,))
        backward = (one, two, alike, margin, scale, *outs[:2])
        yield Case(file, "cosine_embedding_backward", label, backward, PLAIN, False, 4)
        for squared in (False, True):
            given, shown = (one, two, three, 1.0, squared), f"{label} {'squared' if squared else ''}".strip()
            yield Case(file, "triplet_forward", shown, (*given, loss), PLAIN, False, 8, (5,))
            yield Case(file, "triplet_backward", shown, (*given, scale, *outs), PLAIN, False, 4)


def _sequences(a: Drawn, small: bool) -> Iterator[Case]:
    for n, t, k, s in [(3, 7, 5, 3)] if small else [(8, 61, 29, 20), (3, 150, 500, 70)]:
        x, labels = a(n, t, k), a.rng.integers(1, k, (n, s))
        labels[0, 1] = labels[0, 0]  # equal neighbours, between which there is a blank
        ends = a.rng.integers(0, s + 1, n)
        ends[0] = s
        marked = np.where(np.arange(s) < ends[:, None], labels, -1)
        times = a.rng.integers(t // 2, t + 1, n)
        times[:2] = t, 1  # the second has no path, if it has more labels than steps
        ends[1], marked[1] = s, labels[1]
        for given, counts, steps, by_length in (
            (marked, None, None, True), (labels, ends, times, False),
        ):  # fmt: skip
            label = f"({n}, {t}, {k}) of {s} {'to the end' if steps is None else 'by lengths'}"
            norm, prefixes, loss = a.out(n, t), a.out(n, t, 2 * s + 1), a.out(n)
            targets = (given, counts, steps)
            reference.ctc_forward(x, *targets, 0, by_length, True, loss, norm, prefixes)
            inside = np.arange(t) < (np.full(n, t) if steps is None else steps)[:, None]
            beyond = np.where(inside, np.nan, np.logaddexp.reduce(x, axis=-1))  # may be written or not
            outs = a.out(n), beyond, a.out(n, t, 2 * s + 1)
            forward = (x, *targets, 0, by_length, steps is None, *outs)
            yield Case("ctc", "ctc_forward", label, forward, PLAIN, False, 4, (7,), (8, 9))
            backward = (x, *targets, norm, prefixes, 0, by_length, 0.5, a.out(n, t, k))
            yield Case("ctc", "ctc_backward", label, backward, PLAIN, False, 8, double=(4, 5))

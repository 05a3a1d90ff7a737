"""Normalisations in training, forward and backward with their activation, beside PyTorch or nothing.

    python -m bench.norm --peer torch|none [--only TEXT] [--threads 2] [--rounds 7] [--json FILE]

float32, whole steps of a layer: what a forward pass in training returns and all gradients.  PyTorch runs in
the faster of its memory formats, with its ReLU in place.  Each side's results are checked first, against
float64; then the sides take turns.  The fraction is that of the speed at which the same threads read and fill
as many bytes, timed in the same turns.  A ratio above 1 says that we are faster.
"""

from __future__ import annotations

import argparse
import functools
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bench.peak import filler, reader
from bench.report import Table, geomean, milliseconds, write_json
from bench.timing import environment, fastest, interleave, keep_freed_pages, require_torch, set_threads
from bench.truth import relative_error
from numbacnn import functional
from numbacnn.epilogue import Activation
from numbacnn.kernels import reference
from numbacnn.tensor import Tensor

Shape = tuple[int, ...]

#: Of ResNet-50 at batch 4 and 224 pixels, and of MobileNet-v2 at batch 16 and 96 pixels.
SHAPES: tuple[Shape, ...] = (
    (4, 112, 112, 64),
    (4, 56, 56, 64),
    (4, 56, 56, 256),
    (4, 28, 28, 128),
    (4, 28, 28, 512),
    (4, 14, 14, 256),
    (4, 14, 14, 1024),
    (4, 7, 7, 512),
    (4, 7, 7, 2048),
    (16, 48, 48, 32),
    (16, 48, 48, 96),
    (16, 24, 24, 144),
    (16, 12, 12, 192),
    (16, 6, 6, 576),
    (16, 3, 3, 1280),
)
#: Of ResNet-50 again, of ConvNeXt-T at batch 4, of networks for style transfer, and of AlexNet at batch 16.
GROUPED = SHAPES[2:9:2]
LAYERED: tuple[Shape, ...] = ((4, 56, 56, 96), (4, 28, 28, 192), (4, 14, 14, 384), (4, 7, 7, 768))
STYLED: tuple[Shape, ...] = ((4, 128, 128, 64), (4, 64, 64, 128))
ALEXNET: tuple[Shape, ...] = ((16, 27, 27, 96), (16, 13, 13, 256))
TOLERANCE = 1e-4  # of the largest result
MARGIN = 1e-4  # that what is activated keeps from 0, where rounding would choose the side
EPSILON = 1e-5
COLUMNS = (("norm", 15), ("shape", 13), ("error", 7), ("ms", 7), ("GB/s", 6), ("of memory", 9))
PEER_COLUMNS = (("peer ms", 7), ("ratio", 5), ("form", 13))


@dataclass(frozen=True)
class Problem:
    """The arrays of a layer: input, output gradient, scale and shift."""

    x: np.ndarray  # (n, *spatial, c)
    dy: np.ndarray
    gamma: np.ndarray  # (c,)
    beta: np.ndarray

    @classmethod
    def of(cls, shape: Shape) -> Problem:
        rng = np.random.default_rng(0)
        x, dy = (rng.standard_normal(shape, dtype=np.float32) for _ in range(2))
        gamma, beta = (rng.uniform(0.5, 1.5, shape[-1]).astype(np.float32) for _ in range(2))
        axes = tuple(range(len(shape) - 1))
        n = (x - x.mean(axis=axes, dtype=np.float64)) / x.std(axis=axes, dtype=np.float64)
        near = np.abs(n * gamma + beta) < MARGIN
        return cls(x + 1 + 0.01 * near.astype(np.float32), dy, gamma, beta)


Results = list[np.ndarray]  # output, and the gradients of input, scale and shift
Step = Callable[[], Results]


class Norm(NamedTuple):
    """A layer: its steps on either side, the truth in float64, and the bytes that it must move."""

    name: str
    ours: Callable[[Problem], Step]
    torch: Callable[[Any, Problem], Any]  # the library and the problem to a module with its parameters
    truth: Callable[[Problem], Results]
    reads: int  # passes over an array of the input's size
    writes: int


def _batch_norm(problem: Problem, activation: str | None) -> Step:
    x, dy, gamma, beta = (Tensor(a) for a in vars(problem).values())
    running = Tensor(np.zeros_like(problem.gamma)), Tensor(np.ones_like(problem.gamma))
    options: dict[str, Any] = {"epsilon": EPSILON, "activation": activation}

    def step() -> Results:
        moments = functional.batch_norm_statistics(x, running_mean=running[0], running_variance=running[1])
        y = functional.batch_norm_forward(x, *moments, gamma, beta, **options)
        dx, _, *others = functional.batch_norm_backward(dy, x, *moments, gamma, beta, **options)
        return [t.numpy() for t in (y, dx, *others) if t is not None]

    return step


def _batch_norm_torch(torch: Any, problem: Problem, activation: str | None) -> Any:
    rank, c = problem.x.ndim - 2, problem.x.shape[-1]
    norm = getattr(torch.nn, f"BatchNorm{rank}d")(c, eps=EPSILON)
    return torch.nn.Sequential(norm, torch.nn.ReLU(inplace=True)) if activation else norm


def _batch_norm_truth(problem: Problem, activation: str | None) -> Results:
    x, c = problem.x.astype(np.float64), problem.x.shape[-1]
    mean, variance, dgamma, dbeta = (np.empty(c) for _ in range(4))
    y, dx = np.empty(x.shape), np.empty(x.shape)
    reference.batch_norm_statistics(x, 0.9, None, None, mean, variance)
    follow = Activation.of(activation, "")
    args = x, mean, variance, problem.gamma, problem.beta, EPSILON, None, follow
    reference.batch_norm_forward(*args, y)
    reference.batch_norm_backward(*args, False, problem.dy, dx, None, dgamma, dbeta)
    return [y, dx, dgamma, dbeta]


def _batch_norms(name: str, activation: str | None) -> Norm:
    parts = (functools.partial(f, activation=activation) for f in (_batch_norm, _batch_norm_torch))
    return Norm(name, *parts, functools.partial(_batch_norm_truth, activation=activation), 6, 2)


def _groups(kind: str, c: int) -> int:
    """Of a group norm 32, or as many below as divide the channels; of an instance norm all."""
    return math.gcd(32, c) if kind == "group_norm" else c


def _example_norm(problem: Problem, kind: str) -> Step:
    """Group, instance, layer or response norm."""
    x, dy, gamma, beta = (Tensor(a) for a in vars(problem).values())

    def step() -> Results:
        if kind == "response_norm":
            y = functional.local_response_norm_forward(x)
            return [y.numpy(), functional.local_response_norm_backward(dy, x).numpy()]
        if kind == "layer_norm":
            y, statistics = functional.layer_norm_forward(x, gamma, beta, epsilon=EPSILON)
            gradients = functional.layer_norm_backward(dy, x, statistics, gamma)
        else:
            groups = _groups(kind, x.shape[-1])
            y, statistics = functional.group_norm_forward(x, groups, gamma, beta, epsilon=EPSILON)
            gradients = functional.group_norm_backward(dy, x, statistics, gamma)
        return [t.numpy() for t in (y, *gradients)]

    return step


def _example_norm_torch(torch: Any, problem: Problem, kind: str) -> Any:
    rank, c = problem.x.ndim - 2, problem.x.shape[-1]
    if kind == "response_norm":
        return torch.nn.LocalResponseNorm(5)
    if kind == "group_norm":
        return torch.nn.GroupNorm(_groups(kind, c), c, eps=EPSILON)
    if kind == "instance_norm":
        return getattr(torch.nn, f"InstanceNorm{rank}d")(c, eps=EPSILON, affine=True)

    class Last(torch.nn.LayerNorm):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return super().forward(x.movedim(1, -1)).movedim(-1, 1)

    return Last(c, eps=EPSILON)


def _example_norm_truth(problem: Problem, kind: str) -> Results:
    x, dy, c = problem.x.astype(np.float64), problem.dy, problem.x.shape[-1]
    y, dx, dgamma, dbeta = np.empty(x.shape), np.empty(x.shape), np.empty(c), np.empty(c)
    if kind == "response_norm":
        reference.local_response_norm_forward(x, 5, 1e-4, 0.75, 1.0, y)
        reference.local_response_norm_backward(x, dy, 5, 1e-4, 0.75, 1.0, dx)
        return [y, dx]
    layer = kind == "layer_norm"
    statistics = np.empty((*x.shape[:-1], 2) if layer else (len(x), _groups(kind, c), 2))
    forward = reference.layer_norm_forward if layer else reference.group_norm_forward
    backward = reference.layer_norm_backward if layer else reference.group_norm_backward
    forward(x, problem.gamma, problem.beta, EPSILON, y, statistics)
    backward(x, statistics, problem.gamma, dy, dx, dgamma, dbeta)
    return [y, dx, dgamma, dbeta]


def _example_norms(kind: str, reads: int) -> Norm:
    sides = (functools.partial(f, kind=kind) for f in (_example_norm, _example_norm_torch))
    return Norm(kind, *sides, functools.partial(_example_norm_truth, kind=kind), reads, 2)


#: Each with the shapes that it is measured on.
NORMS: tuple[tuple[Norm, tuple[Shape, ...]], ...] = (
    (_batch_norms("batch_norm+relu", "relu"), SHAPES),
    (_batch_norms("batch_norm", None), SHAPES[2:9:2]),
    (_example_norms("group_norm", 6), GROUPED),
    (_example_norms("instance_norm", 6), STYLED),
    (_example_norms("layer_norm", 3), LAYERED),
    (_example_norms("response_norm", 3), ALEXNET),
)


def torch_steps(norm: Norm, problem: Problem) -> dict[str, Step]:
    """The steps in PyTorch, from and to channels last, by memory format."""
    torch = require_torch()
    rank = problem.x.ndim - 2
    formats = {"contiguous": torch.contiguous_format}
    if rank > 1:
        formats["channels_last"] = torch.channels_last if rank == 2 else torch.channels_last_3d
    return {name: _torch_step(torch, norm, problem, f) for name, f in formats.items()}


def _torch_step(torch: Any, norm: Norm, problem: Problem, memory_format: Any) -> Step:
    module = norm.torch(torch, problem)
    learned = list(module.parameters())  # scale and shift, or nothing
    with torch.no_grad():
        for parameter, value in zip(learned, (problem.gamma, problem.beta), strict=False):
            parameter.copy_(torch.from_numpy(value))
    x, dy = (
        torch.from_numpy(np.ascontiguousarray(np.moveaxis(a, -1, 1))).contiguous(memory_format=memory_format)
        for a in (problem.x, problem.dy)
    )
    x.requires_grad_()

    def step() -> Results:
        for tensor in (x, *learned):
            tensor.grad = None
        y = module(x)
        y.backward(dy)
        images = [np.moveaxis(t.detach().numpy(), 1, -1) for t in (y, x.grad)]
        return [*images, *(parameter.grad.numpy() for parameter in learned)]

    return step


def measure(
    norm: Norm, shape: Shape, peer: str = "none", *, rounds: int = 7, turn_seconds: float = 0.03
) -> dict[str, Any]:
    """Check one layer, then time it; a JSON-able row. Ends the program where a side's result is wrong."""
    problem, label = Problem.of(shape), "x".join(map(str, shape))
    row: dict[str, Any] = {"norm": norm.name, "shape": label}
    calls: dict[str, Callable[[], Any]] = {"ours": norm.ours(problem)}
    if peer != "none":
        steps = torch_steps(norm, problem)
        row["form"] = fastest(steps, turn_seconds=turn_seconds / 3)
        calls["peer"] = steps[row["form"]]
    expected = norm.truth(problem)
    for name, call in calls.items():
        for got, truth in zip(call(), expected, strict=True):
            error = relative_error(got, truth)
            if not error < TOLERANCE:
                sys.exit(f"wrong result: {norm.name} {label}: {name} differs by {error:.1e} of the largest")
            if name == "ours":
                row["error"] = max(error, row.get("error", 0.0))
    same = np.ones(problem.x.size, np.float32)  # not zeros: untouched, they would be one page
    read, fill = reader(same), filler(same)

    def memory() -> None:
        for _ in range(norm.reads):
            read()
        for _ in range(norm.writes):
            fill()

    times = interleave({**calls, "memory": memory}, rounds=rounds, turn_seconds=turn_seconds)
    row |= {name: t.row() for name, t in times.items()}
    median = times["ours"].median
    row["bytes_per_second"] = (norm.reads + norm.writes) * problem.x.nbytes / median
    row["fraction"] = times["memory"].median / median
    if peer != "none":
        row["ratio"] = times["peer"].median / median
        row["best_ratio"] = times["peer"].best / times["ours"].best
    row["disturbed"] = any(t.disturbed for t in times.values())
    return row


def _cases(only: str) -> Iterator[tuple[Norm, Shape]]:
    for norm, shapes in NORMS:
        for shape in shapes:
            if only in f"{norm.name} {'x'.join(map(str, shape))}":
                yield norm, shape


def run(
    *,
    peer: str = "none",
    only: str = "",
    threads: int | None = None,
    rounds: int = 7,
    turn_seconds: float = 0.03,
) -> dict[str, Any]:
    """Measure the layers whose name and shape hold ``only``, printing a row each; a JSON-able report."""
    threads = set_threads(threads, peer)
    table = Table(COLUMNS if peer == "none" else COLUMNS + PEER_COLUMNS)
    rows = []
    for norm, shape in _cases(only):
        row = measure(norm, shape, peer, rounds=rounds, turn_seconds=turn_seconds)
        rows.append(row)
        cells = [row["norm"], row["shape"], f"{row['error']:.0e}", milliseconds(row["ours"]["seconds"])]
        cells += [f"{row['bytes_per_second'] / 1e9:.3g}", f"{row['fraction']:.2f}"]
        if peer != "none":
            cells += [milliseconds(row["peer"]["seconds"]), f"{row['ratio']:.2f}", row["form"]]
        table.row(*cells)
    return {"environment": environment(peer), "peer": peer, "threads": threads, "rows": rows}


def summarise(report: dict[str, Any]) -> None:
    """Print how many rows were disturbed, and the means of the ratios by layer and of all."""
    rows = report["rows"]
    if disturbed := sum(r["disturbed"] for r in rows):
        print(f"\n{disturbed} of {len(rows)} rows were disturbed by other work on this machine")
    if report["peer"] == "none":
        print(f"geomean of the fractions: {geomean(r['fraction'] for r in rows):.2f}")
        return
    for name in dict.fromkeys(r["norm"] for r in rows):
        ratios = [r["ratio"] for r in rows if r["norm"] == name]
        print(f"{name} geomean ratio: {geomean(ratios):.2f}, lowest {min(ratios):.2f}")
    report["geomean_ratio"] = geomean(r["ratio"] for r in rows)
    print(f"geomean ratio: {report['geomean_ratio']:.3f}")


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.norm", description=__doc__.splitlines()[0])
    parser.add_argument("--peer", choices=["none", "torch"], default="none")
    parser.add_argument("--only", default="", metavar="TEXT", help="layers whose name and shape hold it")
    parser.add_argument("--threads", type=int, help="of both sides; default: all")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--turn", type=float, default=0.03, help="seconds per side and round")
    parser.add_argument("--json", metavar="FILE", help="write all figures there too")
    a = parser.parse_args(argv)
    report = run(peer=a.peer, only=a.only, threads=a.threads, rounds=a.rounds, turn_seconds=a.turn)
    summarise(report)
    write_json(a.json, report)


if __name__ == "__main__":
    keep_freed_pages()
    main()

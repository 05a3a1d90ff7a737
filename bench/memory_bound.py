"""Pooling, elementwise functions, losses and optimizer steps, as a fraction of the speed of a plain copy.

    python -m bench.memory_bound [--megabytes 16] [--only TEXT] [--json FILE]

One thread, float32.  The bytes counted are those that must be read and written once; the copy is NumPy's,
of as many bytes, timed in turns.  A function that reads more than it writes can be faster than a copy.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from bench.report import Table, geomean, milliseconds, write_json
from bench.timing import environment, interleave, keep_freed_pages, set_threads
from numbacnn.dims import PoolDims
from numbacnn.kernels import reference
from numbacnn.kernels.cpu import (
    activation,
    elementwise,
    group_dropout,
    group_norm,
    layer_norm,
    log_softmax,
    lp_pool,
    pool,
    prelu,
    response_norm,
    softmax,
    unpool,
    update,
    weighted_pool,
)
from numbacnn.pool_dims import PoolGeometry, WindowDims
from numbacnn.update_rules import Numbers

ALLOWED = 1e-5  # of the largest output
CHANNELS = 64


class Case(NamedTuple):
    """A kernel with its arguments; the arrays it writes come last, or are named."""

    name: str
    kernel: Callable[..., Any]
    args: tuple[Any, ...]
    outputs: tuple[int, ...]  # positions in args

    @property
    def traffic(self) -> int:
        """Bytes read and written; the optimizers' outputs are read first."""
        arrays = [(i, a) for i, a in enumerate(self.args) if isinstance(a, np.ndarray)]
        updated = self.kernel.__module__ == update.__name__
        return sum(a.nbytes * (2 if updated and i in self.outputs else 1) for i, a in arrays)


Arrays = Callable[..., np.ndarray]


def _square(megabytes: float) -> int:
    """Pixels along an edge of four images of CHANNELS channels that take so much, a multiple of 8."""
    return max(8, int((megabytes * 1e6 / 4 / CHANNELS / 4) ** 0.5) // 8 * 8)


def _geometries(megabytes: float) -> Iterator[tuple[str, PoolGeometry]]:
    pixels = _square(megabytes)
    image = (4, pixels, pixels, CHANNELS)
    for label, kernel, stride in (("2x2 /2", 2, 2), ("3x3 /2", 3, 2), ("3x3 /1", 3, 1)):
        yield label, PoolDims.of(image, kernel, stride, "same")
    yield "2x2 /2 6ch", PoolDims.of((4, pixels, pixels, 6), 2)
    edge = max(4, round((pixels * pixels) ** (1 / 3)) // 4 * 4)
    yield "3x3x3 /1", PoolDims.of((1, edge, edge, edge, CHANNELS), 3, 1, "same")
    yield "5 /2 1-D", PoolDims.of((4, pixels * pixels // 4, CHANNELS), 5, 2, "same")
    yield "global", WindowDims.adaptive((pixels * pixels // 49 + 1, 7, 7, 4 * CHANNELS), 1)
    yield "to 7x7", WindowDims.adaptive(image, 7)
    out = pixels * 5 // 7
    yield "fractional", WindowDims.fractional(image, out, (0.3, 0.7), 2)


def _pool_cases(megabytes: float, array: Arrays) -> Iterator[Case]:
    """Maxima and averages of every geometry, and the other kinds of pooling of one each."""
    for label, dims in _geometries(megabytes):
        x, y, dy, dx = (array(*s) for s in (dims.input_shape, *[dims.output_shape] * 2, dims.input_shape))
        pool.max_pool_forward(dims, x, y)
        yield Case(f"max_pool_forward {label}", pool.max_pool_forward, (dims, x, dy.copy()), (2,))
        yield Case(f"max_pool_backward {label}", pool.max_pool_backward, (dims, x, y, dy, dx), (4,))
        yield Case(f"avg_pool_forward {label}", pool.avg_pool_forward, (dims, x, dy.copy(), False, 0.0), (2,))
        yield Case(f"avg_pool_backward {label}", pool.avg_pool_backward, (dims, dy, dx, False, 0.0), (2,))
        if label not in ("2x2 /2", "3x3 /1"):
            continue
        norm = np.empty_like(y)
        lp_pool.lp_pool_forward(dims, x, norm, 2.0)
        yield Case(f"lp_pool_forward {label}", lp_pool.lp_pool_forward, (dims, x, dy.copy(), 2.0), (2,))
        yield Case(f"lp_pool_backward {label}", lp_pool.lp_pool_backward, (dims, x, norm, dy, dx, 2.0), (4,))
        if label == "3x3 /1":
            weights = ((0.6, 1.0, 0.6),) * 2
            forward, backward = weighted_pool.weighted_pool_forward, weighted_pool.weighted_pool_backward
            yield Case(f"weighted_pool_forward {label}", forward, (dims, x, dy.copy(), weights), (2,))
            yield Case(f"weighted_pool_backward {label}", backward, (dims, dy, dx, weights), (2,))
            continue
        indices = np.empty(y.shape, np.int64)
        pool.max_pool_indices(dims, x, y, indices)
        yield Case(f"max_pool_indices {label}", pool.max_pool_indices, (dims, x, y, indices.copy()), (3,))
        yield Case(f"max_unpool_forward {label}", unpool.max_unpool_forward, (y, indices, dx), (2,))
        yield Case(f"max_unpool_backward {label}", unpool.max_unpool_backward, (x, indices, dy.copy()), (2,))


def _norm_cases(x: np.ndarray, dy: np.ndarray, y: np.ndarray) -> Iterator[Case]:
    """Normalisations of single examples: of 32 groups of channels, of pixels' channels, of neighbours."""
    n, c = len(x), x.shape[-1]
    gamma, beta, slopes = np.ones(c, np.float32), np.zeros(c, np.float32), np.empty((2, c), np.float32)
    for name, file, kept in (
        ("group_norm", group_norm, (n, 32, 2)),
        ("layer_norm", layer_norm, (*x.shape[:-1], 2)),
    ):
        forward, backward = (getattr(file, f"{name}_{way}") for way in ("forward", "backward"))
        statistics = np.empty(kept, np.float32)
        forward(x, gamma, beta, 1e-5, y, statistics)
        yield Case(f"{name}_forward", forward, (x, gamma, beta, 1e-5, y, statistics.copy()), (4, 5))
        yield Case(f"{name}_backward", backward, (x, statistics, gamma, dy, y, *slopes), (4, 5, 6))
    numbers = 5, 1e-4, 0.75, 2.0
    forward, backward = response_norm.local_response_norm_forward, response_norm.local_response_norm_backward
    yield Case("local_response_norm_forward", forward, (x, *numbers, y), (5,))
    yield Case("local_response_norm_backward", backward, (x, dy, *numbers, y), (6,))


def _curve_cases(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Iterator[Case]:
    """The activations with their options; y stands for gradients, and x for what the forward pass kept."""
    options: dict[str, tuple[float, ...]] = {
        "elu": (1.0, 1.0),
        "gelu": (False,),
        "hardsigmoid": (),
        "hardswish": (),
        "mish": (),
        "softplus": (1.0,),
    }
    for name, values in options.items():
        forward, backward = (getattr(activation, f"{name}_{way}") for way in ("forward", "backward"))
        yield Case(f"{name}_forward", forward, (x, *values, z), (1 + len(values),))
        kept = np.abs(x) if name == "softplus" else x
        yield Case(f"{name}_backward", backward, (kept, y, *values, z), (2 + len(values),))
    yield Case("gelu_forward tanh", activation.gelu_forward, (x, True, z), (2,))
    slope = np.full(CHANNELS, 0.25, np.float32)
    yield Case("prelu_forward", prelu.prelu_forward, (x, slope, z), (2,))
    yield Case("prelu_backward", prelu.prelu_backward, (x, slope, y, z, slope.copy()), (3, 4))


def _cases(megabytes: float) -> Iterator[Case]:
    rng = np.random.default_rng(0)

    def array(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    yield from _pool_cases(megabytes, array)
    pixels = _square(megabytes)
    x, y, z = (
        array(4, pixels, pixels, CHANNELS),
        array(4, pixels, pixels, CHANNELS),
        array(4, pixels, pixels, CHANNELS),
    )
    for name in ("relu", "sigmoid", "tanh"):
        yield Case(f"{name}_forward", getattr(elementwise, f"{name}_forward"), (x, z), (1,))
        yield Case(f"{name}_backward", getattr(elementwise, f"{name}_backward"), (y, x, z), (2,))
    yield from _curve_cases(x, y, z)
    mask = (x > 0).astype(np.uint8)
    yield Case("dropout_forward", elementwise.dropout_forward, (x, mask, 1.25, z), (3,))
    yield Case("add", elementwise.add, (x, y, z), (2,))
    yield Case("bias_backward", elementwise.bias_backward, (x, array(CHANNELS)), (1,))
    yield from _norm_cases(x, y, z)
    channels = mask[:, 0, 0]
    yield Case("group_dropout_forward", group_dropout.group_dropout_forward, (x, channels, 1.25, z), (3,))
    rows = x.reshape(-1, 1024)[: x.size // 1024]
    yield Case("softmax_forward", softmax.softmax_forward, (rows, z.reshape(rows.shape)), (1,))
    yield Case("log_softmax_forward", log_softmax.log_softmax_forward, (rows, z.reshape(rows.shape)), (1,))
    yield Case(
        "softmax_backward",
        softmax.softmax_backward,
        (rows, y.reshape(rows.shape), z.reshape(rows.shape)),
        (2,),
    )
    w, g, m, v = (a.reshape(-1) for a in (x.copy(), y, z.copy(), np.abs(z)))
    told = Numbers(1e-3, 9.0, beta1=0.9, beta2=0.999, eps=1e-7)
    for rule, states in (("sgd", [m]), ("rmsprop", [v]), ("adam", [m, v])):
        args = (rule, w, g, *[*states, None, None][:3], None, told)
        outputs = (1, *range(3, 3 + len(states)))
        yield Case(f"optimizer_step {rule}", update.optimizer_step, args, outputs)


def _check(case: Case) -> None:
    """End the program where the kernel's results are not the reference's."""
    ours, truth = ([a.copy() if isinstance(a, np.ndarray) else a for a in case.args] for _ in range(2))
    case.kernel(*ours)
    getattr(reference, case.kernel.__name__)(*truth)
    for i in case.outputs:
        error = float(np.abs(ours[i] - truth[i]).max() / np.abs(truth[i]).max())
        if not error < ALLOWED:
            raise SystemExit(f"wrong result: {case.name} differs by {error:.1e} of the largest output")


def run(
    megabytes: float = 16.0,
    only: str = "",
    *,
    rounds: int = 5,
    turn_seconds: float = 0.03,
    cases: Callable[[float], Iterator[Case]] = _cases,
) -> dict[str, Any]:
    """Measure and print the cases whose name holds ``only``; a JSON-able report."""
    set_threads(1)
    table = Table((("function", 32), ("ms", 6), ("GB/s", 6), ("of copy", 7)))
    rows = []
    for case in cases(megabytes):
        if only not in case.name:
            continue
        _check(case)
        source = np.zeros(case.traffic // 2, np.uint8)
        target = np.empty_like(source)
        sides = {
            "ours": lambda case=case: case.kernel(*case.args),
            "copy": lambda source=source, target=target: np.copyto(target, source),
        }
        times = interleave(sides, rounds=rounds, turn_seconds=turn_seconds)
        seconds, fraction = times["ours"].median, times["copy"].median / times["ours"].median
        speed = case.traffic / seconds
        table.row(case.name, milliseconds(seconds), f"{speed / 1e9:.1f}", f"{fraction:.2f}")
        rows.append({"name": case.name, "bytes": case.traffic, "fraction": fraction, **times["ours"].row()})
    return {"environment": environment(), "rows": rows}


def main(
    argv: Sequence[str] | None = None,
    run: Callable[..., dict[str, Any]] = run,
    program: str = "bench.memory_bound",
    about: str = __doc__,
) -> None:
    """The command line of this benchmark, and of others of the same form."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=about.splitlines()[0])
    parser.add_argument("--megabytes", type=float, default=16.0, help="of the largest array")
    parser.add_argument("--only", default="", metavar="TEXT", help="functions whose name holds it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--turn", type=float, default=0.03, help="seconds per side and round")
    parser.add_argument("--json", metavar="FILE", help="write all figures there too")
    a = parser.parse_args(argv)
    report = run(a.megabytes, a.only, rounds=a.rounds, turn_seconds=a.turn)
    print(f"geomean of the fractions: {geomean(row['fraction'] for row in report['rows']):.2f}")
    write_json(a.json, report)


if __name__ == "__main__":
    keep_freed_pages()
    main()

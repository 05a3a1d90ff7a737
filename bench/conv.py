"""Convolution forward and gradients over the shapes of published networks, beside a peer.

    python -m bench.conv --peer torch --set resnet_50 --pass all --batch 1 --threads 2
    python -m bench.conv --peer ncnn --keep-weights --set vgg_19 resnet_50 --kernel 3 --stride 1

Checks every result first.  Then times ours and the peer in turns and prints GFLOP/s (two operations a
multiply-add, those with padding counted), the fraction of the machine's measured multiply-add peak, and the
ratio of the two medians; above 1 we are faster.  `--json FILE` is written after every shape, so that what was
measured outlives an interruption, and `--append` goes on with it.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import truth
from bench.conv_report import PASSES, markdown, put, read_earlier, summarise
from bench.peak import machine_peak
from bench.peer_ncnn import NcnnConv, UnsupportedError, require_ncnn
from bench.peer_torch import TorchConv
from bench.report import Table, milliseconds, write_json
from bench.shapes import SETS, Conv
from bench.timing import environment, interleave, keep_freed_pages, require_torch, set_threads
from numbacnn.dims import ConvDims
from numbacnn.errors import NumbaCNNError
from numbacnn.tensor import empty

#: float32 sums of up to some 100,000 random terms, relative to the largest output.
TOLERANCE = 1e-4

#: Multiply-adds up to which the float64 check takes about a second; above, ours is checked by the peer alone.
CHEAP_MACS = 4_000_000_000

COLUMNS = (("shape", 23), ("", 34), ("n", 3), ("pass", 7), ("error", 7), ("ms", 7), ("GF/s", 6), ("peak", 5))
PEER_COLUMNS = (("peer ms", 7), ("GF/s", 6), ("ratio", 5), ("format", 13))


class WrongResultError(Exception):
    """A side computes something else than the convolution: its speed means nothing."""


@dataclass(frozen=True)
class Problem:
    """One convolution with its arrays, channels last, float32."""

    conv: Conv
    dims: ConvDims
    x: np.ndarray  # (n, *in, c_in)
    w: np.ndarray  # (*k, c_in / groups, c_out)
    dy: np.ndarray  # (n, *out, c_out)

    @classmethod
    def of(cls, conv: Conv, batch: int) -> Problem:
        dims, rng = conv.dims(batch), np.random.default_rng(0)
        shapes = (dims.input_shape, dims.kernel_shape, dims.output_shape)
        arrays = [empty(shape, np.float32).numpy() for shape in shapes]  # aligned, as PyTorch's are too
        for array in arrays:
            rng.standard_normal(out=array, dtype=np.float32)
        return cls(conv, dims, *arrays)

    def ours(self, pass_: str, *, keep_weights: bool = False) -> Callable[[], Any]:
        """The pass through the functional layer; a kernel that cannot change is one to keep packed.

        That is inference: in training kernels change from pass to pass, so gradients are spared it.
        """
        from numbacnn import functional

        d, w = self.dims, self.w
        if keep_weights and pass_ == "forward":
            w = empty(w.shape, w.dtype).numpy()
            np.copyto(w, self.w)
            w.flags.writeable = False
        options = {
            "stride": d.stride_,
            "padding": self.conv.padding,
            "dilation": d.dilation_,
            "groups": d.groups,
        }
        if pass_ == "forward":
            return lambda: functional.conv_forward(self.x, w, **options)
        if pass_ == "data":
            return lambda: functional.conv_backward_data(self.dy, w, d.input_shape, **options)
        return lambda: functional.conv_backward_weights(self.x, self.dy, d.kernel_shape, **options)

    def truth(self, pass_: str) -> np.ndarray:
        """The pass in float64."""
        if pass_ == "forward":
            return truth.conv_forward(self.dims, self.x, self.w)
        if pass_ == "data":
            return truth.conv_backward_data(self.dims, self.dy, self.w)
        return truth.conv_backward_weights(self.dims, self.x, self.dy)


def _check(problem: Problem, pass_: str, sides: dict[str, np.ndarray]) -> float:
    """The largest error of the sides; raises WrongResultError where one is wrong."""
    if len(sides) == 1 or problem.dims.macs <= CHEAP_MACS:
        expected, by = problem.truth(pass_), "float64"
    else:
        expected, by = sides["peer"].astype(np.float64), "the peer"
    errors = {name: truth.relative_error(result, expected) for name, result in sides.items()}
    for name, error in errors.items():
        if error > TOLERANCE:
            raise WrongResultError(
                f"{problem.conv.name} {pass_}: {name} and {by} differ by {error:.1e} of the largest output, "
                f"more than {TOLERANCE:.0e}"
            )
    return errors["ours"]


@dataclass(frozen=True)
class Settings:
    """What is measured of each convolution, beside whom, and for how long."""

    peer: str = "none"  # or "torch", "ncnn"
    passes: Sequence[str] = tuple(PASSES)
    batches: Sequence[int] = (1,)
    threads: int | None = None  # of both sides; None for all
    rounds: int = 7
    turn_seconds: float = 0.03
    keep_weights: bool = False  # forward, as in inference: both sides may keep packed kernels


def measure(
    problem: Problem, pass_: str, peer: Any = None, settings: Settings = Settings()
) -> dict[str, Any]:
    """Check one pass of one problem, then time it; a JSON-able row.

    ``peer`` is a TorchConv or NcnnConv of the same problem, or None.  Times are in seconds, rates in
    operations a second.  Raises WrongResultError where a side's result is wrong.
    """
    turn = settings.turn_seconds
    sides, results, row = {"ours": problem.ours(pass_, keep_weights=settings.keep_weights)}, {}, {}
    results["ours"] = np.array(sides["ours"]())
    if peer is not None:
        row["format"], sides["peer"] = peer.best(pass_, turn_seconds=turn / 3)
        results["peer"] = peer.result(pass_, sides["peer"])
    conv, flops = problem.conv, 2 * problem.dims.macs
    row |= {
        "name": conv.name,
        "shape": str(conv),
        "count": conv.count,
        "batch": problem.dims.n,
        "pass": pass_,
    }
    row["error"] = _check(problem, pass_, results)
    for name, times in interleave(sides, rounds=settings.rounds, turn_seconds=turn).items():
        row[name] = times.row() | {"flops": flops / times.median}
        row["disturbed"] = row.get("disturbed", False) or times.disturbed
    if peer is not None:
        row["ratio"] = row["peer"]["seconds"] / row["ours"]["seconds"]
        row["best_ratio"] = row["peer"]["best"] / row["ours"]["best"]
    return row


def _cells(row: dict[str, Any]) -> list[str]:
    ours, peak = row["ours"], row["peak"]
    cells = [row["name"], row["shape"], str(row["batch"]), row["pass"], f"{row['error']:.0e}"]
    cells += [milliseconds(ours["seconds"]), f"{ours['flops'] / 1e9:.3g}", f"{ours['flops'] / peak:.2f}"]
    if "peer" in row:
        peer = row["peer"]
        cells += [
            milliseconds(peer["seconds"]),
            f"{peer['flops'] / 1e9:.3g}",
            f"{row['ratio']:.2f}",
            row["format"],
        ]
    return cells


def _peer(problem: Problem, settings: Settings, threads: int) -> Any:
    """The problem in the peer's hands, or None for no peer; UnsupportedError where it has none."""
    dims, x, w = problem.dims, problem.x, problem.w
    if settings.peer == "torch":
        return TorchConv(dims, x, w, problem.dy, keep_weights=settings.keep_weights)
    return NcnnConv(dims, x, w, threads) if settings.peer == "ncnn" else None


def begin(settings: Settings) -> dict[str, Any]:
    """Give both sides their threads and measure the peak: a report without rows yet."""
    if settings.peer == "ncnn":
        require_ncnn()
        if list(settings.passes) != ["forward"] or list(settings.batches) != [1]:
            sys.exit("ncnn has the forward pass alone, an image at a time: --pass forward --batch 1")
    threads = set_threads(settings.threads, settings.peer)
    peak = machine_peak(threads, seconds=10 * settings.turn_seconds)
    print(f"multiply-add peak of {threads} thread{'s'[: threads > 1]}: {peak / 1e9:.0f} GF/s")
    about = {"environment": environment(settings.peer), "peer": settings.peer, "threads": threads}
    return about | {"keep_weights": settings.keep_weights, "peak": peak, "rows": [], "unsupported": []}


def measure_all(
    sets: Mapping[str, Sequence[Conv]],
    settings: Settings,
    report: dict[str, Any],
    save: Callable[[dict[str, Any]], None] = lambda report: None,
) -> None:
    """Measure the convolutions of the sets into the report, printing a row each; save it after each shape."""
    table = Table(COLUMNS if settings.peer == "none" else COLUMNS + PEER_COLUMNS)
    mine = []
    mode = require_torch().inference_mode() if settings.peer == "torch" else contextlib.nullcontext()
    with mode:
        for set_, conv, batch in ((s, c, n) for s in sets for n in settings.batches for c in sets[s]):
            problem, unsupported, other = Problem.of(conv, batch), "", None
            try:
                other = _peer(problem, settings, report["threads"])
            except UnsupportedError as error:
                unsupported = str(error)
            for pass_ in settings.passes:
                row = {"set": set_, "name": conv.name, "batch": batch, "pass": pass_, "peak": report["peak"]}
                try:
                    if unsupported:
                        raise UnsupportedError(unsupported)
                    row |= measure(problem, pass_, other, settings)
                except (NumbaCNNError, UnsupportedError) as error:
                    put(report, row | {"error": str(error)}, "unsupported")
                    continue
                put(report, row)
                mine.append(row)
                table.row(*_cells(row))
            save(report)
    report["peak"] = max(report["peak"], machine_peak(report["threads"], seconds=10 * settings.turn_seconds))
    for row in mine:
        row["peak"] = report["peak"]


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.conv", description=__doc__.splitlines()[0])
    parser.add_argument("--peer", choices=("torch", "ncnn", "none"), default="torch")
    parser.add_argument("--set", dest="sets", choices=(*SETS, "all"), nargs="+", default=["resnet_50"])
    parser.add_argument("--only", default="", metavar="TEXT", help="only shapes whose name holds TEXT")
    parser.add_argument("--kernel", type=int, nargs="+", metavar="K", help="only kernels of K taps an axis")
    parser.add_argument("--stride", type=int, nargs="+", metavar="S", help="only strides of S pixels an axis")
    parser.add_argument("--pass", dest="pass_", choices=(*PASSES, "all"), default="forward")
    parser.add_argument("--batch", type=int, nargs="+", default=[1])
    parser.add_argument("--threads", type=int, default=None, help="of both sides (default: all)")
    parser.add_argument("--keep-weights", action="store_true", help="forward: both sides keep packed kernels")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each side per shape")
    parser.add_argument("--turn", type=float, default=0.03, metavar="SECONDS", help="length of a turn")
    parser.add_argument("--json", metavar="FILE", help="write all figures there too, after every shape")
    parser.add_argument("--append", action="store_true", help="keep the rows that FILE has of other shapes")
    parser.add_argument("--markdown", metavar="FILE", help="write tables of all rows there")
    arguments = parser.parse_args(argv)
    if arguments.append and arguments.json is None:
        parser.error("--append needs --json FILE")
    return arguments


def _chosen(a: argparse.Namespace) -> dict[str, list[Conv]]:
    """The sets and their convolutions that the arguments choose; ends the program where there are none."""

    def fits(c: Conv) -> bool:
        kernel = a.kernel is None or any(set(c.kernel) == {k} for k in a.kernel)
        stride = a.stride is None or any(set(c.stride) == {s} for s in a.stride)
        return a.only in c.name and kernel and stride

    names = SETS if "all" in a.sets else a.sets
    chosen = {name: [c for c in SETS[name] if fits(c)] for name in names}
    chosen = {name: convs for name, convs in chosen.items() if convs}
    if not chosen:
        wanted = f"{a.only!r} in its name" if a.only else "that kernel and stride"
        sys.exit(f"no shape of {', '.join(names)} has {wanted}")
    return chosen


def main(argv: Sequence[str] | None = None) -> None:
    a = _arguments(argv)
    sets = _chosen(a)
    passes = tuple(PASSES) if a.pass_ == "all" else (a.pass_,)
    settings = Settings(a.peer, passes, a.batch, a.threads, a.rounds, a.turn, a.keep_weights)
    report, stopped = begin(settings), None
    if a.append:
        read_earlier(a.json, report)
    try:
        measure_all(sets, settings, report, lambda r: write_json(a.json, r))
    except WrongResultError as error:
        stopped = f"wrong result: {error}"
    except KeyboardInterrupt:
        stopped = "interrupted"
    if report["rows"]:
        summarise(report)
        if a.markdown is not None:
            Path(a.markdown).write_text(markdown(report))
    elif stopped is None:
        stopped = "nothing was measured"
    if report["rows"] or report["unsupported"]:
        write_json(a.json, report)
    if stopped is not None:
        sys.exit(stopped)


if __name__ == "__main__":
    keep_freed_pages()
    main()

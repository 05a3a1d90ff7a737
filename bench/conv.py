"""Convolution forward and gradients over the shapes of published networks, beside a peer.

    python -m bench.conv --peer torch --set resnet_50 --pass all --batch 1 --threads 2

Checks every result first.  Then times ours and the peer in turns and prints GFLOP/s (two operations a
multiply-add, those with padding counted), the fraction of the machine's measured multiply-add peak, and the
ratio of the two medians; above 1 we are faster.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench import truth
from bench.peak import machine_peak
from bench.report import Table, geomean, milliseconds, write_json
from bench.shapes import SETS, Conv
from bench.timing import environment, interleave, keep_freed_pages, require_torch, set_threads
from numbacnn.dims import ConvDims

PASSES = ("forward", "data", "weights")

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
        return cls(conv, dims, *(rng.standard_normal(shape, dtype=np.float32) for shape in shapes))

    def ours(self, pass_: str) -> Callable[[], Any]:
        """The pass through the functional layer."""
        from numbacnn import functional

        d = self.dims
        options = {
            "stride": d.stride_,
            "padding": self.conv.padding,
            "dilation": d.dilation_,
            "groups": d.groups,
        }
        if pass_ == "forward":
            return lambda: functional.conv_forward(self.x, self.w, **options)
        if pass_ == "data":
            return lambda: functional.conv_backward_data(self.dy, self.w, d.input_shape, **options)
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


def measure(
    problem: Problem, pass_: str, peer: Any = None, *, rounds: int = 7, turn_seconds: float = 0.03
) -> dict[str, Any]:
    """Check one pass of one problem, then time it; a JSON-able row.

    ``peer`` is a TorchConv of the same problem, or None.  Times are in seconds, rates in operations a second.
    Raises WrongResultError where a side's result is wrong.
    """
    sides, results, row = {"ours": problem.ours(pass_)}, {}, {}
    results["ours"] = np.array(sides["ours"]())
    if peer is not None:
        row["format"], sides["peer"] = peer.best(pass_, turn_seconds=turn_seconds / 3)
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
    for name, times in interleave(sides, rounds=rounds, turn_seconds=turn_seconds).items():
        row[name] = times.row() | {"flops": flops / times.median}
        row["disturbed"] = row.get("disturbed", False) or times.disturbed
    if peer is not None:
        row["ratio"] = row["peer"]["seconds"] / row["ours"]["seconds"]
        row["best_ratio"] = row["peer"]["best"] / row["ours"]["best"]
    return row


def _cells(row: dict[str, Any], peak: float) -> list[str]:
    ours = row["ours"]
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


def run(
    convs: Sequence[Conv],
    *,
    peer: str = "none",
    passes: Sequence[str] = PASSES,
    batches: Sequence[int] = (1,),
    threads: int | None = None,
    rounds: int = 7,
    turn_seconds: float = 0.03,
) -> dict[str, Any]:
    """Measure the convolutions, printing a row each; return the whole as a JSON-able report."""
    threads = set_threads(threads, peer)
    peak = machine_peak(threads, seconds=10 * turn_seconds)
    print(f"multiply-add peak of {threads} thread{'s'[: threads > 1]}: {peak / 1e9:.0f} GF/s")
    table = Table(COLUMNS if peer == "none" else COLUMNS + PEER_COLUMNS)
    rows = []
    mode = contextlib.nullcontext() if peer == "none" else require_torch().inference_mode()
    with mode:
        for batch in batches:
            for conv in convs:
                problem, other = Problem.of(conv, batch), None
                if peer == "torch":
                    from bench.peer_torch import TorchConv

                    other = TorchConv(problem.dims, problem.x, problem.w, problem.dy)
                for pass_ in passes:
                    row = measure(problem, pass_, other, rounds=rounds, turn_seconds=turn_seconds)
                    rows.append(row)
                    table.row(*_cells(row, peak))
    peak = max(peak, machine_peak(threads, seconds=10 * turn_seconds))
    return {"environment": environment(peer), "peer": peer, "threads": threads, "peak": peak, "rows": rows}


def _weighted(rows: Sequence[dict[str, Any]], side: str) -> float:
    """Operations per second over the networks: each shape as often as it occurs."""
    flops = sum(r["count"] * r[side]["flops"] * r[side]["seconds"] for r in rows)
    return flops / sum(r["count"] * r[side]["seconds"] for r in rows)


def summarise(report: dict[str, Any], passes: Sequence[str]) -> None:
    """Print the means: weighted by repeat counts, by pass, and last over all."""
    print()
    if disturbed := sum(r["disturbed"] for r in report["rows"]):
        print(f"{disturbed} of {len(report['rows'])} rows were disturbed by other work on this machine")
    groups = [(f"{p} ", [r for r in report["rows"] if r["pass"] == p]) for p in passes]
    groups = [(name, rows) for name, rows in groups if rows]
    if len(groups) > 1:
        groups.append(("", report["rows"]))
    report["means"] = {}
    for name, rows in groups if len(groups) > 1 else [("", report["rows"])]:
        ours = _weighted(rows, "ours")
        line = f"{name}weighted by repeat counts: {ours / 1e9:.1f} GF/s, {ours / report['peak']:.2f} of peak"
        mean = {"flops": ours, "peak": ours / report["peak"]}
        if report["peer"] != "none":
            theirs = _weighted(rows, "peer")
            ratios = [r["ratio"] for r in rows]
            mean |= {"peer_flops": theirs, "weighted_ratio": ours / theirs, "geomean_ratio": geomean(ratios)}
            mean |= {"lowest_ratio": min(ratios), "best_ratio": geomean(r["best_ratio"] for r in rows)}
            line += f"; peer {theirs / 1e9:.1f} GF/s; ratio {ours / theirs:.2f}, lowest {min(ratios):.2f}"
            line += f", geomean of the fastest calls {mean['best_ratio']:.2f}"
        report["means"][name.strip() or "all"] = mean
        print(line)
    if report["peer"] != "none":
        for name in report["means"]:
            prefix = "" if name == "all" else f"{name} "
            print(f"{prefix}geomean ratio: {report['means'][name]['geomean_ratio']:.3f}")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.conv", description=__doc__.splitlines()[0])
    parser.add_argument("--peer", choices=("torch", "none"), default="torch")
    parser.add_argument("--set", dest="sets", choices=(*SETS, "all"), nargs="+", default=["resnet_50"])
    parser.add_argument("--only", default="", metavar="TEXT", help="only shapes whose name holds TEXT")
    parser.add_argument("--pass", dest="pass_", choices=(*PASSES, "all"), default="forward")
    parser.add_argument("--batch", type=int, nargs="+", default=[1])
    parser.add_argument("--threads", type=int, default=None, help="of both sides (default: all)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each side per shape")
    parser.add_argument("--turn", type=float, default=0.03, metavar="SECONDS", help="length of a turn")
    parser.add_argument("--json", metavar="FILE", help="write all figures there too")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    a = _arguments(argv)
    names = SETS if "all" in a.sets else a.sets
    convs = [c for name in names for c in SETS[name] if a.only in c.name]
    if not convs:
        sys.exit(f"no shape of {', '.join(names)} has {a.only!r} in its name")
    passes = PASSES if a.pass_ == "all" else (a.pass_,)
    try:
        report = run(
            convs,
            peer=a.peer,
            passes=passes,
            batches=a.batch,
            threads=a.threads,
            rounds=a.rounds,
            turn_seconds=a.turn,
        )
    except WrongResultError as error:
        sys.exit(f"wrong result: {error}")
    if not report["rows"]:
        sys.exit("nothing was measured")
    report["sets"] = list(names)
    summarise(report, passes)
    write_json(a.json, report)


if __name__ == "__main__":
    keep_freed_pages()
    main()

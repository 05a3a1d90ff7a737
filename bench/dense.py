"""The dense layer's three products, beside PyTorch, the BLAS that NumPy brings, or nothing.

    python -m bench.dense --peer torch|blas|none [--batch 1 8 64] [--only 784x128] [--threads 2] [--json FILE]

float32, without a bias, through the kernels, written to arrays at hand.  Each side's result is checked first,
against float64; then the sides take turns.  Up to LITTLE samples the products are bound by memory: the
fraction is that of the speed at which the same threads read as many bytes (for the weight gradient, fill
them), timed in the same turns.  Of more samples it is that of the machine's multiply-add peak.  A ratio above
1 says that we are faster.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.peak import filler, machine_peak, reader
from bench.report import Table, geomean, milliseconds, write_json
from bench.timing import environment, fastest, interleave, keep_freed_pages, require_torch, set_threads
from bench.truth import relative_error
from numbacnn.kernels.cpu import dense

PASSES = ("forward", "data", "weights")

#: (inputs, outputs): of LeNet-5, small perceptrons, ResNet-50, AlexNet and VGG, and narrow heads.
LAYERS = (
    (400, 120),
    (784, 128),
    (512, 10),
    (1024, 5),
    (25088, 10),
    (2048, 1000),
    (4096, 4096),
    (25088, 4096),
)

LITTLE = 16  # samples up to which the fraction is of memory's speed
TOLERANCE = 1e-4  # of the largest output: float32 sums of up to 25088 random terms
CHECKED = 32  # columns, or rows, that are checked against float64

COLUMNS = (("layer", 11), ("n", 3), ("pass", 7), ("error", 7), ("ms", 7), ("GB/s", 6), ("GF/s", 6), ("of", 6))
COLUMNS += (("", 5),)
PEER_COLUMNS = (("peer ms", 7), ("ratio", 5), ("form", 10))


@dataclass(frozen=True)
class Problem:
    """The arrays of a layer and a batch; what is computed is written to the outputs."""

    x: np.ndarray  # (n, inputs)
    w: np.ndarray  # (inputs, outputs)
    dy: np.ndarray  # (n, outputs)

    @classmethod
    def of(cls, n: int, inputs: int, outputs: int) -> Problem:
        rng = np.random.default_rng(0)
        shapes = ((n, inputs), (inputs, outputs), (n, outputs))
        return cls(*(rng.standard_normal(shape, dtype=np.float32) for shape in shapes))

    def arrays(self, pass_: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The two operands as the pass's function takes them, and an output."""
        x, w, dy = self.x, self.w, self.dy
        first, second, like = {"forward": (x, w, dy), "data": (dy, w, x), "weights": (x, dy, w)}[pass_]
        return first, second, np.full_like(like, np.nan)

    def truth(self, pass_: str) -> tuple[np.ndarray, Any]:
        """Some columns or rows of the result in float64, and the index that selects them."""
        length = {"forward": self.w.shape[1], "data": self.w.shape[0], "weights": self.w.shape[0]}[pass_]
        some = np.unique(np.linspace(0, length - 1, CHECKED).astype(int))
        x, w, dy = self.x, self.w, self.dy
        if pass_ == "forward":
            return x.astype(np.float64) @ w[:, some], np.s_[:, some]
        if pass_ == "data":
            return dy.astype(np.float64) @ w[some].T, np.s_[:, some]
        return x[:, some].T.astype(np.float64) @ dy, np.s_[some]


Side = tuple[str, Callable[[], Any], Callable[[], np.ndarray]]  # its form, a call, and what it computed


def ours(problem: Problem, pass_: str) -> Side:
    """The pass by our kernel."""
    first, second, out = problem.arrays(pass_)
    if pass_ == "forward":
        return "", lambda: dense.dense_forward(first, second, None, out), lambda: out
    name = {"data": "dense_backward_data", "weights": "dense_backward_weights"}[pass_]
    return "", lambda: getattr(dense, name)(first, second, out), lambda: out


def blas(problem: Problem, pass_: str, turn_seconds: float) -> Side:
    """The pass by the BLAS that NumPy brings."""
    first, second, out = problem.arrays(pass_)
    a, b = {"forward": (first, second), "data": (first, second.T), "weights": (first.T, second)}[pass_]
    return "", lambda: np.matmul(a, b, out=out), lambda: out


def torch(problem: Problem, pass_: str, turn_seconds: float) -> Side:
    """The pass by PyTorch, with the weights in our layout or transposed, whichever is faster."""
    library = require_torch()
    first, second, out = (library.from_numpy(a) for a in problem.arrays(pass_))
    if pass_ == "weights":
        transposed = library.empty_like(out.T.contiguous())
        calls = {
            "(in, out)": lambda: library.mm(first.T, second, out=out),
            "(out, in)": lambda: library.mm(second.T, first, out=transposed),
        }
        results = {"(in, out)": lambda: out.numpy(), "(out, in)": lambda: transposed.numpy().T}
    else:
        turned = second.T.contiguous()
        plain, other = (second, turned.T) if pass_ == "forward" else (second.T, turned)
        calls = {
            "(in, out)": lambda: library.mm(first, plain, out=out),
            "(out, in)": lambda: library.mm(first, other, out=out),
        }
        results = dict.fromkeys(calls, lambda: out.numpy())
    form = fastest(calls, turn_seconds=turn_seconds / 3)
    return form, calls[form], results[form]


PEERS = {"torch": torch, "blas": blas}


def measure(
    problem: Problem, pass_: str, peer: str = "none", *, rounds: int = 7, turn_seconds: float = 0.03
) -> dict[str, Any]:
    """Check one pass, then time it; a JSON-able row. Ends the program where a side's result is wrong."""
    (n, inputs), outputs = problem.x.shape, problem.w.shape[1]
    row: dict[str, Any] = {"layer": f"{inputs}x{outputs}", "batch": n, "pass": pass_}
    sides = {"ours": ours(problem, pass_)}
    if peer != "none":
        sides["peer"] = PEERS[peer](problem, pass_, turn_seconds)
        row["form"] = sides["peer"][0]
    expected, some = problem.truth(pass_)
    for name, (_, call, result) in sides.items():
        call()
        error = relative_error(result()[some], expected)
        if not error < TOLERANCE:
            sys.exit(
                f"wrong result: {row['layer']} {pass_}: {name} differs by {error:.1e} of the largest output"
            )
        row.setdefault("error", error)
    calls = {name: call for name, (_, call, _) in sides.items()}
    nbytes = problem.x.nbytes + problem.w.nbytes + problem.dy.nbytes
    if n <= LITTLE:
        same = np.ones(nbytes // 4, np.float32)  # not zeros: untouched, they would be one page
        calls["memory"] = (filler if pass_ == "weights" else reader)(same)
    times = interleave(calls, rounds=rounds, turn_seconds=turn_seconds)
    for name, t in times.items():
        row[name] = t.row()
    median = times["ours"].median
    row |= {"bytes_per_second": nbytes / median, "flops": 2 * n * inputs * outputs / median}
    if n <= LITTLE:
        row |= {"fraction": times["memory"].median / median, "of": "memory"}
    if peer != "none":
        row["ratio"] = times["peer"].median / median
        row["best_ratio"] = times["peer"].best / times["ours"].best
    row["disturbed"] = any(t.disturbed for t in times.values())
    return row


def _cells(row: dict[str, Any]) -> list[str]:
    cells = [row["layer"], str(row["batch"]), row["pass"], f"{row['error']:.0e}"]
    cells += [milliseconds(row["ours"]["seconds"]), f"{row['bytes_per_second'] / 1e9:.3g}"]
    cells += [f"{row['flops'] / 1e9:.3g}", row["of"], f"{row['fraction']:.2f}"]
    if "ratio" in row:
        cells += [milliseconds(row["peer"]["seconds"]), f"{row['ratio']:.2f}", row["form"]]
    return cells


def run(
    layers: Sequence[tuple[int, int]],
    *,
    peer: str = "none",
    passes: Sequence[str] = PASSES,
    batches: Sequence[int] = (1,),
    threads: int | None = None,
    rounds: int = 7,
    turn_seconds: float = 0.03,
) -> dict[str, Any]:
    """Measure the layers, printing a row each; return the whole as a JSON-able report."""
    threads = set_threads(threads, peer)
    peak = machine_peak(threads, seconds=10 * turn_seconds)
    print(f"multiply-add peak of {threads} thread{'s'[: threads > 1]}: {peak / 1e9:.0f} GF/s")
    table = Table(COLUMNS if peer == "none" else COLUMNS + PEER_COLUMNS)
    rows = []
    with require_torch().inference_mode() if peer == "torch" else contextlib.nullcontext():
        for n in batches:
            for inputs, outputs in layers:
                problem = Problem.of(n, inputs, outputs)
                for pass_ in passes:
                    row = measure(problem, pass_, peer, rounds=rounds, turn_seconds=turn_seconds)
                    if "of" not in row:
                        row |= {"fraction": row["flops"] / peak, "of": "peak"}
                    rows.append(row)
                    table.row(*_cells(row))
    return {"environment": environment(peer), "peer": peer, "threads": threads, "peak": peak, "rows": rows}


def summarise(report: dict[str, Any]) -> None:
    """Print how many rows were disturbed, and the means of the ratios by batch and pass."""
    rows = report["rows"]
    if disturbed := sum(r["disturbed"] for r in rows):
        print(f"\n{disturbed} of {len(rows)} rows were disturbed by other work on this machine")
    if report["peer"] == "none":
        return
    print()
    for n in dict.fromkeys(r["batch"] for r in rows):
        for pass_ in dict.fromkeys(r["pass"] for r in rows):
            ratios = [r["ratio"] for r in rows if (r["batch"], r["pass"]) == (n, pass_)]
            print(f"batch {n} {pass_} geomean ratio: {geomean(ratios):.2f}, lowest {min(ratios):.2f}")
    report["geomean_ratio"] = geomean(r["ratio"] for r in rows)
    print(f"geomean ratio: {report['geomean_ratio']:.3f}")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.dense", description=__doc__.splitlines()[0])
    parser.add_argument("--peer", choices=(*PEERS, "none"), default="torch")
    parser.add_argument(
        "--only", nargs="+", metavar="INxOUT", help="these layers (default: a list of known ones)"
    )
    parser.add_argument("--pass", dest="pass_", choices=(*PASSES, "all"), default="all")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--threads", type=int, default=None, help="of both sides (default: all)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each side per row")
    parser.add_argument("--turn", type=float, default=0.03, metavar="SECONDS", help="length of a turn")
    parser.add_argument("--json", metavar="FILE", help="write all figures there too")
    return parser.parse_args(argv)


def _layers(names: Sequence[str] | None) -> list[tuple[int, int]]:
    if names is None:
        return list(LAYERS)
    try:
        return [(int(inputs), int(outputs)) for inputs, outputs in (name.split("x") for name in names)]
    except ValueError:
        sys.exit(f"expected layers as 784x128, got {' '.join(names)}")


def main(argv: Sequence[str] | None = None) -> None:
    a = _arguments(argv)
    report = run(
        _layers(a.only),
        peer=a.peer,
        passes=PASSES if a.pass_ == "all" else (a.pass_,),
        batches=a.batch,
        threads=a.threads,
        rounds=a.rounds,
        turn_seconds=a.turn,
    )
    summarise(report)
    write_json(a.json, report)


if __name__ == "__main__":
    asked = _arguments(None)
    # OpenBLAS reads its number of threads once, when NumPy is imported
    keep_freed_pages(**({"OPENBLAS_NUM_THREADS": str(asked.threads)} if asked.threads else {}))
    main()

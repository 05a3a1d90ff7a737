"""Optimizer steps beside PyTorch's, and as a fraction of the bandwidth of a copy with as many threads.

    python -m bench.optimizer --peer torch --threads 2 [--only TEXT] [--parameters 161]

The parameters are ResNet-50's: 161 arrays of 25.6 million float32; those of one array, and 161 arrays of 64
elements, show what calls cost.  The bytes counted are those that must be read and written once per step.
PyTorch is at the fastest of its plain, foreach and fused forms.  The weights after three steps are checked
first, against PyTorch's or, where it has no such optimizer, the reference's.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from bench.report import Table, geomean, milliseconds, write_json
from bench.timing import environment, fastest, interleave, keep_freed_pages, require_torch, set_threads
from numbacnn import optimizers
from numbacnn.kernels import reference
from numbacnn.optimizers import Optimizer
from numbacnn.parameter import Parameter
from numbacnn.tensor import Tensor
from numbacnn.update_rules import RULES

TOLERANCE = 1e-5  # of the largest weight
STEPS = 3
COLUMNS = (("optimizer", 18), ("parameters", 10), ("error", 6), ("ms", 7), ("GB/s", 6), ("of copy", 7))
PEER_COLUMNS = (("peer ms", 7), ("ratio", 6), ("peer's form", 11))


class Case(NamedTuple):
    """An optimizer; PyTorch's class and settings, where it has one."""

    name: str
    make: Callable[[], Optimizer]
    peer: str | None = None
    settings: dict[str, Any] = {}
    extra: int = 0  # arrays read or written beyond weights, gradients and states, for more passes

    def traffic(self) -> int:
        """Arrays that a step reads and writes."""
        return 3 + 2 * RULES[self.make()._rule] + self.extra


CASES = (
    Case("SGD", lambda: optimizers.SGD(1e-3), "SGD", {"lr": 1e-3}),
    Case("SGD momentum", lambda: optimizers.SGD(1e-3, 0.9), "SGD", {"lr": 1e-3, "momentum": 0.9}),
    Case("RMSprop", lambda: optimizers.RMSprop(1e-3), "RMSprop", {"lr": 1e-3}),
    Case("Adagrad", lambda: optimizers.Adagrad(1e-3), "Adagrad", {"lr": 1e-3}),
    Case("Adadelta", optimizers.Adadelta, "Adadelta", {}),
    Case("Adam", optimizers.Adam, "Adam", {}),
    Case("AdamW", optimizers.AdamW, "AdamW", {}),
    Case("Adam amsgrad", lambda: optimizers.Adam(amsgrad=True), "Adam", {"amsgrad": True}),
    Case("RAdam", optimizers.RAdam, "RAdam", {}),
    Case("Lion", optimizers.Lion),
    Case("LAMB", optimizers.LAMB, extra=3),  # a second pass reads w, m and v again and writes w
)


def resnet50() -> list[tuple[int, ...]]:
    """The shapes of ResNet-50's parameters."""
    shapes: list[tuple[int, ...]] = [(7, 7, 3, 64), (64,), (64,)]
    c_in = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            chain = [(1, c_in, width), (3, width, width), (1, width, 4 * width)]
            if block == 0:
                chain.append((1, c_in, 4 * width))
            for k, a, b in chain:
                shapes += [(k, k, a, b), (b,), (b,)]
            c_in = 4 * width
    return [*shapes, (2048, 1000), (1000,)]


def parameter_sets(small: bool) -> dict[str, list[tuple[int, ...]]]:
    """The sets that are measured, by name."""
    shapes = resnet50()
    if small:
        return {"tiny": [(3, 5), (7,)]}
    total = sum(int(np.prod(s)) for s in shapes)
    return {"161": shapes, "1": [(total,)], "161 of 64": [(64,)] * len(shapes)}


class Ours:
    """Our side: parameters with gradients, and the optimizer."""

    def __init__(self, case: Case, shapes: Sequence[tuple[int, ...]]) -> None:
        rng = np.random.default_rng(0)
        self.parameters = []
        for k, shape in enumerate(shapes):
            p = Parameter(rng.standard_normal(shape, np.float32), f"p{k}")
            p.grad = Tensor(rng.standard_normal(shape, np.float32))
            self.parameters.append(p)
        self.optimizer = case.make()

    def step(self) -> None:
        self.optimizer.step(self.parameters)


class Torch:
    """PyTorch's side, in one of its forms."""

    def __init__(self, case: Case, ours: Ours, form: str) -> None:
        torch = require_torch()
        self.weights = [torch.tensor(p.value.numpy(), requires_grad=True) for p in ours.parameters]
        for w, p in zip(self.weights, ours.parameters, strict=True):
            assert p.grad is not None
            w.grad = torch.tensor(p.grad.numpy())
        forms = {"plain": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
        self.optimizer = getattr(torch.optim, str(case.peer))(self.weights, **case.settings, **forms[form])

    @classmethod
    def forms(cls, case: Case, ours: Ours) -> dict[str, Torch]:
        made = {}
        for form in ("plain", "foreach", "fused"):
            try:
                made[form] = cls(case, ours, form)
            except (TypeError, RuntimeError):  # it has no such form
                continue
        return made

    def step(self) -> None:
        self.optimizer.step()


def _expected(case: Case, ours: Ours) -> list[np.ndarray]:
    """The weights after STEPS steps by the reference, in float64."""
    optimizer, found = case.make(), []
    for p in ours.parameters:
        assert p.grad is not None
        told = optimizer._numbers
        optimizer._assign([p])
        state = optimizer._state_of(p)
        w, g = p.value.numpy().reshape(-1).astype(np.float64), p.grad.numpy().reshape(-1)
        kept = [a.astype(np.float64) for a in state.arrays]
        for step in range(1, STEPS + 1):
            state.step = step
            states = [*kept, None, None, None][:3]
            reference.optimizer_step(optimizer._rule, w, g, *states, None, _numbers(told(state)))
        found.append(w)
    return found


def _numbers(row: tuple[float, ...]) -> Any:
    from numbacnn.update_rules import Numbers

    return Numbers(*row)


def _check(case: Case, ours: Ours, peer: Torch | None) -> float:
    """The largest error after some steps; ends the program where it is too large."""
    expected = None if peer is not None else _expected(case, ours)
    for _ in range(STEPS):
        ours.step()
        if peer is not None:
            peer.step()
    if peer is not None:
        expected = [w.detach().numpy().reshape(-1) for w in peer.weights]
    assert expected is not None
    worst = 0.0
    for p, right in zip(ours.parameters, expected, strict=True):
        error = float(np.abs(p.value.numpy().reshape(-1) - right).max() / np.abs(right).max())
        worst = max(worst, error)
    if not worst <= TOLERANCE:
        sys.exit(f"wrong result: {case.name} differs by {worst:.1e} of the largest weight")
    return worst


class Copy:
    """A copy of many bytes by several threads."""

    def __init__(self, nbytes: int, threads: int) -> None:
        source, target = np.ones(nbytes, np.uint8), np.empty(nbytes, np.uint8)
        bounds = [nbytes * k // threads for k in range(threads + 1)]
        parts = [slice(a, b) for a, b in itertools.pairwise(bounds)]
        self.pairs = [(target[part], source[part]) for part in parts]
        self.pool = ThreadPoolExecutor(threads)

    def __call__(self) -> None:
        list(self.pool.map(lambda pair: np.copyto(*pair), self.pairs))


def measure(
    case: Case, name: str, shapes: Sequence[tuple[int, ...]], peer: str, threads: int, **timing: Any
) -> dict[str, Any]:
    """Check a case, then time it; a JSON-able row."""
    ours = Ours(case, shapes)
    size = sum(p.size for p in ours.parameters)
    row: dict[str, Any] = {"name": case.name, "parameters": name, "bytes": 4 * size * case.traffic()}
    forms = Torch.forms(case, ours) if peer == "torch" and case.peer else {}
    row["error"] = _check(case, ours, next(iter(forms.values()), None))
    sides: dict[str, Callable[[], Any]] = {"ours": ours.step, "copy": Copy(4 * size, threads)}
    if forms:
        row["form"] = fastest({form: side.step for form, side in forms.items()}, turn_seconds=0.05)
        sides["peer"] = forms[row["form"]].step
    times = interleave(sides, **timing)
    for side, measured in times.items():
        row[side] = measured.row()
        if measured.disturbed:
            print(f"{case.name}: {side} was disturbed by other work on this machine")
    row["speed"] = row["bytes"] / times["ours"].median
    row["fraction"] = row["speed"] / (8 * size / times["copy"].median)
    row["best_fraction"] = row["bytes"] / times["ours"].best / (8 * size / times["copy"].best)
    if forms:
        row["ratio"] = times["peer"].median / times["ours"].median
    return row


def run(
    only: str = "",
    sets: str = "",
    *,
    peer: str = "none",
    threads: int | None = None,
    small: bool = False,
    rounds: int = 7,
    turn_seconds: float = 0.1,
) -> dict[str, Any]:
    """Measure and print the optimizers whose name holds ``only``; a JSON-able report."""
    threads = set_threads(threads, peer)
    print(f"threads: {threads}")
    table = Table(COLUMNS if peer == "none" else COLUMNS + PEER_COLUMNS)
    rows = []
    for name, shapes in parameter_sets(small).items():
        if sets not in ("", name):
            continue
        for case in CASES:
            if only not in case.name:
                continue
            row = measure(case, name, shapes, peer, threads, rounds=rounds, turn_seconds=turn_seconds)
            seconds = row["ours"]["seconds"]
            cells = [case.name, name, f"{row['error']:.0e}", milliseconds(seconds)]
            cells += [f"{row['speed'] / 1e9:.1f}", f"{row['fraction']:.2f}"]
            if peer == "torch":
                given = "ratio" in row
                cells += (
                    [milliseconds(row["peer"]["seconds"]), f"{row['ratio']:.2f}"] if given else [None] * 2
                )
                cells.append(row.get("form"))
            table.row(*cells)
            rows.append(row)
    report = {"environment": environment(peer), "peer": peer, "threads": threads, "rows": rows}
    print(f"geomean of the fractions: {geomean(row['fraction'] for row in rows):.2f}")
    if peer == "torch":
        report["geomean_ratio"] = geomean(row["ratio"] for row in rows if "ratio" in row)
        print(f"geomean ratio: {report['geomean_ratio']:.3f}")
    return report


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.optimizer", description=__doc__.splitlines()[0])
    parser.add_argument("--peer", choices=("torch", "none"), default="torch")
    parser.add_argument("--only", default="", metavar="TEXT", help="optimizers whose name holds it")
    parser.add_argument(
        "--parameters", default="", choices=("", *parameter_sets(False)), help="only this set"
    )
    parser.add_argument("--threads", type=int, default=None, help="of both sides (default: all)")
    parser.add_argument("--small", action="store_true", help="few small parameters: to try it out")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each side")
    parser.add_argument("--turn", type=float, default=0.1, metavar="SECONDS", help="length of a turn")
    parser.add_argument("--json", metavar="FILE", help="write all figures there too")
    a = parser.parse_args(argv)
    timing = {"rounds": a.rounds, "turn_seconds": a.turn}
    report = run(a.only, a.parameters, peer=a.peer, threads=a.threads, small=a.small, **timing)
    write_json(a.json, report)


if __name__ == "__main__":
    keep_freed_pages()
    main()

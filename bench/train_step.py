"""One training step of whole models, beside PyTorch eager: forward, loss, gradients, update.

    python -m bench.train_step --peer torch --threads 2

The same layers, initial values, loss, optimizer and threads.  Checks the loss, every gradient and the updated
parameters against the peer's first, in float64 and in float32, then times both in turns in float32.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.report import Table, geomean, milliseconds, write_json
from bench.timing import environment, fastest, interleave, keep_freed_pages, require_torch, set_threads
from bench.truth import relative_error

LEARNING_RATE, MOMENTUM = 1e-4, 0.9  # so small a rate leaves the model as it is over thousands of steps

#: Relative to the largest element of each gradient and parameter.  In float32 a single one of the million
#: inputs of a ReLU or a max-pool, zero or tied but for rounding, may fall on the other side and change a
#: gradient by 1e-2, between PyTorch's own memory formats too; so the mathematics are held to in float64.
TOLERANCE = {"float64": 1e-9, "float32": 5e-2}

COLUMNS = (
    ("model", 10),
    ("batch", 5),
    ("step MMAC", 9),
    ("error", 7),
    ("ms", 7),
    ("images/s", 8),
    ("GF/s", 6),
)
PEER_COLUMNS = (("peer ms", 7), ("images/s", 8), ("ratio", 5), ("peer's form", 20))


@dataclass(frozen=True)
class Case:
    """A model, unbuilt, with the inputs of a step."""

    name: str
    model: Callable[[], Any]
    image: tuple[int, int, int]
    batch: int
    classes: int = 10


def lenet() -> Any:
    from numbacnn.models.lenet import lenet5

    return lenet5()


def small_vgg(widths: Sequence[int] = (32, 64, 128), units: int = 256) -> Any:
    """VGG for small images: pairs of 3x3 convolutions of growing width, each pooled, and two dense layers."""
    from numbacnn.layers import Conv2D, Dense, Flatten, MaxPool2D, ReLU, Sequential

    layers: list[Any] = []
    for width in widths:
        for _ in range(2):
            layers += [Conv2D(width, 3, padding="same"), ReLU()]
        layers.append(MaxPool2D(2))
    return Sequential([*layers, Flatten(), Dense(units), ReLU(), Dense(10)], name="small_vgg")


CASES = (Case("lenet5", lenet, (28, 28, 1), 64), Case("small_vgg", small_vgg, (32, 32, 3), 32))


class Ours:
    """Our side of a case."""

    def __init__(self, case: Case, dtype: type = np.float32) -> None:
        from numbacnn.losses import SoftmaxCrossEntropy
        from numbacnn.optimizers import SGD

        self.model = case.model()
        self.model.build(case.image, 0, dtype)
        rng = np.random.default_rng(1)
        self.x = rng.standard_normal((case.batch, *case.image)).astype(dtype)
        self.target = rng.integers(0, case.classes, case.batch)
        self.loss, self.optimizer = SoftmaxCrossEntropy(), SGD(LEARNING_RATE, momentum=MOMENTUM)

    def step(self) -> float:
        model = self.model
        prediction, saved = model.forward(self.x, training=True)
        value, gradient = self.loss.value_and_gradient(prediction, self.target)
        model.zero_grad()
        model.backward(gradient, saved)
        self.optimizer.step(model.parameters)
        return value


class Torch:
    """PyTorch's side in one of its forms: a memory format, and its plain or its fused optimizer."""

    def __init__(self, ours: Ours, memory_format: str = "contiguous", fused: bool = False) -> None:
        from bench.twin import torch_twin

        torch = self.torch = require_torch()
        layout = torch.channels_last if memory_format == "channels_last" else torch.contiguous_format
        model, self.pairs = torch_twin(ours.model)
        self.model = model.to(memory_format=layout).train()
        x = torch.from_numpy(np.ascontiguousarray(ours.x.transpose(0, 3, 1, 2)))
        self.x, self.target = x.contiguous(memory_format=layout), torch.from_numpy(ours.target)
        parameters = self.model.parameters()
        self.optimizer = torch.optim.SGD(parameters, lr=LEARNING_RATE, momentum=MOMENTUM, fused=fused)

    @classmethod
    def forms(cls, ours: Ours) -> dict[str, Torch]:
        formats = ("contiguous", "channels_last")
        return {f"{f}{', fused' * fused}": cls(ours, f, fused) for f in formats for fused in (False, True)}

    def step(self) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.torch.nn.functional.cross_entropy(self.model(self.x), self.target)
        loss.backward()
        self.optimizer.step()
        return loss.item()


def _errors(ours: Ours, peer: Torch) -> dict[str, float]:
    """Errors after a step of each from equal parameters, relative to the largest element each time."""
    mine, theirs = ours.step(), peer.step()
    errors = {"loss": abs(mine - theirs) / abs(theirs)}
    for p in peer.pairs:
        gradient, value = (p.arranged(tensor.numpy()) for tensor in (p.ours.grad, p.ours.value))
        errors[f"gradient of {p.ours.name}"] = relative_error(gradient, p.theirs.grad.numpy())
        errors[f"updated {p.ours.name}"] = relative_error(value, p.theirs.detach().numpy())
    return errors


def _check(case: Case, ours: Ours, peer: Torch) -> float:
    """The largest error of a step in float64; ends the program where it, or the float32 one, is too large."""
    exact = Ours(case, np.float64)
    largest = {}
    for dtype, (mine, theirs) in {"float64": (exact, Torch(exact)), "float32": (ours, peer)}.items():
        errors = _errors(mine, theirs)
        worst = max(errors, key=errors.__getitem__)
        largest[dtype] = errors[worst]
        if not errors[worst] <= TOLERANCE[dtype]:
            found = f"{errors[worst]:.1e} of the largest element in {dtype}"
            sys.exit(f"wrong result: {case.name}: the {worst} differs from the peer's by {found}")
    return largest["float64"]


def measure(case: Case, peer: str, *, rounds: int = 9, turn_seconds: float = 0.1) -> dict[str, Any]:
    """Check a case, then time it; a JSON-able row."""
    ours = Ours(case)
    row: dict[str, Any] = {"name": case.name, "batch": case.batch}
    sides: dict[str, Callable[[], Any]] = {"ours": ours.step}
    if peer == "torch":
        forms = Torch.forms(ours)  # all with the parameters that ours has now
        row["error"] = _check(case, ours, next(iter(forms.values())))
        row["form"] = fastest(
            {name: form.step for name, form in forms.items()}, turn_seconds=turn_seconds / 2
        )
        sides["peer"] = forms[row["form"]].step
    # three passes, but for the first layer's gradient of its input, which no one needs
    first = next(layer for layer in ours.model.leaves() if layer.parameters)
    row["macs"] = case.batch * (3 * ours.model.macs() - first.macs())
    for name, times in interleave(sides, rounds=rounds, turn_seconds=turn_seconds).items():
        row[name] = times.row() | {"images_per_second": case.batch / times.median}
        if times.disturbed:
            print(f"{case.name}: {name} was disturbed by other work on this machine")
    if peer == "torch":
        row["ratio"] = row["peer"]["seconds"] / row["ours"]["seconds"]
        row["best_ratio"] = row["peer"]["best"] / row["ours"]["best"]
    return row


def run(
    cases: Sequence[Case], *, peer: str = "none", threads: int | None = None, **timing: Any
) -> dict[str, Any]:
    """Measure the cases, printing a row each; return the whole as a JSON-able report."""
    threads = set_threads(threads, peer)
    print(f"threads: {threads}")
    table = Table(COLUMNS if peer == "none" else COLUMNS + PEER_COLUMNS)
    rows = []
    for case in cases:
        row = measure(case, peer, **timing)
        ours, macs = row["ours"], row["macs"]
        cells = [
            row["name"],
            row["batch"],
            f"{macs / 1e6:.1f}",
            f"{row['error']:.0e}" if "error" in row else None,
        ]
        cells += [milliseconds(ours["seconds"]), f"{ours['images_per_second']:.0f}"]
        cells.append(f"{2e-9 * macs / ours['seconds']:.1f}")
        if peer == "torch":
            theirs = row["peer"]
            cells += [milliseconds(theirs["seconds"]), f"{theirs['images_per_second']:.0f}"]
            cells += [f"{row['ratio']:.2f}", row["form"]]
        table.row(*cells)
        rows.append(row)
    report = {"environment": environment(peer), "peer": peer, "threads": threads, "rows": rows}
    if peer == "torch":
        report["geomean_ratio"] = geomean(row["ratio"] for row in rows)
        print(f"geomean ratio: {report['geomean_ratio']:.3f}")
    return report


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.train_step", description=__doc__.splitlines()[0])
    parser.add_argument("--peer", choices=("torch", "none"), default="torch")
    parser.add_argument("--model", choices=[c.name for c in CASES], help="only this one")
    parser.add_argument("--batch", type=int, help="instead of each model's own")
    parser.add_argument("--threads", type=int, default=None, help="of both sides (default: all)")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each side per model")
    parser.add_argument("--turn", type=float, default=0.1, metavar="SECONDS", help="length of a turn")
    parser.add_argument("--json", metavar="FILE", help="write all figures there too")
    a = parser.parse_args(argv)
    cases = [c for c in CASES if a.model in (None, c.name)]
    if a.batch is not None:
        cases = [Case(c.name, c.model, c.image, a.batch, c.classes) for c in cases]
    report = run(cases, peer=a.peer, threads=a.threads, rounds=a.rounds, turn_seconds=a.turn)
    write_json(a.json, report)


if __name__ == "__main__":
    keep_freed_pages()
    main()

"""One training step of whole models, beside PyTorch eager: forward, loss, gradients, update.

    python -m bench.train_step --peer torch --threads 2

The same layers, initial values, loss, optimizer and threads.  Checks the loss, every gradient and the updated
parameters against the peer's first, in float64 and in float32 (of large models on fewer and smaller images),
then times both in turns in float32.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench.report import Table, geomean, milliseconds, write_json
from bench.timing import environment, fastest, interleave, keep_freed_pages, require_torch, set_threads

LEARNING_RATE, MOMENTUM = 1e-4, 0.9  # so small a rate leaves the model as it is over thousands of steps

#: Of a step's loss, gradients, parameters and running statistics.  In float64 relative to the largest element
#: of each array, in float32 to its norm: there one of a million inputs of a ReLU or a max-pool, zero or tied
#: but for rounding, may fall on the other side, between PyTorch's own memory formats too, and where a channel
#: has few pixels that changes its gradient by a tenth.  So the mathematics are held to in float64.
TOLERANCE = {"float64": 1e-9, "float32": 1e-1}

#: Of the loss at the size that is timed, in float32.
LOSS_TOLERANCE = 1e-3

#: Of the largest gradient of the model, or of its largest parameter: what is smaller is held to this size.
#: Before a normalisation the gradient of a shift is 0 but for rounding, and so is the mean behind one.
FLOOR = 1e-4

COLUMNS = (
    ("model", 14),
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
    """A model, unbuilt, with the inputs of a step.

    Attributes:
        name: of the row.
        model: makes it, without dropout, whose draws the peer has not.
        image: shape of an example.
        batch: examples.
        classes: of each example, or of each of its pixels where the model's output has spatial axes.
        check: shape and number of the examples that the check against the peer takes; None for those timed.

    """

    name: str
    model: Callable[[], Any]
    image: tuple[int, ...]
    batch: int
    classes: int = 10
    check: tuple[tuple[int, ...], int] | None = None

    @property
    def checked(self) -> Case:
        """The case at the size of its check."""
        image, batch = self.check or (self.image, self.batch)
        return replace(self, image=image, batch=batch)


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


def _resnet18() -> Any:
    from numbacnn.models import resnet18

    return resnet18(10, small_images=True)


def _resnet50() -> Any:
    from numbacnn.models import resnet50

    return resnet50()


def _vgg11() -> Any:
    from numbacnn.models import vgg11

    return vgg11(dropout=0.0)


def _mobilenet() -> Any:
    from numbacnn.models import mobilenet_v2

    return mobilenet_v2(dropout=0.0)


def _unet() -> Any:
    from numbacnn.models import unet

    return unet(padding="same")


def _inception_time() -> Any:
    from numbacnn.models import inception_time

    return inception_time(10)


def _voxnet() -> Any:
    from numbacnn.models import voxnet

    return voxnet(dropout=(0.0, 0.0, 0.0))


CASES = (
    Case("lenet5", lenet, (28, 28, 1), 64),
    Case("resnet18", _resnet18, (32, 32, 3), 32, check=((32, 32, 3), 4)),
    Case("resnet50", _resnet50, (224, 224, 3), 4, 1000, ((64, 64, 3), 4)),
    Case("vgg11", _vgg11, (64, 64, 3), 8, 1000, ((32, 32, 3), 2)),
    Case("mobilenet_v2", _mobilenet, (96, 96, 3), 16, 1000, ((64, 64, 3), 4)),
    Case("unet", _unet, (128, 128, 1), 4, 2, ((32, 32, 1), 2)),
    Case("inception_time", _inception_time, (128, 1), 64, check=((128, 1), 4)),
    Case("voxnet", _voxnet, (32, 32, 32, 1), 4, 40, ((32, 32, 32, 1), 2)),
    Case("small_vgg", small_vgg, (32, 32, 3), 32),
)


class Ours:
    """Our side of a case."""

    def __init__(self, case: Case, dtype: type = np.float32) -> None:
        from numbacnn.losses import SoftmaxCrossEntropy
        from numbacnn.optimizers import SGD

        self.model = case.model()
        self.model.build(case.image, 0, dtype)
        rng = np.random.default_rng(1)
        self.x = rng.standard_normal((case.batch, *case.image)).astype(dtype)
        self.target = rng.integers(0, case.classes, (case.batch, *self.model.output_shape[:-1]))
        self.loss, self.optimizer = SoftmaxCrossEntropy(), SGD(LEARNING_RATE, momentum=MOMENTUM)

    def step(self) -> float:
        model = self.model
        model.zero_grad()
        prediction, saved = model.forward(self.x, training=True)
        rows = prediction.reshape((-1, prediction.shape[-1]))  # a view: of label maps the mean over pixels
        value, gradient = self.loss.value_and_gradient(rows, self.target.reshape(-1))
        model.backward(gradient.reshape(prediction.shape), saved)
        self.optimizer.step(model.parameters)
        return value


class Torch:
    """PyTorch's side in one of its forms: a memory format, and its plain or its fused optimizer.

    Signals in the channels-last format are images of one row, as PyTorch's own conv1d makes them.
    """

    def __init__(self, ours: Ours, memory_format: str = "contiguous", fused: bool = False) -> None:
        from bench.twin import channels_first, torch_twin

        torch = self.torch = require_torch()
        last = memory_format == "channels_last"
        plane = last and ours.x.ndim == 3
        x = torch.from_numpy(channels_first(ours.x, plane))
        layout = torch.contiguous_format
        if last:
            layout = torch.channels_last_3d if x.ndim == 5 else torch.channels_last
        model, self.pairs = torch_twin(ours.model, plane)
        self.model = model.to(memory_format=layout).train()
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
    """Errors after a step of each from equal parameters, see `TOLERANCE`."""
    mine, theirs = ours.step(), peer.step()
    gradients, values = {}, {}
    for p in peer.pairs:
        if p.ours.learned:
            gradients[f"gradient of {p.ours.name}"] = p.arranged(p.ours.grad.numpy()), p.theirs.grad.numpy()
        values[f"updated {p.ours.name}"] = p.arranged(p.ours.value.numpy()), p.theirs.detach().numpy()
    errors = {"loss": abs(mine - theirs) / abs(theirs)}
    for pairs in (gradients, values):
        floor = FLOOR * max(float(np.abs(truth).max()) for _, truth in pairs.values())
        errors |= {name: _error(result, truth, floor) for name, (result, truth) in pairs.items()}
    return errors


def _error(result: np.ndarray, truth: np.ndarray, floor: float) -> float:
    difference = np.subtract(result, truth, dtype=np.float64)
    if truth.dtype == np.float64:
        error = np.abs(difference).max() / max(np.abs(truth).max(), floor)
    else:
        size = max(np.linalg.norm(truth.astype(np.float64)), floor * np.sqrt(truth.size))
        error = np.linalg.norm(difference) / size
    return float(error) if np.isfinite(error) else float("inf")


def check(case: Case) -> float:
    """The largest error of a step in float64; ends the program where it, or the float32 one, is too large."""
    largest = {}
    for dtype in (np.float64, np.float32):
        ours = Ours(case.checked, dtype)
        errors = _errors(ours, Torch(ours))
        worst, kind = max(errors, key=errors.__getitem__), np.dtype(dtype).name
        largest[kind] = errors[worst]
        if not errors[worst] <= TOLERANCE[kind]:
            found = f"{errors[worst]:.1e} in {kind}"
            sys.exit(f"wrong result: {case.name}: the {worst} differs from the peer's by {found}")
    return largest["float64"]


def measure(case: Case, peer: str, *, rounds: int = 9, turn_seconds: float = 0.1) -> dict[str, Any]:
    """Check a case, then time it; a JSON-able row."""
    ours = Ours(case)
    row: dict[str, Any] = {"name": case.name, "batch": case.batch}
    sides: dict[str, Callable[[], Any]] = {"ours": ours.step}
    if peer == "torch":
        row["error"] = check(case)
        forms = Torch.forms(ours)
        mine, theirs = ours.step(), next(iter(forms.values())).step()
        if not abs(mine - theirs) <= LOSS_TOLERANCE * abs(theirs):
            sys.exit(
                f"wrong result: {case.name}: the loss of the batch is {mine:.6g}, the peer's {theirs:.6g}"
            )
        row["form"] = fastest(
            {name: form.step for name, form in forms.items()}, turn_seconds=turn_seconds / 2
        )
        sides["peer"] = forms[row["form"]].step
        del forms  # and the memory of those that lost
    # three passes, but for the first layer's gradient of its input, which no one needs
    first = next(layer for layer in ours.model.leaves() if layer.macs())
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
        cases = [replace(c, batch=a.batch) for c in cases]
    report = run(cases, peer=a.peer, threads=a.threads, rounds=a.rounds, turn_seconds=a.turn)
    write_json(a.json, report)


if __name__ == "__main__":
    keep_freed_pages()
    main()

"""Training steps on a GPU beside PyTorch: eager and as CUDA graphs, in float32 and bfloat16."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bench.train_step import LEARNING_RATE, MOMENTUM, lenet, small_vgg
from bench.twin import torch_twin
from numbacnn.losses import SoftmaxCrossEntropy
from numbacnn.optimizers import SGD
from numbacnn.tensor import as_tensor
from numbacnn.training import CapturedStep
from numbacnn.training.loop import scale_for

ALLOWED = {"float32": 1e-2, "bfloat16": 5e-2}  # of the losses after some steps; convolutions take TF32


def rows(settings: Any, torch: Any) -> Iterator[dict[str, Any]]:
    """A row for each model, batch and type; ratios to PyTorch in the same way, eager or as a graph."""
    cases: list[tuple[str, Callable[[], Any], tuple[int, int, int], int]]
    if settings.small:
        cases = [("lenet5", lambda: small_vgg((2,), 3), (4, 4, 1), 2)]
    else:
        cases = [
            ("lenet5", lenet, (28, 28, 1), 64),
            ("lenet5", lenet, (28, 28, 1), 1024),
            ("small_vgg", small_vgg, (32, 32, 3), 32),
            ("small_vgg", lambda: small_vgg((64, 128, 256), 512), (64, 64, 3), 256),
        ]
    for name, make, image, batch in cases:
        for kind in ("float32", "bfloat16"):
            yield from _measure(name, make, image, batch, kind, settings, torch)


def _measure(
    name: str, make: Callable[[], Any], image: Any, batch: int, kind: str, settings: Any, torch: Any
) -> Iterator[dict[str, Any]]:
    from bench.gpu_speed import interleave

    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((batch, *image), np.float32), rng.integers(0, 10, batch)
    sides: dict[str, Callable[[], Any]] = {}
    losses = {}
    for form in ("eager", "graph"):
        model = make()
        model.build(image, 0)
        theirs = None if torch is None else _Torch(torch, model, x, y, kind)
        model.to("cuda", None if kind == "float32" else kind)
        sides[f"ours {form}"] = _ours(model, x, y, form == "graph")
        losses[f"ours {form}"] = [float(sides[f"ours {form}"]().item()) for _ in range(3)]
        if theirs is not None and (form == "eager" or theirs.place == "cuda"):
            losses[f"peer {form}"] = [float(theirs.eager().item()) for _ in range(3)]
            sides[f"peer {form}"] = theirs.eager if form == "eager" else theirs.graph()
    row = {"name": f"{name} n{batch}", "kind": kind, "group": f"step {name}"}
    expected = losses.get("peer eager", losses["ours eager"])
    for side, values in losses.items():
        difference = max(abs(a - b) / abs(b) for a, b in zip(values, expected, strict=True))
        if not difference <= ALLOWED[kind]:
            yield row | {"error": f"the loss of {side} differs by {difference:.1e}"}
            return
    times = interleave(sides, settings.rounds)
    for form in ("eager", "graph"):
        mine = row | {"name": f"{row['name']} {form}", "ours": times[f"ours {form}"], "times": times}
        if f"peer {form}" in times:
            mine["ratio"] = times[f"peer {form}"] / mine["ours"]
        yield mine | {"group": f"{row['group']} {form}"}


def _ours(model: Any, x: np.ndarray, y: np.ndarray, graph: bool) -> Callable[[], Any]:
    optimizer, loss, scale = SGD(LEARNING_RATE, momentum=MOMENTUM), SoftmaxCrossEntropy(), scale_for(model)
    there, classes = as_tensor(x, device="cuda"), as_tensor(y, device="cuda")
    if graph:
        step = CapturedStep(model, loss, optimizer, len(x))
        return lambda: step(there, classes)

    def eager() -> Any:
        prediction, saved = model.forward(there, training=True)
        value, gradient = loss.value_and_gradient(prediction, classes)
        model.zero_grad()
        model.backward(gradient if scale is None else scale.up(gradient), saved)
        optimizer.step(model.parameters, scale)
        return value

    return eager


class _Torch:
    """PyTorch's side: channels last, fused optimizer, autocast in bfloat16."""

    def __init__(self, torch: Any, model: Any, x: np.ndarray, y: np.ndarray, kind: str) -> None:
        self.torch, self.kind = torch, kind
        self.place = "cuda" if torch.cuda.is_available() else "cpu"
        form = torch.channels_last
        self.model = torch_twin(model)[0].to(self.place, memory_format=form).train()
        images = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
        self.x = images.to(self.place).contiguous(memory_format=form)
        self.y = torch.from_numpy(y).to(self.place)
        parameters = self.model.parameters()
        self.optimizer = torch.optim.SGD(parameters, lr=LEARNING_RATE, momentum=MOMENTUM, fused=True)
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = True, False

    def eager(self) -> Any:
        half = self.torch.autocast(self.place, self.torch.bfloat16)
        with half if self.kind == "bfloat16" else contextlib.nullcontext():
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.torch.nn.functional.cross_entropy(self.model(self.x), self.y)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def graph(self) -> Callable[[], Any]:
        """The step captured, after some on another stream, as PyTorch's documentation says."""
        torch = self.torch
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.eager()
        torch.cuda.current_stream().wait_stream(stream)
        captured = torch.cuda.CUDAGraph()
        with torch.cuda.graph(captured):
            self.eager()
        return captured.replay

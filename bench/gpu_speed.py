"""Speeds on a GPU beside PyTorch: convolutions, products, memory-bound kernels, launches, training steps.

Both sides' work is timed by events on the default stream, in turns, and figures are medians. Results are
compared before they are timed. Without PyTorch, and in the simulator, which has no speed, ours stands alone.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench import memory_bound, resample
from bench.report import geomean
from bench.shapes import SETS as ALL_SETS
from bench.shapes import Conv, conv
from numbacnn.config import config
from numbacnn.dims import ConvDims
from numbacnn.tensor import Tensor, as_tensor

SETS = ("resnet_50", "vgg_19", "mobilenet", "mobilenet_dw", "unet")
#: What the first version aims at, as ratios to the peer or, of memory-bound kernels, to a copy.
TARGETS = {"conv exact": 0.8, "conv tf32": 0.5, "conv bfloat16": 0.5, "step lenet5": 1.0, "memory": 0.8}
#: Of the largest output: sums of up to 100,000 terms, rounded operands, 16-bit results.
ALLOWED = {"exact": 1e-4, "tf32": 5e-3, "bfloat16": 3e-2}
KINDS = ("exact", "tf32", "bfloat16")
_TURN_MS = 3.0  # of a side's turn


@dataclass(frozen=True)
class Settings:
    """What is measured."""

    small: bool = False
    sets: Sequence[str] = SETS
    batches: Sequence[int] = (32, 256)
    rounds: int = 5
    seconds: float = 540.0  # after which no row is begun


Row = dict[str, Any]


# ---- timing


def interleave(sides: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Seconds a call of each side: medians over turns, which alternate, of calls one after another."""
    calls = {
        name: max(1, min(200, math.ceil(_TURN_MS / 1e3 / _turn(call, 2)))) for name, call in sides.items()
    }
    found: dict[str, list[float]] = {name: [] for name in sides}
    for r in range(rounds):
        for name in list(sides)[:: 1 if r % 2 == 0 else -1]:
            found[name].append(_turn(sides[name], calls[name]))
    return {name: statistics.median(times) for name, times in found.items()}


def _turn(call: Callable[[], Any], count: int) -> float:
    from numbacnn.kernels.cuda import _driver

    call()
    if _driver.simulated():
        before = time.perf_counter()
        for _ in range(count):
            call()
        return (time.perf_counter() - before) / count
    start, end = _driver.Event(timing=True), _driver.Event(timing=True)
    start.record()
    for _ in range(count):
        call()
    end.record()
    end.synchronize()
    return max(end.elapsed_ms(start) / 1e3 / count, 1e-9)


# ---- the peer


def peer() -> Any:
    """PyTorch with the device that it computes on as ``place``; None where there is none."""
    from numbacnn.kernels.cuda import _driver

    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    if not _driver.simulated() and not torch.cuda.is_available():
        return None
    torch.backends.cudnn.benchmark = True
    return torch


@contextlib.contextmanager
def _precision(torch: Any, kind: str) -> Iterator[None]:
    """Both sides multiply float32 so."""
    if torch is not None:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = kind == "tf32"
    with config.precision_as("exact" if kind == "exact" else "tf32"):
        yield


def shared(torch: Any, tensor: Tensor) -> Any:
    """The tensor as PyTorch's over the same memory; in the simulator a copy on the CPU."""
    from numbacnn.kernels.cuda import _driver

    if not _driver.simulated():
        return torch.from_dlpack(tensor)
    half = tensor.dtype.name == "bfloat16"
    host = torch.from_numpy(tensor.astype(np.float32).numpy() if half else tensor.numpy().copy())
    return host.to(torch.bfloat16) if half else host


def _error(ours: Tensor, theirs: Any) -> float:
    """The largest difference relative to the largest element; of gigabytes at the beginning and the end."""
    worst = largest = 0.0
    step = max(1, (1 << 24) // max(1, math.prod(ours.shape[1:])))
    for k in sorted({0, max(0, len(ours) - step)}):
        mine = Tensor(ours._array[k : k + step]).astype(np.float32).numpy()  # type: ignore[attr-defined]
        other = theirs[k : k + step].float().cpu().numpy()
        worst = max(worst, float(np.abs(mine - other).max(initial=0.0)))
        largest = max(largest, float(np.abs(other).max(initial=0.0)))
    return worst / largest if largest else worst


def drawn(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Tensor:
    """Random numbers on the device: a block of the host's, repeated there."""
    from numbacnn.kernels.cuda import memory

    size = math.prod(shape)
    block = np.random.default_rng(seed).standard_normal(min(size, 1_000_003), np.float32)
    tensor = as_tensor(block, device="cuda").astype(dtype)
    flat = memory.empty((size,), tensor.dtype)
    for start in range(0, size, block.size):
        part = flat[start : start + block.size]
        part.write(tensor._array[: part.size])  # type: ignore[attr-defined]
    return Tensor(flat.reshape(shape))


# ---- sections


def _shapes(settings: Settings) -> Iterator[tuple[str, Conv, int]]:
    if settings.small:
        yield "small", conv("3x3", 4, (5, 6), 8, 3, pad=1, stride=2), 2
        return
    for set_ in settings.sets:
        for batch in settings.batches:
            for shape in ALL_SETS[set_]:
                yield set_, shape, batch


def _ours(
    d: ConvDims, padding: Any, arrays: tuple[Tensor, Tensor, Tensor]
) -> dict[str, Callable[[], Tensor]]:
    from numbacnn import functional

    x, w, dy = arrays
    options = {"stride": d.stride_, "padding": padding, "dilation": d.dilation_, "groups": d.groups}
    return {
        "forward": lambda: functional.conv_forward(x, w, **options),
        "data": lambda: functional.conv_backward_data(dy, w, d.input_shape, **options),
        "weights": lambda: functional.conv_backward_weights(x, dy, d.kernel_shape, **options),
    }


def _theirs(torch: Any, d: ConvDims, arrays: tuple[Tensor, Tensor, Tensor]) -> dict[str, Callable[[], Any]]:
    """The passes in PyTorch, channels last; results channels last too. Empty where padding cannot be said."""
    rank = len(d.in_)
    equal = tuple(
        (i + 2 * lo - s) // t + 1 for i, lo, s, t in zip(d.in_, d.pad_lo_, d.span_, d.stride_, strict=True)
    )
    if torch is None or equal != d.out_ or rank == 1:
        return {}
    x, w, dy = (shared(torch, a) for a in arrays)
    inner, outer = (0, rank + 1, *range(1, rank + 1)), (rank + 1, rank, *range(rank))
    form = torch.channels_last if rank == 2 else torch.channels_last_3d
    x, dy, w = x.permute(inner), dy.permute(inner), w.permute(outer).contiguous(memory_format=form)
    lists = [list(d.stride_), list(d.pad_lo_), list(d.dilation_), False, [0] * rank, d.groups]
    forward = torch.nn.functional.conv2d if rank == 2 else torch.nn.functional.conv3d
    back, last = torch.ops.aten.convolution_backward, (0, *range(2, rank + 2), 1)
    kernel = (*range(2, rank + 2), 1, 0)
    return {
        "forward": lambda: forward(
            x, w, None, d.stride_, d.pad_lo_, d.dilation_, d.groups
        ).permute(last),
        "data": lambda: back(dy, x, w, None, *lists, [True, False, False])[0].permute(last),
        "weights": lambda: back(dy, x, w, None, *lists, [False, True, False])[1].permute(kernel),
    }  # fmt: skip


def _against(name: str, kind: str, ours: Callable, theirs: Callable | None, flops: float, rounds: int) -> Row:
    """Compare, then time; a row."""
    row: Row = {"name": name, "kind": kind}
    sides = {"ours": ours}
    if theirs is not None:
        row["difference"] = _error(ours(), theirs())
        if not row["difference"] <= ALLOWED[kind]:
            return row | {"error": f"differs from the peer by {row['difference']:.1e} of the largest output"}
        sides["peer"] = theirs
    times = interleave(sides, rounds)
    row |= times | {"tflops": flops / times["ours"] / 1e12}
    if theirs is not None:
        row["ratio"] = times["peer"] / times["ours"]
    return row


def convolutions(settings: Settings) -> Iterator[Row]:
    torch = peer()
    with torch.inference_mode() if torch is not None else contextlib.nullcontext():
        for set_, shape, batch in _shapes(settings):
            d = shape.dims(batch)
            for kind in KINDS:
                dtype = "bfloat16" if kind == "bfloat16" else "float32"
                shapes = d.input_shape, d.kernel_shape, d.output_shape
                arrays: Any = tuple(drawn(s, dtype, k) for k, s in enumerate(shapes))
                with _precision(torch, kind):
                    mine, theirs = _ours(d, shape.padding, arrays), _theirs(torch, d, arrays)
                    for pass_ in mine:
                        name = f"{set_} {shape.name} {shape} n{batch} {pass_}"
                        about = {"group": f"conv {kind}", "pass": pass_, "set": set_, "batch": batch}
                        sides = mine[pass_], theirs.get(pass_)
                        yield _against(name, kind, *sides, 2 * d.macs, settings.rounds) | about


def products(settings: Settings) -> Iterator[Row]:
    from numbacnn import functional

    torch = peer()
    sizes = [(8192, 8192, 8192), (4096, 1024, 4096), (256, 25088, 4096), (64, 400, 120), (1024, 4096, 1000)]
    with torch.inference_mode() if torch is not None else contextlib.nullcontext():
        for n, k, m in [(6, 9, 5)] if settings.small else sizes:
            for kind in KINDS:
                dtype = "bfloat16" if kind == "bfloat16" else "float32"
                x, w = drawn((n, k), dtype), drawn((k, m), dtype, 1)
                with _precision(torch, kind):
                    theirs = None
                    if torch is not None:
                        a, b = shared(torch, x), shared(torch, w)
                        theirs = lambda a=a, b=b: a @ b  # noqa: E731
                    ours = lambda x=x, w=w: functional.dense_forward(x, w)  # noqa: E731
                    row = _against(f"{n}x{k}x{m}", kind, ours, theirs, 2.0 * n * k * m, settings.rounds)
                    yield row | {"group": f"gemm {kind}"}


def memory_kernels(settings: Settings) -> Iterator[Row]:
    """Kernels as fractions of the rate at which the device copies as many bytes."""
    from numbacnn.kernels.cuda import memory

    cases = [*memory_bound._cases(0.001 if settings.small else 256.0)]
    cases += [] if settings.small else [*resample._cases(256.0)]
    chosen = ("relu_forward", "add", "optimizer_step sgd") if settings.small else ("",)
    for case in cases:
        if not case.name.startswith(chosen):
            continue
        stem = case.kernel.__module__.rpartition(".")[2]
        kernel = getattr(importlib.import_module(f"numbacnn.kernels.cuda.{stem}"), case.kernel.__name__)
        arrays = [memory.from_numpy(a) if isinstance(a, np.ndarray) else a for a in case.args]
        source = memory.empty((case.traffic // 2,), np.uint8)
        target = memory.empty(source.shape, np.uint8)
        sides = {
            "ours": lambda kernel=kernel, arrays=arrays: kernel(*arrays),
            "copy": lambda source=source, target=target: target.write(source),
        }
        times = interleave(sides, settings.rounds)
        speed = case.traffic / times["ours"] / 1e9
        ratio = times["copy"] / times["ours"]
        yield {"name": case.name, "group": "memory", "ratio": ratio, "gbs": speed, **times}


def launches(settings: Settings) -> Iterator[Row]:
    """Microseconds of the host for a kernel that does nothing, and for the smallest operation."""
    from bench.gpu_intrinsics import nothing
    from numbacnn import functional
    from numbacnn.kernels.cuda import _driver

    x, torch = drawn((8,), "float32"), peer()
    sides: dict[str, Callable[[], Any]] = {
        "an empty kernel": lambda: nothing(1, x._array),  # type: ignore[attr-defined]
        "relu of 8": lambda: functional.relu_forward(x),
    }
    if torch is not None:
        theirs = shared(torch, x)
        sides["relu of 8, PyTorch"] = lambda: torch.relu(theirs)
    count = 3 if settings.small else 2000
    for name, call in sides.items():
        call()
        _driver.synchronize()
        before = time.perf_counter()
        for _ in range(count):
            call()
        seconds = (time.perf_counter() - before) / count
        _driver.synchronize()
        yield {"name": name, "group": "launch", "ours": seconds}


def steps(settings: Settings) -> Iterator[Row]:
    from bench.gpu_steps import rows

    yield from rows(settings, peer())


SECTIONS: dict[str, Callable[[Settings], Iterator[Row]]] = {
    "launch": launches,
    "steps": steps,
    "conv": convolutions,
    "gemm": products,
    "memory": memory_kernels,
}


def measure(sections: Sequence[str], settings: Settings, save: Callable[[list[Row]], None]) -> list[Row]:
    """Measure the sections, a line each; what was measured is saved now and then."""
    rows: list[Row] = []
    until = time.perf_counter() + settings.seconds
    for section in sections:
        try:
            for row in SECTIONS[section](settings):
                rows.append({"section": section, **row})
                print(_line(rows[-1]), flush=True)
                if len(rows) % 20 == 0:
                    save(rows)
                if time.perf_counter() > until:
                    print(f"stopped after {settings.seconds:.0f} seconds, in section {section}")
                    return rows
        except Exception as error:  # the other sections are worth measuring
            rows.append(
                {"section": section, "name": "broken off", "error": f"{type(error).__name__}: {error}"}
            )
            print(_line(rows[-1]), flush=True)
    return rows


def _line(row: Row) -> str:
    cells = [f"{row['section']:<7} {row.get('kind', ''):<9} {row['name']:<64}"]
    if "error" in row:
        return f"{cells[0]} FAILED: {row['error']}"
    cells.append(f"{1e3 * row['ours']:10.4f} ms")
    for key, text in (("tflops", "{:7.2f} TF/s"), ("gbs", "{:7.0f} GB/s"), ("ratio", "ratio {:.2f}")):
        if key in row:
            cells.append(text.format(row[key]))
    return "  ".join(cells)


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Print the geometric means beside what is aimed at; return them."""
    print(f"\n{'group':<22} {'rows':>5} {'ratio':>7} {'least':>7} {'target':>7}")
    found = []
    for group in dict.fromkeys(row["group"] for row in rows if "ratio" in row):
        ratios = [row["ratio"] for row in rows if row.get("group") == group and "ratio" in row]
        mean, target = geomean(ratios), next((t for key, t in TARGETS.items() if group.startswith(key)), None)
        found.append(
            {"group": group, "ratio": mean, "least": min(ratios), "rows": len(ratios), "target": target}
        )
        print(f"{group:<22} {len(ratios):>5} {mean:>7.2f} {min(ratios):>7.2f} {target if target else '':>7}")
    for row in rows:
        if row.get("group") == "launch":
            print(f"{row['name']}: {1e6 * row['ours']:.1f} us")
    from numbacnn.kernels.cuda import _driver

    if _driver.simulated():
        print("SIMULATED: these figures say nothing of a GPU")
    broken = sum("error" in row for row in rows)
    print(f"rows: {len(rows)}, wrong or broken off: {broken}")
    return found

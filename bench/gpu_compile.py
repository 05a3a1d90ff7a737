"""Compile what the checks and the speeds of a GPU launch, on all processors, without launching anything.

The machine code is kept on disk, so that minutes on a GPU are not spent on compiling. In the simulator no GPU
is needed: the folder of kernels can then be taken to the machine that has one.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from bench import gpu_case, gpu_check, gpu_intrinsics, gpu_speed, gpu_steps
from numbacnn.config import config
from numbacnn.kernels.cuda.launch import Variant


class Wanted(NamedTuple):
    """A kernel for some types, by what another process finds it by."""

    module: str
    kernel: str
    constants: tuple[tuple[str, Any], ...]
    dtypes: tuple[str, ...]
    real: str


@contextmanager
def recorded() -> Iterator[set[Wanted]]:
    """What is called of kernels within a ``with`` block; nothing is run there."""
    found: set[Wanted] = set()

    def call(variant: Variant, grid: Any, *arguments: Any) -> None:
        dtypes = tuple(
            "float32" if argument is None else argument.dtype.name
            for argument, parameter in zip(arguments, variant.kernel.parameters, strict=True)
            if not parameter.kind
        )
        constants = tuple(sorted(variant.constants.items()))
        name = variant.kernel.__module__, variant.kernel.__name__
        found.add(Wanted(*name, constants, dtypes, variant.real(arguments)))

    launched = Variant.__call__
    Variant.__call__ = call  # type: ignore[method-assign]
    try:
        yield found
    finally:
        Variant.__call__ = launched  # type: ignore[method-assign]


def wanted(sections: Sequence[str], settings: gpu_speed.Settings) -> set[Wanted]:
    """The kernels that sections of the checks and of the speeds launch."""
    from numbacnn.kernels.cuda import _driver, memory

    with recorded() as found:
        for section in sections:
            if section == "intrinsics":
                for trial in gpu_intrinsics.trials(_driver.device().shared_limit):
                    trial.variant(trial.grid, *map(memory.from_numpy, trial.arrays))
            elif section in gpu_check.SECTIONS:
                for case in gpu_check.SECTIONS[section](settings.small):
                    for kind in case.kinds:
                        _launch(case, kind)
            if section == "conv" and not settings.small:
                _convolutions(settings)
            if section == "training":
                for kind in (None, "bfloat16", "float16"):
                    _steps(kind, settings)
    return found


def _launch(case: gpu_case.Case, kind: str) -> None:
    from numbacnn.kernels.cuda import memory

    dtype, precision, _ = gpu_case.KINDS[kind]
    kernel = getattr(importlib.import_module(f"numbacnn.kernels.cuda.{case.file}"), case.name)
    there = [gpu_case.over(lambda a: memory.empty(a.shape, a.dtype), a) for a in case.typed(dtype)]
    with config.precision_as(precision):
        kernel(*there)


def _convolutions(settings: gpu_speed.Settings) -> None:
    for _, shape, batch in gpu_speed._shapes(settings):
        if batch == max(settings.batches) != min(settings.batches):
            continue  # larger batches take tiles of the same kind, and much memory
        d = shape.dims(batch)
        for kind in gpu_speed.KINDS:
            dtype = "bfloat16" if kind == "bfloat16" else "float32"
            shapes = d.input_shape, d.kernel_shape, d.output_shape
            arrays: Any = tuple(gpu_speed.drawn(s, dtype) for s in shapes)
            with gpu_speed._precision(None, kind):
                for pass_ in gpu_speed._ours(d, shape.padding, arrays).values():
                    pass_()


def _steps(kind: str | None, settings: gpu_speed.Settings) -> None:
    for make, image in ((gpu_steps.lenet, (28, 28, 1)), (gpu_steps.small_vgg, (32, 32, 3))):
        model = make()
        model.build(image, 0)
        model.to("cuda", kind)
        x, y = np.zeros((32, *image), np.float32), np.zeros(32, np.int64)
        for graph in (False, True):
            gpu_steps._ours(model, x, y, graph)()


def _compile(one: Wanted, capability: tuple[int, int]) -> str:
    """Compile a kernel unless it is on disk; what went wrong, if something did."""
    try:
        kernel = getattr(importlib.import_module(one.module), one.kernel)
        kernel.of(**dict(one.constants))._code(one.dtypes, one.real, capability)
    except Exception as error:
        return f"{one.module}.{one.kernel} {one.constants} {one.dtypes}: {type(error).__name__}: {error}"
    return ""


def compile_all(
    kernels: Sequence[Wanted], capability: tuple[int, int], workers: int | None = None
) -> list[str]:
    """Compile the kernels for a capability on all processors; what could not be compiled."""
    count = workers or len(os.sched_getaffinity(0))
    print(f"{len(kernels)} kernels, {count} processes", flush=True)
    failed = []
    with ProcessPoolExecutor(count, multiprocessing.get_context("spawn")) as pool:
        under_way = [pool.submit(_compile, one, capability) for one in kernels]
        for number, future in enumerate(as_completed(under_way), 1):
            if line := future.result():
                failed.append(line)
                print(f"FAILED {line[:2000]}", flush=True)
            if number % 50 == 0:
                print(f"{number} done", flush=True)
    return failed

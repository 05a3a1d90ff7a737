"""From Python to a cubin: numba-cuda and the toolkit's wheels, of which no GPU is needed to compile."""

from __future__ import annotations

import functools
import importlib.metadata
import types
from collections.abc import Callable, Sequence
from typing import Any

from ...errors import DeviceError, message

_PACKAGES = ("numba-cuda", "cuda-bindings", "nvidia-nvvm", "nvidia-nvjitlink", "llvmlite")


@functools.cache
def versions() -> tuple[str, ...]:
    """What compiles, and in which versions: a part of each kernel's name on disk."""
    found = []
    for package in (*_PACKAGES, "nvidia-nvjitlink-cu12", "nvidia-cuda-nvcc-cu12"):
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return tuple(found)


@functools.cache
def _ready() -> Any:
    """Import the compiler."""
    try:
        import numpy as np
        from numba.core import config

        config.ENABLE_CUDASIM = 0  # compiling needs no GPU, and this package simulates by other means
        if not hasattr(np, "row_stack"):  # numba-cuda 0.30 still uses the name that NumPy 2.5 dropped
            np.row_stack = np.vstack  # type: ignore[attr-defined]
        from numba import cuda
        from numba.cuda import compiler, dispatcher
    except ImportError as error:
        remedy = 'install it with: pip install "numbacnn[cuda13]", or cuda12 where the driver is older'
        raise DeviceError(
            message("device", "the package numba-cuda to compile kernels", str(error), remedy)
        ) from error
    if getattr(cuda, "simulator", None) is not None and not hasattr(compiler, "compile_cuda"):
        raise DeviceError(message("device", "numba-cuda", "Numba's own CUDA target", "install numba-cuda"))
    return cuda, compiler, dispatcher


def device_function(function: Callable) -> Any:
    """A function that kernels call, put into them."""
    cuda, _, _ = _ready()
    return cuda.jit(device=True, forceinline=True)(function)


def vocabulary() -> Any:
    """The meanings of the kernels' words."""
    _ready()
    from . import ptx, ptx_mma

    return types.SimpleNamespace(**{**vars(ptx_mma), **vars(ptx)})


def compile_kernel(
    function: Callable,
    kinds: Sequence[tuple[str, bool]],
    threads: int,
    blocks: int,
    capability: tuple[int, int],
) -> tuple[bytes, str, str, str]:
    """Compile a kernel for a GPU.

    Args:
        function: the kernel, specialised.
        kinds: of each parameter the element or number type, such as ``("float32", True)`` for a pointer.
        threads: of a block, at most.
        blocks: that a multiprocessor is to hold at least; 0 leaves it to the compiler.
        capability: of the GPU, such as (9, 0).

    Returns:
        The cubin, the entry's name, the PTX, and what the assembler says of registers and spills.

    """
    cuda, compiler, dispatcher = _ready()
    from numba.cuda import types as numbers
    from numba.cuda.cudadrv import nvvm

    from . import ptx

    words = {
        name: getattr(numbers, name) for name in ("int32", "int64", "uint32", "uint64", "float32", "float64")
    }
    arguments = tuple(
        numbers.CPointer(ptx.ELEMENTS[name]) if pointer else words[name] for name, pointer in kinds
    )
    dispatcher.get_current_device = lambda: _Absent(capability)  # device functions ask for it when compiled
    made = compiler.compile_cuda(
        function,
        numbers.void,
        arguments,
        cc=capability,
        fastmath=False,
        nvvm_options={"opt": 3, "fma": 1},
    )
    library = made.library
    kernel = library.get_function(made.fndesc.llvm_func_name)
    library._entry_name = name = made.fndesc.llvm_func_name
    compiler.kernel_fixup(kernel, False)
    nvvm.set_launch_bounds(kernel, (threads, blocks) if blocks else threads)
    text = library.get_asm_str(cc=capability)
    cubin, log = link(text, capability)
    return cubin, name, text, log


class _Absent:
    """The GPU that is compiled for, which need not be here."""

    def __init__(self, capability: tuple[int, int]) -> None:
        self.compute_capability = capability


def link(text: str, capability: tuple[int, int]) -> tuple[bytes, str]:
    """Assemble PTX: the cubin, and the assembler's report."""
    from cuda.bindings import nvjitlink

    options = [f"-arch=sm_{capability[0]}{capability[1]}", "-verbose", "-O3"]
    handle = nvjitlink.create(len(options), options)
    try:
        data = text.encode()
        nvjitlink.add_data(handle, nvjitlink.InputType.PTX, data, len(data), "kernel")
        nvjitlink.complete(handle)
        cubin = bytearray(nvjitlink.get_linked_cubin_size(handle))
        nvjitlink.get_linked_cubin(handle, cubin)
        log = bytearray(nvjitlink.get_info_log_size(handle))
        nvjitlink.get_info_log(handle, log)
    finally:
        nvjitlink.destroy(handle)
    return bytes(cubin), log.decode(errors="replace").rstrip("\0")

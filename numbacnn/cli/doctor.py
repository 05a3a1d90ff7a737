"""``numbacnn doctor``: what a report of a problem, or of a speed, should come with."""

from __future__ import annotations

import argparse
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_EXTRAS = ("mlxtend", "scikit-learn", "matplotlib", "pillow")
_CUDA = ("numba-cuda", "cuda-toolkit", "cuda-bindings", "ml-dtypes")
# The instruction sets that decide how fast the kernels can be
_NOTABLE = ("sse4.2", "avx", "avx2", "fma", "avx512f", "avx512bf16", "amx-bf16", "neon", "sve")


def facts() -> dict[str, str]:
    """Collect them: a name and one line each, in the order in which they are printed."""
    from .. import __version__
    from .._jit import cache_dir, get_num_threads, threading_layer

    names = ("numba", "llvmlite", "numpy", "safetensors", "tqdm")
    folder = cache_dir()
    return {
        "numbacnn": __version__,
        "Python": f"{platform.python_version()} ({platform.python_implementation()}), {platform.platform()}",
        "packages": ", ".join(f"{name} {_version(name)}" for name in names),
        "demo extra": ", ".join(f"{name} {_version(name)}" for name in _EXTRAS),
        "CPU": _cpu(),
        "tile": _tile(),
        "threads": f"{get_num_threads()} of {os.cpu_count()} CPUs",
        "threading layer": threading_layer(),
        "kernel cache": _cache(folder),
        "cuda extra": ", ".join(f"{name} {_version(name)}" for name in _CUDA),
        **_gpu(),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _cpu() -> str:
    import llvmlite.binding as llvm

    present = {name for name, there in llvm.get_host_cpu_features().items() if there}
    features = " ".join(name for name in _NOTABLE if name in present) or "no notable features"
    override = os.environ.get("NUMBA_CPU_NAME")
    # What NUMBA_CPU_NAME says is what the kernels are compiled for, whatever the host is
    target = f"; compiled for {override} (NUMBA_CPU_NAME)" if override else ""
    return f"{llvm.get_host_cpu_name()} ({platform.machine()}): {features}{target}"


def _tile() -> str:
    from ..kernels.cpu.plan import cache_sizes
    from ..kernels.cpu.simd import REGISTERS, VECTOR_BYTES
    from ..kernels.cpu.tile import ROWS, VECTORS

    first, second = cache_sizes()
    return (
        f"{ROWS} pixels x {VECTORS * VECTOR_BYTES // 4} channels in float32, {REGISTERS} registers of "
        f"{8 * VECTOR_BYTES} bits; L1 {first >> 10} KiB, L2 {second >> 10} KiB"
    )


def _cache(folder: Path | None) -> str:
    if folder is None:
        return "none: no folder is writable, every process compiles anew"
    compiled = [path for path in folder.rglob("*.o") if path.is_file()]
    size = sum(path.stat().st_size for path in compiled)
    return f"{folder} ({len(compiled)} compiled kernels, {size / 2**20:.1f} MiB)"


def _gpu() -> dict[str, str]:
    """The driver and the GPUs, or what is missing."""
    from ..kernels.cuda import _driver

    try:
        if _driver.simulated():
            return {"CUDA driver": "none asked for", "GPU": "simulated on the CPU (NUMBA_ENABLE_CUDASIM)"}
        count = _driver.device_count()
        version = "{}.{}".format(*_driver.driver_version())
        return {"CUDA driver": f"for CUDA {version}", "GPU": "; ".join(map(_device, range(count)))}
    except Exception as error:  # a broken driver raises what it likes, and must not hide the other facts
        line = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return {"CUDA driver": "not usable", "GPU": f"not usable: {line}"}


def _device(index: int) -> str:
    from ..kernels.cuda import _driver

    device = _driver.device(index)
    major, minor = device.capability
    return (
        f"cuda:{index} {device.name}, compute capability {major}.{minor}, {device.multiprocessors} "
        f"multiprocessors, {device.memory_bytes / 2**30:.1f} GiB"
    )


def doctor(arguments: argparse.Namespace) -> int:
    """Print the facts; return the exit code."""
    found = facts()
    width = max(map(len, found))
    for name, line in found.items():
        print(f"{name:<{width}}  {line}")
    return 0

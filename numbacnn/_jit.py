"""The one owner of Numba's options: how kernels are compiled, cached on disk and launched.

``@jit`` marks a device function, compiled into the kernels that call it.  ``@kernel`` marks an entry
point: compiled once per dtype, kept on disk, called from Python as ``k(work, *args)`` where ``work``
is the estimated time on one thread in nanoseconds, by which the call stays serial or takes a team.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import _native
from ._deferred import Deferred, recorded
from ._threads import POOL, SERIAL, Team, get_num_threads, run, run_slots, set_num_threads, threading_layer
from .errors import CacheWarning

__all__ = [
    "cache_dir",
    "get_num_threads",
    "inlined",
    "jit",
    "kernel",
    "parts_for",
    "run",
    "run_slots",
    "set_num_threads",
    "split",
    "threading_layer",
]

# Not "fast" as a whole: nnan and ninf would make isnan() and isfinite() constants.
FAST_MATH = {"reassoc", "contract", "nsz", "arcp"}
OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": FAST_MATH, "error_model": "numpy"}

_PACKAGE = Path(__file__).parent
_KEPT_CACHES = 8  # digests kept side by side: several versions or machines may share a folder


# Device functions need no wrappers for Python and C to call them by.
_DEVICE: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, **OPTIONS}


def _device(function: Callable, **options: Any) -> Deferred:
    def make(function: Callable) -> Any:
        from ._compile import device

        return device(function, {**_DEVICE, **options})

    return Deferred(function, make)


def jit(function: Callable) -> Any:
    """Compile a device function: called by kernels, never from Python, kept as a part of them."""
    return _device(function)


def inlined(function: Callable) -> Any:
    """Compile a device function within its callers: less for LLVM to do where there is one."""
    return _device(function, inline="always")


def _version(package: str) -> bytes:
    """Return the file that holds a package's version, without importing the package."""
    spec = importlib.util.find_spec(package)
    return (Path(str(spec and spec.origin)).parent / "_version.py").read_bytes()


@functools.cache
def _sources() -> list[Path]:
    return sorted([*_PACKAGE.glob("_*.py"), *_PACKAGE.glob("kernels/**/*.py")])


def _digest() -> str:
    """Name the kernels' sources and options: an edit or an upgrade never runs stale code."""
    python = (sys.version_info[:2], _native.HEADER)  # by which machine code reads arrays' fields
    h = hashlib.sha256(repr((python, sorted(FAST_MATH), OPTIONS["error_model"])).encode())
    for package in ("numba", "llvmlite"):
        h.update(_version(package))
    for path in _sources():
        h.update(path.relative_to(_PACKAGE).as_posix().encode())
        h.update(path.read_bytes())
    return h.hexdigest()[:16]


def _stamp(function: Callable) -> str:
    """Name the source of a kernel that is not among those of the digest."""
    path = Path(function.__code__.co_filename)
    if path in _sources():
        return ""
    try:
        source = path.read_bytes()
    except OSError:  # typed in, not read from a file
        source = function.__code__.co_code + repr(function.__code__.co_consts).encode()
    return hashlib.sha256(source).hexdigest()


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _candidates() -> list[Path]:
    explicit = os.environ.get("NUMBACNN_CACHE_DIR") or os.environ.get("NUMBA_CACHE_DIR")
    first = Path(explicit) / "numbacnn" if explicit else _PACKAGE / "__pycache__"
    user = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "numbacnn"
    return [first, user]


def _prune(base: Path, keep: Path) -> None:
    """Remove all but the newest caches of other digests."""
    try:
        others = [p for p in base.glob("kernels-*") if p != keep]
        others.sort(key=lambda p: p.stat().st_mtime, reverse=True)
        for stale in others[_KEPT_CACHES - 1 :]:
            shutil.rmtree(stale, ignore_errors=True)
    except OSError:
        pass  # another process prunes too


@functools.cache
def cache_dir() -> Path | None:
    """Return the folder of compiled kernels: beside the package, else per user, else None with a warning."""
    name = f"kernels-{_digest()}"
    candidates = _candidates()
    for base in candidates:
        folder = base / name
        fresh = not folder.exists()
        if _writable(folder):
            if fresh:
                _prune(base, folder)
            return folder
    tried = " and ".join(str(c) for c in candidates)
    warnings.warn(
        f"no folder for compiled kernels is writable (tried {tried}): every process compiles them anew; "
        "set NUMBACNN_CACHE_DIR to a writable folder",
        CacheWarning,
        stacklevel=2,
    )
    return None


class Kernel:
    """A compiled entry point.  Its first parameter is the team, which the call puts in."""

    def __init__(self, function: Callable) -> None:
        functools.update_wrapper(self, function)
        recorded(function)
        self.py_func = function
        self._entries: dict[tuple, _native.Entry] = {}

    def _entry(self, key: tuple, values: tuple) -> _native.Entry:
        """Load the entry point for arguments of these types; compile it where it is not on disk."""
        with _native.loading:
            if key not in self._entries:
                folder, function = cache_dir(), self.py_func
                kernel = f"{function.__module__}.{function.__qualname__}"
                name = _native.symbol(kernel, _native.signature(values), _stamp(function))
                code = None if folder is None else _native.read(folder, name)
                if code is None:
                    from ._compile import compile_entry

                    code = compile_entry(function, OPTIONS, name, values)
                    if folder is not None:
                        _native.write(folder, name, code)
                self._entries[key] = _native.load(code, name, values)
            return self._entries[key]

    def __call__(self, work: float, *args: Any) -> Any:
        """Run on ``args``: serially if ``work`` nanoseconds are few, else on the pool's threads."""
        return self.on(POOL.team(work), *args)

    def on(self, team: Team, *args: Any) -> Any:
        """Run on ``args`` with a team at hand, where what is passed depends on its size."""
        kinds: list = []
        words: list = [*team]
        _native.flatten(args, kinds, words)
        key = tuple(kinds)
        entry = self._entries.get(key) or self._entry(key, _native.expand((team, *args)))
        lock = POOL.lock
        if lock is None or team is SERIAL:
            return entry.run(words)
        with lock:
            return entry.run(words)


def kernel(function: Callable) -> Kernel:
    """Make ``function(team, ...)`` a kernel: compiled at its first call, cached on disk."""
    return Kernel(function)


@jit
def split(part, parts, n):
    """Return the bounds of one of ``parts`` even ranges of ``n`` items."""
    return n * part // parts, n * (part + 1) // parts


def parts_for(n: int, grain: int) -> int:
    """Return into how many parts ``n`` items are cut: about ``grain`` each, whatever the threads."""
    return max(1, -(-n // grain))

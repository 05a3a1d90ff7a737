"""The one owner of Numba's options: how kernels are compiled, cached on disk and launched.

``@jit`` marks a device function, compiled into the kernels that call it.  ``@kernel`` marks an entry
point: compiled once per dtype, kept on disk, called from Python as ``k(work, *args)`` where ``work``
is the estimated time on one thread in nanoseconds, by which the call stays serial or takes a team.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import tempfile
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from ._threads import POOL, SERIAL, Team, get_num_threads, run, run_slots, set_num_threads, threading_layer
from .errors import CacheWarning

__all__ = [
    "cache_dir",
    "called",
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
_decorating = threading.Lock()


# Device functions need no wrappers for Python and C to call them by, a third of the time to compile.
_DEVICE: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, **OPTIONS}


def jit(function: Callable) -> Any:
    """Compile a device function: called by kernels, never from Python, cached as a part of them.

    LLVM inlines it into the kernel.  A call would be resolved to another copy in the process that compiles
    than in one that loads the kernel from disk, optimised apart, and their last bits may differ.
    """
    return numba.njit(forceinline=True, **_DEVICE)(function)


def called(function: Callable) -> Any:
    """Compile a long device function without arithmetic but in tiles: a call stays, and compiles sooner."""
    return numba.njit(**_DEVICE)(function)


def inlined(function: Callable) -> Any:
    """Compile a device function within its callers: less for LLVM to do where there is one."""
    return numba.njit(inline="always", **_DEVICE)(function)


def _digest() -> str:
    """Name the kernels' sources and options: an edit or an upgrade never runs stale code.

    Numba's own index checks the file of the entry point only, not the files of what it calls.
    """
    h = hashlib.sha256(repr((numba.__version__, sorted(FAST_MATH), OPTIONS["error_model"])).encode())
    for path in sorted([*_PACKAGE.glob("_*.py"), *_PACKAGE.glob("kernels/**/*.py")]):
        h.update(path.relative_to(_PACKAGE).as_posix().encode())
        h.update(path.read_bytes())
    return h.hexdigest()[:16]


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
        self._function = function
        self._dispatcher: Any = None

    @property
    def dispatcher(self) -> Any:
        """The Numba dispatcher, made at the first call so that importing stays cheap."""
        if self._dispatcher is None:
            with _decorating:
                if self._dispatcher is None:
                    self._dispatcher = self._make()
        return self._dispatcher

    def _make(self) -> Any:
        folder = cache_dir()
        dispatcher = numba.njit(**OPTIONS)(self._function)
        if folder is not None:
            # Numba reads its cache folder when caching is switched on: lend it ours just then
            before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(folder)
            try:
                dispatcher.enable_caching()
            finally:
                numba.config.CACHE_DIR = before
        return dispatcher

    def __call__(self, work: float, *args: Any) -> Any:
        """Run on ``args``: serially if ``work`` nanoseconds are few, else on the pool's threads."""
        return self.on(POOL.team(work), *args)

    def on(self, team: Team, *args: Any) -> Any:
        """Run on ``args`` with a team at hand, where what is passed depends on its size."""
        dispatcher = self._dispatcher or self.dispatcher
        lock = POOL.lock
        if lock is None or team is SERIAL:
            return dispatcher(team, *args)
        with lock:
            return dispatcher(team, *args)


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

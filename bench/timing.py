"""How benchmarks time: alternately, warm, with freed pages kept, the same for both sides."""

from __future__ import annotations

import importlib.util
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

#: glibc gives freed pages back to the system by default, and taking them again costs a page fault each: at
#: batch 16 that slows PyTorch by up to a half.  A win over that would be cheap.
KEEP_PAGES = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}

#: After its last parallel region a thread pool's idle threads spin for some milliseconds before they sleep.
#: Where both sides have a pool, each would have to share its processors with the other's.
SETTLE_SECONDS = 0.02
WARM_SECONDS = 0.004

#: A median this many times the fastest call tells more of the machine's other work than of ours.
DISTURBED = 1.5


@dataclass(frozen=True)
class Times:
    """Seconds a call took, over all rounds."""

    median: float
    low: float  # quartiles
    high: float
    best: float
    calls: int

    @classmethod
    def of(cls, seconds: list[float]) -> Times:
        low, median, high = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else seconds * 3
        return cls(median, low, high, min(seconds), len(seconds))

    @property
    def disturbed(self) -> bool:
        """Whether half of the calls took far longer than need be: something else ran."""
        return self.median > DISTURBED * self.best

    def row(self) -> dict[str, Any]:
        """As JSON has it."""
        quartiles = [self.low, self.high]
        return {"seconds": self.median, "best": self.best, "quartiles": quartiles, "calls": self.calls}


def keep_freed_pages(**others: str) -> None:
    """Start this program again with KEEP_PAGES, where malloc is glibc's, and others in its environment."""
    settings = {**(KEEP_PAGES if sys.platform.startswith("linux") else {}), **others}
    if all(os.environ.get(k) == v for k, v in settings.items()):
        return
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **settings})


def interleave(
    sides: Mapping[str, Callable[[], Any]], *, rounds: int = 7, turn_seconds: float = 0.03
) -> dict[str, Times]:
    """Time the sides in turns: in each round each side runs for ``turn_seconds``, in alternating order.

    A disturbance then meets both sides, and the medians over all rounds bear some.  Each turn lets the other
    side's threads fall asleep, then warms up, then times every call by itself, two at least.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for r in range(rounds):
        for name, call in list(sides.items())[:: 1 if r % 2 == 0 else -1]:
            if len(sides) > 1:
                time.sleep(SETTLE_SECONDS)
            until = time.perf_counter() + min(WARM_SECONDS, turn_seconds)
            while True:
                call()
                if time.perf_counter() >= until:
                    break
            mine, start = [], time.perf_counter()
            while len(mine) < 2 or time.perf_counter() - start < turn_seconds:
                before = time.perf_counter()
                call()
                mine.append(time.perf_counter() - before)
            seconds[name] += mine
    return {name: Times.of(s) for name, s in seconds.items()}


def fastest(choices: Mapping[str, Callable[[], Any]], *, turn_seconds: float = 0.01) -> str:
    """The name of the fastest of several ways to do the same, by a short race."""
    if len(choices) == 1:
        return next(iter(choices))
    times = interleave(choices, rounds=3, turn_seconds=turn_seconds)
    return min(times, key=lambda name: times[name].median)


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def environment(peer: str = "none") -> dict[str, Any]:
    """What a figure depends on: the processor, the versions, the settings."""
    packages = ["numpy", "numba", "llvmlite", *([peer] if peer == "torch" else [])]
    settings = [
        *KEEP_PAGES,
        "NUMBA_CPU_NAME",
        "NUMBA_CPU_FEATURES",
        "NUMBA_THREADING_LAYER",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "OPENBLAS_CORETYPE",
    ]
    return {
        "processor": _processor(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in packages},
        "settings": {name: os.environ[name] for name in settings if name in os.environ},
    }


def require_torch() -> Any:
    """Return torch, or end the program with the one line that says how to get it."""
    if importlib.util.find_spec("torch") is None:
        sys.exit("the peer is PyTorch, which is not installed: pip install torch (or choose --peer none)")
    import torch

    return torch


def set_threads(threads: int | None, peer: str = "none") -> int:
    """Give both sides the same threads: ``threads``, or by default what numbacnn takes; returns them."""
    import numbacnn

    if threads is not None:
        numbacnn.set_num_threads(threads)
    else:
        threads = numbacnn.get_num_threads()
    if peer == "torch":
        require_torch().set_num_threads(threads)
    return threads

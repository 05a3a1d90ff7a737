"""The program that `bench.memory` starts anew each time: training steps of one side, and their memory.

    python -m bench.memory_child MODEL ours|contiguous|channels_last BATCH THREADS

Prints bytes of resident memory as JSON: ``built`` before the first step, ``peak`` the largest in the steps,
and ``step``, the difference.  The peak is the system's own high-water mark, set back before the first step:
what importing and building took for a moment does not count.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from numbacnn.memory import buffer_pool

STEPS = 3  # the second takes what the first has left: momentum, kept workspace


def resident(field: str = "VmRSS") -> int:
    """Bytes of resident memory of this process: now, or the largest so far (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return 1024 * int(line.split()[1])
    raise SystemExit(f"the memory of a process can be read on Linux only: no {field}")


def settle() -> int:
    """Give freed memory back to the system, set back the high-water mark; what is resident then."""
    gc.collect()
    buffer_pool.clear()  # of the model that the peer's twin was made from
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # glibc's
        trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return resident()


def side_of(name: str, side: str, batch: int) -> Any:
    """One side of a case, ours or the peer's in a format, with nothing of the other."""
    from bench.train_step import CASES, Ours, Torch

    if side not in ("ours", "contiguous", "channels_last"):
        raise SystemExit(f"no side {side!r}")
    case = replace(next(c for c in CASES if c.name == name), batch=batch)
    ours = Ours(case)
    if side == "ours":
        return ours
    peer = Torch(ours, side)
    peer.pairs = []  # and with them our model
    return peer


def main(name: str, side: str, batch: str, threads: str) -> None:
    from bench.timing import set_threads

    if int(threads):
        set_threads(int(threads), "none" if side == "ours" else "torch")
    stepping = side_of(name, side, int(batch))
    built = settle()
    for _ in range(STEPS):
        stepping.step()
    peak = resident("VmHWM")
    print(json.dumps({"built": built, "step": peak - built, "peak": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The machine's peaks: of fused multiply-adds, a loop over registers alone in LLVM IR, and of memory.

What a kernel can at best reach, measured rather than derived from a data sheet's clock.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from numbacnn._jit import jit, kernel, parts_for, run, split

#: Independent sums: more than latency times units (4 x 2) of any CPU, few enough for 16 registers.
CHAINS = 12
#: float32 lanes of AVX-512, of AVX2 and of NEON or SSE.
WIDTHS = (16, 8, 4)
HALF = np.float32(0.5)


@intrinsic(prefer_literal=True)
def _fma_chains(typing_context, lanes, steps, half):
    """``acc[i] = acc[i] * half + half`` in CHAINS vectors of ``lanes`` float32, ``steps`` times."""
    vector = ir.VectorType(ir.FloatType(), lanes.literal_value)
    signature = types.float32(lanes, types.intp, types.float32)

    def codegen(context, builder, signature, args):
        n = lanes.literal_value
        # llvmlite's declare_intrinsic() rejects vectors: declare the function by its mangled name
        fma_type = ir.FunctionType(vector, [vector] * 3)
        fma = cgutils.get_or_insert_function(builder.module, fma_type, f"llvm.fma.v{n}f32")
        index = ir.IntType(32)
        first = builder.insert_element(ir.Constant(vector, ir.Undefined), args[2], ir.Constant(index, 0))
        lane_0 = ir.Constant(ir.VectorType(index, n), [0] * n)
        a = builder.shuffle_vector(first, first, lane_0)
        start = builder.block
        loop, done = (builder.function.append_basic_block(name) for name in ("fma", "fma_done"))
        count = ir.IntType(64)
        builder.branch(loop)
        builder.position_at_end(loop)
        step = builder.phi(count)
        sums = [builder.phi(vector) for _ in range(CHAINS)]
        following = [builder.call(fma, [s, a, a]) for s in sums]
        after = builder.add(step, ir.Constant(count, 1))
        step.add_incoming(ir.Constant(count, 0), start)
        step.add_incoming(after, loop)
        for i, (s, f) in enumerate(zip(sums, following, strict=True)):
            s.add_incoming(ir.Constant(vector, [float(i)] * n), start)
            s.add_incoming(f, loop)
        builder.cbranch(builder.icmp_signed("<", after, args[1]), loop, done)
        builder.position_at_end(done)
        total = functools.reduce(builder.fadd, following)
        return builder.extract_element(total, ir.Constant(index, 0))

    return signature, codegen


@functools.cache
def _loop(lanes: int) -> Callable[[int, float], float]:
    @numba.njit(nogil=True)
    def loop(steps, half):
        # The factor is data, or the compiler would fold the chain that starts at its fixed point.  With a
        # half all chains tend to 1: neither infinities nor subnormal numbers, which could slow the loop down
        return _fma_chains(lanes, steps, half)

    return loop


def _fastest_burst(work: Callable[[], Any], threads: int, seconds: float) -> float:
    """Seconds of the best of several bursts: from the first thread's start to the last one's end.

    The threads stay from burst to burst, so that the system has spread them over the processors.
    """
    ready, done = threading.Barrier(threads), threading.Barrier(threads)
    starts, stops, best, going = [0.0] * threads, [0.0] * threads, [float("inf")], [True]
    until = time.perf_counter() + seconds

    def body(i: int) -> None:
        while True:
            if ready.wait() == 0:  # one of them, whichever came last
                going[0] = best[0] == float("inf") or time.perf_counter() < until
            ready.wait()
            if not going[0]:
                return
            starts[i] = time.perf_counter()
            work()
            stops[i] = time.perf_counter()
            if done.wait() == 0:
                best[0] = min(best[0], max(stops) - min(starts))

    team = [threading.Thread(target=body, args=(i,)) for i in range(threads)]
    for t in team:
        t.start()
    for t in team:
        t.join()
    return best[0]


def fma_peak(lanes: int, threads: int = 1, seconds: float = 0.2) -> float:
    """float32 operations per second of ``threads`` threads in vectors of ``lanes`` (a multiply-add is two).

    The best of several bursts, since an interruption can only slow one down.
    """
    loop = _loop(lanes)
    loop(1, HALF)
    # shorter than the system's time slices, so that some bursts run undisturbed; threads start a little apart
    steps, burst = 100_000, min(0.002 if threads == 1 else 0.005, seconds / 4)
    while True:  # find the steps that last a burst
        start = time.perf_counter()
        loop(steps, HALF)
        if (elapsed := time.perf_counter() - start) > burst / 4:
            break
        steps *= 4
    steps = max(1, int(steps * burst / elapsed))
    elapsed = _fastest_burst(lambda: loop(steps, HALF), threads, seconds)
    return 2.0 * CHAINS * lanes * steps * threads / elapsed


def machine_peak(threads: int = 1, seconds: float = 0.3) -> float:
    """The peak at the width that this process's machine code is fastest at."""
    return max(fma_peak(lanes, threads, seconds / len(WIDTHS)) for lanes in WIDTHS)


PART = 16384  # elements
_NS_PER_ELEMENT = 0.1


@jit
def _read_part(part, parts, x, sums):
    lo, hi = split(part, parts, x.size)
    x = x[lo:hi]
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i]
    sums[part] = total


@jit
def _fill_part(part, parts, x, value):
    lo, hi = split(part, parts, x.size)
    x = x[lo:hi]
    for i in range(x.size):
        x[i] = value


@kernel
def _read(team, parts, x, sums):
    run(team, _read_part, parts, (x, sums))


@kernel
def _fill(team, parts, x, value):
    run(team, _fill_part, parts, (x, value))


def reader(x: np.ndarray) -> Callable[[], Any]:
    """What reads a flat array once, on numbacnn's threads: a sum."""
    parts = parts_for(x.size, PART)
    sums = np.empty(parts, x.dtype)
    return lambda: _read(x.size * _NS_PER_ELEMENT, parts, x, sums)


def filler(x: np.ndarray) -> Callable[[], Any]:
    """What writes a flat array once, on numbacnn's threads."""
    value = x.dtype.type(1)
    return lambda: _fill(x.size * _NS_PER_ELEMENT, parts_for(x.size, PART), x, value)

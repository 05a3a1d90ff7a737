"""The thread pool: how a kernel's parts are spread over threads, and when they are not.

Numba's ``prange`` compiles a loop body a second time and always enters its pool.  Here a kernel is
compiled once; its parts are handed to the pool that Numba ships (OpenMP, TBB or workqueue) through
one small thunk, in which the threads draw part numbers from a shared counter.  So a slow core draws
fewer parts, and the serial form of a kernel is the same machine code, called without the pool.

Which thread computes a part does not matter, so results have the same bits for any number of threads.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llvmlite import ir

from ._deferred import cgutils, intrinsic, types

#: Estimated nanoseconds on one thread below which entering a parallel region costs more than it gains:
#: an OpenMP region takes about 2 us, and its other threads wake up later still.
SERIAL_NS = 12_000.0

#: A team as kernels see it: the address of the pool's entry function (0: stay serial), and its threads.
Team = tuple[int, int]
SERIAL: Team = (0, 1)

_LIBRARIES = {"omp": "omppool", "tbb": "tbbpool", "workqueue": "workqueue"}
_INTP = ir.IntType(64)
_BYTES = ir.IntType(8).as_pointer()
# void thunk(char **args, size_t *dims, size_t *steps, void *data): what Numba's pools call per thread
_THUNK = ir.FunctionType(ir.VoidType(), [_BYTES.as_pointer(), _INTP.as_pointer(), _INTP.as_pointer(), _BYTES])
_PARALLEL_FOR = ir.FunctionType(ir.VoidType(), [_BYTES] * 5 + [_INTP] * 3)


def _cgroup_quota() -> float:
    """CPUs that the container's quota grants, infinity where there is none (cgroup v2, then v1)."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return math.inf if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota_us = int(Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").read_text())
        period_us = int(Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us").read_text())
        return math.inf if quota_us <= 0 else quota_us / period_us
    except (OSError, ValueError):
        return math.inf


def _affinity() -> int:
    """CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _available_cpus() -> int:
    return max(1, math.ceil(min(_affinity(), _cgroup_quota())))


def _thread_limit() -> int:
    """Return NUMBA_NUM_THREADS as Numba has it, or would have it once imported."""
    if "numba" in sys.modules:
        return int(sys.modules["numba"].config.NUMBA_NUM_THREADS)
    try:
        return int(os.environ.get("NUMBA_NUM_THREADS", _affinity()))
    except ValueError:
        return _affinity()  # as Numba does, with a warning


@contextlib.contextmanager
def _short_spins() -> Iterator[None]:
    """Load GNU OpenMP such that its idle threads spin for some 40 us only, unless the user says otherwise.

    That outlasts the gap between two kernels.  Its default of some milliseconds holds a core that another
    thread needs: with one other busy process on two cores a training took ten times as long.
    """
    if "GOMP_SPINCOUNT" in os.environ or "OMP_WAIT_POLICY" in os.environ:
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = "20000"  # read once, when the library is loaded
    try:
        yield
    finally:
        del os.environ["GOMP_SPINCOUNT"]


class Pool:
    """The process's one pool: started at the first parallel kernel, given up in forked children."""

    def __init__(self) -> None:
        self.threads = min(_available_cpus(), _thread_limit())
        self.layer: str | None = None
        self.lock: threading.Lock | None = None  # set where the layer bears one caller at a time only
        self._team: Team | None = None
        self._start_lock = threading.Lock()
        self.forked = False
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        # GNU OpenMP kills a forked child at its first parallel region, and the workqueue's threads are
        # gone: a child of a process whose pool has started computes serially.
        self._start_lock = threading.Lock()
        if self.layer is not None:
            self.forked, self.lock = True, None

    def team(self, work: float) -> Team:
        """Return the team for a kernel of ``work`` estimated nanoseconds."""
        if work < SERIAL_NS or self.threads == 1 or self.forked:
            return SERIAL
        return self._team or self._start()

    def _start(self) -> Team:
        with self._start_lock:
            if self._team is None:
                from numba.np.ufunc import parallel

                with _short_spins():
                    parallel._launch_threads()
                self.layer = str(parallel._threading_layer)
                if self.layer == "workqueue":
                    self.lock = threading.Lock()  # a second caller at the same time aborts the process
                library = importlib.import_module(f"numba.np.ufunc.{_LIBRARIES[self.layer]}")
                # Numba reads settings from files too, which _thread_limit() does not before it is imported
                self.threads = min(self.threads, _thread_limit())
                self._team = (library.parallel_for, self.threads)
            return self._team

    def resize(self, threads: int) -> None:
        """Use ``threads`` threads from the next kernel on."""
        self.threads = threads
        if self._team is not None:
            self._team = (self._team[0], threads)


POOL = Pool()


def _call_body(context: Any, builder: ir.IRBuilder, body: Any, signature: Any, values: list) -> None:
    # Not through context.get_function(): that would return the callee's status from the thunk,
    # which has none to return.  Kernels do not raise.
    compiled = body.dispatcher.get_compile_result(signature)
    context.add_linking_libs([compiled.library])
    function = context.declare_function(builder.module, compiled.fndesc)
    context.call_conv.call_function(
        builder, function, compiled.fndesc.restype, compiled.fndesc.argtypes, values
    )


def _emit_thunk(
    context: Any, builder: ir.IRBuilder, body: Any, signature: Any, frame_type: Any, slotted: bool
) -> Any:
    """Emit the function that one thread of the team runs: draw parts until none is left."""
    module = builder.module
    name = module.get_unique_name(builder.function.name + ".parts")
    thunk = ir.Function(module, _THUNK, name)
    thunk.linkage = "internal"
    inner = ir.IRBuilder(thunk.append_basic_block("entry"))
    # The pool hands out args[0] = base + index with base 0: the index of this thread in the team.
    slot = inner.ptrtoint(inner.load(thunk.args[0]), _INTP)
    frame = inner.bitcast(thunk.args[3], frame_type.as_pointer())
    counter = cgutils.gep_inbounds(inner, frame, 0, 0)
    parts = inner.load(cgutils.gep_inbounds(inner, frame, 0, 1))
    args = inner.load(cgutils.gep_inbounds(inner, frame, 0, 2))
    values = [inner.extract_value(args, i) for i in range(len(args.type.elements))]
    draw, work, done = (thunk.append_basic_block(n) for n in ("draw", "work", "done"))
    inner.branch(draw)
    inner.position_at_end(draw)
    part = inner.atomic_rmw("add", counter, ir.Constant(_INTP, 1), "monotonic")
    inner.cbranch(inner.icmp_signed("<", part, parts), work, done)
    inner.position_at_end(work)
    _call_body(context, inner, body, signature, [slot, part, parts, *values][not slotted :])
    inner.branch(draw)
    inner.position_at_end(done)
    inner.ret_void()
    return thunk


def _run(typingctx: Any, body: Any, args: Any, slotted: bool) -> tuple[Any, Any]:
    """Resolve the body's signature, and give the code that spreads its parts over the team."""
    leading = 3 if slotted else 2
    signature = body.get_call_type(typingctx, (types.intp,) * leading + tuple(args.types), {})

    def codegen(context, builder, _, operands):
        team, _, parts, values = operands
        frame_type = ir.LiteralStructType([_INTP, _INTP, values.type])
        frame = cgutils.alloca_once(builder, frame_type)
        for i, value in enumerate((ir.Constant(_INTP, 0), parts, values)):
            builder.store(value, cgutils.gep_inbounds(builder, frame, 0, i))
        thunk = _emit_thunk(context, builder, body, signature, frame_type, slotted)
        entry, threads = builder.extract_value(team, 0), builder.extract_value(team, 1)
        # The pool's loop runs over one argument array, of base 0 and step 1: each call learns its index.
        base = cgutils.alloca_once_value(builder, ir.Constant(_BYTES, None))
        step = cgutils.alloca_once_value(builder, ir.Constant(_INTP, 1))
        count = cgutils.alloca_once(builder, _INTP)
        builder.store(threads, count)
        data = builder.bitcast(frame, _BYTES)
        one = ir.Constant(_INTP, 1)
        pooled = builder.and_(
            builder.icmp_signed("!=", entry, ir.Constant(_INTP, 0)), builder.icmp_signed(">", parts, one)
        )
        with builder.if_else(pooled) as (yes, no):
            with yes:
                parallel_for = builder.inttoptr(entry, _PARALLEL_FOR.as_pointer())
                pointers = [builder.bitcast(p, _BYTES) for p in (thunk, base, count, step)]
                builder.call(parallel_for, [*pointers, data, ir.Constant(_INTP, 0), one, threads])
            with no:
                builder.call(thunk, [base, count, step, data])
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def run(typingctx, team, body, parts, args):
    """``body(part, parts, *args)`` for every part, on the team's threads (only inside a kernel)."""
    _, codegen = _run(typingctx, body, args, slotted=False)
    return types.void(team, body, types.intp, args), codegen


@intrinsic(prefer_literal=True)
def run_slots(typingctx, team, body, parts, args):
    """``body(slot, part, parts, *args)`` likewise; slot, below the number of threads, tells them apart.

    Literals among the arguments reach the body, unless the tuple is put together by a star.
    """
    _, codegen = _run(typingctx, body, args, slotted=True)
    return types.void(team, body, types.intp, args), codegen


def set_num_threads(threads: int) -> None:
    """Let kernels use ``threads`` threads from now on, in the whole process."""
    from .errors import ArgumentError

    limit = _thread_limit()
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= limit:
        raise ArgumentError(
            f"set_num_threads: expected a number of threads from 1 to {limit}, got {threads!r}; "
            "the limit is NUMBA_NUM_THREADS, fixed when the process starts"
        )
    POOL.resize(threads)


def get_num_threads() -> int:
    """Return how many threads kernels use."""
    return 1 if POOL.forked else POOL.threads


def threading_layer() -> str:
    """Return the threading layer's name: "omp", "tbb" or "workqueue"; starts the pool."""
    if POOL.layer is None:
        POOL._start()
    return str(POOL.layer)

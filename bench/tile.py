"""The register tiles alone, from the first and second cache, as a fraction of the multiply-add peak.

    python -m bench.tile

One thread, float32.  On an x86 CPU with AVX-512 the AVX2 form is measured too, in a process that compiles
for such a CPU; the peak is that of vectors of the same width.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np

from bench.peak import fma_peak
from bench.report import Table, write_json
from bench.timing import environment

#: The name alone would keep the host's own features switched on.
AVX2 = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma,+bmi,+bmi2,+f16c,+popcnt,+lzcnt"}

#: What a step reads, again and again: taps of k inputs for some tiles of pixels; pixels for tiles of inputs.
CASES = (
    ("conv_tile", "L1", {"taps": 1, "k": 192, "tiles": 1}),
    ("conv_tile", "L2", {"taps": 9, "k": 256, "tiles": 4}),
    ("outer_tile", "L1", {"pixels": 192, "tiles": 1}),
    ("outer_tile", "L2", {"pixels": 256, "tiles": 16}),
)


def _materialise_tiles() -> None:
    """Make the tiles known to Numba, which here compiles loops around them by itself."""
    import numbacnn.kernels.cpu.tile  # noqa: F401
    from numbacnn._deferred import materialise

    materialise()


def _conv_case(taps: int, k: int, tiles: int) -> tuple[Callable[[int], None], int, int]:
    """Return a loop over ``steps``, the multiply-adds of a step, and the bytes it works on."""
    _materialise_tiles()
    from numbacnn.kernels.cpu.tile import ROWS, VECTORS, ZERO, conv_tile

    @numba.njit(nogil=True)
    def loop(steps, x, pixels, tap, w, y, places, bias):
        columns = w.size // tap.size // k
        for _ in range(steps):
            for m in range(0, pixels.size, ROWS):
                conv_tile(
                    ROWS, VECTORS, x, 0, pixels, m, m + ROWS, tap, 0, tap.size, k, w, 0, y, 0, places, bias,
                    0, ZERO, columns
                )  # fmt: skip

    columns, m = VECTORS * _lanes(), ROWS * tiles
    # each tap reads its own k inputs of a pixel, as those of a convolution of several rows do
    x, w, y = _random(m * taps * k), _random(taps * k * columns), _random(m * columns)
    pixels, places = np.arange(m) * taps * k, np.arange(m) * columns
    tap, bias = np.arange(taps) * k, np.zeros(columns, np.float32)
    run = functools.partial(_bound, loop, (x, pixels, tap, w, y, places, bias))
    run(1)
    truth = x.reshape(m, -1).astype(np.float64) @ w.reshape(-1, columns)
    _check("conv_tile", y.reshape(m, columns), truth)
    return run, m * taps * k * columns, x.nbytes + w.nbytes + y.nbytes


def _outer_case(pixels: int, tiles: int) -> tuple[Callable[[int], None], int, int]:
    _materialise_tiles()
    from numbacnn.kernels.cpu.tile import ROWS, VECTORS, ZERO, outer_tile

    @numba.njit(nogil=True)
    def loop(steps, x, at, shifts, dy, dw):
        columns = dy.size // at.size
        for _ in range(steps):
            for row in range(0, dw.size // columns, ROWS):
                outer_tile(
                    ROWS, VECTORS, True, x, 0, at, 0, at.size, shifts, row, row + ROWS, dy, 0, dw, 0, columns,
                    ZERO, columns
                )  # fmt: skip

    columns, rows = VECTORS * _lanes(), ROWS * tiles
    x, dy, dw = _random(pixels * rows), _random(pixels * columns), _random(rows * columns)
    run = functools.partial(_bound, loop, (x, np.arange(pixels) * rows, np.arange(rows), dy, dw))
    run(1)
    truth = x.reshape(pixels, rows).astype(np.float64).T @ dy.reshape(pixels, columns)
    _check("outer_tile", dw.reshape(rows, columns), truth)
    return run, pixels * rows * columns, x.nbytes + dy.nbytes + dw.nbytes


def _random(size: int) -> np.ndarray:
    """Random numbers from the start of a cache line on, as the kernels' panels lie."""
    room = np.empty(size + 16, np.float32)
    values = room[-room.ctypes.data % 64 // 4 :][:size]
    values[:] = np.random.default_rng(0).standard_normal(size, dtype=np.float32)
    return values


def _bound(loop: Callable[..., None], arrays: tuple[np.ndarray, ...], steps: int) -> None:
    loop(steps, *arrays)


def _check(name: str, result: np.ndarray, truth: np.ndarray) -> None:
    error = float(np.abs(result - truth).max() / np.abs(truth).max())
    if not error < 1e-5:
        sys.exit(f"wrong result: {name} differs from float64 by {error:.1e} of the largest output")


def _lanes() -> int:
    from numbacnn.kernels.cpu.simd import VECTOR_BYTES

    return VECTOR_BYTES // 4


def _rate(run: Callable[[int], None], macs: int, seconds: float) -> float:
    """Operations per second of the best of several bursts, as the peak is measured."""
    steps, burst = 1, min(0.002, seconds / 4)
    while True:
        start = time.perf_counter()
        run(steps)
        if (elapsed := time.perf_counter() - start) > burst / 4:
            break
        steps *= 4
    steps = max(1, int(steps * burst / elapsed))
    best, until = float("inf"), time.perf_counter() + seconds
    while best == float("inf") or time.perf_counter() < until:
        start = time.perf_counter()
        run(steps)
        best = min(best, time.perf_counter() - start)
    return 2.0 * macs * steps / best


def measure(seconds: float = 0.2, rounds: int = 5) -> dict[str, Any]:
    """Measure the tiles of the CPU that this process compiles for; a JSON-able report."""
    from numbacnn.kernels.cpu.tile import ROWS, VECTORS

    lanes = _lanes()
    make = {"conv_tile": _conv_case, "outer_tile": _outer_case}
    cases = [(name, cache, make[name](**sizes)) for name, cache, sizes in CASES]
    peak, rates = 0.0, [0.0] * len(cases)
    for _ in range(rounds):  # in turns, so that a slow moment meets all
        peak = max(peak, fma_peak(lanes, seconds=seconds))
        for i, (_, _, (run, macs, _)) in enumerate(cases):
            rates[i] = max(rates[i], _rate(run, macs, seconds))
    rows = [
        {"tile": name, "from": cache, "bytes": size, "flops": rate, "fraction": rate / peak}
        for (name, cache, (_, _, size)), rate in zip(cases, rates, strict=True)
    ]
    return {"lanes": lanes, "rows": ROWS, "vectors": VECTORS, "peak": peak, "tiles": rows}


def _in_child(variables: dict[str, str], seconds: float, rounds: int) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "bench.tile",
        "--child",
        "--seconds",
        str(seconds),
        "--rounds",
        str(rounds),
    ]
    done = subprocess.run(command, env={**os.environ, **variables}, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"the process with {variables or 'the native tiles'} ended with status {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.tile", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.2, help="per tile and round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", help="write all figures there too")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    a = parser.parse_args(argv)
    if a.child:
        print(json.dumps(measure(a.seconds, a.rounds)))
        return
    families = {"native": _in_child({}, a.seconds, a.rounds)}
    if families["native"]["lanes"] == 16:
        families["avx2"] = _in_child(AVX2, a.seconds, a.rounds)
    table = Table(
        (("family", 8), ("tile", 10), ("shape", 7), ("from", 4), ("KiB", 5), ("GF/s", 6), ("peak", 6))
    )
    for family, report in families.items():
        columns = report["vectors"] * report["lanes"]
        for row in report["tiles"]:
            table.row(
                family,
                row["tile"],
                f"{report['rows']} x {columns}",
                row["from"],
                f"{row['bytes'] / 1024:.0f}",
                f"{row['flops'] / 1e9:.1f}",
                f"{row['fraction']:.1%}",
            )
        print(f"{family:<8}  peak of {report['lanes']} lanes: {report['peak'] / 1e9:.1f} GF/s")
    lowest = min(row["fraction"] for report in families.values() for row in report["tiles"])
    print(f"lowest fraction of peak: {lowest:.3f}")
    write_json(a.json, {"environment": environment(), "families": families})


if __name__ == "__main__":
    main()

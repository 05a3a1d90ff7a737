"""Seconds to compile all that a network needs, kernel by kernel, and to load it once it is compiled.

    python -m bench.compile --network resnet

Each network runs in two fresh processes: with an empty folder of compiled kernels (cold), then with what the
first one left there (cached).  With `--rounds` each figure is the median over as many pairs.  What the first
kernel of a process pays for all, the import of Numba and of its typing rules, stands in a line of its own.
Compiling is one thread's work: on a busy machine the seconds of its processor tell more than the clock's.
"""

from __future__ import annotations

import argparse
import functools
import json
import operator
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.report import Table, milliseconds, write_json
from bench.timing import environment

NETWORKS = {
    "lenet5": "a training step of LeNet-5",
    "resnet": "ResNet's stem, a residual block and its head, forward and gradients",
}
COLUMNS = (("kernel", 34), ("types", 34), ("cold s", 6), ("cpu s", 6), ("cached ms", 9))


def run_once(network: str, cache: str, threads: int | None = None) -> dict[str, Any]:
    """What the child says of a run with kernels kept in ``cache``, and the seconds of its whole process."""
    command = [
        sys.executable,
        "-m",
        "bench.compile_child",
        network,
        *([] if threads is None else [str(threads)]),
    ]
    variables = {**os.environ, "NUMBACNN_CACHE_DIR": cache}
    start = time.perf_counter()
    done = subprocess.run(command, env=variables, stdout=subprocess.PIPE, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        sys.exit(f"{network}: the process ended with status {done.returncode}")
    return json.loads(done.stdout) | {"process": seconds}


def _median(runs: Sequence[dict[str, Any]], *path: Any) -> float:
    return statistics.median(functools.reduce(operator.getitem, path, run) for run in runs)


def _costs(runs: dict[str, list[dict[str, Any]]], *path: Any) -> dict[str, float]:
    """Seconds of a kernel, which ``path`` leads to: cold, of the processor meanwhile, and cached."""
    cold, cached = runs["cold"], runs["cached"]
    return {
        "cold": _median(cold, *path, "seconds"),
        "processor": _median(cold, *path, "processor"),
        "cached": _median(cached, *path, "seconds"),
    }


def measure(network: str, *, threads: int | None = None, rounds: int = 1) -> dict[str, Any]:
    """Seconds of each kernel and of all, cold and cached; a JSON-able row."""
    runs: dict[str, list[dict[str, Any]]] = {"cold": [], "cached": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for state in runs:
                runs[state].append(run_once(network, folder, threads))
            kept = sum(path.stat().st_size for path in Path(folder).rglob("*.o"))
    kernels = [
        {"name": k["name"], "types": k["types"]} | _costs(runs, "kernels", i)
        for i, k in enumerate(runs["cold"][0]["kernels"])
    ]
    kernels.sort(key=lambda k: -k["processor"])
    row: dict[str, Any] = {"network": network, "bytes": kept, "kernels": kernels}
    row["all"] = {key: sum(k[key] for k in kernels) for key in ("cold", "processor", "cached")}
    row["first"] = _costs(runs, "first")
    row["process"] = {state: _median(r, "process") for state, r in runs.items()}
    return row


def show(row: dict[str, Any]) -> None:
    """Print a row: the kernels, the slowest first, and the sums."""
    print(f"{NETWORKS[row['network']]}: {len(row['kernels'])} kernels, {row['bytes'] / 1024:.0f} KiB on disk")
    table = Table(COLUMNS)
    lines = [(k["name"], k["types"], k) for k in row["kernels"]]
    lines += [("all kernels", None, row["all"]), ("before the first one", None, row["first"])]
    lines.append(("the whole process", None, row["process"]))
    for name, types, costs in lines:
        processor = f"{costs['processor']:.2f}" if "processor" in costs else None
        table.row(name, types, f"{costs['cold']:.2f}", processor, milliseconds(costs["cached"]))
    print(flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.compile", description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=tuple(NETWORKS), help="only this one")
    parser.add_argument("--threads", type=int, default=None, help="default: numbacnn's own")
    parser.add_argument("--rounds", type=int, default=1, help="pairs of processes")
    parser.add_argument("--json", metavar="FILE", help="write all figures there too")
    a = parser.parse_args(argv)
    rows = []
    for network in NETWORKS:
        if a.network in (None, network):
            rows.append(measure(network, threads=a.threads, rounds=a.rounds))
            show(rows[-1])
    write_json(a.json, {"environment": environment(), "rows": rows})
    for row in rows:
        cold, cpu, cached = (row["all"][key] for key in ("cold", "processor", "cached"))
        loaded = f"loaded in {milliseconds(cached)} ms"
        print(f"{row['network']}: compiled in {cold:.2f} s ({cpu:.2f} s of a processor), {loaded}")


if __name__ == "__main__":
    main()

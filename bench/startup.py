"""From process start to the first prediction and the first training step of LeNet-5, beside PyTorch.

    python -m bench.startup --peer torch --rounds 5

Each figure is the median over fresh processes, started in turns: ours with an empty folder of compiled
kernels (cold), ours with a filled one (cached), and the peer, which has none.  The clock runs from before the
process is started until it says that it is done.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from bench.report import Table, geomean, write_json
from bench.timing import environment, require_torch

TASKS = {"predict": "first prediction, batch 1", "step": "first training step, batch 64"}


def start_to_done(side: str, task: str, threads: int | None, cache: str | None = None) -> float:
    """Seconds from the start of a process until it has done its task."""
    command = [
        sys.executable,
        "-m",
        "bench.startup_child",
        side,
        task,
        *([] if threads is None else [str(threads)]),
    ]
    variables = {**os.environ, **({} if cache is None else {"NUMBACNN_CACHE_DIR": cache})}
    start = time.perf_counter()
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:
        said = process.stdout.readline() if process.stdout else ""
        seconds = time.perf_counter() - start
    if process.returncode != 0 or said.strip() != "done":
        sys.exit(f"{side} {task}: the process ended with status {process.returncode}")
    return seconds


def measure(task: str, peer: str, *, threads: int | None = None, rounds: int = 5) -> dict[str, Any]:
    """Seconds of a task in each condition: all rounds and their medians; a JSON-able row."""
    seconds: dict[str, list[float]] = {"cold": [], "cached": []}
    with tempfile.TemporaryDirectory() as filled:
        start_to_done("ours", task, threads, filled)
        if peer == "torch":
            seconds["peer"] = []
            start_to_done("torch", task, threads)  # from here on its files are in memory, as ours are
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as empty:
                seconds["cold"].append(start_to_done("ours", task, threads, empty))
            seconds["cached"].append(start_to_done("ours", task, threads, filled))
            if peer == "torch":
                seconds["peer"].append(start_to_done("torch", task, threads))
    row: dict[str, Any] = {"task": task, "seconds": seconds}
    row |= {name: statistics.median(values) for name, values in seconds.items()}
    if peer == "torch":
        row["ratio"] = row["peer"] / row["cached"]
    return row


def run(tasks: Sequence[str], peer: str, *, threads: int | None = None, rounds: int = 5) -> dict[str, Any]:
    """Measure the tasks, printing a row each; return the whole as a JSON-able report."""
    columns = (("seconds from process start to", 30), ("cold", 6), ("cached", 6))
    table = Table(columns if peer == "none" else (*columns, ("peer", 6), ("ratio", 6)))
    rows = []
    for task in tasks:
        row = measure(task, peer, threads=threads, rounds=rounds)
        cells = [f"{row[name]:.3f}" for name in ("cold", "cached", "peer") if name in row]
        table.row(TASKS[task], *cells, *([f"{row['ratio']:.2f}"] if "ratio" in row else []))
        rows.append(row)
    report = {"environment": environment(peer), "peer": peer, "rows": rows}
    if peer == "torch":
        report["geomean_ratio"] = geomean(row["ratio"] for row in rows)
        print(f"geomean ratio: {report['geomean_ratio']:.3f}")
    return report


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.startup", description=__doc__.splitlines()[0])
    parser.add_argument("--peer", choices=("torch", "none"), default="torch")
    parser.add_argument("--task", choices=tuple(TASKS), help="only this one")
    parser.add_argument("--threads", type=int, default=None, help="of both sides (default: each side's own)")
    parser.add_argument("--rounds", type=int, default=5, help="processes of each kind")
    parser.add_argument("--json", metavar="FILE", help="write all figures there too")
    a = parser.parse_args(argv)
    if a.peer == "torch":
        require_torch()
    report = run([t for t in TASKS if a.task in (None, t)], a.peer, threads=a.threads, rounds=a.rounds)
    write_json(a.json, report)


if __name__ == "__main__":
    main()

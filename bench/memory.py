"""Peak memory of a training step of whole models, beside PyTorch eager.

    python -m bench.memory --peer torch --threads 2

Each side of a model runs some steps in a fresh process, the peer in each memory format, of which the one that
takes least counts; both with malloc as the system has it.  Counted is resident memory as Linux does, shared
libraries included:

    built   when the model, its parameters, the inputs and the optimizer are made, before the first step
    step    the peak of the steps above that: activations, gradients, momentum, workspace, kernels loaded
    peak    the peak of the process in the steps: imports, parameters and all

The ratios are ours over the peer's: below 1 we take less.  First checks each model's step against the peer's,
as `bench.train_step` does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from bench.report import Table, geomean, write_json
from bench.timing import environment, require_torch
from bench.train_step import CASES, Case, check

FORMATS = ("contiguous", "channels_last")
COLUMNS = (("MB of a training step", 21), ("batch", 5), ("built", 7), ("step", 7), ("peak", 7))
PEER_COLUMNS = (
    ("peer built", 10),
    ("step", 7),
    ("peak", 7),
    ("ratio", 6),
    ("of peaks", 8),
    ("peer's form", 13),
)


def in_child(case: Case, side: str, threads: int | None) -> dict[str, int]:
    """Bytes that a fresh process takes for a case: what `bench.memory_child` prints."""
    words = [case.name, side, str(case.batch), str(threads or 0)]
    command = [sys.executable, "-m", "bench.memory_child", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{case.name} {side}: the process ended with status {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(case: Case, peer: str, threads: int | None = None, *, checked: bool = True) -> dict[str, Any]:
    """Check a case, then measure it; a JSON-able row."""
    row: dict[str, Any] = {"name": case.name, "batch": case.batch}
    if peer == "torch" and checked:
        row["error"] = check(case)
    in_child(case, "ours", threads)  # compiles what is not on disk yet, which takes memory of its own
    row["ours"] = in_child(case, "ours", threads)
    if peer == "torch":
        forms = {form: in_child(case, form, threads) for form in FORMATS}
        row["form"] = min(forms, key=lambda form: forms[form]["step"])
        row["peer"] = forms[row["form"]]
        row["ratio"], row["peak_ratio"] = (row["ours"][what] / row["peer"][what] for what in ("step", "peak"))
    return row


def run(
    cases: Sequence[Case], peer: str, threads: int | None = None, *, checked: bool = True
) -> dict[str, Any]:
    """Measure the cases, printing a row each; return the whole as a JSON-able report."""
    table = Table(COLUMNS if peer == "none" else COLUMNS + PEER_COLUMNS)
    rows = []
    for case in cases:
        row = measure(case, peer, threads, checked=checked)
        cells = [case.name, case.batch, *_megabytes(row["ours"])]
        if peer == "torch":
            cells += [
                *_megabytes(row["peer"]),
                f"{row['ratio']:.2f}",
                f"{row['peak_ratio']:.2f}",
                row["form"],
            ]
        table.row(*cells)
        rows.append(row)
    report = {"environment": environment(peer), "peer": peer, "threads": threads, "rows": rows}
    if peer == "torch":
        report["geomean_ratio"] = geomean(row["ratio"] for row in rows)
        print(f"geomean ratio: {report['geomean_ratio']:.3f}")
    return report


def _megabytes(taken: dict[str, int]) -> list[str]:
    return [f"{taken[what] / 1e6:.1f}" for what in ("built", "step", "peak")]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__.splitlines()[0])
    parser.add_argument("--peer", choices=("torch", "none"), default="torch")
    parser.add_argument("--model", choices=[c.name for c in CASES], help="only this one")
    parser.add_argument("--threads", type=int, default=None, help="of both sides (default: each side's own)")
    parser.add_argument("--unchecked", action="store_true", help="leave out the check against the peer")
    parser.add_argument("--json", metavar="FILE", help="write all figures there too")
    a = parser.parse_args(argv)
    if a.peer == "torch":
        require_torch()
    cases = [c for c in CASES if a.model in (None, c.name)]
    write_json(a.json, run(cases, a.peer, a.threads, checked=not a.unchecked))


if __name__ == "__main__":
    main()

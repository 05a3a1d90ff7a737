"""What benchmarks print and write: a table row by row, geometric means, a JSON file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def geomean(ratios: Iterable[float]) -> float:
    """``exp(mean(log(ratio)))``."""
    logs = [math.log(r) for r in ratios]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan


class Table:
    """A table printed as it grows: columns of ``(title, width)``, the first one left-aligned."""

    def __init__(self, columns: Sequence[tuple[str, int]]) -> None:
        self.columns = columns
        self.row(*(title for title, _ in columns))

    def row(self, *cells: object) -> None:
        """Print a row; None leaves its cell empty."""
        first, *others = ("" if c is None else str(c) for c in cells)
        (_, width), *widths = self.columns
        rest = (f"{cell:>{w}}" for cell, (_, w) in zip(others, widths, strict=True))
        print("  ".join((f"{first:<{width}}", *rest)).rstrip(), flush=True)


def milliseconds(seconds: float) -> str:
    """``seconds`` in milliseconds, of three digits or more."""
    ms = 1e3 * seconds
    return f"{ms:.{max(0, 2 - math.floor(math.log10(ms)))}f}"


def write_json(path: str | Path | None, report: dict[str, Any]) -> None:
    """Write the report, if a path is given; what stood there before stays until the new one is whole."""
    if path is None:
        return
    path = Path(path)
    special = path.exists() and not path.is_file()  # such as /dev/stdout
    beside = path if special else path.with_name(f"{path.name}.part")
    beside.write_text(json.dumps(report, indent=1) + "\n")
    if not special:
        beside.replace(path)

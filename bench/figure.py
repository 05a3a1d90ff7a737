"""A picture of what `bench.conv` measured: each shape's fraction of the multiply-add peak, ours and peers'.

    python -m bench.figure torch.json ncnn.json --out docs/conv_peak.svg

A panel holds a set at one batch, a line a shape; files of several peers meet in the panels they share.  All
operations are counted as the direct method's, so that methods with fewer multiplications may pass the peak.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.conv_report import PASSES, PEERS
from numbacnn.errors import require

#: Colour and marker of each series, told apart in grey too; of Wong, "Color blindness", Nature Methods, 2011.
STYLES = {
    "numbacnn": ("#0072B2", "o"),
    "numbacnn, kernels kept": ("#56B4E9", "D"),
    "PyTorch": ("#D55E00", "s"),
    "ncnn": ("#009E73", "^"),
}
#: In inches: a shape's line, the room above a panel for its title and below for its axis, the text at its
#: left, a column, and the legend above all.
LINE, ABOVE, BELOW, LEFT, COLUMN, LEGEND = 0.155, 0.32, 0.48, 1.95, 4.9, 0.55


@dataclass
class Panel:
    """A set at one batch: the fractions of each series by shape, in the order of the network."""

    title: str
    shapes: dict[str, str] = field(default_factory=dict)  # name to text
    series: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def height(self) -> float:
        return ABOVE + BELOW + LINE * (len(self.shapes) + 1)


def panels(reports: Iterable[dict[str, Any]], pass_: str) -> list[Panel]:
    """The panels of all rows of a pass; of a shape that two files have in one series, the last one counts."""
    found: dict[tuple[str, int], Panel] = {}
    for report in reports:
        ours = "numbacnn, kernels kept" if report["keep_weights"] else "numbacnn"
        for row in (r for r in report["rows"] if r["pass"] == pass_):
            key = (row["set"], row["batch"])
            panel = found.setdefault(key, Panel(f"{row['set']}, batch {row['batch']}"))
            times = f"  ×{row['count']}" if row["count"] > 1 else ""
            panel.shapes[row["name"]] = row["shape"] + times
            for name, side in ((ours, "ours"), (PEERS.get(report["peer"], ""), "peer")):
                if side in row:
                    panel.series.setdefault(name, {})[row["name"]] = row[side]["flops"] / row["peak"]
    return list(found.values())


def columns(items: Sequence[Panel], count: int) -> list[list[Panel]]:
    """The panels in columns of about equal height, in order from the top, the tallest placed first."""
    filled: list[list[Panel]] = [[] for _ in range(min(count, len(items)))]
    for panel in sorted(items, key=lambda p: -p.height):
        min(filled, key=lambda c: sum(p.height for p in c)).append(panel)
    return [sorted(c, key=items.index) for c in filled]


def _draw(axes: Any, panel: Panel, right: float) -> None:
    """A panel: a line a shape, a mark a series."""
    names = list(panel.shapes)
    for name, points in panel.series.items():
        colour, marker = STYLES[name]
        lines = [names.index(shape) for shape in points]
        axes.plot(points.values(), lines, marker, color=colour, label=name, markersize=4, markeredgewidth=0)
    axes.axvline(1.0, color="black", linewidth=0.9, linestyle="--")
    axes.text(1.02, 0.01, "peak", transform=axes.get_xaxis_transform(), fontsize=7)
    axes.set_title(panel.title, fontsize=9, loc="left", fontweight="bold")
    axes.set_yticks(range(len(names)), list(panel.shapes.values()), fontsize=7)
    axes.set_ylim(len(names), -1)  # the network from top to bottom
    axes.set_xlim(0.0, right)
    axes.tick_params(axis="x", labelsize=7)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("fraction of the multiply-add peak", fontsize=7.5)
    axes.grid(color="0.88", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def draw(reports: Sequence[dict[str, Any]], pass_: str = "forward", count: int = 3) -> Any:
    """A matplotlib figure of the reports' rows of a pass, in up to ``count`` columns of panels."""
    found = panels(reports, pass_)
    if not found:
        sys.exit(f"no row of the {pass_} pass in these files")
    figure_module = require("matplotlib.figure", extra="bench", purpose="drawing figures")
    placed = columns(found, count)
    height = LEGEND + max(sum(p.height for p in column) for column in placed)
    width = COLUMN * len(placed)
    figure = figure_module.Figure(figsize=(width, height))
    largest = max(v for p in found for points in p.series.values() for v in points.values())
    marks: dict[str, Any] = {}
    for i, column in enumerate(placed):
        top = height - LEGEND
        for panel in column:
            bottom = top - panel.height
            box = (i * COLUMN + LEFT, bottom + BELOW, COLUMN - LEFT - 0.2, panel.height - ABOVE - BELOW)
            left, low, wide, high = box
            axes = figure.add_axes((left / width, low / height, wide / width, high / height))
            _draw(axes, panel, 1.05 * max(1.0, largest))
            marks |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
            top = bottom
    options = {"loc": "upper left", "ncols": len(marks), "fontsize": 8, "frameon": False}
    figure.legend(list(marks.values()), list(marks), bbox_to_anchor=(0.0, 1 - 0.22 / height), **options)
    figure.text(0.1 / width, 1 - 0.2 / height, _caption(reports, pass_), fontsize=9)
    return figure


def _caption(reports: Sequence[dict[str, Any]], pass_: str) -> str:
    threads = sorted({r["threads"] for r in reports})
    peaks = sorted(round(row["peak"] / 1e9) for r in reports for row in r["rows"] if row["pass"] == pass_)
    peak = f"{peaks[0]}" if peaks[0] == peaks[-1] else f"{peaks[0]} to {peaks[-1]}"
    threads = f"{' and '.join(map(str, threads))} thread{'s'[: threads != [1]]}"
    return f"Convolution, {PASSES[pass_]}, float32, {threads}; the peak: {peak} GF/s"


def save(figure: Any, path: str | Path) -> None:
    """Write a figure; an SVG with its text as text, and the same bytes from the same rows."""
    matplotlib = require("matplotlib", extra="bench", purpose="drawing figures")
    plain = {"metadata": {"Date": None}} if Path(path).suffix == ".svg" else {"dpi": 150}
    short = {"font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"]}  # it is said anew for each text
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "numbacnn"} | short):
        figure.savefig(path, facecolor="white", **plain)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.figure", description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", metavar="FILE.json", help="what bench.conv --json wrote")
    parser.add_argument("--out", required=True, metavar="FILE", help="such as conv_peak.svg")
    parser.add_argument("--pass", dest="pass_", choices=tuple(PASSES), default="forward")
    parser.add_argument("--set", dest="sets", nargs="+", metavar="SET", help="only these")
    parser.add_argument("--batch", type=int, nargs="+", help="only these")
    parser.add_argument("--columns", type=int, default=3, help="of panels, at most")
    a = parser.parse_args(argv)
    reports = [json.loads(Path(path).read_text()) for path in a.files]
    for report in reports:
        chosen = [r for r in report["rows"] if a.sets is None or r["set"] in a.sets]
        report["rows"] = [r for r in chosen if a.batch is None or r["batch"] in a.batch]
    save(draw(reports, a.pass_, a.columns), a.out)


if __name__ == "__main__":
    main()

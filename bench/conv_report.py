"""What `bench.conv` says of its rows: means per pass and set, tables in Markdown; and rows of several runs.

A report is a JSON-able dictionary.  A row of it is one pass of one convolution, known by ``KEY``.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.report import Table, geomean

Row = dict[str, Any]

PASSES = {"forward": "forward", "data": "data gradient", "weights": "weight gradient"}
PEERS = {"torch": "PyTorch", "ncnn": "ncnn"}

KEY = ("set", "name", "batch", "pass")
#: What must be alike for rows to stand in one file.
ALIKE = ("peer", "threads", "keep_weights", "environment")

SET_COLUMNS = (("set", 14), ("n", 3), ("pass", 7), ("GF/s", 6), ("peak", 5))
SET_PEER_COLUMNS = (("peer GF/s", 9), ("ratio", 5), ("geomean", 7), ("lowest", 6), ("of", 34))


def put(report: dict[str, Any], row: Row, into: str = "rows") -> None:
    """Add a row to ``rows`` or to ``unsupported``, in place of an earlier one of the same key in either."""
    same = [row[k] for k in KEY]
    for name in ("rows", "unsupported"):
        found = [i for i, r in enumerate(report[name]) if [r[k] for k in KEY] == same]
        for i in found:
            if name == into:
                report[name][i] = row
            else:
                del report[name][i]
        if name == into and not found:
            report[name].append(row)


def read_earlier(path: str | Path, report: dict[str, Any]) -> None:
    """Take the rows of an earlier run into the report; ends the program where they do not belong together."""
    if not Path(path).exists():
        return
    earlier = json.loads(Path(path).read_text())
    for key in ALIKE:
        if earlier.get(key) != report[key]:
            sys.exit(f"{path} was measured with another {key}: {earlier.get(key)}, now {report[key]}")
    report |= {name: earlier[name] for name in ("rows", "unsupported")}


def _mean(rows: Sequence[Row], peer: str) -> dict[str, Any]:
    """Rates over the networks, each shape as often as it occurs, and the means of the ratios."""
    flops = sum(r["count"] * r["ours"]["flops"] * r["ours"]["seconds"] for r in rows)
    seconds = sum(r["count"] * r["ours"]["seconds"] for r in rows)
    at_peak = sum(r["count"] * r["ours"]["seconds"] * r["peak"] for r in rows)  # rows of several runs
    mean = {"flops": flops / seconds, "peak": flops / at_peak}
    if peer != "none":
        theirs = flops / sum(r["count"] * r["peer"]["seconds"] for r in rows)
        lowest = min(rows, key=lambda r: r["ratio"])
        mean |= {"peer_flops": theirs, "weighted_ratio": mean["flops"] / theirs}
        mean |= {"geomean_ratio": geomean(r["ratio"] for r in rows)}
        mean |= {"best_ratio": geomean(r["best_ratio"] for r in rows)}
        mean |= {"lowest_ratio": lowest["ratio"], "lowest": f"{lowest['name']} {lowest['shape']}"}
    return mean


def _grouped(rows: Iterable[Row], *keys: str) -> Iterator[tuple[tuple[Any, ...], list[Row]]]:
    """The rows by the values of the keys, in the order in which those came."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[k] for k in keys), []).append(row)
    yield from groups.items()


def _print_unsupported(report: dict[str, Any]) -> None:
    missing = report["unsupported"]
    if missing:
        print(f"\nnot supported, left out: {len(missing)} of {len(report['rows']) + len(missing)}")
    for (set_, pass_), rows in _grouped(missing, "set", "pass"):
        more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
        print(f"  {set_} {pass_}: {rows[0]['name']}{more}: {rows[0]['error']}")


def _print_sets(report: dict[str, Any]) -> None:
    print()
    with_peer = report["peer"] != "none"
    table = Table(SET_COLUMNS + SET_PEER_COLUMNS if with_peer else SET_COLUMNS)
    for mean in report["sets"]:
        cells = [
            mean["set"],
            mean["batch"],
            mean["pass"],
            f"{mean['flops'] / 1e9:.3g}",
            f"{mean['peak']:.2f}",
        ]
        if with_peer:
            cells += [f"{mean['peer_flops'] / 1e9:.3g}", f"{mean['weighted_ratio']:.2f}"]
            cells += [f"{mean['geomean_ratio']:.2f}", f"{mean['lowest_ratio']:.2f}", mean["lowest"]]
        table.row(*cells)


def _line(name: str, mean: dict[str, Any]) -> str:
    line = f"{name}weighted by repeat counts: {mean['flops'] / 1e9:.1f} GF/s, {mean['peak']:.2f} of peak"
    if "peer_flops" in mean:
        line += f"; peer {mean['peer_flops'] / 1e9:.1f} GF/s; ratio {mean['weighted_ratio']:.2f}"
        line += f", lowest {mean['lowest_ratio']:.2f}"
        line += f", geomean of the fastest calls {mean['best_ratio']:.2f}"
    return line


def summarise(report: dict[str, Any]) -> None:
    """Print the means by set, where there are several, by pass, and last over all; keep them in the report.

    ``report["sets"]`` has one for each set, batch and pass, ``report["means"]`` one a pass and ``all``.
    """
    rows, peer = report["rows"], report["peer"]
    _print_unsupported(report)
    groups = _grouped(rows, "set", "batch", "pass")
    report["sets"] = [dict(zip(("set", "batch", "pass"), k, strict=True)) | _mean(r, peer) for k, r in groups]
    if len({(mean["set"], mean["batch"]) for mean in report["sets"]}) > 1:
        _print_sets(report)
    print()
    if disturbed := sum(r["disturbed"] for r in rows):
        print(f"{disturbed} of {len(rows)} rows were disturbed by other work on this machine")
    passes = [(p, [r for r in rows if r["pass"] == p]) for p in PASSES]
    means = {p: _mean(of_pass, peer) for p, of_pass in passes if of_pass}
    report["means"] = means = (means if len(means) > 1 else {}) | {"all": _mean(rows, peer)}
    prefixes = {name: "" if name == "all" else f"{name} " for name in means}
    for name, mean in means.items():
        print(_line(prefixes[name], mean))
    if peer != "none":
        for name, mean in means.items():
            print(f"{prefixes[name]}geomean ratio: {mean['geomean_ratio']:.3f}")


def _cell(row: Row, peak: float, ratio: str) -> str:
    """Our rate, its fraction of the peak, the peer's rate and the ratio, as far as there are any."""
    cell = f"{row['flops'] / 1e9:.3g} ({peak:.2f})"
    return f"{cell}, {row['peer_flops'] / 1e9:.3g}: {ratio}" if ratio else cell


def _row_cell(row: Row | None) -> str:
    if row is None:
        return "-"
    rates = {"flops": row["ours"]["flops"], "peer_flops": row.get("peer", {}).get("flops")}
    ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
    return _cell(rates, row["ours"]["flops"] / row["peak"], ratio)


def _markdown_table(rows: Sequence[Row], peer: str) -> Iterator[str]:
    """The lines of one set at one batch."""
    passes = [p for p in PASSES if any(r["pass"] == p for r in rows)]
    yield "| " + " | ".join(["shape", "times", *(PASSES[p] for p in passes)]) + " |"
    yield "|---" * (2 + len(passes)) + "|"
    for _, same in _grouped(rows, "name"):
        by_pass = {r["pass"]: r for r in same}
        cells = [same[0]["shape"], str(same[0]["count"]), *(_row_cell(by_pass.get(p)) for p in passes)]
        yield "| " + " | ".join(cells) + " |"
    means = [_mean([r for r in rows if r["pass"] == p], peer) for p in passes]
    ratios = [f"{m['weighted_ratio']:.2f}" if peer != "none" else "" for m in means]
    cells = [_cell(m, m["peak"], ratio) for m, ratio in zip(means, ratios, strict=True)]
    yield "| " + " | ".join(["all, each as often as it occurs", "", *cells]) + " |"
    if peer != "none":
        cells = [f"**{m['geomean_ratio']:.2f}**" for m in means]
        yield "| " + " | ".join(["**geometric mean of the ratios**", "", *cells]) + " |"


def markdown(report: dict[str, Any]) -> str:
    """The rows as Markdown: a table for each set and batch."""
    peer, threads = report["peer"], report["threads"]
    peaks = sorted({f"{r['peak'] / 1e9:.0f}" for r in report["rows"]}, key=float)
    peak = peaks[0] if len(peaks) == 1 else f"{peaks[0]} to {peaks[-1]}"
    kept = ", kernels kept packed in the forward pass" if report["keep_weights"] else ""
    head = f"{threads} thread{'s'[: threads != 1]}, multiply-add peak {peak} GF/s{kept}. "
    head += "GF/s of numbacnn (their fraction of the peak)"
    head += f", of {PEERS[peer]}, and the ratio of times:" if peer != "none" else ":"
    groups = _grouped(report["rows"], "set", "batch")
    tables = (("", f"### {s}, batch {n}", "", *_markdown_table(rows, peer)) for (s, n), rows in groups)
    return "\n".join([head, *itertools.chain.from_iterable(tables)]) + "\n"

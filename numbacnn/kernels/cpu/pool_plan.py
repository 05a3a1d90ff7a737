"""Tables of where pooling windows lie, one set per dims: no entry per pixel of an image, only per axis.

A sum over boxes is one pass along each axis, and so is a maximum.  Per axis a `Matrix` says from which
sources an output is made and with which weights; an average's gradient is the pass of the transposed
matrices.  The gradient of a maximum goes window by window instead: bands of depths and rows belong to one
part each, with the list of the windows that reach into them.

Places are counted in elements from an image's first, or from that of an axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from numbacnn._jit import parts_for
from numbacnn.pool_dims import Axis, PoolGeometry, Span, axes

from .window import GROUP

Matrix = list[list[tuple[int, float]]]  # per target of an axis its sources, with their weights
Rule = str | float | tuple[float, ...]  # see `_weights`
Table = list[tuple[int, ...]]

_GRAIN = 16384  # elements of the larger side per part: some microseconds
_SEGMENT = 4096  # elements of a row at a time, so that they stay in L1 between the passes
_AT_ONCE = 16  # taps of a box: more are too many streams
_HALO = 8  # a band has this many times the windows that reach into it from the band above
_PLANS = 1024  # kept: more than the pooling layers of a process times their batch sizes
_UNIT = Axis(1, 1, 1, (Span(0, 1, 0, 1),))


class Passes(NamedTuple):
    """The tables of a reduction, axis by axis, from sources to targets."""

    units: int  # pieces of the target: images, depths, rows and chunks of a row
    segment: int  # most elements of a chunk's sources: workspace per thread
    elements: int  # of the larger side
    tables: tuple[tuple[int, ...] | np.ndarray, ...]  # see `passes`

    @property
    def parts(self) -> int:
        """Into how many parts the units are cut."""
        return min(parts_for(self.elements, _GRAIN), max(1, self.units))


class Route(NamedTuple):
    """The tables of windows as boxes, for what looks for a maximum in them."""

    units: int
    elements: int
    tables: tuple[tuple[int, ...] | np.ndarray, ...]  # see `routes` and `fronts`

    @property
    def parts(self) -> int:
        """Into how many parts the units are cut."""
        return min(parts_for(self.elements, _GRAIN), max(1, self.units))


def _weights(span: Span, rule: Rule) -> list[float]:
    """Of an output's taps: a constant, 1 / the taps counted, or given weights over their sum."""
    if rule == "pixels":
        return [1.0 / span.taps] * span.taps
    if rule == "padded":
        return [1.0 / span.padded] * span.taps
    if isinstance(rule, tuple):
        met = rule[span.first : span.first + span.taps]
        return [w / sum(met) for w in met]
    return [float(rule)] * span.taps


def _matrix(axis: Axis, rule: Rule) -> Matrix:
    return [
        [(span.start + i * axis.dilation, w) for i, w in enumerate(_weights(span, rule))]
        for span in axis.spans
    ]


def _transposed(matrix: Matrix, size: int) -> Matrix:
    rows: Matrix = [[] for _ in range(size)]
    for target, sources in enumerate(matrix):
        for source, weight in sources:
            rows[source].append((target, weight))
    return rows


def _three(dims: PoolGeometry) -> list[Axis]:
    """The windows along depth, rows and columns: one or two axes are three with unit axes."""
    return [_UNIT] * (3 - dims.rank) + list(axes(dims))


class _Entries:
    """The lists of sources and weights of all axes, one after another."""

    def __init__(self) -> None:
        self.places = [0]  # entry 0 stands for an axis that is done
        self.weights = [1.0]
        self._known: dict[tuple, tuple[int, int]] = {}

    def add(self, sources: Sequence[tuple[int, float]]) -> tuple[int, int]:
        """The range in which these lie."""
        key = tuple(sources)
        if key not in self._known:
            first = len(self.places)
            self.places += [place for place, _ in key]
            self.weights += [weight for _, weight in key]
            self._known[key] = first, len(self.places)
        return self._known[key]


class Group(NamedTuple):
    """Neighbouring columns whose windows are alike, and how vectors go through them; see `window`."""

    column: int  # the first
    length: int  # elements
    hop1: int
    hop2: int
    hop3: int
    pitch: int
    active: int
    drop: int
    advance: int  # elements by which calls proceed through the length


def _run(column: int, length: int, lanes: int) -> Group:
    """A run of neighbouring numbers."""
    return Group(column, length, lanes, 2 * lanes, 3 * lanes, lanes, GROUP, lanes, GROUP * lanes)


def _alike(columns: list[tuple[int, object]], at: int, step: int, run: int, least: int) -> list[int]:
    """How far the columns from `at` on, each `step` further, lie past the first, while they are alike.

    At most GROUP, unless they are `run` apart; neighbours are at least `least` apart.
    """
    first, pattern = columns[at]
    hops = [0]
    while at + len(hops) * step < len(columns):
        following, other = columns[at + len(hops) * step]
        apart = following - first - hops[-1]
        even = hops[-1] == run * (len(hops) - 1) and apart == run
        if other != pattern or apart < least or (len(hops) >= GROUP and not even):
            break
        hops.append(following - first)
    return hops


def _groups(
    columns: list[tuple[int, object]], c: int, lanes: int, step: int, run: int, least: int
) -> list[Group]:
    """Cut columns, of which each has a place and a pattern, into groups.

    Args:
        columns: the first element that each reads, and what must agree within a group.
        c: channels.
        lanes: of a vector.
        step: columns that are so many apart may be grouped; else neighbours.
        run: how far apart sources are that advance as targets do, which may be taken as one run; or -1.
        least: how far apart the places of neighbours in a group must be.

    """
    found = []
    vectors = -(-c // lanes)
    whole = vectors % GROUP == 0 or vectors >= 3 * GROUP  # the channels of a pixel fill vectors well
    for phase in range(min(step, len(columns))):
        at = phase
        while at < len(columns):
            hops = _alike(columns, at, step, run, least)
            count = len(hops)
            if count > 1 and hops[-1] == run * (count - 1):
                group = _run(at, count * c, lanes)
            elif whole or count == 1:
                count, group = 1, _run(at, c, lanes)
            else:
                count = min(count, GROUP)
                hop1, hop2, hop3 = (hops + [0] * GROUP)[1:GROUP]
                group = Group(at, c, hop1, hop2, hop3, step * c, count, 0, lanes)
            found.append(group)
            at += count * step
    return sorted(found)


def _overlapping(group: Group, c: int, lanes: int, after: int, room: int) -> Group:
    """The group with full vectors where what they write past their channels is written again afterwards.

    That is faster than with masks, where vectors are narrower than 64 bytes.

    Args:
        group: of neighbouring columns.
        c: channels.
        lanes: of a vector.
        after: elements of the target that later groups write.
        room: elements of the source from the group's last on.

    """
    fits = group.drop == 0 and group.active == GROUP and group.pitch == c < lanes
    return group._replace(length=lanes) if fits and after >= lanes - c and room >= lanes else group


def _ranges(matrix: Matrix, c: int) -> list[tuple[int, int]]:
    """Cut the columns of the target so that the sources of each range are a segment."""
    ranges, first = [], 0
    while first < len(matrix):
        end, met = first, set[int]()
        while end < len(matrix):
            met |= {place for place, _ in matrix[end]}
            wide = max(end + 1 - first, max(met) + 1 - min(met) if met else 0)
            if end > first and wide * c > _SEGMENT:
                break
            met, end = {min(met), max(met)} if met else met, end + 1
        ranges.append((first, end))
        first = end
    return ranges


def _chunks(
    matrix: Matrix, size: int, c: int, lanes: int, step: int, once: bool, entries: _Entries
) -> tuple[Table, Table, int]:
    """The chunks of a row, of so many source columns, and their groups; and the longest segment.

    once: whether each target is written once, rather than carried from depth to depth.
    """
    chunks: Table = []
    groups: Table = []
    for first, end in _ranges(matrix, c):
        rows = matrix[first:end]
        low = min((place for sources in rows for place, _ in sources), default=0)
        high = max((place + 1 for sources in rows for place, _ in sources), default=0)
        bases = [sources[0][0] if sources else 0 for sources in rows]
        lists = [[((p - base) * c, w) for p, w in s] for base, s in zip(bases, rows, strict=True)]
        columns: list[tuple[int, object]] = [
            (base * c, tuple(relative)) for base, relative in zip(bases, lists, strict=True)
        ]
        begin = len(groups)
        for group in _groups(columns, c, lanes, step, c if step == 1 else -1, 0):
            sources = lists[group.column]
            last = columns[group.column][0] + group.hop3 + max((place for place, _ in sources), default=0)
            after = (len(rows) - group.column - GROUP) * c
            if once:
                group = _overlapping(group, c, lanes, after, size * c - last)
            place, ends = columns[group.column][0], entries.add(sources)
            groups.append(((first + group.column) * c, place, *ends, *group[1:]))
        chunks.append((begin, len(groups), low * c, (high - low) * c, first * c, (end - first) * c))
    return chunks, groups, max(chunk[3] for chunk in chunks)


def _is_at_once(matrices: list[Matrix], sources: float, c: int, lanes: int) -> bool:
    """Whether the taps of a box at once cost less than those of its rows first and its columns then.

    Counted in vectors per target column, of which there are so many source columns; the first pass has full
    vectors, the others those that the channels of a pixel need.
    """
    rows, columns = (sum(map(len, m)) / len(m) for m in (matrices[0], matrices[2]))
    rows *= sum(map(len, matrices[1])) / len(matrices[1])
    filled = c / (-(-c // lanes) * lanes)
    taps = rows * columns
    return taps <= _AT_ONCE and taps <= (rows + 1) * sources * filled + columns


@lru_cache(_PLANS)
def passes(
    dims: PoolGeometry, lanes: int, rules: tuple[Rule, ...], transposed: bool, dtype: np.dtype
) -> Passes:
    """The tables of a reduction by matrices of these rules, one per spatial axis.

    Its tables are the sizes (images, elements of an image of the source and of the target, longest segment,
    whether all taps of a box are met at once), and with a row per depth or row of the target (first and end
    entry, place in the target), per chunk of a row (first and end group, first element and elements of the
    source, the same of the target), per group of columns (place in the target and the source, first and end
    entry, length, hops, pitch, active, drop, advance), and per entry its place in the source and its weight.
    """
    three = _three(dims)
    matrices = [
        _matrix(axis, rule) for axis, rule in zip(three, [1.0] * (3 - dims.rank) + [*rules], strict=True)
    ]
    sources, targets = [axis.size for axis in three], [len(axis.spans) for axis in three]
    step = 1
    if transposed:
        matrices = [_transposed(m, axis.size) for m, axis in zip(matrices, three, strict=True)]
        sources, targets = targets, sources
        tiled = all(len(sources) == 1 for sources in matrices[2])
        step = 1 if tiled else max(1, three[2].stride)  # pixels so far apart are met by the same taps
    c = dims.c
    entries = _Entries()
    (source, line), (target, target_line) = (
        (size[0] * size[1] * size[2] * c, size[2] * c) for size in (sources, targets)
    )
    depths = [
        (*entries.add([(p * sources[1] * line, w) for p, w in row]), i * targets[1] * target_line)
        for i, row in enumerate(matrices[0])
    ]
    rows = [
        (*entries.add([(p * line, w) for p, w in row]), i * target_line) for i, row in enumerate(matrices[1])
    ]
    once = all(len(row) <= 1 for row in matrices[0])
    chunks, groups, segment = _chunks(matrices[2], sources[2], c, lanes, step, once, entries)
    segment += lanes  # which overlapping vectors may read past its end
    at_once = _is_at_once(matrices, sum(chunk[3] for chunk in chunks) / (len(matrices[2]) * c), c, lanes)
    sizes = (dims.n, source, target, segment, int(at_once))
    tables = (*(np.array(table, np.int64) for table in (depths, rows, chunks, groups, entries.places)),)
    units = dims.n * len(depths) * len(rows) * len(chunks)
    weights = np.array(entries.weights, dtype)
    return Passes(units, segment, dims.n * max(source, target), (sizes, *tables, weights))


def _boxes(axis: Axis, c: int, lanes: int, runs: bool) -> Table:
    """Groups of columns of windows: place in the output and the input, taps, nothing, and the rest."""
    columns: list[tuple[int, object]] = [(span.start * c, span.taps) for span in axis.spans]
    table: Table = []
    for group in _groups(columns, c, lanes, 1, c if runs else -1, 1):
        span = axis.spans[group.column]
        table.append((group.column * c, span.start * c, span.taps, 0, *group[1:]))
    return table


def _reaching(axis: Axis) -> int:
    """The most windows before one that reach its first pixel."""
    ends = [span.start + (span.taps - 1) * axis.dilation for span in axis.spans]
    first, most = 0, 0
    for o, span in enumerate(axis.spans):
        while ends[first] < span.start:
            first += 1
        most = max(most, o - first)
    return most


def _bands(axis: Axis, parts: int, line: int, y_line: int, base: int) -> tuple[Table, Table]:
    """Cut the pixels of an axis into bands, by sizes alone, and list the windows that reach into each."""
    spans, out = axis.spans, len(axis.spans)
    count = min(parts, max(1, out // max(1, _HALO * _reaching(axis))))
    bands: Table = []
    visits: Table = []
    for band in range(count):
        begin, end = out * band // count, out * (band + 1) // count
        low = spans[begin].start if band > 0 else 0
        high = spans[end].start if band < count - 1 else axis.size
        first = len(visits)
        for o, span in enumerate(spans):
            before = min(span.taps, max(0, -((span.start - low) // axis.dilation)))
            within = min(span.taps, max(0, -((span.start - high) // axis.dilation)))
            if before < within:
                reach = span.start + (within - 1) * axis.dilation + 1
                visits.append((o * y_line, span.start * line, span.taps, before, within, reach))
        bands.append((low, high, base + first, base + len(visits)))
    return bands, visits


def _steps(three: list[Axis], c: int) -> tuple[int, int, int]:
    """Elements from a tap to the next along each axis."""
    line = three[2].size * c
    return three[0].dilation * three[1].size * line, three[1].dilation * line, three[2].dilation * c


@lru_cache(_PLANS)
def routes(dims: PoolGeometry, lanes: int) -> Route:
    """The tables by which windows are visited from the bands of the input that they reach into.

    They are the sizes (images, elements of an image of x and of y, of a depth and of a row of x, the steps
    from a tap to the next along the axes, whether windows lie apart, bands of depths), bands of depths and
    of rows (first and end, first and end visit), visits (place in y and x, taps, first and end of those in
    the band, the end of what they reach), and groups of columns (see `_boxes`).
    """
    three, c = _three(dims), dims.c
    line, y_line = three[2].size * c, len(three[2].spans) * c
    plane, y_plane = three[1].size * line, len(three[1].spans) * y_line
    size, y_size = three[0].size * plane, len(three[0].spans) * y_plane
    depths, depth_visits = _bands(three[0], parts_for(size, _GRAIN), plane, y_plane, 0)
    rows, row_visits = _bands(three[1], parts_for(size // len(depths), _GRAIN), line, y_line, 0)
    apart = not any(map(_reaching, three))
    sizes = (dims.n, size, y_size, plane, line, *_steps(three, c), int(apart))
    tables = (depths, depth_visits, rows, row_visits, _boxes(three[2], c, lanes, True))
    units = dims.n * len(depths) * len(rows)
    return Route(units, dims.n * size, (sizes, *(np.array(table, np.int64) for table in tables)))


@lru_cache(_PLANS)
def fronts(dims: PoolGeometry, lanes: int) -> Route:
    """The tables by which windows are visited in the order of the outputs.

    They are the sizes (images, elements of an image of x and of y, the steps from a tap to the next along the
    axes, the same in pixels, pixels of a depth and of a row, channels), depths and rows of the output (place
    in y and x, first pixel, taps), and groups of columns (see `_boxes`).
    """
    three, c = _three(dims), dims.c
    (d, h, w), (od, oh, ow) = (axis.size for axis in three), (len(axis.spans) for axis in three)
    steps = _steps(three, c)
    sizes = (dims.n, d * h * w * c, od * oh * ow * c, *steps, *(s // c for s in steps), h * w, w, c)
    depths = [(i * oh * ow * c, s.start * h * w * c, s.start, s.taps) for i, s in enumerate(three[0].spans)]
    rows = [(i * ow * c, s.start * w * c, s.start, s.taps) for i, s in enumerate(three[1].spans)]
    tables = (depths, rows, _boxes(three[2], c, lanes, False))
    elements = dims.n * max(sizes[1], sizes[2])
    return Route(dims.n * od * oh, elements, (sizes, *(np.array(table, np.int64) for table in tables)))

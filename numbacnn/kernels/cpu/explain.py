"""What a convolution's plan says: algorithm, tile, blocking, workspace and predicted speed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...config import config
from ...dims import ConvDims
from .choice import Choice, choose, sampled, turned
from .cut import K_BLOCK
from .depthwise_plan import tap_plan, window_plan
from .outer_plan import outer_plan
from .plan import BAND, PADDED, SOURCE, correlation_plan
from .product import outer_scratch
from .simd import VECTOR_BYTES
from .small_product import small_product_rows
from .tile import ROWS, VECTORS
from .winograd_outer_plan import CHUNKS, winograd_outer_plan
from .winograd_plan import DEPTHS, TILES, filters_of, winograd_plan


@dataclass(frozen=True)
class Explanation:
    """How one pass of a convolution is computed; ``str()`` gives it as text.

    Attributes:
        pass_: ``"forward"``, ``"data"`` or ``"weights"``.
        algorithm: ``"direct"``, ``"depthwise"``, ``"product"``, ``"none"`` for an empty batch, or Winograd's
            method with the outputs of a tile and the taps, along height and width, such as
            ``"winograd F(4x4, 3x3)"`` or ``"winograd F(1x4, 1x3)"``.
        tile: what a register tile holds, such as ``"6 pixels x 16 channels of float32"``.
        blocking: how sums and work are cut.
        parts: pieces of work that threads draw.
        workspace_bytes: scratch memory during the call, leased from the pool.
        packed_bytes: the packed kernel, kept between calls where the kernel is read-only.
        operations: of the direct method, two a multiply-add.
        predicted_peak: predicted fraction of the multiply-add peak by these operations; Winograd's method
            may pass 1.

    """

    pass_: str
    algorithm: str
    tile: str
    blocking: str
    parts: int
    workspace_bytes: int
    packed_bytes: int
    operations: int
    predicted_peak: float

    def __str__(self) -> str:
        rows = (
            ("pass", self.pass_),
            ("algorithm", self.algorithm),
            ("tile", self.tile),
            ("blocking", self.blocking),
            ("parts", str(self.parts)),
            ("workspace", f"{self.workspace_bytes / 1024:,.0f} KiB"),
            ("packed kernel", f"{self.packed_bytes / 1024:,.0f} KiB"),
            ("operations", f"{self.operations / 1e6:,.1f} million, as the direct method's"),
            ("predicted", f"{self.predicted_peak:.2f} of the multiply-add peak"),
        )
        return "\n".join(f"{name:14}{value}" for name, value in rows)


def _direct(dims: ConvDims, pass_: str, lanes: int, item: int, threads: int, kept: bool) -> tuple:
    if pass_ == "weights":
        outer = outer_plan(turned(dims, lanes) or dims, lanes, item, threads)
        text = f"{len(outer.bands)} blocks of pixels, in {outer.splits} splits whose sums are added in order"
        return text, len(outer.parts), outer.workspace, 0
    plan = correlation_plan(dims, pass_ == "data", lanes, threads, kept)
    text = f"sums in {len(plan.blocks)} blocks of up to {K_BLOCK}, {len(plan.phases)} phases"
    source = int(plan.phases[0, SOURCE])
    text += {BAND: ", zeros around each band", PADDED: ", zeros around the input"}.get(source, "")
    if plan.block > 1:
        text += f", {plan.block} pixels taken as one"
    return text, len(plan.parts), plan.workspace, plan.packed


def _winograd(dims: ConvDims, pass_: str, m: int, lanes: int, threads: int, kept: bool) -> tuple:
    if pass_ == "weights":
        outer = winograd_outer_plan(dims, m, lanes, threads)
        text = f"{outer.sizes[CHUNKS]} chunks of {outer.sizes[TILES]} tiles"
        if (depths := outer.sizes[DEPTHS]) > 1:
            text += f", {depths} taps of depth"
        return text, len(outer.products), outer.workspace, 0
    plan = winograd_plan(dims, pass_ == "data", m, lanes, threads, kept)
    tiles, depths = plan.sizes[TILES], plan.sizes[DEPTHS]
    deep = f", sums over {depths} taps of depth" if depths > 1 else ""
    if not len(plan.products):
        return f"blocks of {tiles} tiles in L2{deep}", len(plan.parts), plan.workspace, plan.packed
    cut = "by points" if plan.packed else "by output channels, the kernel transformed in L2"
    return f"{tiles} tiles at once, products cut {cut}{deep}", len(plan.products), plan.workspace, plan.packed


def explain_pass(dims: ConvDims, pass_: str, dtype: np.dtype, threads: int, kept: bool) -> Explanation:
    """Return how a pass is computed with so many threads; kept: its kernel is read-only."""
    if dims.n == 0:
        return Explanation(pass_, "none", "none", "nothing to compute: the batch is empty", 0, 0, 0, 0, 0.0)
    item = dtype.itemsize
    lanes = VECTOR_BYTES // item
    kept = kept and pass_ != "weights"
    copied = 0
    if pass_ == "weights" and (product := sampled(dims)):
        dims = product
        copied = math.prod(dims.input_shape)
    choice: Choice = choose(dims, pass_, lanes, config.winograd and item == 4, kept)
    algorithm, what = choice.algorithm, "pixels"
    if algorithm == "winograd":
        height, width = filters_of(dims, choice.m)
        algorithm = f"winograd F({height.outputs}x{width.outputs}, {height.taps}x{width.taps})"
        what = "tiles"
        text, parts, workspace, packed = _winograd(dims, pass_, choice.m, lanes, threads, kept)
    elif algorithm == "direct":
        text, parts, workspace, packed = _direct(dims, pass_, lanes, item, threads, kept)
    elif algorithm == "depthwise" and pass_ == "weights":
        taps = tap_plan(dims, lanes, threads)
        text, parts, workspace, packed = (
            "boxes of pixels in L2",
            taps.parts,
            taps.head + threads * taps.slot,
            0,
        )
    elif algorithm == "depthwise":
        window = window_plan(dims, pass_ == "data", lanes)
        text, parts, packed = "rows of outputs by chunks of channels", window.parts, 0
        workspace = window.head + threads * window.slot
    else:
        text, parts, packed = "a product of matrices, in blocks packed in L2", 1, 0
        workspace = copied + threads * outer_scratch(lanes)
    if small := algorithm == "product" and small_product_rows(dims) > 0:
        text, workspace = "a product of few rows: the kernel is read once, in its own order", 0
    rows = "inputs" if pass_ == "weights" else what
    tile = f"{ROWS} {rows} x {VECTORS * lanes} channels of {dtype}"
    if algorithm == "depthwise" or small:
        tile = f"vectors of {lanes} channels of {dtype}"
    return Explanation(
        pass_, algorithm, tile, text, int(parts), int(workspace) * item, int(packed) * item, 2 * dims.macs,
        choice.peak,
    )  # fmt: skip

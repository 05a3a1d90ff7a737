"""What the gate compiles of kernels that gather: each way of taking and giving, for each element type."""

from __future__ import annotations

from typing import Any

from numbacnn.kernels.cuda.gather import gather_block, gather_each

from .gate import Configuration

_FLOATS = {"f32": "float32", "f64": "float64"}


def configurations(
    take: str,
    give: str = "value",
    *,
    weighted: bool = False,
    beside: str | None = None,
    out: str | None = None,
    source: str | None = None,
    only: tuple[str, ...] = ("quads", "singles", "float64", "bfloat16"),
    blocks: bool = False,
) -> dict[str, Configuration]:
    """Each kernel that takes and gives so.

    Args:
        take: as in `gather`.
        give: as in `gather`.
        weighted: inputs have weights.
        beside: element type of the array beside; by default that of x.
        out: that of y; by default that of x.
        source: that of x, where it is another than the public arrays'.
        only: which of the ways.
        blocks: a block's kernels too.

    """
    # element type, channels and images of a thread, axes
    ways: dict[str, tuple[str, int, int, int]] = {
        "quads": ("float32", 4, 2, 2),
        "singles": ("float32", 1, 4, 3),
        "float64": ("float64", 4, 2, 3),
        "float16": ("float16", 8, 1, 2),
        "bfloat16": ("bfloat16", 8, 1, 1),
    }
    found = {}
    for way in only:
        kind, v, images, rank = ways[way]
        x, y = source or kind, out or kind
        dtypes = (x, beside or kind, y, "int32", "float64" if x == "float64" else "float32")
        outs = {"float64": "f64", "int64": "i64", "int32": "i32"}
        acc = "f64" if take == "power" else "i64" if take in ("place", "least") else "real"
        constants: dict[str, Any] = {"RANK": rank, "V": v, "TAKE": take, "GIVE": give, "ACC": acc}
        constants |= {"WEIGHTED": weighted, "OUT": outs.get(y, "f32"), "THREADS": 256}
        doubles = "f64" in (acc, constants["OUT"]) or x == "float64" or give in ("root", "power")
        most = 128 if doubles or acc == "i64" else 96
        name = f"{take} {give}{' weighted' if weighted else ''} {way}"
        found[name] = Configuration(gather_each.of(**constants, IMAGES=images), dtypes, most, doubles=doubles)
        if blocks:
            lanes = (
                {"IMAGES": 1, "LANES": 32, "LEVELS": 3} if v > 1 else {"IMAGES": 1, "LANES": 4, "LEVELS": 6}
            )
            variant = gather_block.of(**constants, **lanes)
            found[f"{name} blocks"] = Configuration(variant, dtypes, most, doubles=doubles)
    return found

"""Losses of elements: sums of short and long rows, and slopes."""

from numbacnn.kernels.cuda import pointwise, weighted_mean

from ..gate import Configuration

TYPES = ["float32", "float64", "float16", "bfloat16"]
LOSSES = [
    ("absolute", False),
    ("huber", False),
    ("binary", False),
    ("binary", True),
    ("focal", False),
    ("kl", False),
    ("kl of logarithms", False),
]


def _terms(dtype, loss, weighted, lanes):
    kept = dtype if dtype == "float64" else "float32"
    variant = pointwise._terms.of(LOSS=loss, LANES=lanes, WEIGHTED=weighted)
    return Configuration(variant, (dtype, dtype, kept, kept), 96)


def _slopes(dtype, loss, weighted):
    kept = dtype if dtype == "float64" else "float32"
    variant = pointwise._slopes.of(LOSS=loss, WEIGHTED=weighted)
    return Configuration(variant, (dtype, dtype, kept, dtype), 96)


CONFIGURATIONS = {
    **{
        f"{loss}-{t}-{lanes}-{weighted}": _terms(t, loss, weighted, lanes)
        for t in TYPES
        for loss, weighted in LOSSES
        for lanes in (4, 256)
    },
    **{
        f"{loss}-slope-{t}-{weighted}": _slopes(t, loss, weighted) for t in TYPES for loss, weighted in LOSSES
    },
    **{f"mean-{t}": Configuration(weighted_mean._divide.of(), (t, t), 64) for t in ("float32", "float64")},
}

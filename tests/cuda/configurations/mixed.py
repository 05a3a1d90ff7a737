"""Conversions between element types, and what keeps the loss scale."""

from numbacnn.kernels.cuda import mixed
from numbacnn.kernels.cuda.each import each

from ..gate import Configuration

TYPES = ["float32", "float64", "float16", "bfloat16"]


def _cast(operation, before, after):
    quads = 2 if after in ("float16", "bfloat16") else 1
    return Configuration(each.of(OP=operation, BINARY=False, QUADS=quads), (before, "float32", after), 64)


CONFIGURATIONS = {
    **{f"cast-{a}-{b}": _cast("copy", a, b) for a in TYPES for b in TYPES if a != b},
    **{f"{op}-{t}": _cast(op, t, t) for op in ("by the scale", "by the inverse") for t in TYPES},
    "scaled-float32-float16": _cast("scaled", "float32", "float16"),
    **{f"check-{t}": Configuration(mixed._raise_flag.of(), (t, "int32"), 64) for t in TYPES},
    "adapt": Configuration(mixed._adapt.of(), ("float32", "int32"), 32),
    # one thread for the bias corrections
}

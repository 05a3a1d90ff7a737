"""Elementwise operations and sums, of each element type."""

from numbacnn.kernels.cuda import reduce
from numbacnn.kernels.cuda.each import each

from ..gate import Configuration

TYPES = ["float32", "float64", "float16", "bfloat16"]
CURVES = ["elu", "gelu", "gelu_tanh", "hardsigmoid", "hardswish", "mish", "softplus"]
UNARY = ["relu", "leaky", "clip", "silu", "sigmoid", "tanh", *CURVES, "scaled"]
SLOPES = ["relu_slope", "leaky_slope", "clip_slope", "silu_slope", "sigmoid_slope", "tanh_slope"]
BINARY = [*SLOPES, *(f"{curve}_slope" for curve in CURVES), "sum", "product"]


def _each(operation, dtypes):
    binary, quads = operation not in UNARY, 2 if dtypes[2] in ("float16", "bfloat16") else 1
    variant = each.of(OP=operation, BINARY=binary, QUADS=quads)
    read = {"ld.global.v4": quads * (1 + binary)} if dtypes[0] == "float32" else {}
    most = 96 if dtypes[0] == "float64" else 64
    return Configuration(variant, dtypes, registers=most, least=read)


def _columns(wide, dtypes):
    return Configuration(reduce._column_sums.of(WIDE=wide), dtypes, registers=96)


CONFIGURATIONS = {
    **{f"{op}-{t}": _each(op, (t, t, t)) for t in TYPES for op in [*BINARY, "difference", "approach"]},
    **{f"{op}-{t}": _each(op, (t, "float32", t)) for t in TYPES for op in UNARY},
    **{f"masked-{t}": _each("masked", (t, "uint8", t)) for t in TYPES},
    **{f"columns-{t}-{wide}": _columns(wide, (t, t)) for t in TYPES for wide in (1, 4)},
    **{f"columns-{t}-{wide}-parts": _columns(wide, (t, "float32")) for t in TYPES[2:] for wide in (1, 4)},
    **{f"columns-{t}-{wide}-last": _columns(wide, ("float32", t)) for t in TYPES[2:] for wide in (1, 4)},
}

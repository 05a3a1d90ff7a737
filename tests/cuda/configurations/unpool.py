"""Values put to their places, and gradients fetched from them."""

from numbacnn.kernels.cuda.unpool import fetch, find_ranges, put

from ..gate import Configuration

KINDS = ("float32", "float64", "bfloat16")

CONFIGURATIONS = {
    "ranges": Configuration(find_ranges.of(), ("int64", "int64"), 48),
    **{f"put {kind}": Configuration(put.of(), (kind, "int64", "int64", kind), 80) for kind in KINDS},
    **{f"fetch {kind}": Configuration(fetch.of(), (kind, "int64", kind), 40) for kind in KINDS},
}

"""Rows of a table, the order of the integers, and the sums of gradients."""

from numbacnn.kernels.cuda import embedding

from ..gate import Configuration

TYPES = ["float32", "float64", "float16", "bfloat16"]
CONFIGURATIONS = {
    **{f"rows-{t}": Configuration(embedding._rows.of(), (t, "int64", t), 64) for t in TYPES},
    "rows-int32": Configuration(embedding._rows.of(), ("float32", "int32", "float32"), 64),
    **{f"sums-{t}": Configuration(embedding._sums.of(), (t, "int64", "int64", t), 64) for t in TYPES},
    "sort-int32": Configuration(embedding._sort.of(), ("int32", "int64"), 64),
    "sort-int64": Configuration(embedding._sort.of(), ("int64", "int64"), 64),
}

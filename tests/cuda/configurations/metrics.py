"""Counting correct predictions."""

from numbacnn.kernels.cuda import metrics

from ..gate import Configuration

TYPES = ["float32", "float64", "float16", "bfloat16"]


def _hits(dtype, lanes, classes):
    variant = metrics._hits.of(LANES=lanes, CLASSES=classes)
    return Configuration(variant, (dtype, "int64" if classes else dtype, "int32"), 96)


CONFIGURATIONS = {
    **{
        f"hits-{t}-{lanes}-{classes}": _hits(t, lanes, classes)
        for t in TYPES
        for lanes in (1, 16, 32, 256)
        for classes in (True, False)
    },
    "add": Configuration(metrics._add_hits.of(), ("int32", "int64"), 96),
}

"""Losses of vectors: values and gradients, of short and long ones."""

from numbacnn.kernels.cuda import similarity

from ..gate import Configuration

TYPES = ["float32", "float64", "float16", "bfloat16"]


def _kept(dtype):
    return dtype if dtype == "float64" else "float32"


def _cosine(dtype, lanes, gradient):
    variant = similarity._cosine.of(LANES=lanes, GRADIENT=gradient)
    return Configuration(variant, (dtype, dtype, "int64", _kept(dtype), dtype, dtype), 96)


def _triplet(dtype, lanes, gradient, squared):
    variant = similarity._triplet.of(LANES=lanes, GRADIENT=gradient, SQUARED=squared)
    return Configuration(variant, (*(dtype,) * 3, _kept(dtype), *(dtype,) * 3), 96)


CONFIGURATIONS = {
    **{f"cosine-{t}-{n}-{g}": _cosine(t, n, g) for t in TYPES for n in (32, 256) for g in (True, False)},
    **{
        f"triplet-{t}-{n}-{g}-{s}": _triplet(t, n, g, s)
        for t in TYPES
        for n in (32, 256)
        for g in (True, False)
        for s in (True, False)
    },
}

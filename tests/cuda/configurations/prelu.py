"""Rectifiers with learned slopes."""

from numbacnn.kernels.cuda.prelu import _prelu

from ..gate import Configuration


def _of(dtype, backward, shared=False, wide=False):
    terms = "float64" if dtype == "float64" else "float32"
    dtypes = (dtype, dtype, dtype, dtype, terms) if backward else (dtype, dtype, "float32", dtype, "float32")
    return Configuration(_prelu.of(SHARED=shared, WIDE=wide, BACKWARD=backward), dtypes, registers=64)


CONFIGURATIONS = {
    **{f"{t}-{b}": _of(t, b) for t in ("float32", "float64", "float16", "bfloat16") for b in (False, True)},
    "shared": _of("float32", True, shared=True),
    "wide": _of("float32", True, wide=True),
}

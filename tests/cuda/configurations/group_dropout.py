"""Dropout of examples and channels."""

from numbacnn.kernels.cuda.group_dropout import _drop

from ..gate import Configuration


def _of(dtype, channels, vectors):
    return Configuration(_drop.of(CHANNELS=channels, VECTORS=vectors), (dtype, "uint8", dtype), registers=64)


CONFIGURATIONS = {
    f"{t}-{channels}-{vectors}": _of(t, channels, vectors)
    for t in ("float32", "float64", "float16", "bfloat16")
    for channels in (False, True)
    for vectors in (False, True)
}

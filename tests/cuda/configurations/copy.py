"""Strided copies, of each rank and element type."""

from numbacnn.kernels.cuda.copy import copy_part

from ..gate import Configuration

TYPES = ["float32", "float64", "float16", "bfloat16"]


def _copy(rank, v, dtype):
    read = {"ld.global.v4": 1, "st.global.v4": 1} if v == 4 and dtype == "float32" else {}
    return Configuration(copy_part.of(RANK=rank, V=v), (dtype, dtype), registers=48, least=read)


CONFIGURATIONS = {
    **{f"rank{rank}-{v}": _copy(rank, v, "float32") for rank in range(1, 6) for v in (1, 4)},
    **{f"rank3-{v}-{dtype}": _copy(3, v, dtype) for dtype in TYPES[1:] for v in (1, 4)},
}

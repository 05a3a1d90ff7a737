"""Conversions to each floating-point type."""

from numbacnn.kernels.cuda.cast import cast_elements

from ..gate import Configuration

FLOATS = ["float32", "float64", "float16", "bfloat16"]
OTHERS = ["bool", "uint8", "int8", "int32", "int64", "uint32", "uint64"]

CONFIGURATIONS = {
    f"{source}-to-{target}": Configuration(
        cast_elements.of(HALF=target in ("float16", "bfloat16")), (source, target), registers=32
    )
    for source in FLOATS + OTHERS
    for target in FLOATS
    if source != target
}

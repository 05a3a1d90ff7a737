"""Depthwise convolution in all types."""

from numbacnn.epilogue import Activation
from numbacnn.kernels.cuda.depthwise import depthwise_variant, depthwise_weights_variant
from numbacnn.kernels.cuda.tile import flags

from ..gate import Configuration

DTYPES = ("float32", "float64", "float16", "bfloat16")
FUSED = flags(1, 1, 1, Activation("silu"))
PLAIN = flags(None, None, None, None)


def _all():
    found = {}
    for dtype in DTYPES:
        sums = "float64" if dtype == "float64" else "float32"
        more = 16 if dtype == "float64" else 0
        absent = (dtype, dtype, "float32", "float32", "float32", dtype, "int32")
        present = (*[dtype] * 6, "int32")
        found[f"forward-{dtype}"] = Configuration(depthwise_variant(4, (1, 1), FUSED), present, 64 + more)
        found[f"several-{dtype}"] = Configuration(depthwise_variant(1, (2, 1), FUSED), present, 64)
        found[f"data-{dtype}"] = Configuration(depthwise_variant(4, (1, 1), PLAIN), absent, 64 + more)
        found[f"data-several-{dtype}"] = Configuration(depthwise_variant(1, (1, 2), PLAIN), absent, 64)
        for taps, registers in ((9, 100 + more), (3, 80 + more)):  # where each tap lies stays in registers
            variant = depthwise_weights_variant(taps, 1)
            found[f"weights-{taps}-{dtype}"] = Configuration(
                variant, (dtype, dtype, sums, "int32"), registers
            )
    found["wide"] = Configuration(depthwise_variant(4, (1, 1), PLAIN, True), (*["float32"] * 6, "int32"), 64)
    quick = {"forward-float32", "several-float16", "weights-9-bfloat16", "data-float64", "wide"}
    return {name: made._replace(slow=name not in quick) for name, made in found.items()}


CONFIGURATIONS = _all()

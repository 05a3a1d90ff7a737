"""Sums of powers, their roots, and the gradients' shares and slopes."""

from numbacnn.kernels.cuda.lp_pool import share_out

from ..gate import Configuration
from ..gathered import configurations

CONFIGURATIONS = {
    **configurations("magnitude", only=("quads", "float64"), blocks=True),
    **configurations("square", "root2", only=("quads", "bfloat16"), blocks=True),
    **configurations("power", "root", only=("quads", "float64", "bfloat16"), blocks=True),
    **configurations("value", "root2", source="float32", only=("bfloat16",), blocks=True),
    **configurations("value", "root", source="float64", only=("quads",), blocks=True),
    **configurations("value", "sign", only=("quads", "bfloat16")),
    **configurations("value", "slope", source="float32", only=("quads", "bfloat16")),
    **configurations("value", "power", source="float64", only=("quads", "float64", "bfloat16")),
    "squares' shares": Configuration(share_out.of(SQUARES=True), ("bfloat16", "bfloat16", "float32"), 32),
    "shares": Configuration(share_out.of(SQUARES=False), ("float32", "float32", "float64"), 96, doubles=True),
}

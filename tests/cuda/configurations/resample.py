"""Nearest and linear interpolation: copies and weighted sums of float16; other types are under the others."""

from ..gathered import configurations

CONFIGURATIONS = {
    **configurations("copy", only=("quads", "bfloat16")),
    **configurations("value", weighted=True, only=("float16",), blocks=True),
}

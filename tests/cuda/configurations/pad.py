"""Copies, with a value where nothing is shown, and sums of what shows a pixel."""

from ..gathered import configurations

CONFIGURATIONS = {
    **configurations("copy", "filled", only=("quads", "singles", "bfloat16")),
    **configurations("copy", only=("singles", "float64", "float16")),
    **configurations("value", blocks=True),
}

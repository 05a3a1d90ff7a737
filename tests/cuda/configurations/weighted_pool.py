"""Weighted sums of windows."""

from ..gathered import configurations

CONFIGURATIONS = configurations("value", weighted=True, only=("quads", "float64"), blocks=True)

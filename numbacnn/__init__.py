"""numbacnn: convolutional neural networks in plain Python, compiled by Numba."""

__version__ = "0.1.0"

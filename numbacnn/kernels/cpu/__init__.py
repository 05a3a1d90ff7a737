"""The CPU kernels, compiled by Numba: arrays in, arrays written, nothing checked, nothing allocated."""

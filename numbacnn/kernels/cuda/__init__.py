"""Kernels for NVIDIA GPUs: the twins of ``kernels.cpu``, and what compiles, runs and simulates them."""

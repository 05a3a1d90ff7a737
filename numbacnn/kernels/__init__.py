"""Kernels: the reference, and its twins for CPUs and GPUs."""

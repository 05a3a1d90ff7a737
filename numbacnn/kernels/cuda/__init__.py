"""Kernels on NVIDIA GPUs, by the names of ``kernels.cpu``. Nothing of CUDA loads before it is used.

With ``NUMBA_ENABLE_CUDASIM=1`` the same kernels run in a simulator, which needs neither GPU nor driver.
"""

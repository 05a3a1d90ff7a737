import os


def simulated():
    return os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"

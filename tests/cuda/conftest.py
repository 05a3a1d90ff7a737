"""Placeholder: the driver's owner decides how tests choose the simulator."""

import os

os.environ["NUMBA_ENABLE_CUDASIM"] = "1"

"""Tests of the GPU's side run in the simulator, in the plain test run as well as alone.

The variable is set before anything asks `_driver.simulated`, which reads it when it is first called; only
``numbacnn.kernels.cuda`` follows it, so other tests do not notice. ``NUMBA_ENABLE_CUDASIM=0 pytest
tests/cuda`` runs on a GPU what needs no simulator, and skips what needs a device where there is none.
"""

import os

os.environ.setdefault("NUMBA_ENABLE_CUDASIM", "1")

import pytest

from numbacnn.errors import DeviceError
from numbacnn.kernels.cuda import _driver, _simulated_driver

NEEDS_NO_DEVICE = ("test_bindings", "test_gate", "test_missing")


@pytest.fixture(autouse=True)
def _device(request):
    """Skip where there is no device."""
    if request.module.__name__.rpartition(".")[2] in NEEDS_NO_DEVICE:
        return
    try:
        _driver.device(0)
    except DeviceError as error:
        pytest.skip(str(error))


@pytest.fixture
def simulator():
    """The simulated driver, for what only it can show; no stream is held afterwards."""
    if not _driver.simulated():
        pytest.skip("shown in the simulator")
    yield _simulated_driver
    _simulated_driver.held.clear()

"""Every kernel compiles for two generations of GPUs, in registers, without a GPU at hand."""

import importlib
import importlib.util
import pkgutil

import pytest

from . import configurations
from .gate import Configuration, check

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("numba_cuda") is None, reason="numba-cuda is not installed: extra cuda13"
)


def _all() -> dict[str, Configuration]:
    found = {}
    for module in pkgutil.iter_modules(configurations.__path__):
        file = importlib.import_module(f"{configurations.__name__}.{module.name}")
        found.update({f"{module.name}-{name}": value for name, value in file.CONFIGURATIONS.items()})
    return found


CONFIGURATIONS = _all()


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if c.slow else ()) for n, c in CONFIGURATIONS.items()]
)
@pytest.mark.parametrize("capability", [(8, 0), (9, 0)], ids=["sm_80", "sm_90"])
def test_compiles_in_registers(name, capability):
    check(CONFIGURATIONS[name], capability)

"""Every kernel compiles for two generations of GPUs, in registers, without a GPU at hand.

Some eight configurations of a file are compiled in the plain test run, for one generation each; all of them
with ``-m "slow or not slow"``.
"""

import importlib
import importlib.util
import pkgutil

import pytest

from . import configurations
from .gate import Configuration, check

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("numba_cuda") is None, reason="numba-cuda is not installed: extra cuda13"
)

CAPABILITIES = {"sm_80": (8, 0), "sm_90": (9, 0)}
SAMPLE = 8  # configurations of a file, about


def _all() -> list:
    found = []
    for module in pkgutil.iter_modules(configurations.__path__):
        named = importlib.import_module(f"{configurations.__name__}.{module.name}").CONFIGURATIONS
        quick = [name for name, configuration in named.items() if not configuration.slow]
        sample = quick[:: -(-len(quick) // SAMPLE)]
        for name, configuration in named.items():
            for k, (generation, capability) in enumerate(CAPABILITIES.items()):
                chosen = name in sample and sample.index(name) % 2 == k
                marks = () if chosen else (pytest.mark.slow,)
                label = f"{module.name}-{name}-{generation}"
                found.append(pytest.param(configuration, capability, id=label, marks=marks))
    return found


@pytest.mark.parametrize(("configuration", "capability"), _all())
def test_compiles_in_registers(configuration: Configuration, capability):
    check(configuration, capability)

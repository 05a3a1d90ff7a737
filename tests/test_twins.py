"""The kernels of each device and the reference have the same functions with the same parameters."""

import ast
from pathlib import Path

import pytest

from numbacnn.kernels import reference

KERNELS = Path(__file__).parent.parent / "numbacnn" / "kernels"
TWINS = [
    "activation",
    "batch_norm",
    "channel_pool",
    "conv",
    "copy",
    "ctc",
    "dense",
    "dice",
    "elementwise",
    "embedding",
    "group_dropout",
    "group_norm",
    "layer_norm",
    "log_softmax",
    "lp_pool",
    "modulate",
    "pad",
    "pointwise",
    "pool",
    "prelu",
    "resample",
    "response_norm",
    "shuffle",
    "similarity",
    "softmax",
    "unpool",
    "update",
    "weighted_pool",
    "weighted_sum",
]
CUDA_TWINS = [
    "activation",
    "batch_norm",
    "channel_pool",
    "ctc",
    "dice",
    "embedding",
    "group_dropout",
    "group_norm",
    "layer_norm",
    "log_softmax",
    "lp_pool",
    "modulate",
    "pad",
    "pointwise",
    "pool",
    "prelu",
    "resample",
    "response_norm",
    "shuffle",
    "similarity",
    "softmax",
    "unpool",
    "weighted_pool",
    "weighted_sum",
]


def signatures(path: Path) -> dict[str, list[str]]:
    """Parameter names of the public functions that Python calls: compiled ones are inner parts."""
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not node.decorator_list:
            a = node.args
            assert not a.defaults + a.kwonlyargs, f"{node.name}: kernels take positional arguments, all given"
            found[node.name] = [p.arg for p in a.posonlyargs + a.args]
    return found


REFERENCE = {name: signatures(KERNELS / "reference" / f"{name}.py") for name in TWINS}
CPU = {name: signatures(KERNELS / "cpu" / f"{name}.py") for name in TWINS}
CUDA = {name: signatures(KERNELS / "cuda" / f"{name}.py") for name in CUDA_TWINS}


def test_each_kernel_has_one_home():
    homes = [function for functions in CPU.values() for function in functions]
    assert len(homes) == len(set(homes))
    assert sorted(homes) == sorted(reference.__all__)


@pytest.mark.parametrize("name", TWINS)
def test_parameters_agree(name):
    assert CPU[name], "a twin without functions"
    assert CPU[name] == REFERENCE[name]


@pytest.mark.parametrize("name", CUDA_TWINS)
def test_parameters_on_a_gpu_agree(name):
    assert CUDA[name], "a twin without functions"
    assert CUDA[name] == REFERENCE[name]

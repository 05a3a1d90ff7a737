"""How a kernel on the device is held beside the float64 reference: twice, for equal bits."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from numbacnn.config import config
from numbacnn.kernels import reference

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
#: Kinds of computing: element type, precision, and the bound of errors. Of products it is relative to the
#: largest sum of absolute products, of other kernels to the largest result.
KINDS: dict[str, tuple[np.dtype, str, float]] = {
    "float64": (np.dtype(np.float64), "default", 1e-14),
    "exact": (np.dtype(np.float32), "exact", 4e-6),
    "tf32": (np.dtype(np.float32), "tf32", 2e-3),
    "bfloat16": (BFLOAT16, "default", 1e-2),
    "float16": (np.dtype(np.float16), "default", 2e-3),
}
PLAIN = ("float64", "exact", "bfloat16", "float16")  # of kernels that multiply no matrices


class Case(NamedTuple):
    """A kernel of a file, its arguments, and how it is measured.

    Attributes:
        file: of kernels/cuda.
        name: of the function, as the reference has it.
        label: of the arguments.
        arguments: arrays in float64, or of integers, and the rest; NaN in what the kernel writes.
        kinds: which of KINDS it is tried in.
        products: whether it sums products of its arrays.
        factor: on the bound.
        wide: which of the arguments are float32 where the others have 16 bits.
        double: which of the arguments are float64 always.

    """

    file: str
    name: str
    label: str
    arguments: tuple[Any, ...]
    kinds: tuple[str, ...] = PLAIN
    products: bool = False
    factor: float = 1.0
    wide: tuple[int, ...] = ()
    double: tuple[int, ...] = ()

    def typed(self, dtype: np.dtype) -> list[Any]:
        """The arguments as they are for an element type."""
        least = dtype if dtype.itemsize >= 4 else np.dtype(np.float32)

        def as_type(array: np.ndarray, place: int) -> np.ndarray:
            if array.dtype != np.float64 or place in self.double:
                return array
            return array.astype(least if place in self.wide else dtype)

        return [over(lambda array, k=k: as_type(array, k), a) for k, a in enumerate(self.arguments)]


def over(do: Callable[[np.ndarray], Any], argument: Any) -> Any:
    """What an argument is when this is done to its arrays: to it, to those of a tuple, or to none."""
    if isinstance(argument, np.ndarray):
        return do(argument)
    if isinstance(argument, tuple) and any(isinstance(a, np.ndarray) for a in argument):
        return tuple(map(do, argument))
    return argument


def _arrays(arguments: list[Any], kind: type) -> Iterator[Any]:
    for argument in arguments:
        for a in argument if type(argument) is tuple else (argument,):
            if isinstance(a, kind):
                yield a


def compare(case: Case, kind: str) -> str:
    """Run a case twice, and the reference once; the error in words, AssertionError where something is off."""
    from numbacnn.kernels.cuda import memory

    dtype, precision, bound = KINDS[kind]
    kernel = getattr(importlib.import_module(f"numbacnn.kernels.cuda.{case.file}"), case.name)
    given = case.typed(dtype)
    results = []
    for _ in range(2):
        there = [over(memory.from_numpy, a) for a in given]
        with config.precision_as(precision):
            value = kernel(*there)
        results.append([a.numpy() for a in _arrays([*there, value], memory.DeviceArray)])
    for one, other in zip(*results, strict=True):
        assert one.tobytes() == other.tobytes(), "two runs differ"
    oracle = getattr(reference, case.name)
    wide = [over(_wide, a) for a in given]
    value = oracle(*wide)
    expected = [*_arrays(wide, np.ndarray), *([np.asarray(value)] if isinstance(value, float) else [])]
    sizes = _sizes(case, given, oracle, expected)
    worst = 0.0
    for got, right, size in zip(results[0], expected, sizes, strict=True):
        finite = np.isfinite(right)
        same = (got == right) | ((got != got) & (right != right))
        assert same[~finite].all(), "NaN or infinity where the reference has none, or the other way round"
        error = float(np.abs(got[finite].astype(np.float64) - right[finite]).max(initial=0.0))
        worst = max(worst, error / size if size else error)
    assert worst <= bound * case.factor, f"error {worst:.1e}, more than {bound * case.factor:.0e}"
    return f"error {worst:.0e} of {bound * case.factor:.0e}"


def _wide(a: np.ndarray) -> np.ndarray:
    return a.copy() if a.dtype.kind in "iub" else a.astype(np.float64)


def _sizes(case: Case, given: list[Any], oracle: Callable, expected: list[Any]) -> list[float]:
    """What the errors are relative to, of each array."""
    if case.products:
        magnitudes = [over(lambda array: np.abs(_wide(array)), a) for a in given]
        oracle(*magnitudes)
        expected = list(_arrays(magnitudes, np.ndarray))
    return [float(np.abs(np.asarray(a)[np.isfinite(a)]).max(initial=0.0)) for a in expected]


class Drawn:
    """Random arrays, and arrays to be written."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def __call__(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape)

    def out(self, *shape: int, dtype: Any = np.float64) -> np.ndarray:
        return np.full(shape, np.nan) if dtype == np.float64 else np.zeros(shape, dtype)

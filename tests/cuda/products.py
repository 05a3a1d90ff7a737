"""What the tests of convolution and of dense layers share: kinds of numbers, bounds, comparisons, mutants."""

import inspect
import textwrap

import ml_dtypes
import numpy as np

from numbacnn.config import config
from numbacnn.epilogue import Activation
from numbacnn.kernels.cuda.launch import Kernel

from .arrays import computed

#: Relative to the largest sum of absolute products: rounding of operands and, of 16 bits, of results.
BOUNDS = {"float64": 2e-15, "exact": 1e-6, "tf32": 1e-3, "float16": 1e-3, "bfloat16": 1e-2}
KINDS = list(BOUNDS)


def typed(kind):
    """The arrays' type, and the precision to ask for."""
    if kind in ("exact", "tf32"):
        return np.dtype(np.float32), kind
    return np.dtype(ml_dtypes.bfloat16 if kind == "bfloat16" else kind), "default"


def drawn(seed, kind, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(typed(kind)[0]) for shape in shapes]


def check(function, oracle, kind, arguments, shape):
    """The function writes what the oracle does in float64, within the kind's bound, in either order."""
    dtype, precision = typed(kind)
    with config.precision_as(precision):
        got = computed(function, arguments, shape, dtype).astype(np.float64)
    wide = [a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in arguments]
    expected, size = np.empty(shape), np.empty(shape)
    oracle(*wide, expected)
    plain = (None if isinstance(a, Activation) else a for a in wide)  # a bound may clip the magnitudes
    oracle(*(abs(a) if isinstance(a, np.ndarray) else a for a in plain), size)
    assert not np.isnan(got).any(), "not all is written"
    error, largest = np.abs(got - expected).max(initial=0), np.abs(size).max(initial=0)
    assert error <= BOUNDS[kind] * largest, f"{function.__name__}: {error / largest}"
    return got


def mutant(kernel, before, after, folder):
    """The kernel with one line of its source changed."""
    source = textwrap.dedent(inspect.getsource(kernel.function))
    source = source[source.index("\ndef ") + 1 :]
    assert before in source, f"{before!r} is not in {kernel.__name__}"
    path = folder / "mutant.py"
    path.write_text(source.replace(before, after), encoding="utf-8")
    namespace = dict(kernel.function.__globals__)
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), namespace)
    signature = " ".join(f"{p.name}:{p.kind}" if p.kind else p.name for p in kernel.parameters)
    made = namespace[kernel.function.__name__]
    return Kernel(made, signature, kernel.threads, kernel.shared, kernel.blocks)

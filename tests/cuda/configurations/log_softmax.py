"""The logarithm of softmax: layouts for float32, the largest for others."""

from numbacnn.kernels.cuda import log_softmax

from ..gate import Configuration
from .softmax import _layouts


def _forward(dtype, lanes, items):
    return Configuration(log_softmax._forward.of(LANES=lanes, ITEMS=items), (dtype, dtype))


def _backward(dtype, lanes):
    return Configuration(log_softmax._backward.of(LANES=lanes), (dtype,) * 3)


TYPES = ["float32", "float64", "float16", "bfloat16"]
CONFIGURATIONS = {
    **{f"forward-{t}-{a}x{b}": _forward(t, a, b) for t in TYPES for a, b in _layouts(t)[-3:]},
    **{f"backward-{t}-{lanes}": _backward(t, lanes) for t in TYPES for lanes in (16, 256)},
}

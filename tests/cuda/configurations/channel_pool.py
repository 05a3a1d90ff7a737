"""Mean and maximum of channels."""

from numbacnn.kernels.cuda import channel_pool

from ..gate import Configuration

TYPES = ["float32", "float64", "float16", "bfloat16"]


def _forward(t, lanes):
    return Configuration(channel_pool._forward.of(LANES=lanes), (t, t), registers=64)


def _backward(t, lanes, others):
    variant = channel_pool._backward.of(LANES=lanes, OTHERS=others)
    return Configuration(variant, (t, t, t, t if others else "float32", t), registers=64)


CONFIGURATIONS = {
    **{f"forward-{t}-{lanes}": _forward(t, lanes) for lanes in (4, 32, 256) for t in TYPES},
    **{
        f"backward-{t}-{lanes}-{others}": _backward(t, lanes, others)
        for lanes in (4, 32, 256)
        for others in (True, False)
        for t in TYPES
    },
}

"""Weighted sums of up to four arrays a launch, and the gradients of their weights."""

from numbacnn.kernels.cuda import weighted_sum

from ..gate import Configuration

TYPES = ["float32", "float64", "float16", "bfloat16"]


def _arrays(t, count):
    return (t,) * count + ("float32",) * (4 - count)


def _sum(t, count, normal, onward):
    variant = weighted_sum._sum.of(COUNT=count, NORMAL=normal, ONWARD=onward)
    return Configuration(variant, (t, *_arrays(t, count), t), registers=64)


def _scale(t, count, normal):
    variant = weighted_sum._scale.of(COUNT=count, NORMAL=normal)
    return Configuration(variant, (t, t, *_arrays(t, count)), registers=64)


def _finish(t, normal):
    sums = t if t == "float64" else "float32"
    return Configuration(weighted_sum._finish.of(NORMAL=normal), (sums, t, t), registers=64)


CONFIGURATIONS = {
    **{
        f"sum-{t}-{count}-{normal}-{onward}": _sum(t, count, normal, onward)
        for count, onward in ((1, True), (2, False), (4, False))
        for normal in (True, False)
        for t in TYPES
    },
    **{
        f"scale-{t}-{count}-{normal}": _scale(t, count, normal)
        for count in (1, 4)
        for normal in (True, False)
        for t in TYPES
    },
    **{f"finish-{t}-{normal}": _finish(t, normal) for normal in (True, False) for t in TYPES},
}

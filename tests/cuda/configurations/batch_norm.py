"""Batch normalisation: moments, sums of gradients and both passes, with everything and with nothing more."""

from numbacnn.kernels.cuda import batch_norm

from ..gate import Configuration

TYPES = ["float32", "float64", "float16", "bfloat16"]
ALL = {"GAMMA": True, "BETA": True, "RESIDUAL": True}
PLAIN = {"GAMMA": True, "BETA": True, "RESIDUAL": False}
BARE = {"GAMMA": False, "BETA": False, "RESIDUAL": False}


def _own(dtype):
    return dtype if dtype == "float64" else "float32"


def _moments(dtype, wide, first):
    variant = batch_norm._moments.of(WIDE=wide, FIRST=first, RUNNING=not first)
    return Configuration(variant, (dtype, *[_own(dtype)] * 5), registers=128 if dtype == "float64" else 96)


def _normalise(dtype, wide, kind, flags):
    variant = batch_norm._normalise.of(WIDE=wide, KIND=kind, **flags)
    return Configuration(variant, (dtype, dtype, *[_own(dtype)] * 4, dtype), registers=64)


def _sums(dtype, wide, kind, flags):
    variant = batch_norm._gradient_sums.of(WIDE=wide, KIND=kind, **flags)
    most = 128 if dtype == "float64" else 96
    return Configuration(variant, (*[dtype] * 3, *[_own(dtype)] * 5), registers=most)


def _gradient(dtype, wide, kind, flags, constant=False):
    variant = batch_norm._gradient.of(WIDE=wide, KIND=kind, CONSTANT=constant, DX=True, **flags)
    return Configuration(variant, (*[dtype] * 3, *[_own(dtype)] * 5, dtype, dtype), registers=96)


def _finish(dtype):
    variant = batch_norm._finish_sums.of(DGAMMA=True, DBETA=True, DX=True)
    return Configuration(variant, (dtype,) * 5, registers=32)


WAYS = [("clip", ALL), ("clip", PLAIN), ("leaky_relu", BARE), ("silu", PLAIN)]
PASSES = {"normalise": _normalise, "sums": _sums, "gradient": _gradient}

CONFIGURATIONS = {
    **{
        f"moments-{t}-{wide}-{'first' if first else 'joined'}": _moments(t, wide, first)
        for t in TYPES
        for wide in (4, 1)
        for first in (True, False)
    },
    **{
        f"{name}-{t}-{wide}-{kind}-{sum(flags.values())}": make(t, wide, kind, flags)
        for name, make in PASSES.items()
        for t in TYPES
        for wide in (4, 1)
        for kind, flags in (WAYS if (t, wide) == ("float32", 4) else WAYS[:1])
    },
    "gradient-constant": _gradient("float32", 4, "clip", PLAIN, constant=True),
    **{f"finish-{t}": _finish(t) for t in TYPES[:2]},
}

"""Optimizer steps, of one element type and of gradients and a copy in 16 bits."""

from numbacnn.kernels.cuda import rules

from ..gate import Configuration

RULES = ["sgd", "nesterov", "rmsprop", "adam"]


def _plain(rule, dtype):
    variant = rules.step.of(RULE=rule, SCALED=False, COPY=False, COUNTED=0)
    second = dtype if rule == "adam" else "float32"
    dtypes = dtype, dtype, dtype, second, "float32", "float32", "float32", "float32"
    return Configuration(variant, dtypes, registers=96)


def _mixed(rule, short, copy=True):
    variant = rules.step.of(RULE=rule, SCALED=True, COPY=copy, COUNTED=2 if rule == "adam" else 0)
    dtypes = (
        "float32",
        short,
        "float32",
        "float32",
        short if copy else "float32",
        "float32",
        "int32",
        "float32",
    )
    return Configuration(variant, dtypes, registers=64)


CONFIGURATIONS = {
    **{
        f"{rule}-{t}": _plain(rule, t)
        for rule in RULES
        for t in ("float32", "float64", "float16", "bfloat16")
    },
    **{f"{rule}-float32-{t}": _mixed(rule, t) for rule in RULES for t in ("float16", "bfloat16")},
    **{f"{rule}-float32-scaled": _mixed(rule, "float32", copy=False) for rule in RULES},
}

"""Optimizer steps whose numbers lie on the GPU."""

from numbacnn.kernels.cuda import held, rules

from ..gate import Configuration


def _step(rule, dtype, short):
    scaled = short != dtype
    variant = rules.step.of(RULE=rule, SCALED=scaled, COPY=scaled, COUNTED=3)
    second = dtype if rule == "adam" else "float32"
    rest = ("float32", "int32" if scaled else "float32", "float64")
    return Configuration(
        variant, (dtype, short, dtype, second, short if scaled else "float32", *rest), registers=96
    )


CONFIGURATIONS = {
    **{
        f"{rule}-{dtype}-{short}": _step(rule, dtype, short)
        for rule in ("sgd", "nesterov", "rmsprop", "adam")
        for dtype, short in (("float32", "float32"), ("float64", "float64"), ("float32", "bfloat16"))
    },
    "count": Configuration(held._count_held.of(), ("int32", "int32", "float64"), 64, doubles=True),
}

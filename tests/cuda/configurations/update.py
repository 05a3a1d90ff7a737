"""Optimizer steps, of one element type and of gradients and a copy in 16 bits, and what they read."""

from numbacnn.kernels.cuda import rules
from numbacnn.update_rules import RULES

from ..gate import Configuration

NONE = "float32"


def _step(rule, dtype, gradient, taken=True, flagged=False):
    """A step with all that may be added to it, or with nothing."""
    constants = {"FLAGGED": flagged, "COPY": gradient != dtype, "AVERAGE": taken}
    gradients = taken and rule != "lamb"
    variant = rules.step.of(RULE=rule, STATES=RULES[rule], LIMITED=gradients, PENALTY=gradients, **constants)
    states = [dtype if k < RULES[rule] else NONE for k in range(3)]
    dtypes = (
        dtype,
        gradient,
        *states,
        dtype if taken else NONE,
        gradient if gradient != dtype else NONE,
        "int32" if flagged else NONE,
        "float64" if dtype == "float64" else "float32",
    )
    return Configuration(variant, dtypes, registers=128 if dtype == "float64" else 96)


def _settle(rule, scaled, dtype):
    flagged = "int32" if scaled else NONE
    variant = rules.settle.of(RULE=rule, FLAGGED=scaled, COUNTED=scaled, SCALED=scaled, CLIPPED=scaled)
    dtypes = "float64", "int32", flagged, NONE, "float64" if scaled else NONE, dtype
    return Configuration(variant, dtypes, doubles=True)


_SUM = {"LANES": rules.THREADS}

CONFIGURATIONS = {
    **{f"{rule}-float32": _step(rule, "float32", "float32") for rule in RULES},
    **{f"{rule}-float32-plain": _step(rule, "float32", "float32", taken=False) for rule in RULES},
    **{f"{rule}-float64": _step(rule, "float64", "float64") for rule in RULES},
    **{f"{rule}-float32-bfloat16": _step(rule, "float32", "bfloat16", flagged=True) for rule in RULES},
    **{
        f"{rule}-float32-float16": _step(rule, "float32", "float16", flagged=True) for rule in ("sgd", "adam")
    },
    **{f"{rule}-{t}": _step(rule, t, t, False) for rule in ("sgd", "adam") for t in ("float16", "bfloat16")},
    **{f"settle-{rule}": _settle(rule, True, "float32") for rule in RULES},
    **{f"settle-{rule}-float64": _settle(rule, False, "float64") for rule in ("adam", "radam")},
    "moments": Configuration(
        rules._moments.of(FLAGGED=True, LIMITED=True, PENALTY=True, **_SUM),
        ("float32", "float16", "float32", "float32", "int32", "float32", "float64"),
        doubles=True,
    ),
    "moments-float64": Configuration(
        rules._moments.of(FLAGGED=False, LIMITED=True, PENALTY=False, **_SUM),
        ("float64", "float64", "float64", "float64", NONE, "float64", "float64"),
    ),
    "trust": Configuration(rules._trust.of(**_SUM), ("float64", "float32"), doubles=True),
    **{
        f"squares-{t}": Configuration(rules._squares.of(**_SUM), (t, "float64"), doubles=True)
        for t in ("float32", "float64", "float16", "bfloat16")
    },
    "add up": Configuration(rules._add_up.of(**_SUM), ("float64", "float64"), doubles=True),
}

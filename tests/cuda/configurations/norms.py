"""Normalisations of rows, groups of channels and neighbours, and the gradients of scale and shift."""

from numbacnn.kernels.cuda import column_slopes, group_norm, layer_norm, response_norm

from ..gate import Configuration

TYPES = ["float32", "float64", "float16", "bfloat16"]
LAYOUTS = [(1, 1), (8, 1), (32, 1), (32, 32), (256, 32), (1024, 0)]


def _exact(dtype):
    return dtype if dtype == "float64" else "float32"


def _registers(dtype):
    return 128 if dtype == "float64" else 64


def _rows(dtype, lanes, items, scale):
    variant = layer_norm._normalise.of(LANES=lanes, ITEMS=items, SCALE=scale, SHIFT=scale)
    gamma = dtype if scale else "float32"
    return Configuration(variant, (dtype, gamma, gamma, dtype, _exact(dtype)), slow=not scale)


def _row_slopes(dtype, lanes, items):
    variant = layer_norm._slope.of(LANES=lanes, ITEMS=items, SCALE=True)
    return Configuration(variant, (dtype, _exact(dtype), dtype, dtype, dtype))


def _apply(dtype, slope, wide, alike):
    variant = group_norm._apply.of(SLOPE=slope, SCALE=True, SHIFT=not slope, WIDE=wide, ALIKE=alike)
    others = (dtype if slope else "float32", dtype, "float32" if slope else dtype)
    least = {"ld.global.v4": 1 + slope} if wide == 4 and dtype == "float32" else {}
    return Configuration(variant, (dtype, *others, *[_exact(dtype)] * 2, dtype), registers=96, least=least)


def _respond(dtype, step, power):
    variant = response_norm._respond.of(STEP=step, POWER=power)
    given = {"forward": ("float32", "float32", dtype), "shares": (dtype, "float32", _exact(dtype))}
    return Configuration(
        variant,
        (dtype, *given.get(step, (dtype, _exact(dtype), dtype))),
        registers=_registers(dtype),
    )


def _kept(dtype, lanes, items, arrays):
    """Elements in registers for a number of arrays of a type."""
    return lanes, min(items, 32 // (arrays * (2 if dtype == "float64" else 1)))


CONFIGURATIONS = {
    **{
        f"rows-{t}-{a}x{b}-{scale}": _rows(t, *_kept(t, a, b, 1), scale)
        for t in TYPES
        for a, b in (LAYOUTS if t == "float32" else LAYOUTS[-2:])
        for scale in (True, False)
    },
    **{
        f"row-slopes-{t}-{a}x{b}": _row_slopes(t, *_kept(t, a, b, 2))
        for t in TYPES
        for a, b in (LAYOUTS if t == "float32" else LAYOUTS[-2:])
    },
    **{
        f"column-slopes-{t}-{by_row}": Configuration(
            column_slopes._column_slopes.of(BY_ROW=by_row),
            (t, _exact(t), t, _exact(t), _exact(t)),
            registers=_registers(t),
        )
        for t in TYPES
        for by_row in (False, True)
    },
    **{
        f"column-moments-{t}": Configuration(
            group_norm._column_moments.of(), (t, _exact(t), _exact(t)), registers=_registers(t)
        )
        for t in TYPES
    },
    **{
        f"join-moments-{t}-{lanes}": Configuration(
            group_norm._join_moments.of(LANES=lanes), (t, *[_exact(t)] * 4), registers=_registers(t)
        )
        for t in TYPES
        for lanes in (32, 256)
    },
    **{
        f"join-slopes-{t}-{lanes}-{scale}": Configuration(
            group_norm._join_slopes.of(LANES=lanes, SCALE=scale),
            (_exact(t), _exact(t), t if scale else "float32", _exact(t)),
            registers=_registers(t),
        )
        for t in TYPES
        for lanes, scale in ((32, True), (256, False))
    },
    **{
        f"apply-{t}-{slope}-{wide}-{alike}": _apply(t, slope, wide, alike)
        for t in TYPES
        for slope in (False, True)
        for wide, alike in ((1, True), (4, True), (4, False))
    },
    **{
        f"respond-{t}-{step}-{power}": _respond(t, step, power)
        for t in TYPES
        for step in ("forward", "shares", "slope")
        for power in (("1/2", "3/4", "1", "any") if t == "float32" else ("3/4",))
    },
}

"""The Dice loss: overlaps, quotients and slopes."""

from numbacnn.kernels.cuda import dice

from ..gate import Configuration

TYPES = ["float32", "float64", "float16", "bfloat16"]
KINDS = [(True, False), (False, True)]  # targets are classes, probabilities are squared


def _kept(dtype):
    return dtype if dtype == "float64" else "float32"


def _overlaps(dtype, classes, squared):
    variant = dice._overlaps.of(LANES=256, CLASSES=classes, SQUARED=squared)
    return Configuration(variant, (dtype, "int64" if classes else dtype, _kept(dtype)), 96)


def _slope(dtype, lanes, classes, squared, exclusive):
    kinds = {"CLASSES": classes, "SQUARED": squared, "EXCLUSIVE": exclusive}
    variant = dice._dice_slope.of(LANES=lanes, **kinds)
    return Configuration(variant, (dtype, "int64" if classes else dtype, _kept(dtype), dtype), 96)


CONFIGURATIONS = {
    **{f"overlaps-{t}-{c}-{s}": _overlaps(t, c, s) for t in TYPES for c, s in KINDS},
    **{f"quotients-{t}": Configuration(dice._quotients.of(), (t, t), 64) for t in ("float32", "float64")},
    **{
        f"slope-{t}-{lanes}-{c}-{s}-{e}": _slope(t, lanes, c, s, e)
        for t in TYPES
        for lanes in (4, 256)
        for c, s in KINDS
        for e in (True, False)
    },
}

"""Products with a repeated factor, and their sums."""

from numbacnn.kernels.cuda import modulate, reduce

from ..gate import Configuration

TYPES = ["float32", "float64", "float16", "bfloat16"]


def _modulate(t, shift, quad, single):
    variant = modulate._modulate.of(SHIFT=shift, QUAD=quad, SINGLE=single)
    return Configuration(variant, (t, t, t if shift else "float32", t), registers=64)


def _sums(t, binary):
    read, result = (t, t if t == "float64" else "float32") if binary else ("float32", t)
    return Configuration(modulate._sums.of(BINARY=binary), (read, read, result), registers=64)


def _rows(t, lanes, vectors):
    variant = reduce._row_sums.of(TERM="products", BINARY=True, LANES=lanes, VECTORS=vectors)
    return Configuration(variant, (t, t, t), registers=96)


CONFIGURATIONS = {
    **{
        f"modulate-{t}-{shift}-{quad}-{single}": _modulate(t, shift, quad, single)
        for shift in (True, False)
        for quad in (True, False)
        for single in (True, False)
        for t in TYPES
    },
    **{f"sums-{t}-{binary}": _sums(t, binary) for binary in (True, False) for t in TYPES},
    **{f"rows-{t}-{lanes}-{v}": _rows(t, lanes, v) for lanes, v in ((8, False), (32, True)) for t in TYPES},
}

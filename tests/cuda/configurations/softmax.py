"""Softmax, cross-entropy and sums of rows: each layout for float32, the largest for others."""

from numbacnn.kernels.cuda import reduce, softmax

from ..gate import Configuration

TYPES = ["float32", "float64", "float16", "bfloat16"]
LAYOUTS = [
    *((lanes, 1) for lanes in (1, 2, 4, 8, 16, 32)),
    *((32, items) for items in (2, 4, 8, 16, 32)),
    *((256, items) for items in (8, 16, 32)),
    *((1024, items) for items in (16, 32)),
    (1024, 0),
]
SUMS = [(1, False), (8, False), (32, True), (256, False), (256, True)]


def _layouts(dtype, arrays=1):
    """Those used for a number of arrays: of float64 a block of 1024 threads keeps half as many."""
    left = [(32, 1), (32, 32), (256, 32), (1024, 32), (1024, 0)] if dtype != "float32" else LAYOUTS
    if arrays > 1:
        return [(lanes, items) for lanes, items in left if lanes < 1024 or not items]
    return [(lanes, 16 if lanes == 1024 and items and dtype == "float64" else items) for lanes, items in left]


def _softmax(dtype, lanes, items):
    return Configuration(softmax._softmax.of(LANES=lanes, ITEMS=items), (dtype, dtype))


def _slope(dtype, lanes, items):
    return Configuration(softmax._softmax_slope.of(LANES=lanes, ITEMS=items), (dtype,) * 3)


def _cross_entropy(dtype, lanes, items, classes, smooth, weighted=False, focal=False):
    kinds = {"CLASSES": classes, "SMOOTH": smooth, "WEIGHTED": weighted, "FOCAL": focal}
    variant = softmax._cross_entropy.of(LANES=lanes, ITEMS=items, **kinds)
    loss = dtype if dtype == "float64" else "float32"
    return Configuration(variant, (dtype, "int64" if classes else dtype, loss, loss, dtype))


def _cross_entropy_slope(dtype, lanes, classes, weighted=False, focal=False):
    kinds = {"CLASSES": classes, "WEIGHTED": weighted, "FOCAL": focal, "DIVIDED": weighted}
    variant = softmax._cross_entropy_slope.of(LANES=lanes, **kinds)
    loss = dtype if dtype == "float64" else "float32"
    return Configuration(variant, (dtype, "int64" if classes else dtype, loss, loss, dtype))


def _target_weights(dtype, weighted):
    variant = softmax._target_weights.of(WEIGHTED=weighted)
    return Configuration(variant, (dtype, "int64", dtype), 64)


def _sums(dtype, term, lanes, vectors):
    binary = term == "squares"
    variant = reduce._row_sums.of(TERM=term, BINARY=binary, LANES=lanes, VECTORS=vectors)
    result = dtype if dtype == "float64" else "float32"
    return Configuration(variant, (dtype, dtype if binary else "float32", result), registers=96)


CONFIGURATIONS = {
    **{f"softmax-{t}-{a}x{b}": _softmax(t, a, b) for t in TYPES for a, b in _layouts(t)},
    **{f"slope-{t}-{a}x{b}": _slope(t, a, b) for t in TYPES for a, b in _layouts(t, 2)},
    **{
        f"cross-entropy-{t}-{a}x{b}-{classes}-{smooth}": _cross_entropy(t, a, b, classes, smooth)
        for t in TYPES
        for classes, smooth in ((True, False), (True, True), (False, False))
        for a, b in (_layouts(t) if (t, smooth) == ("float32", True) else [(32, 32), (1024, 0)])
    },
    **{
        f"cross-entropy-slope-{t}-{lanes}-{classes}": _cross_entropy_slope(t, lanes, classes)
        for t in TYPES
        for lanes in (16, 256)
        for classes in (True, False)
    },
    **{
        f"weighted-{t}-{a}x{b}-{classes}": _cross_entropy(t, a, b, classes, classes, weighted=True)
        for t in TYPES
        for a, b in ((32, 32), (1024, 0))
        for classes in (True, False)
    },
    **{
        f"weighted-slope-{t}-{lanes}-{classes}": _cross_entropy_slope(t, lanes, classes, weighted=True)
        for t in TYPES
        for lanes in (16, 256)
        for classes in (True, False)
    },
    **{
        f"focal-{t}-{weighted}": _cross_entropy(t, 32, 32, True, False, weighted, focal=True)
        for t in TYPES
        for weighted in (True, False)
    },
    **{
        f"focal-slope-{t}-{weighted}": _cross_entropy_slope(t, 32, True, weighted, focal=True)
        for t in TYPES
        for weighted in (True, False)
    },
    **{
        f"target-weights-{t}-{weighted}": _target_weights(t, weighted)
        for t in ("float32", "float64")
        for weighted in (True, False)
    },
    **{
        f"{term}-{t}-{lanes}-{vectors}": _sums(t, term, lanes, vectors)
        for t in TYPES
        for term in ("sum", "squares", "penalty")
        for lanes, vectors in (SUMS if t == "float32" else SUMS[-2:])
    },
}

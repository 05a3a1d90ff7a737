"""The tiles of convolution in all ways to compute, loaded at once and one by one."""

from numbacnn.epilogue import Activation
from numbacnn.kernels.cuda.job import correlation_variant, weights_variant
from numbacnn.kernels.cuda.ordered_sum import add_slices
from numbacnn.kernels.cuda.tile import flags, shapes

from ..gate import Configuration

TYPES = {"exact": "float32", "double": "float64", "tf32": "float32", "f16": "float16", "bf16": "bfloat16"}
ITEMS = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}
PLAIN = flags(None, None, None, None)
FUSED = flags(1, 1, 1, Activation("silu"))
BIASED = flags(None, 1, None, Activation("relu"))


def _counts(math, variant):
    """One instruction for each product, and none beside: nothing was unrolled or kept twice."""
    c = variant.constants
    if math == "double":
        return {"fma.rn.f64": c["TM"] * c["TN"] * c["BK"]}
    if math == "exact":
        return {"fma.rn.f32": c["TM"] * c["TN"] * c["BK"]}
    return {"mma.sync": c["MT"] * c["NT"] * c["BK"] // (2 * c["V"])}


def _registers(variant):
    """What launch bounds leave a thread: 65,536 in a multiprocessor, given out by eights."""
    return min(255, 65536 // (variant.threads * variant.blocks) // 8 * 8)


def _of(kind, shape, turned, at_once, finish, wide=False):
    math, dtype = ("exact" if kind == "double" else kind), TYPES[kind]
    variant = correlation_variant(math, ITEMS[dtype], shape, turned, at_once, finish, wide)
    present = {name: dtype if flag else "float32" for name, flag in finish}
    dtypes = (dtype, dtype, present["SCALE"], present["BIAS"], present["RESIDUAL"], dtype, "int32")
    counts = {} if finish is FUSED else _counts(kind, variant)  # its activation multiplies too
    return Configuration(variant, dtypes, _registers(variant), counts)


def _weights(kind, shape, at_once, wide=False):
    math, dtype = ("exact" if kind == "double" else kind), TYPES[kind]
    variant = weights_variant(math, ITEMS[dtype], shape, at_once, wide)
    sums = "float64" if dtype == "float64" else "float32"
    return Configuration(variant, (dtype, dtype, sums, "int32"), _registers(variant), _counts(kind, variant))


def _all():
    found = {}
    for kind, dtype in TYPES.items():
        v = 16 // ITEMS[dtype]
        for shape in shapes("exact" if kind == "double" else kind, ITEMS[dtype]):
            size = f"{kind}-{shape.rows}x{shape.columns}"
            found[f"forward-{size}"] = _of(kind, shape, False, (v, v), BIASED)
            found[f"data-{size}"] = _of(kind, shape, True, (v, v), PLAIN)
            found[f"weights-{size}"] = _weights(kind, shape, (v, v))
            found[f"forward-{size}-one-by-one"] = _of(kind, shape, False, (1, 1), FUSED)
            found[f"data-{size}-one-by-one"] = _of(kind, shape, True, (1, 1), PLAIN)
            found[f"weights-{size}-one-by-one"] = _weights(kind, shape, (1, 1))
    for kind in ("exact", "tf32", "bf16"):
        shape, v = shapes(kind, 4)[0], 16 // ITEMS[TYPES[kind]]
        found[f"forward-{kind}-wide"] = _of(kind, shape, False, (v, v), BIASED, True)
        found[f"weights-{kind}-wide"] = _weights(kind, shape, (v, v), True)
    for dtype in ITEMS:
        sums = "float64" if dtype == "float64" else "float32"
        variant = add_slices.of(**dict(FUSED))
        found[f"sum-{dtype}"] = Configuration(variant, (sums, dtype, dtype, dtype, dtype), 64)
    quick = {"forward-exact-128x128", "data-tf32-128x128", "weights-bf16-128x128", "forward-double-64x64",
             "weights-exact-64x32-one-by-one", "forward-f16-64x64-one-by-one", "sum-float32"}  # fmt: skip
    return {name: made._replace(slow=name not in quick) for name, made in found.items()}


CONFIGURATIONS = _all()

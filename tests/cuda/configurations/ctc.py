"""Connectionist temporal classification: walks both ways, and slopes of few and of many classes."""

from numbacnn.kernels.cuda import ctc

from ..gate import Configuration

TYPES = ["float32", "float64", "float16", "bfloat16"]
GIVEN = {"COUNTED": True, "TIMED": True}
ABSENT = {"COUNTED": False, "TIMED": False}
TARGETS = "int64", "int64", "int64"


def _walk(dtype, way, kinds, threads):
    variant = ctc._walk.of(REVERSED=way == "back", THREADS=threads, **kinds)
    return Configuration(variant, (dtype, *TARGETS, "float64", "float64"), 96, doubles=True)


def _slopes(dtype, lanes, kinds):
    dtypes = dtype, *TARGETS, *("float64",) * 3, "int64", "int64", dtype
    return Configuration(ctc._slopes.of(LANES=lanes, **kinds), dtypes, 96, doubles=True)


def _losses(dtype):
    return Configuration(ctc._losses.of(**GIVEN), (dtype, *TARGETS, "float64"), 96, doubles=True)


CONFIGURATIONS = {
    **{f"walk-{t}-{way}": _walk(t, way, GIVEN, 256) for t in TYPES for way in ("there", "back")},
    "walk-absent": _walk("float32", "there", ABSENT, 32),
    **{f"slopes-{t}-{lanes}": _slopes(t, lanes, GIVEN) for t in TYPES for lanes in (32, 256)},
    "slopes-absent": _slopes("float32", 32, ABSENT),
    **{
        f"norms-{t}": Configuration(ctc._norms.of(LANES=32, ITEMS=0), (t, "float64"), 96, doubles=True)
        for t in TYPES
    },
    **{f"losses-{t}": _losses(t) for t in TYPES[:2]},
    "chains": Configuration(ctc._chains.of(COUNTED=True, THREADS=256), ("int64",) * 4, 96),
}

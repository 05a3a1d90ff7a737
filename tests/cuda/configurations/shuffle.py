"""Pixels spread and gathered, four channels at a time or one."""

from numbacnn.kernels.cuda.shuffle import move

from ..gate import Configuration

CONFIGURATIONS = {
    f"{'spread' if spread else 'collect'} {'quads' if quads else 'singles'} {kind}": Configuration(
        move.of(SPREAD=spread, QUADS=quads), (kind, kind, "int64"), 48
    )
    for spread in (True, False)
    for quads in (True, False)
    for kind in ("float32", "bfloat16")
}

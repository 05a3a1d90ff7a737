"""Convolution kernels of the GPU in the simulator, against the reference in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.config import config
from numbacnn.dims import ConvDims
from numbacnn.epilogue import Activation
from numbacnn.kernels import reference
from numbacnn.kernels.cuda import conv, depthwise, job, plan, tile
from numbacnn.kernels.cuda.simulator import SimulationError
from tests.strategies import conv_cases, conv_transpose_cases

from .arrays import computed
from .products import KINDS, check, drawn, mutant, typed

PASSES = ("conv_forward", "conv_backward_data", "conv_backward_weights")


@pytest.fixture(autouse=True)
def _no_jobs_are_kept():
    """Tests choose tiles and limits of their own."""
    _forget()
    yield
    _forget()


def _forget():
    for kept in (
        job.correlation_job, job.weights_job, depthwise.depthwise_job, depthwise.depthwise_weights_job
    ):  # fmt: skip
        kept.cache_clear()


def arguments_of(name, dims, kind, seed=3):
    """A pass's arguments but the last, and its output's shape."""
    x, w, b, dy = drawn(seed, kind, dims.input_shape, dims.kernel_shape, (dims.c_out,), dims.output_shape)
    return {
        "conv_forward": ((dims, x, w, b), dims.output_shape),
        "conv_backward_data": ((dims, dy, w), dims.input_shape),
        "conv_backward_weights": ((dims, x, dy), dims.kernel_shape),
    }[name]


def check_pass(name, dims, kind, seed=3):
    arguments, shape = arguments_of(name, dims, kind, seed)
    return check(getattr(conv, name), getattr(reference, name), kind, arguments, shape)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=2)
@given(case=conv_cases(most_channels=9))
def test_every_geometry_gives_the_references_results(kind, case):
    for name in PASSES:
        check_pass(name, case.dims, kind, case.seed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(case=conv_cases(most_channels=40))
def test_many_more_geometries_give_the_references_results(kind, case):
    for name in PASSES:
        check_pass(name, case.dims, kind, case.seed)


@pytest.mark.parametrize("kind", ["exact", "bfloat16"])
@settings(max_examples=2)
@given(case=conv_transpose_cases(most_channels=9))
def test_transposed_convolutions_give_the_references_results(kind, case):
    dims = case.dims
    x, w, b = drawn(case.seed, kind, dims.output_shape, dims.kernel_shape, (dims.c_in,))
    for bias in (b, None):
        arguments = dims, x, w, bias
        check(
            conv.conv_transpose_forward, reference.conv_transpose_forward, kind, arguments, dims.input_shape
        )


# Rows and columns that end within a tile, more stages than are kept, a last stage that is part of one.
CHANNELS = {"exact": 16, "float64": 16, "tf32": 32, "float16": 64, "bfloat16": 64}


def _shapes(kind):
    c = CHANNELS[kind]
    return {
        "aligned": ConvDims.of((1, 8, 8, c), (2, 2, c, 40), padding=((0, 1), (1, 1))),
        "one by one": ConvDims.of((1, 9, 9, 7), (3, 3, 7, 35), padding=((1, 0), (0, 1)), stride=(1, 2)),
    }


def _tiles():
    """Every tile in every pass: some of the smallest and of the largest at once, the others when slow."""
    found, small, large = [], ("exact", "bfloat16"), ("tf32",)
    for kind in KINDS:
        fitting = tile.shapes("exact" if kind == "float64" else kind, typed(kind)[0].itemsize)
        for shape in fitting:
            for how, dims in _shapes(kind).items():
                least = shape == fitting[-1] and kind in (
                    small if how == "aligned" else ("exact", "bfloat16")
                )
                quick = least or (shape == fitting[0] and kind in large and how == "aligned")
                name = f"{kind}-{shape.rows}x{shape.columns}-{how}"
                found.append(
                    pytest.param(kind, shape, dims, id=name, marks=() if quick else pytest.mark.slow)
                )
    return found


@pytest.mark.parametrize(("kind", "shape", "dims"), _tiles())
@pytest.mark.parametrize("name", PASSES)
def test_every_tile_gives_the_references_results(name, kind, shape, dims, monkeypatch):
    monkeypatch.setattr(job, "choose", lambda *_: shape)
    monkeypatch.setattr(job, "ENOUGH", 1)  # no slices
    check_pass(name, dims, kind)


@pytest.mark.parametrize("kind", ["exact", pytest.param("tf32", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", PASSES)
def test_sums_cut_into_slices_are_added_in_order(name, kind, monkeypatch):
    if name == "conv_backward_weights":
        dims = ConvDims.of((2, 17, 17, 4), (2, 2, 4, 8))
    else:
        dims = ConvDims.of((1, 5, 6, 32), (3, 3, 32, 32), padding=1)
    arguments, shape = arguments_of(name, dims, kind)
    made = job.weights_job if name == "conv_backward_weights" else job.correlation_job
    slices = []
    plain = plan.table
    monkeypatch.setattr(
        plan, "table", lambda *given, **named: slices.append(given[4]) or plain(*given, **named)
    )
    check(getattr(conv, name), getattr(reference, name), kind, arguments, shape)
    assert made.cache_info().currsize == 1 and slices[0] > 1, "the sum was to be cut"


ACTIVATIONS = [
    None, Activation("relu"), Activation("leaky_relu", 0.2), Activation("clip", -0.5, 1.0), Activation("silu")
]  # fmt: skip


@pytest.mark.parametrize(
    "activation, given_",
    [*((a, "all") for a in ACTIVATIONS), (None, "scale"), (ACTIVATIONS[1], "bias"), (None, "residual")],
)
@pytest.mark.parametrize(
    "kind, dims",
    [
        ("exact", ConvDims.of((1, 4, 5, 8), (3, 3, 8, 10), padding=1)),
        ("tf32", ConvDims.of((1, 4, 5, 8), (3, 3, 8, 7), padding=1)),
        ("float16", ConvDims.of((1, 4, 5, 136), (1, 1, 136, 8))),
        ("float64", ConvDims.of((1, 4, 5, 8), (3, 3, 1, 8), groups=8)),
    ],
    ids=["exact", "tf32 odd", "float16", "float64 depthwise"],
)
def test_what_follows_a_convolution(kind, dims, given_, activation):
    x, w, b, scale = drawn(5, kind, dims.input_shape, dims.kernel_shape, (dims.c_out,), (dims.c_out,))
    (residual,) = drawn(6, kind, dims.output_shape)
    b, scale, residual = (
        v if given_ in ("all", n) else None
        for v, n in ((b, "bias"), (scale, "scale"), (residual, "residual"))
    )
    arguments = dims, x, w, b, scale, residual, activation
    check(conv.conv_forward_fused, reference.conv_forward_fused, kind, arguments, dims.output_shape)


def test_slices_are_finished_after_their_sum():
    dims = ConvDims.of((1, 4, 4, 16), (3, 3, 16, 9), padding=1)
    x, w, b, scale = drawn(5, "exact", dims.input_shape, dims.kernel_shape, (9,), (9,))
    (residual,) = drawn(6, "exact", dims.output_shape)
    arguments = dims, x, w, b, scale, residual, Activation("relu")
    check(conv.conv_forward_fused, reference.conv_forward_fused, "exact", arguments, dims.output_shape)
    made = job.correlation_job(
        dims, False, "exact", 4, True, tile.flags(scale, b, residual, arguments[-1]), None
    )
    assert made.slices > 1


@pytest.mark.parametrize("many", [1, 2])
@pytest.mark.parametrize("channels", [8, 9])
@pytest.mark.parametrize("kind", ["exact", "bfloat16"])
@pytest.mark.parametrize("name", PASSES)
def test_depthwise_convolutions_give_the_references_results(name, kind, channels, many):
    dims = ConvDims.of(
        (2, 6, 5, channels), (3, 4, 1, many * channels), groups=channels, stride=(2, 1),
        dilation=(1, 2), padding=((2, 1), (1, 3)),
    )  # fmt: skip
    assert depthwise.is_depthwise(dims)
    check_pass(name, dims, kind)


@pytest.mark.parametrize("name", PASSES)
@pytest.mark.parametrize("groups", [1, 4])
def test_positions_of_64_bits(name, groups, monkeypatch):
    monkeypatch.setattr(job, "_WIDE", 0)
    monkeypatch.setattr(depthwise, "_WIDE", 0)
    dims = ConvDims.of((2, 5, 4, 4), (3, 2, 4 // groups, 4), groups=groups, stride=(1, 2), padding=1)
    check_pass(name, dims, "exact")


@pytest.mark.parametrize("name", PASSES)
def test_empty_batches(name):
    for groups in (1, 4):
        dims = ConvDims.of((0, 5, 5, 4), (3, 3, 4 // groups, 4), groups=groups)
        got = check_pass(name, dims, "tf32")
        assert not got.any()


@pytest.mark.parametrize("name", PASSES)
def test_arrays_that_are_not_aligned_are_copied_one_by_one(name, monkeypatch):
    """Foreign arrays may begin anywhere."""
    asked = []
    plain = job.vectors
    monkeypatch.setattr("numbacnn.kernels.cuda.pass_.aligned", lambda *_: False)
    monkeypatch.setattr(job, "vectors", lambda *given: asked.append(plain(*given)) or asked[-1])
    check_pass(name, ConvDims.of((1, 5, 5, 8), (3, 3, 8, 8)), "tf32")
    assert set(asked) == {1}


def test_nan_and_infinity_reach_the_output():
    dims = ConvDims.of((1, 6, 6, 8), (3, 3, 8, 8), padding=1)
    x, w = drawn(1, "tf32", dims.input_shape, dims.kernel_shape)
    x[0, 2, 3, 4], x[0, 5, 5, 1] = np.nan, np.inf
    expected = np.empty(dims.output_shape)
    reference.conv_forward(dims, x, w, None, expected)
    for kind in ("exact", "tf32"):
        with config.precision_as(kind):
            for activation in (None, Activation("relu")):
                arguments = dims, x, w, None, None, None, activation
                got = computed(conv.conv_forward_fused, arguments, dims.output_shape, np.float32)
                assert np.array_equal(np.isnan(got), np.isnan(expected))


def test_precision_chooses_what_multiplies(monkeypatch):
    seen = []
    plain = job.correlation_job
    monkeypatch.setattr(
        "numbacnn.kernels.cuda.pass_.correlation_job", lambda *given: seen.append(given[2]) or plain(*given)
    )
    dims = ConvDims.of((1, 3, 3, 4), (1, 1, 4, 4))
    for kind in ("exact", "tf32", "float16", "bfloat16", "float64"):
        check_pass("conv_forward", dims, kind)
    (arguments, shape) = arguments_of("conv_forward", dims, "exact")
    computed(conv.conv_forward, arguments, shape, np.float32)
    assert seen[::2] == ["exact", "tf32", "f16", "bf16", "exact", "tf32"] == seen[1::2]


# A line less is a wrong result: the simulator would show what a missing wait or barrier does.
MUTANTS = {
    "no wait": ("copy_wait(STAGES - 2)", "pass"),
    "a wait for one stage less": ("copy_wait(STAGES - 2)", "copy_wait(STAGES - 1)"),
    "no barrier": ("        sync()  # the stage", "        pass  # the stage"),
    "no commit": ("        copy_commit()\n        ", "        "),
}
IN_FORWARD = {
    "no barrier after the rows": ("    sync()\n\n    taps", "    taps"),
    "a stage too early": ("number + STAGES - 1), ahead", "number + STAGES - 2), ahead"),
}
IN_WEIGHTS = {
    "no barrier after the outputs": ("        sync()\n        if begin", "        if begin"),
    "outputs described too late": ("i32(number + STAGES), begin", "i32(number + STAGES + 1), begin"),
}


@pytest.mark.parametrize("kind", ["exact", "tf32"])
@pytest.mark.parametrize("change", {**MUTANTS, **IN_FORWARD})
def test_a_forward_kernel_without_a_line_fails(change, kind, monkeypatch, tmp_path):
    before, after = {**MUTANTS, **IN_FORWARD}[change]
    monkeypatch.setattr(job, "ENOUGH", 1)
    monkeypatch.setattr(job, "correlate", mutant(job.correlate, before, after, tmp_path))
    with pytest.raises((AssertionError, SimulationError)):
        check_pass("conv_forward", ConvDims.of((1, 6, 6, 16), (3, 3, 16, 20)), kind)


@pytest.mark.parametrize("kind", ["exact", "tf32"])
@pytest.mark.parametrize("change", {**MUTANTS, **IN_WEIGHTS})
def test_a_weight_kernel_without_a_line_fails(change, kind, monkeypatch, tmp_path):
    before, after = {**MUTANTS, **IN_WEIGHTS}[change]
    monkeypatch.setattr(job, "ENOUGH", 1)
    monkeypatch.setattr(job, "correlate_weights", mutant(job.correlate_weights, before, after, tmp_path))
    with pytest.raises((AssertionError, SimulationError)):
        check_pass("conv_backward_weights", ConvDims.of((3, 10, 9, 8), (2, 2, 8, 20), stride=(1, 2)), kind)


def test_a_kernel_that_is_not_changed_passes(monkeypatch, tmp_path):
    monkeypatch.setattr(job, "correlate", mutant(job.correlate, "copy_commit()", "copy_commit()", tmp_path))
    check_pass("conv_forward", ConvDims.of((1, 5, 4, 16), (3, 3, 16, 20)), "tf32")


@given(st.integers(1, 2**31 - 1), st.integers(0, 2**31 - 1))
def test_division_by_multiplication(by, n):
    magic, shift = plan.division(by)
    assert 0 <= magic < 2**32
    for number in (n, n // by * by, max(0, n // by * by - 1)):
        assert by == 1 or (number * magic >> 32) >> shift == number // by


def test_offsets_past_32_bits():
    """Volumes larger than a kernel's 32-bit numbers are reached by offsets of 64."""
    dims = ConvDims.of((1, 3000, 3000, 300, 1), (2, 1, 1, 1, 1), dilation=(2500, 1, 1))
    numbers = plan.table(dims, plan.forward(dims)).numpy()
    tap = numbers[numbers[plan.TAPS] + plan.TAP :]
    assert (int(tap[4]) << 31) + int(tap[5]) == 2500 * 3000 * 300
    back = plan.table(dims, plan.backward(dims)).numpy()
    tap = back[back[plan.TAPS] + plan.TAP :]
    assert (int(tap[4]) << 31) + int(tap[5]) == -2500 * 3000 * 300


@given(conv_cases())
def test_the_residues_of_a_data_gradient_are_a_partition(case):
    dims = case.dims
    pass_ = plan.backward(dims)
    pixels = [
        tuple(f + q * j for f, q, j in zip(part.first, at, pass_.jump, strict=True))
        for part in pass_.classes
        for at in np.ndindex(*part.counts)
    ]
    assert sorted(pixels) == sorted(np.ndindex(*pass_.output))
    assert sum(len(part.taps) for part in pass_.classes) <= np.prod(dims.k_)


def test_tiles_do_not_ask_how_large_the_gpu_is():
    """The same shapes give the same sums on every GPU: constants decide."""
    dims = ConvDims.of((4, 14, 14, 64), (3, 3, 64, 64), padding=1)
    one = job.correlation_job(dims, False, "tf32", 4, True, tile.flags(None, None, None, None), 0)
    two = job.correlation_job(dims, False, "tf32", 4, True, tile.flags(None, None, None, None), 1)
    assert (one.variant, one.grid, one.slices) == (two.variant, two.grid, two.slices)

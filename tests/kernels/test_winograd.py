"""Winograd's method in every pass against the reference, with its error beside the direct method's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn import config
from numbacnn.dims import ConvDims
from numbacnn.kernels import reference
from numbacnn.kernels.cpu import conv, finish, passes, winograd_outer_plan, winograd_plan
from numbacnn.kernels.cpu.choice import PASSES, WINOGRAD_TILES, choose
from numbacnn.kernels.cpu.kept import constant, kept_kernels
from numbacnn.kernels.cpu.phases import as_volume
from tests.kernels.guard import assert_same_bits, threads, written
from tests.strategies import arrays, seeds

#: Of the sum of absolute products; six points lose a digit to four, which are near the direct method.
TOLERANCE = {6: 1e-5, 4: 3e-6}
AS_IT_IS = finish.as_it_is(np.empty(0, np.float32))


#: Taps along height and width, and outputs of a tile.
TILES = [(slices, m) for slices, (outputs, _) in WINOGRAD_TILES.items() for m in outputs]
tiles = st.sampled_from([*TILES, ((3, 5), 2)])  # filters that differ, too


@st.composite
def cases(draw, taps, most_channels=40):
    """Kernels of stride 1: any padding, dilation with groups, sizes of 1, every remainder of tiles."""
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    ins, outs = (draw(st.integers(1, max(1, most_channels // groups))) for _ in range(2))
    dilation = tuple(draw(st.sampled_from([1, 1, 2, 3])) for _ in range(2))
    pads = tuple(tuple(draw(st.integers(0, k + 1)) for _ in range(2)) for k in taps)
    least = [max(1, (k - 1) * d + 1 - sum(p)) for k, d, p in zip(taps, dilation, pads, strict=True)]
    size = [low + draw(st.integers(0, 13)) for low in least]
    x_shape = (draw(st.integers(1, 3)), *size, groups * ins)
    w_shape = (*taps, ins, groups * outs)
    return ConvDims.of(x_shape, w_shape, padding=pads, dilation=dilation, groups=groups)


@st.composite
def volumes(draw, taps):
    """Kernels of such slices and 1 to 4 taps of depth, whose stride, padding and dilation differ."""
    dims = draw(cases(taps, most_channels=24))
    depths, stride, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    pads = (draw(st.integers(0, 4)), draw(st.integers(0, 4)))
    slices = max(1, (depths - 1) * dilation + 1 - sum(pads)) + draw(st.integers(0, 4))
    return ConvDims.of(
        (dims.n, slices, *dims.input_shape[1:]), (depths, *dims.kernel_shape), stride=(stride, 1, 1),
        padding=(pads, *zip(dims.pad_lo_, dims.pad_hi_, strict=True)), dilation=(dilation, *dims.dilation_),
        groups=dims.groups,
    )  # fmt: skip


def three_passes(dims, m, kept=False):
    """Each pass as a kernel of its arrays, the output last."""
    return {
        "conv_forward": lambda x, w, b, y: passes.winograd_correlation(
            dims, False, m, kept, x, w, b, AS_IT_IS, y
        ),
        "conv_backward_data": lambda dy, w, dx: passes.winograd_correlation(
            dims, True, m, kept, dy, w, None, AS_IT_IS, dx
        ),
        "conv_backward_weights": lambda x, dy, dw: passes.winograd_weights(dims, m, x, dy, dw),
    }


def operands(dims, seed):
    x, w, b, dy = arrays(
        seed, dims.input_shape, dims.kernel_shape, (dims.c_out,), dims.output_shape, dtype=np.float32
    )
    found = (
        ("conv_forward", dims.output_shape, (x, w, b)),
        ("conv_forward", dims.output_shape, (x, w, None)),
        ("conv_backward_weights", dims.kernel_shape, (x, dy)),
        ("conv_backward_data", dims.input_shape, (dy, w)),
    )
    return found if dims.rank < 3 or dims.stride_[0] == 1 else found[:3]


def error(dims, name, args, got):
    """The largest error, relative to the largest sum of absolute products, where there are any."""
    expected, size = np.empty(got.shape), np.empty(got.shape)
    getattr(reference, name)(dims, *args, expected)
    getattr(reference, name)(dims, *(None if a is None else abs(a) for a in args), size)
    return np.abs(got - expected).max() / (size.max() or 1.0)


def check(dims, m, seed, kept=False):
    for name, shape, args in operands(dims, seed):
        got = written(three_passes(dims, m, kept)[name], *args, shapes=shape, dtype=np.float32)
        points = max(f.points for f in winograd_plan.filters_of(dims, m))
        assert error(dims, name, args, got) <= TOLERANCE[points], name


@given(st.data(), tiles, seeds)
def test_every_geometry_gives_the_references_results(data, tile, seed):
    taps, m = tile
    check(data.draw(cases(taps)), m, seed)


@given(st.data(), tiles, seeds)
def test_taps_of_depth_are_summed_as_further_inputs(data, tile, seed):
    taps, m = tile
    check(data.draw(volumes(taps)), m, seed)


@given(st.data(), seeds)
def test_signals_give_the_references_results(data, seed):
    dims = data.draw(cases((1, 3)))
    x_shape = (dims.n, dims.in_[1], dims.c_in)
    pads = ((dims.pad_lo_[1], dims.pad_hi_[1]),)
    options = {"padding": pads, "dilation": dims.dilation_[1], "groups": dims.groups}
    check(ConvDims.of(x_shape, dims.kernel_shape[1:], **options), 4, seed)


# Each way of cutting: products by channels within a thread, by points, blocks of tiles; one chunk or several.
LARGE = [
    ((2, 27, 25, 40), (5, 5, 20, 66), {"padding": 2, "groups": 2}),
    ((1, 5, 9, 150), (5, 5, 150, 70), {"padding": 2}),
    ((3, 900, 33), (3, 33, 65), {"padding": "same", "dilation": 2}),
    ((2, 61, 40, 65), (3, 1, 65, 34), {"padding": ((1, 0), 0)}),
    ((1, 14, 13, 150), (3, 3, 150, 70), {"padding": 1}),
    ((1, 33, 30, 65), (3, 3, 65, 97), {"padding": ((0, 2), (1, 1))}),
    ((2, 70, 66, 34), (3, 3, 17, 40), {"padding": "same", "groups": 2, "dilation": (2, 1)}),
    ((1, 7, 7, 512), (3, 3, 512, 33), {"padding": 1}),
    ((1, 3, 10, 11, 150), (2, 3, 3, 75, 70), {"padding": 1, "groups": 2, "dilation": (2, 1, 1)}),
    ((2, 9, 27, 25, 37), (3, 3, 3, 37, 41), {"padding": ((1, 0), (1, 2), (0, 1))}),
    ((1, 2, 6, 6, 150), (3, 3, 3, 150, 70), {"padding": 1}),
]


def tiles_of(dims):
    """The outputs of a tile that there are for a kernel."""
    return WINOGRAD_TILES[as_volume(dims).k_[1:]][0]


@pytest.mark.parametrize(("x_shape", "w_shape", "options"), LARGE)
@pytest.mark.parametrize("count", [1, 2])
def test_large_shapes_give_the_references_results(x_shape, w_shape, options, count):
    dims = ConvDims.of(x_shape, w_shape, **options)
    with threads(count):
        for m in tiles_of(dims):
            check(dims, m, 3)


def test_the_large_shapes_are_cut_in_every_way():
    plans = [ConvDims.of(x, w, **options) for x, w, options in LARGE]
    ways = {
        (bool(len(p.chores)), bool(len(p.products)))
        for p in (winograd_plan.winograd_plan(d, False, 4, 8, 2, False) for d in plans)
    }
    assert ways >= {(False, True), (True, False)}  # by channels, in blocks; by points: below
    chunks = {len(winograd_outer_plan.winograd_outer_plan(d, 4, 8, 2).results) > 0 for d in plans}
    assert chunks == {False, True}


@pytest.mark.parametrize(("x_shape", "w_shape", "options"), LARGE)
def test_products_by_points_have_the_bits_of_the_other_ways(monkeypatch, x_shape, w_shape, options):
    dims = ConvDims.of(x_shape, w_shape, **options)
    m, plan_of = tiles_of(dims)[0], winograd_plan.winograd_plan

    def compute():
        plan_of.cache_clear()
        plan = plan_of(dims, False, m, passes.lanes_of(np.empty(0, np.float32)), 1, False)
        computed = [
            written(three_passes(dims, m)[name], *args, shapes=shape, dtype=np.float32)
            for name, shape, args in operands(dims, 7)
        ]
        return bool(len(plan.chores) and len(plan.products)), computed

    with threads(1):
        _, expected = compute()
        monkeypatch.setattr(winograd_plan, "HEAVY", 0)
        monkeypatch.setattr(winograd_plan, "FEW_TILES", 0)
        by_points, got = compute()
        plan_of.cache_clear()
    assert by_points
    for a, b in zip(expected, got, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_kernel_too_large_for_each_block_to_read_is_multiplied_point_by_point():
    dims = ConvDims.of((1, 84, 84, 256), (3, 3, 256, 256), padding=1)
    plan = winograd_plan.winograd_plan(dims, False, 4, passes.lanes_of(np.empty(0, np.float32)), 2, False)
    assert dims.n * 21 * 21 > winograd_plan.FEW_TILES
    assert len(plan.chores)
    assert len(plan.products)
    rng = np.random.default_rng(4)
    x = rng.standard_normal(dims.input_shape, np.float32)
    w = rng.standard_normal(dims.kernel_shape, np.float32)
    by_points, direct = (np.full(dims.output_shape, np.nan, np.float32) for _ in range(2))
    passes.winograd_correlation(dims, False, 4, False, x, w, None, AS_IT_IS, by_points)
    passes.direct_correlation(dims, False, False, x, w, None, AS_IT_IS, direct)
    np.testing.assert_allclose(by_points, direct, rtol=0, atol=5e-5 * np.abs(direct).max())


@pytest.mark.parametrize(("x_shape", "w_shape", "options"), LARGE)
def test_bits_do_not_depend_on_the_threads_the_run_or_on_what_is_kept(x_shape, w_shape, options):
    dims = ConvDims.of(x_shape, w_shape, **options)
    m = tiles_of(dims)[0]

    def compute():
        results = []
        for kept in (False, True, True):
            for name, shape, args in operands(dims, 5):
                y = np.empty(shape, np.float32)
                three_passes(dims, m, kept)[name](*args, y)
                results.append(y)
        for again in (results[4:8], results[8:]):
            for a, b in zip(results[:4], again, strict=True):
                np.testing.assert_array_equal(a, b)
        return results

    assert_same_bits(compute)


def test_a_read_only_kernel_is_transformed_once_and_forgotten_with_its_array():
    dims = ConvDims.of((1, 20, 20, 32), (3, 3, 32, 48), padding=1)
    x, w = arrays(1, dims.input_shape, dims.kernel_shape, dtype=np.float32)
    changing, constant = w.copy(), w.copy()
    constant.flags.writeable = False
    before = kept_kernels.bytes
    y, z = np.empty(dims.output_shape, np.float32), np.empty(dims.output_shape, np.float32)
    conv.conv_forward(dims, x, changing, None, y)
    assert kept_kernels.bytes == before
    conv.conv_forward(dims, x, constant, None, z)
    held = kept_kernels.bytes
    assert held >= before + 36 * 32 * 48 * 4
    np.testing.assert_array_equal(y, z)
    conv.conv_forward(dims, x, constant, None, z)
    assert kept_kernels.bytes == held
    np.testing.assert_array_equal(y, z)
    changing[...] = 2 * w
    conv.conv_forward(dims, x, changing, None, y)
    np.testing.assert_array_equal(y, 2 * z)
    del constant
    assert kept_kernels.bytes == before


def test_a_read_only_view_of_a_kernel_that_changes_is_not_kept():
    dims = ConvDims.of((1, 20, 20, 32), (3, 3, 32, 48), padding=1)
    x, w = arrays(1, dims.input_shape, dims.kernel_shape, dtype=np.float32)
    w = w.copy()
    view = w.view()
    view.flags.writeable = False
    y, z = np.empty(dims.output_shape, np.float32), np.empty(dims.output_shape, np.float32)
    conv.conv_forward(dims, x, view, None, y)
    w *= 2
    conv.conv_forward(dims, x, view, None, z)
    np.testing.assert_array_equal(z, 2 * y)


@pytest.mark.parametrize("used_while_it_changes", [False, True])
def test_a_kernel_that_was_changed_in_between_is_packed_anew(used_while_it_changes):
    dims = ConvDims.of((1, 20, 20, 32), (3, 3, 32, 48), padding=1)
    x, w = arrays(1, dims.input_shape, dims.kernel_shape, dtype=np.float32)
    w = w.copy()
    y, z = np.empty(dims.output_shape, np.float32), np.empty(dims.output_shape, np.float32)
    w.flags.writeable = False
    conv.conv_forward(dims, x, w, None, y)
    w.flags.writeable = True
    w[...] *= 2
    if used_while_it_changes:
        before = kept_kernels.bytes
        conv.conv_forward(dims, x, w, None, z)
        assert kept_kernels.bytes < before
    w.flags.writeable = False
    conv.conv_forward(dims, x, w, None, z)
    np.testing.assert_array_equal(z, 2 * y)


def test_memory_of_other_owners_is_not_taken_for_constant():
    buffer = bytearray(3 * 3 * 32 * 48 * 4)
    shared = np.frombuffer(buffer, np.float32).reshape(3, 3, 32, 48)
    shared.flags.writeable = False
    assert not constant(shared)
    assert constant(np.frombuffer(bytes(buffer), np.float32).reshape(3, 3, 32, 48))


def test_kept_kernels_make_room(monkeypatch):
    dims = ConvDims.of((1, 20, 20, 32), (3, 3, 32, 48), padding=1)
    x, *kernels = arrays(1, dims.input_shape, *[dims.kernel_shape] * 3, dtype=np.float32)
    kernels = [w.copy() for w in kernels]
    y = np.empty(dims.output_shape, np.float32)
    monkeypatch.setattr(config, "pool_limit_bytes", kept_kernels.bytes + 600_000)
    for w in kernels:
        w.flags.writeable = False
        conv.conv_forward(dims, x, w, None, y)
        assert kept_kernels.bytes <= config.pool_limit_bytes
    kept_kernels.forget(kernels[-1])


def test_it_is_chosen_where_it_pays_and_can_be_forbidden(monkeypatch):
    vgg = ConvDims.of((1, 56, 56, 256), (3, 3, 256, 256), padding=1)
    few = ConvDims.of((1, 56, 56, 1), (3, 3, 1, 4), padding=1)
    strided = ConvDims.of((1, 56, 56, 256), (3, 3, 256, 256), padding=1, stride=2)
    wide = ConvDims.of((1, 56, 56, 256), (7, 7, 256, 256), padding=3)
    for pass_ in PASSES:
        for x_shape, w_shape in (
            ((1, 27, 27, 64), (5, 5, 64, 192)),
            ((1, 56, 56, 64), (1, 3, 64, 64)),
            ((1, 56, 56, 64), (3, 1, 64, 64)),
            ((1, 4000, 64), (3, 64, 64)),
        ):
            assert choose(ConvDims.of(x_shape, w_shape), pass_, 8, True).algorithm == "winograd"
            assert choose(ConvDims.of(x_shape, w_shape), pass_, 8, False).algorithm == "direct"
        assert choose(vgg, pass_, 8, True).algorithm == "winograd"
        assert choose(vgg, pass_, 8, False).algorithm == "direct"
        for other in (few, strided, wide):
            assert choose(other, pass_, 8, True).algorithm == "direct"
    volume = ((1, 12, 28, 28, 64), (3, 3, 3, 64, 64))
    for pass_ in PASSES:
        assert choose(ConvDims.of(*volume, padding=1), pass_, 8, True).algorithm == "winograd"
        assert choose(ConvDims.of(*volume, padding=1), pass_, 8, False).algorithm == "direct"
        halved = choose(ConvDims.of(*volume, padding=1, stride=(2, 1, 1)), pass_, 8, True)
        assert halved.algorithm == ("direct" if pass_ == "data" else "winograd")
    dims = ConvDims.of((1, 30, 30, 32), (3, 3, 32, 32), padding=1)
    x, w = arrays(2, dims.input_shape, dims.kernel_shape, dtype=np.float32)
    by_choice, direct, forbidden = (np.empty(dims.output_shape, np.float32) for _ in range(3))
    conv.conv_forward(dims, x, w, None, by_choice)
    passes.direct_correlation(dims, False, False, x, w, None, AS_IT_IS, direct)
    monkeypatch.setattr(config, "winograd", False)
    conv.conv_forward(dims, x, w, None, forbidden)
    np.testing.assert_array_equal(forbidden, direct)
    assert not np.array_equal(by_choice, direct)


def test_errors_of_volumes_stay_near_those_of_images():
    dims = ConvDims.of((1, 6, 20, 20, 128), (3, 3, 3, 128, 32), padding=1)
    x, w = arrays(4, dims.input_shape, dims.kernel_shape, dtype=np.float32)
    expected, y = np.empty(dims.output_shape), np.empty(dims.output_shape, np.float32)
    reference.conv_forward(dims, x, w, None, expected)
    passes.winograd_correlation(dims, False, 4, False, x, w, None, AS_IT_IS, y)
    assert np.abs(y - expected).max() / np.abs(expected).max() < 3e-5


@pytest.mark.parametrize("channels", [16, 256])
@pytest.mark.parametrize(
    ("taps", "bounds"),
    [((3, 3), {4: 3e-5, 2: 3e-6}), ((5, 5), {2: 3e-5}), ((1, 3), {4: 5e-6}), ((3, 1), {4: 5e-6})],
)
def test_errors_stay_near_those_of_the_direct_method(channels, taps, bounds):
    """Measured: 1.7e-5 of the largest output by F(4x4, 3x3), 9e-6 by F(2x2, 5x5), 3e-6 along lines.

    It is 1e-6 by F(2x2, 3x3) and directly.
    """
    pads = tuple((k // 2, k // 2) for k in taps)
    dims = ConvDims.of((1, 28, 28, channels), (*taps, channels, channels), padding=pads)
    x, w = arrays(4, dims.input_shape, dims.kernel_shape, dtype=np.float32)
    expected, y = np.empty(dims.output_shape), np.empty(dims.output_shape, np.float32)
    reference.conv_forward(dims, x, w, None, expected)
    largest = np.abs(expected).max()
    for m, most in bounds.items():
        passes.winograd_correlation(dims, False, m, False, x, w, None, AS_IT_IS, y)
        assert np.abs(y - expected).max() / largest < most

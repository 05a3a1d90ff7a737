"""Pooling against PyTorch: the same options, results, indices and gradients."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from numbacnn import functional
from tests.strategies import arrays, seeds

torch = pytest.importorskip("torch")
F = torch.nn.functional


def first(x):
    """Channels first, as PyTorch has them."""
    return torch.from_numpy(np.moveaxis(np.asarray(x), -1, 1).copy())


def last(x):
    return np.moveaxis(x.detach().numpy(), 1, -1)


def peer(name: str, rank: int):
    return getattr(F, f"{name}{rank}d")


@st.composite
def cases(draw, dilated: bool):
    """Shapes and options that PyTorch takes: equal pads of at most half the kernel."""
    rank = draw(st.integers(1, 3))

    def per_axis(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    kernel, stride = per_axis(1, 4), per_axis(1, 3)
    dilation = per_axis(1, 2) if dilated else (1,) * rank
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    in_ = tuple((k - 1) * d + 1 + draw(st.integers(0, 5)) for k, d in zip(kernel, dilation, strict=True))
    options = {"stride": stride, "padding": padding, "ceil_mode": draw(st.booleans())}
    if dilated:
        options["dilation"] = dilation
    return (draw(st.integers(1, 2)), *in_, draw(st.integers(1, 9))), kernel, options, draw(seeds)


def check_gradient(source, result, ours, dy):
    result.backward(first(dy))
    np.testing.assert_allclose(ours.numpy(), last(source.grad), atol=1e-12)


@given(cases(dilated=True))
def test_max_pooling(case):
    shape, kernel, options, seed = case
    (x,) = arrays(seed, shape)
    x = np.round(x, 1)  # with ties
    source = first(x).requires_grad_()
    theirs, places = peer("max_pool", len(kernel))(source, kernel, **options, return_indices=True)
    y, indices = functional.max_pool_forward(x, kernel, **options, return_indices=True)
    np.testing.assert_array_equal(y.numpy(), last(theirs))
    np.testing.assert_array_equal(indices.numpy(), last(places))
    (dy,) = arrays(seed + 1, y.shape)
    check_gradient(source, theirs, functional.max_pool_backward(dy, x, y, kernel, **options), dy)


@given(cases(dilated=False), st.booleans(), st.sampled_from([None, 5]))
def test_average_pooling(case, count_include_pad, divisor):
    shape, kernel, options, seed = case
    rank = len(kernel)
    (x,) = arrays(seed, shape)
    source = first(x).requires_grad_()
    options["count_include_pad"] = count_include_pad
    override = {"divisor_override": divisor} if rank > 1 else {}  # PyTorch's 1-D form has none
    theirs = peer("avg_pool", rank)(source, kernel, **options, **override)
    y = functional.avg_pool_forward(x, kernel, **options, **override)
    np.testing.assert_allclose(y.numpy(), last(theirs), atol=1e-13)
    (dy,) = arrays(seed + 1, y.shape)
    ours = functional.avg_pool_backward(dy, shape, kernel, **options, **override)
    check_gradient(source, theirs, ours, dy)


@given(cases(dilated=False), st.sampled_from([1.0, 2.0, 3.0, 2.5]))
def test_lp_pooling_of_positive_numbers(case, p):
    shape, kernel, options, seed = case
    (x,) = np.abs(arrays(seed, shape)) + 0.1
    options["padding"], ceil_mode = 0, options["ceil_mode"]
    whole = all(
        (size - k) % s == 0 for size, k, s in zip(shape[1:-1], kernel, options["stride"], strict=True)
    )
    assume(whole or not ceil_mode)  # PyTorch scales a window that ceil mode cuts as if it were whole
    source = first(x).requires_grad_()
    size = kernel[0] if len(kernel) == 1 else kernel  # PyTorch multiplies by it
    theirs = peer("lp_pool", len(kernel))(source, p, size, options["stride"], ceil_mode)
    y = functional.lp_pool_forward(x, kernel, p=p, **options)
    np.testing.assert_allclose(y.numpy(), last(theirs), rtol=1e-12)
    (dy,) = arrays(seed + 1, y.shape)
    check_gradient(source, theirs, functional.lp_pool_backward(dy, x, y, kernel, p=p, **options), dy)


@st.composite
def sizes(draw):
    rank = draw(st.integers(1, 3))
    in_ = tuple(draw(st.integers(1, 11)) for _ in range(rank))
    out = tuple(draw(st.integers(1, 13)) for _ in range(rank))
    return (draw(st.integers(1, 2)), *in_, draw(st.integers(1, 9))), out, draw(seeds)


@given(sizes())
def test_adaptive_pooling(case):
    shape, out, seed = case
    (x,) = arrays(seed, shape)
    source = first(x).requires_grad_()
    theirs, places = peer("adaptive_max_pool", len(out))(source, out, return_indices=True)
    y, indices = functional.adaptive_max_pool_forward(x, out, return_indices=True)
    np.testing.assert_array_equal(y.numpy(), last(theirs))
    np.testing.assert_array_equal(indices.numpy(), last(places))
    (dy,) = arrays(seed + 1, y.shape)
    check_gradient(source, theirs, functional.adaptive_max_pool_backward(dy, x, y), dy)
    source = first(x).requires_grad_()
    theirs = peer("adaptive_avg_pool", len(out))(source, out)
    np.testing.assert_allclose(functional.adaptive_avg_pool_forward(x, out).numpy(), last(theirs), atol=1e-13)
    check_gradient(source, theirs, functional.adaptive_avg_pool_backward(dy, shape), dy)


@given(st.data(), st.integers(2, 3), seeds)
def test_fractional_pooling_of_given_samples(data, rank, seed):
    in_ = tuple(data.draw(st.integers(4, 11)) for _ in range(rank))
    kernel = tuple(data.draw(st.integers(1, 3)) for _ in range(rank))
    spare = 1 if rank == 2 else 0  # in three dimensions PyTorch refuses a window in every place
    out = tuple(data.draw(st.integers(1, size - k + spare)) for size, k in zip(in_, kernel, strict=True))
    n, c = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 5))
    samples = np.random.default_rng(seed).random(rank)
    (x,) = arrays(seed, (n, *in_, c))
    source = first(x).requires_grad_()
    # theirs lists the samples of the last axis first, except in three dimensions
    theirs_order = samples[::-1] if rank == 2 else samples
    given_samples = torch.from_numpy(np.tile(theirs_order, (n, c, 1)))
    theirs, places = peer("fractional_max_pool", rank)(
        source, kernel, output_size=out, _random_samples=given_samples, return_indices=True
    )
    options = {"output_size": out, "samples": samples.tolist()}
    y, indices = functional.fractional_max_pool_forward(x, kernel, **options, return_indices=True)
    np.testing.assert_array_equal(y.numpy(), last(theirs))
    np.testing.assert_array_equal(indices.numpy(), last(places))
    (dy,) = arrays(seed + 1, y.shape)
    check_gradient(source, theirs, functional.fractional_max_pool_backward(dy, x, y, kernel, **options), dy)


@given(st.integers(1, 3), seeds, st.data())
def test_unpooling(rank, seed, data):
    kernel = tuple(data.draw(st.integers(1, 3)) for _ in range(rank))
    in_ = tuple(data.draw(st.integers(k, 9)) for k in kernel)
    (x,) = arrays(seed, (2, *in_, 5))
    y, indices = functional.max_pool_forward(x, kernel, return_indices=True)
    source = first(y.numpy()).requires_grad_()
    theirs = peer("max_unpool", rank)(source, first(indices.numpy()), kernel, output_size=in_)
    np.testing.assert_array_equal(functional.max_unpool_forward(y, indices, in_).numpy(), last(theirs))
    (dy,) = arrays(seed + 1, x.shape)
    check_gradient(source, theirs, functional.max_unpool_backward(dy, indices), dy)

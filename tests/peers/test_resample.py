"""Resizing against PyTorch's interpolate."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from numbacnn import functional
from tests.strategies import arrays, dtypes, resize_cases

torch = pytest.importorskip("torch")

MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


def of_torch(x, dy, **options):
    """The output and the input's gradient, channels last."""
    first = torch.from_numpy(np.moveaxis(x, -1, 1).copy()).requires_grad_()
    y = torch.nn.functional.interpolate(first, **options)
    y.backward(torch.from_numpy(np.moveaxis(dy, -1, 1).copy()))
    return np.moveaxis(y.detach().numpy(), 1, -1), np.moveaxis(first.grad.numpy(), 1, -1)


def compare(x, dy, mode, align_corners, size=None, **scale):
    linear, rank = mode != "nearest", x.ndim - 2
    named = {"mode": MODES[rank], "align_corners": align_corners} if linear else {"mode": "nearest"}
    theirs = {"scale_factor" if k == "scale" else k: v for k, v in scale.items()}
    y, dx = of_torch(x, dy, size=size, **named, **theirs)
    eps = 100 * np.finfo(x.dtype).eps  # PyTorch's places are rounded too
    ours = {"mode": mode, "align_corners": align_corners, **scale}
    np.testing.assert_allclose(functional.resize_forward(x, size, **ours).numpy(), y, rtol=0, atol=eps)
    if linear or scale.get("recompute_scale_factor", True):
        # else PyTorch's gradient is that of an identity where the sizes agree, which its forward pass is not
        got = functional.resize_backward(dy, x.shape, **ours).numpy()
        np.testing.assert_allclose(got, dx, rtol=0, atol=eps * 5**rank)


@settings(max_examples=50)
@given(resize_cases(most_channels=5), dtypes)
def test_resizing_to_a_size_is_pytorchs(case, dtype):
    if case.mode == "nearest":
        dtype = np.float32  # in float64 PyTorch's layouts disagree where rounding decides
    shape, resized = ((max(s[0], 1), *s[1:]) for s in (case.shape, case.resized))
    x, dy = arrays(case.seed, shape, resized, dtype=dtype)
    compare(x, dy, case.mode, case.align_corners, size=resized[1:-1])


@settings(max_examples=50)
@given(resize_cases(most_channels=5), st.booleans(), st.floats(1.0, 3.5))
def test_resizing_by_a_scale_is_pytorchs(case, recompute, scale):
    shape = (max(case.shape[0], 1), *case.shape[1:])
    resized = (shape[0], *(int(size * scale) for size in shape[1:-1]), shape[-1])
    if case.mode == "nearest" and not recompute:
        # some of PyTorch's layouts forget the scale where it gives as many pixels, or twice as many
        assume(all(out not in (size, 2 * size) for out, size in zip(resized[1:-1], shape[1:-1], strict=True)))
    x, dy = arrays(case.seed, shape, resized, dtype=np.float32)
    compare(x, dy, case.mode, case.align_corners, scale=scale, recompute_scale_factor=recompute)


def test_the_nearest_pixel_is_pytorchs_where_rounding_decides():
    """Where a place is a whole number, but not as a product in float32."""
    decided = 0
    for size, out in itertools.product(range(1, 70), range(1, 140)):
        o = np.arange(out)
        rounded = np.floor(o.astype(np.float32) * np.float32(size / out))
        if (rounded != o * size // out).any():
            x = np.arange(size, dtype=np.float32).reshape(1, size, 1)
            y = torch.nn.functional.interpolate(torch.from_numpy(x.reshape(1, 1, size)), size=out)
            np.testing.assert_array_equal(
                functional.resize_forward(x, out).numpy().ravel(), y.numpy().ravel()
            )
            decided += 1
    assert decided > 50

"""Padding against PyTorch's."""

import numpy as np
import pytest
from hypothesis import given, settings

from numbacnn import functional
from tests.strategies import arrays, dtypes, pad_cases

torch = pytest.importorskip("torch")


@settings(max_examples=40)
@given(pad_cases(most_channels=9), dtypes)
def test_padding_and_its_gradient_are_pytorchs(case, dtype):
    x, dy = arrays(case.seed, (max(case.shape[0], 1), *case.shape[1:]), (1, *case.padded[1:]), dtype=dtype)
    dy = np.repeat(dy, len(x), axis=0)
    ends = [end for pair in reversed(case.pads) for end in pair]  # the last axis first
    value = 1.5 if case.mode == "constant" else 0.0
    first = torch.from_numpy(np.moveaxis(x, -1, 1).copy()).requires_grad_()
    padded = torch.nn.functional.pad(first, ends, case.mode, value)
    padded.backward(torch.from_numpy(np.moveaxis(dy, -1, 1).copy()))
    y = functional.pad_forward(x, case.pads, mode=case.mode, value=value).numpy()
    np.testing.assert_array_equal(y, np.moveaxis(padded.detach().numpy(), 1, -1))
    dx = functional.pad_backward(dy, x.shape, case.pads, mode=case.mode).numpy()
    expected = np.moveaxis(first.grad.numpy(), 1, -1)
    np.testing.assert_allclose(dx, expected, rtol=0, atol=200 * np.finfo(dtype).eps)

"""Arrays of more than 2^31 elements are indexed right; of their memory only a few pages are touched."""

import numpy as np
import pytest

from numbacnn import functional
from tests.strategies import arrays

pytestmark = pytest.mark.slow

CHANNELS = 4
FAR = 2**29  # a pixel whose first channel is element 2^31
PLACES = [0, FAR // 2, FAR]


@pytest.fixture(autouse=True)
def guarded_memory():
    """Results lie in the pool as ever: none of them is large."""


@pytest.fixture
def signal():
    """A signal of zeros that reaches past element 2^31, on pages that no one has written."""
    try:
        return np.zeros((1, FAR + 2**13, CHANNELS), np.float32)
    except MemoryError:
        pytest.skip("this host does not promise 8.6 GB of memory")


def test_forward_and_weight_gradient_read_past_2_31_elements(signal):
    values, w, dy = arrays(0, (3, CHANNELS), (1, CHANNELS, 6), (1, 3, 6), dtype=np.float32)
    signal[0, PLACES] = values
    y = functional.conv_forward(signal, w, stride=FAR // 2)
    np.testing.assert_allclose(y.numpy()[0], values @ w[0], rtol=1e-5, atol=1e-5)
    dw = functional.conv_backward_weights(signal, dy, w.shape, stride=FAR // 2)
    np.testing.assert_allclose(dw.numpy()[0], values.T @ dy[0], rtol=1e-5, atol=1e-5)


def test_data_gradient_reads_past_2_31_elements(signal):
    """Nearly all outputs lie in the padding: those that do not are the last ones."""
    values, w = arrays(1, (5, CHANNELS), (1, 3, CHANNELS), dtype=np.float32)
    signal[0, FAR : FAR + 5] = values
    dx = functional.conv_backward_data(signal[:, : FAR + 5], w, (1, 5, 3), padding=((FAR, 0),))
    np.testing.assert_allclose(dx.numpy()[0], values @ w[0].T, rtol=1e-5, atol=1e-5)


def test_the_last_slices_of_a_volume_lie_past_2_31_elements(signal):
    volume = signal.reshape(1, 2**16 + 1, 2**7, 2**6, CHANNELS)
    values, w, dy = arrays(2, (2, CHANNELS), (2, 1, 1, 2, 6), (1, 2, 2, 2, 6), dtype=np.float32)
    volume[0, -2:, -1, -1] = values
    options = {"stride": (2**16 - 1, 127, 63), "groups": 2}
    y = functional.conv_forward(volume, w, **options).numpy()
    pairs, kernels = values.reshape(2, 2, 2), w.reshape(2, 2, 2, 3)  # tap, group, input; tap, input, group
    expected = np.einsum("tgi,tigo->go", pairs, kernels).ravel()
    np.testing.assert_allclose(y[0, 1, 1, 1], expected, rtol=1e-5, atol=1e-5)
    assert not y[0, 0].any()
    dw = functional.conv_backward_weights(volume, dy, w.shape, **options).numpy()
    expected = np.einsum("tgi,go->tigo", pairs, dy[0, 1, 1, 1].reshape(2, 3)).reshape(w.shape)
    np.testing.assert_allclose(dw, expected, rtol=1e-5, atol=1e-5)


def test_pooling_reads_past_2_31_elements(signal):
    signal[0, PLACES] = values = arrays(4, (3, CHANNELS), dtype=np.float32)[0]
    y = functional.max_pool_forward(signal[:, None], 1, stride=(1, FAR // 2)).numpy()
    np.testing.assert_array_equal(y[0, 0], values)

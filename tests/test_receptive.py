"""Receptive fields against walking back from an output, and of known networks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbacnn.dims import ConvDims, PoolDims
from numbacnn.errors import ShapeError
from numbacnn.receptive import ReceptiveField, receptive_field


@given(st.lists(st.tuples(*[st.integers(1, 4)] * 3, st.integers(0, 3)), max_size=5), st.integers(0, 5))
def test_receptive_field_by_walking_back_from_an_output(layers, o):
    low = high = o
    for k, stride, dilation, pad_lo in reversed(layers):
        low, high = low * stride - pad_lo, high * stride - pad_lo + (k - 1) * dilation
    field = receptive_field(layers)
    assert field.offset[0] + o * field.stride[0] == low
    assert field.size[0] == high - low + 1


def test_receptive_field_of_known_networks():
    vgg_block = [(3, 1, 1, 1), (3, 1, 1, 1), (2, 2, 1, 0)]
    assert receptive_field(vgg_block * 2) == ReceptiveField((16,), (4,), (-6,))
    conv = ConvDims.of((1, 224, 224, 3), (7, 7, 3, 64), 2, 3)
    pool = PoolDims.of(conv.output_shape, 3, 2, 1)
    assert receptive_field([conv, pool]) == ReceptiveField((11, 11), (4, 4), (-5, -5))
    assert receptive_field([conv, (3, (2, 1), 1, 1)]).stride == (4, 2)


def test_receptive_field_of_mixed_ranks_is_refused():
    with pytest.raises(ShapeError, match="one number of spatial axes"):
        receptive_field([ConvDims.of((1, 9, 1), (3, 1, 1)), ((3, 3), 1, 1, 1)])

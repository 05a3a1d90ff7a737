"""Connectionist temporal classification on a simulated GPU, against the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn import functional
from numbacnn.errors import DeviceError, DTypeError
from numbacnn.kernels import reference
from numbacnn.kernels.cuda import ctc, memory
from numbacnn.losses import CTC
from numbacnn.tensor import as_tensor
from tests.kernels.test_ctc import targets
from tests.strategies import seeds

from .arrays import put
from .both import ROUNDING, TYPES, both, double, normal, types

F32, F64 = TYPES[:2]
RELATIVE = {kind: max(1.01 * ROUNDING[kind], 2e-5 if kind != F64 else 2e-12) for kind in TYPES}


def on_device(values):
    return tuple(None if a is None else put(a) for a in values)


def computed(x, wanted, blank, by_length, zero, scale=0.75):
    """Loss and gradient of a simulated GPU."""
    (n, t, _), given_ = x.shape, on_device(wanted)
    there, kept = put(x), F64 if x.dtype == F64 else F32

    def run():
        loss, norm = memory.empty((n,), kept), memory.empty((n, t), F64)
        prefixes, dx = memory.empty((n, t, 2 * wanted[0].shape[1] + 1), F64), memory.empty(x.shape, x.dtype)
        ctc.ctc_forward(there, *given_, blank, by_length, zero, loss, norm, prefixes)
        ctc.ctc_backward(there, *given_, norm, prefixes, blank, by_length, scale, dx)
        return [loss.numpy(), dx.numpy()]

    return both(run)


def check(x, wanted, blank, by_length, zero):
    loss, dx = computed(x, wanted, blank, by_length, zero)
    (n, t, _), wide = x.shape, double(x)
    exact, slope, norm = np.empty(n), np.empty(x.shape), np.empty((n, t))
    prefixes = np.empty((n, t, 2 * wanted[0].shape[1] + 1))
    reference.ctc_forward(wide, *wanted, blank, by_length, zero, exact, norm, prefixes)
    reference.ctc_backward(wide, *wanted, norm, prefixes, blank, by_length, 0.75, slope)
    np.testing.assert_allclose(loss, exact, rtol=RELATIVE[loss.dtype], atol=RELATIVE[loss.dtype])
    np.testing.assert_allclose(
        double(dx), slope, rtol=RELATIVE[x.dtype], atol=RELATIVE[F64 if x.dtype == F64 else F32]
    )


@settings(max_examples=12)
@given(
    st.integers(1, 3), st.integers(0, 5), st.integers(1, 6), st.integers(0, 4), seeds, types, st.booleans(),
    st.booleans(), st.booleans(), st.booleans(),
)  # fmt: skip
def test_losses_and_slopes_are_the_references(n, t, k, s, seed, dtype, by_length, zero, counted, timed):
    labels, counts, times = targets(seed, n, t, k, s, seed % k, 2)
    wanted = labels, counts if counted else None, times if timed else None
    check(normal(seed, (n, t, k), dtype), wanted, seed % k, by_length, zero)


def test_a_thread_takes_several_states_and_a_block_many_classes():
    labels = np.random.default_rng(1).integers(1, 4, (1, 140))
    check(normal(1, (1, 3, 4), F32), (labels, None, None), 0, False, False)  # more states than threads
    check(normal(2, (1, 4, 1100), F32), (np.array([[5, 5]]), None, None), 0, True, False)


def test_what_is_out_of_range_there_reads_nothing_else():
    x = normal(3, (3, 4, 3), F32)
    wanted = np.array([[1, 7], [2, -3], [1, 2]]), np.array([2, 2, 9]), np.array([4, 4, 9])
    loss, dx = computed(x, wanted, 0, False, False)
    assert (loss[:2] == np.inf).all() and not dx[:2].any()
    expected, slopes = computed(x[2:], (wanted[0][2:], None, None), 0, False, False)
    assert loss[2] == expected[0]
    np.testing.assert_array_equal(dx[2:], slopes)


def test_nan_stays_with_its_example():
    x = normal(4, (2, 4, 3), F32)
    x[0, 1, 2] = np.nan
    loss, dx = computed(x, (np.array([[1, 2], [1, 1]]), None, None), 0, False, False)
    assert np.isnan(loss[0]) and np.isnan(dx[0]).any()
    assert np.isfinite(loss[1]) and np.isfinite(dx[1]).all()


@pytest.mark.parametrize("target", [2, 3])
def test_operations_and_the_loss_give_what_they_give_on_the_cpu(target):
    x, labels = normal(5, (2, 5, 4), F32), np.array([[1, 1], [3, 2]])
    lengths = (np.array([2, 1]), np.array([5, 3]))[: target - 1]
    value, dx = CTC().value_and_gradient(x, (labels, *lengths))
    there = tuple(as_tensor(a, device="cuda") for a in (labels, *lengths))
    got, slope = CTC().value_and_gradient(as_tensor(x, device="cuda"), there)
    assert got.item() == pytest.approx(value, rel=1e-5)
    assert slope.device == "cuda"
    np.testing.assert_allclose(slope.numpy(), dx.numpy(), rtol=2e-5, atol=2e-6)
    outputs = functional.ctc_forward(as_tensor(x, device="cuda"), *there)
    assert [a.dtype.name for a in outputs] == ["float32", "float64", "float64"]
    with pytest.raises(DeviceError, match="labels on 'cuda'"):
        CTC()(as_tensor(x, device="cuda"), labels)
    with pytest.raises(DTypeError, match="labels of int64 on a GPU"):
        CTC()(as_tensor(x, device="cuda"), as_tensor(labels.astype(np.int32), device="cuda"))

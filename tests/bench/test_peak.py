import numpy as np
import pytest

from bench import peak


@pytest.mark.parametrize("lanes", peak.WIDTHS)
def test_the_loop_computes_every_chain(lanes):
    sums = np.arange(peak.CHAINS, dtype=np.float32)
    for _ in range(3):
        sums = sums * peak.HALF + peak.HALF
    assert peak._loop(lanes)(3, peak.HALF) == pytest.approx(sums.sum())


def test_a_peak_is_that_of_the_widest_vectors_or_more():
    one = peak.fma_peak(4, threads=1, seconds=0.01)
    assert np.isfinite(one)
    assert one > 0
    two = peak.machine_peak(threads=2, seconds=0.03)
    assert np.isfinite(two)
    assert two > 0

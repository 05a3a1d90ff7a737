import sys

import numpy as np
import pytest

from bench import memory, memory_child
from bench.train_step import CASES

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")


@LINUX
def test_resident_memory_follows_what_is_taken():
    before = memory_child.settle()
    taken = np.ones(30_000_000, np.uint8)
    assert memory_child.resident() - before > 25_000_000
    del taken
    assert memory_child.resident("VmHWM") - before > 25_000_000  # the peak stays
    assert memory_child.settle() - before < 20_000_000
    assert memory_child.resident("VmHWM") - before < 20_000_000  # and is set back


@LINUX
def test_a_process_says_what_a_step_takes():
    taken = memory.in_child(CASES[0], "ours", 1)
    assert taken["peak"] == taken["built"] + taken["step"]
    activations = 64 * 4 * (28 * 28 * 6 * 2 + 10 * 10 * 16 * 2)  # the larger ones, with their gradients
    assert activations / 2 < taken["step"] < 300e6


def test_a_failing_process_ends_the_bench():
    with pytest.raises(SystemExit, match="lenet5 nobody: the process ended with status"):
        memory.in_child(CASES[0], "nobody", 1)


def test_the_peers_leanest_form_counts_and_the_geomean_comes_last(monkeypatch, capsys):
    sizes = {"ours": (100, 30), "contiguous": (200, 80), "channels_last": (150, 60)}
    asked = []

    def in_child(case, side, threads):
        asked.append((side, threads))
        built, step = (1_000_000 * size for size in sizes[side])
        return {"built": built, "step": step, "peak": built + step}

    monkeypatch.setattr(memory, "in_child", in_child)
    monkeypatch.setattr(memory, "check", lambda case: 1e-12)
    monkeypatch.setattr(memory, "environment", lambda *packages: {})
    report = memory.run(CASES[:1], "torch", 2)
    (row,) = report["rows"]
    assert asked == [("ours", 2), ("ours", 2), ("contiguous", 2), ("channels_last", 2)]  # the first compiles
    assert (row["form"], row["ratio"], row["error"]) == ("channels_last", 0.5, 1e-12)
    assert row["peak_ratio"] == pytest.approx(130 / 210)
    assert capsys.readouterr().out.splitlines()[-1] == "geomean ratio: 0.500"

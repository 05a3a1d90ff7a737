import importlib.util
import json

import numpy as np
import pytest

from bench import norm

TINY = ((2, 6, 5, 4), (3, 7, 5))


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(norm, "NORMS", tuple((kind, TINY) for kind, _ in norm.NORMS))


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["none", "torch"])
def test_every_layer_is_right_and_timed(peer, few, capsys, tmp_path):
    if peer == "torch" and importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    path = tmp_path / "figures.json"
    norm.main(["--peer", peer, "--rounds", "1", "--turn", "0.001", "--json", str(path), "--threads", "1"])
    rows = json.loads(path.read_text())["rows"]
    assert len(rows) == len(TINY) * len(norm.NORMS)
    assert all(row["fraction"] > 0 and row.get("ratio", 1) > 0 for row in rows)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("geomean of the fractions: " if peer == "none" else "geomean ratio: ")


def test_a_wrong_result_is_not_timed(few, monkeypatch):
    monkeypatch.setattr(norm.functional, "batch_norm_statistics", lambda x, **rest: (x[0, 0, 0], x[0, 0, 0]))
    with pytest.raises(SystemExit, match=r"wrong result: batch_norm\+relu 2x6x5x4: ours"):
        norm.run(only="relu 2x6", rounds=1, turn_seconds=0.001, threads=1)


def test_nothing_lies_at_the_kink():
    problem = norm.Problem.of((4, 30, 30, 8))
    y, *_ = norm._batch_norm_truth(problem, None)
    assert np.abs(y).min() > norm.MARGIN / 2

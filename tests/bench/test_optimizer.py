import json

import numpy as np
import pytest

from bench import optimizer
from numbacnn.optimizers import Lion

QUICK = ["--small", "--threads", "1", "--rounds", "1", "--turn", "0.001"]


@pytest.mark.slow
def test_every_optimizer_is_right_and_timed(capsys, tmp_path):
    path = tmp_path / "figures.json"
    optimizer.main([*QUICK, "--peer", "none", "--json", str(path)])
    rows = json.loads(path.read_text())["rows"]
    assert [row["name"] for row in rows] == [case.name for case in optimizer.CASES]
    assert all(row["error"] <= 1e-5 and row["fraction"] > 0 for row in rows)
    assert capsys.readouterr().out.splitlines()[-1].startswith("geomean of the fractions: ")


def test_beside_the_peer_the_geomean_comes_last(capsys):
    pytest.importorskip("torch")
    optimizer.main([*QUICK, "--only", "A"])
    lines = capsys.readouterr().out.splitlines()
    assert any(
        line.startswith("Adam ") and ("fused" in line or "foreach" in line or "plain" in line)
        for line in lines
    )
    assert lines[-1].startswith("geomean ratio: ")


def test_a_wrong_step_is_not_timed(monkeypatch):
    monkeypatch.setattr(optimizer.reference, "optimizer_step", lambda *given: None)
    with pytest.raises(SystemExit, match="wrong result: Lion differs"):
        optimizer.run("Lion", small=True, rounds=1, turn_seconds=0.001)


def test_the_parameters_are_resnet50s():
    shapes = optimizer.resnet50()
    assert len(shapes) == 161 and sum(int(np.prod(s)) for s in shapes) == 25_557_032


def test_traffic_counts_what_is_updated_twice():
    traffic = {case.name: case.traffic() for case in optimizer.CASES}
    assert (traffic["SGD"], traffic["SGD momentum"], traffic["Adam"], traffic["LAMB"]) == (3, 5, 7, 10)
    assert isinstance(next(c for c in optimizer.CASES if c.name == "Lion").make(), Lion)

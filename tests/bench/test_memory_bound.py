import json

import numpy as np
import pytest

from bench import memory_bound
from numbacnn.kernels.cpu import elementwise


@pytest.mark.slow
def test_every_function_is_right_and_timed(capsys, tmp_path):
    path = tmp_path / "figures.json"
    memory_bound.main(["--megabytes", "0.1", "--rounds", "1", "--turn", "0.001", "--json", str(path)])
    rows = json.loads(path.read_text())["rows"]
    assert len(rows) == 82
    assert all(row["fraction"] > 0 for row in rows)
    assert capsys.readouterr().out.splitlines()[-1].startswith("geomean of the fractions: ")


def test_a_wrong_result_is_not_timed(monkeypatch):
    def relu_forward(x, y):
        np.copyto(y, x)

    monkeypatch.setattr(elementwise, "relu_forward", relu_forward)
    with pytest.raises(SystemExit, match="wrong result: relu_forward"):
        memory_bound.run(0.1, "relu_forward", rounds=1, turn_seconds=0.001)


def test_traffic_counts_what_is_updated_twice():
    cases = {case.name: case for case in memory_bound._cases(0.1)}
    size = cases["add"].args[0].nbytes
    assert cases["add"].traffic == 3 * size
    assert cases["optimizer_step sgd"].traffic == 5 * size

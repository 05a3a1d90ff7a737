import json

import numpy as np
import pytest

from bench import resample
from numbacnn.kernels.cpu import pad


def test_every_function_is_right_and_timed(capsys, tmp_path):
    path = tmp_path / "figures.json"
    resample.main(["--megabytes", "0.1", "--rounds", "1", "--turn", "0.001", "--json", str(path)])
    rows = json.loads(path.read_text())["rows"]
    assert len(rows) == 40
    assert all(row["fraction"] > 0 for row in rows)
    assert capsys.readouterr().out.splitlines()[-1].startswith("geomean of the fractions: ")


def test_a_wrong_result_is_not_timed(monkeypatch):
    def pad_forward(x, pads, mode, value, y):
        y.fill(1.0)

    monkeypatch.setattr(pad, "pad_forward", pad_forward)
    with pytest.raises(SystemExit, match="wrong result: pad_forward constant"):
        resample.run(0.1, "pad_forward", rounds=1, turn_seconds=0.001)


def test_traffic_counts_what_is_read_and_written():
    case = next(case for case in resample._cases(0.1) if case.name == "resize_forward nearest x2 c=64")
    x, *_, y = case.args
    assert case.traffic == x.nbytes + y.nbytes == np.prod(x.shape) * 4 * 5

import json

import numpy as np
import pytest

from bench import dense as bench_dense
from numbacnn.kernels.cpu import dense

TINY = [(30, 7), (9, 40)]
QUICK = {"rounds": 2, "turn_seconds": 0.001, "threads": 1}


def test_without_a_peer_it_times_ours(capsys):
    report = bench_dense.run(TINY, batches=(1, 33), **QUICK)
    bench_dense.summarise(report)
    assert [(r["layer"], r["batch"], r["pass"]) for r in report["rows"]] == [
        (layer, batch, pass_)
        for batch in (1, 33)
        for layer in ("30x7", "9x40")
        for pass_ in bench_dense.PASSES
    ]
    assert [r["of"] for r in report["rows"]] == ["memory"] * 6 + ["peak"] * 6
    assert all(r["fraction"] > 0 and r["error"] < 1e-5 for r in report["rows"])
    assert "ratio" not in capsys.readouterr().out


@pytest.mark.parametrize("peer", ["blas", "torch"])
def test_beside_a_peer_the_geomean_comes_last(capsys, tmp_path, peer):
    if peer == "torch":
        pytest.importorskip("torch")
    path = tmp_path / "figures.json"
    arguments = ["--peer", peer, "--only", "30x7", "--batch", "2", "--threads", "1", "--rounds", "2"]
    bench_dense.main([*arguments, "--turn", "0.001", "--json", str(path)])
    last = capsys.readouterr().out.splitlines()[-1]
    report = json.loads(path.read_text())
    assert float(last.removeprefix("geomean ratio: ")) == pytest.approx(report["geomean_ratio"], abs=1e-3)
    for row in report["rows"]:
        assert row["ratio"] == pytest.approx(row["peer"]["seconds"] / row["ours"]["seconds"])


@pytest.mark.parametrize("pass_", bench_dense.PASSES)
def test_a_wrong_result_is_not_timed(monkeypatch, pass_):
    name = {"forward": "dense_forward"}.get(pass_, f"dense_backward_{pass_}")
    right = getattr(dense, name)

    def wrong(*args):
        right(*args)
        args[-1].flat[0] += 1e-2 * np.abs(args[-1]).max()

    monkeypatch.setattr(dense, name, wrong)
    with pytest.raises(SystemExit, match=f"wrong result: 30x7 {pass_}: ours differs"):
        bench_dense.run(TINY[:1], passes=(pass_,), **QUICK)


def test_layers_are_named_by_their_sizes():
    assert bench_dense._layers(["784x128"]) == [(784, 128)]
    assert bench_dense._layers(None) == list(bench_dense.LAYERS)
    with pytest.raises(SystemExit, match="expected layers as 784x128, got 784"):
        bench_dense._layers(["784"])

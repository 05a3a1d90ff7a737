import json

import numpy as np
import pytest

from bench import conv as bench_conv
from bench.shapes import conv
from numbacnn import functional

TINY = [
    conv("plain", 3, 8, 5, 3, pad=1, count=2),
    conv("strided", 4, (9, 8), 6, 3, stride=2, dilation=(1, 2), pad=(1, 2), pad_hi=(0, 1), groups=2),
    conv("line", 4, 30, 8, 2, dilation=3, rank=1),
]
QUICK = {"rounds": 2, "turn_seconds": 0.001, "threads": 1}


def test_without_a_peer_it_times_ours(capsys):
    report = bench_conv.run(TINY, batches=(1, 3), **QUICK)
    bench_conv.summarise(report, bench_conv.PASSES)
    assert [(r["name"], r["batch"], r["pass"]) for r in report["rows"]] == [
        (c.name, batch, pass_) for batch in (1, 3) for c in TINY for pass_ in bench_conv.PASSES
    ]
    for row in report["rows"]:
        assert row["error"] < 1e-5
        assert row["ours"]["flops"] > 0
    out = capsys.readouterr().out
    assert "ratio" not in out
    assert set(report["means"]) == {"forward", "data", "weights", "all"}


def test_beside_the_peer_the_geomean_comes_last(capsys, tmp_path):
    pytest.importorskip("torch")
    path = tmp_path / "figures.json"
    arguments = ["--set", "dilated", "--only", "13", "--pass", "all", "--batch", "2", "--threads", "1"]
    bench_conv.main([*arguments, "--rounds", "2", "--turn", "0.001", "--json", str(path)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[-4:]] == [
        "forward geomean ratio",
        "data geomean ratio",
        "weights geomean ratio",
        "geomean ratio",
    ]
    report = json.loads(path.read_text())
    assert float(lines[-1].split(":")[1]) == pytest.approx(report["means"]["all"]["geomean_ratio"], abs=1e-3)
    for row in report["rows"]:
        assert row["ratio"] == pytest.approx(row["peer"]["seconds"] / row["ours"]["seconds"])
        assert row["format"] in ("contiguous", "channels_last")


def test_the_peer_computes_the_same_with_every_padding():
    pytest.importorskip("torch")
    report = bench_conv.run(TINY, peer="torch", **QUICK)
    assert len(report["rows"]) == 3 * len(TINY)


def test_a_pass_alone_prints_one_mean(capsys):
    bench_conv.main(
        [
            "--peer",
            "none",
            "--set",
            "dilated",
            "--only",
            "15",
            "--threads",
            "1",
            "--rounds",
            "1",
            "--turn",
            "0.001",
        ]
    )
    assert capsys.readouterr().out.splitlines()[-1].startswith("weighted by repeat counts:")


@pytest.mark.parametrize("pass_", bench_conv.PASSES)
def test_a_wrong_result_is_not_timed(monkeypatch, pass_):
    name = {"forward": "conv_forward"}.get(pass_, f"conv_backward_{pass_}")
    right = getattr(functional, name)

    def wrong(*args, **options):
        result = np.array(right(*args, **options))
        result.flat[result.size // 2] += 1e-2 * np.abs(result).max()
        return result

    monkeypatch.setattr(functional, name, wrong)
    with pytest.raises(bench_conv.WrongResultError, match=f"plain {pass_}: ours and float64 differ"):
        bench_conv.run(TINY[:1], passes=(pass_,), **QUICK)


def test_an_empty_choice_is_an_error():
    with pytest.raises(SystemExit, match="no shape of alexnet"):
        bench_conv.main(["--set", "alexnet", "--only", "nothing"])

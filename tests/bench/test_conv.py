import json

import numpy as np
import pytest

from bench import conv as bench_conv
from bench.conv_report import PASSES, markdown, summarise
from bench.shapes import SETS, conv
from numbacnn import functional
from numbacnn.errors import ShapeError

TINY = [
    conv("plain", 3, 8, 5, 3, pad=1, count=2),
    conv("strided", 4, (9, 8), 6, 3, stride=2, dilation=(1, 2), pad=(1, 2), pad_hi=(0, 1), groups=2),
    conv("line", 4, 30, 8, 2, dilation=3, rank=1),
]
QUICK = ["--threads", "1", "--rounds", "2", "--turn", "0.001"]


def run(sets, **settings):
    settings = bench_conv.Settings(rounds=2, turn_seconds=0.001, threads=1, **settings)
    report = bench_conv.begin(settings)
    bench_conv.measure_all(sets, settings, report)
    return report


def test_without_a_peer_it_times_ours(capsys):
    report = run({"tiny": TINY}, batches=(1, 3))
    summarise(report)
    assert [(r["set"], r["name"], r["batch"], r["pass"]) for r in report["rows"]] == [
        ("tiny", c.name, batch, pass_) for batch in (1, 3) for c in TINY for pass_ in PASSES
    ]
    for row in report["rows"]:
        assert row["error"] < 1e-5
        assert row["ours"]["flops"] > 0
        assert row["peak"] == report["peak"]
    out = capsys.readouterr().out
    assert "ratio" not in out
    assert set(report["means"]) == {"forward", "data", "weights", "all"}
    assert [(m["set"], m["batch"], m["pass"]) for m in report["sets"]] == [
        ("tiny", batch, pass_) for batch in (1, 3) for pass_ in PASSES
    ]
    assert "ratio" not in markdown(report)


def test_beside_the_peer_the_geomean_comes_last(capsys, tmp_path):
    pytest.importorskip("torch")
    path = tmp_path / "figures.json"
    arguments = ["--set", "dilated", "--only", "13", "--pass", "all", "--batch", "2", *QUICK]
    bench_conv.main([*arguments, "--json", str(path)])
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


@pytest.mark.parametrize("keep", [False, True])
def test_the_peer_computes_the_same_with_every_padding(keep):
    pytest.importorskip("torch")
    report = run({"tiny": TINY}, peer="torch", keep_weights=keep)
    assert len(report["rows"]) == 3 * len(TINY)


def test_pytorch_s_rearranged_kernel_gives_the_same():
    torch = pytest.importorskip("torch")
    if not torch.backends.mkldnn.is_available():
        pytest.skip("PyTorch without oneDNN")
    for c in TINY:
        problem = bench_conv.Problem.of(c, 2)
        peer = bench_conv.TorchConv(problem.dims, problem.x, problem.w, problem.dy, keep_weights=True)
        with torch.inference_mode():
            result = peer.result("forward", peer._prepacked())
        np.testing.assert_allclose(result, problem.truth("forward"), rtol=0, atol=1e-4)


def test_ncnn_computes_the_same_with_every_geometry():
    pytest.importorskip("ncnn")
    volume = conv("volume", 2, 4, 3, 2, rank=3)
    wide = conv("wide", 32, 14, 16, 3, pad=1)  # packed, by Winograd
    depthwise = conv("depthwise", 16, 9, 16, 3, stride=2, pad=1, groups=16)
    convs = [*TINY, wide, depthwise, volume]
    report = run({"tiny": convs}, peer="ncnn", passes=("forward",), keep_weights=True)
    assert [r["name"] for r in report["rows"]] == [c.name for c in convs if c is not volume]
    assert [r["name"] for r in report["unsupported"]] == ["volume"]


@pytest.mark.parametrize("more", [["--pass", "all"], ["--batch", "1", "16"]])
def test_ncnn_s_limits_are_one_line(more):
    pytest.importorskip("ncnn")
    with pytest.raises(SystemExit, match=r"^ncnn has the forward pass alone.*$"):
        bench_conv.main(["--peer", "ncnn", *more])


def test_without_ncnn_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"^the peer is ncnn.* pip install ncnn .*$"):
        bench_conv.main(["--peer", "ncnn"])


def test_a_pass_alone_prints_one_mean(capsys):
    bench_conv.main(["--peer", "none", "--set", "dilated", "--only", "15", *QUICK])
    assert capsys.readouterr().out.splitlines()[-1].startswith("weighted by repeat counts:")


@pytest.mark.parametrize("pass_", PASSES)
def test_a_wrong_result_is_not_timed(monkeypatch, pass_):
    name = {"forward": "conv_forward"}.get(pass_, f"conv_backward_{pass_}")
    right = getattr(functional, name)

    def wrong(*args, **options):
        result = np.array(right(*args, **options))
        result.flat[result.size // 2] += 1e-2 * np.abs(result).max()
        return result

    monkeypatch.setattr(functional, name, wrong)
    with pytest.raises(bench_conv.WrongResultError, match=f"plain {pass_}: ours and float64 differ"):
        run({"tiny": TINY[:1]}, passes=(pass_,))


def test_kept_weights_are_read_only(monkeypatch):
    writeable = []
    right = functional.conv_forward

    def recorded(x, w, **options):
        writeable.append(w.flags.writeable)
        return right(x, w, **options)

    monkeypatch.setattr(functional, "conv_forward", recorded)
    for keep in (False, True):
        run({"tiny": TINY[:1]}, keep_weights=keep)
        assert set(writeable) == {not keep}
        writeable.clear()


def test_what_raises_is_left_out(monkeypatch, capsys):
    right = functional.conv_forward

    def refuses(x, w, **options):
        if x.shape[-1] == 3:
            raise ShapeError("not today")
        return right(x, w, **options)

    monkeypatch.setattr(functional, "conv_forward", refuses)
    report = run({"tiny": TINY[:2]}, passes=("forward",))
    assert [r["name"] for r in report["rows"]] == ["strided"]
    summarise(report)
    out = capsys.readouterr().out
    assert "not supported, left out: 1 of 2" in out
    assert "tiny forward: plain: not today" in out


def test_an_empty_choice_is_an_error():
    with pytest.raises(SystemExit, match="no shape of alexnet"):
        bench_conv.main(["--set", "alexnet", "--only", "nothing"])
    with pytest.raises(SystemExit, match="no shape of vgg_19"):
        bench_conv.main(["--set", "vgg_19", "--stride", "2"])


def test_shapes_are_chosen_by_kernel_and_stride(monkeypatch):
    chosen = {}
    monkeypatch.setattr(bench_conv, "measure_all", lambda sets, *rest: chosen.update(sets))
    with pytest.raises(SystemExit, match="nothing was measured"):
        bench_conv.main(["--peer", "none", "--set", "all", "--kernel", "3", "5", "--stride", "1", *QUICK])
    assert len(chosen["resnet_50"]) == 4
    assert chosen["vgg_19"] == SETS["vgg_19"]
    assert {c.kernel for c in chosen["googlenet_v1"]} == {(3, 3), (5, 5)}
    assert "1d_wavenet" not in chosen


DILATED = ["--peer", "none", "--set", "dilated", *QUICK]


def interrupted(monkeypatch, after, error):
    """Let the measuring stop after some rows."""
    right, calls = bench_conv.measure, []

    def measure(*args):
        if len(calls) == after:
            raise error
        calls.append(args)
        return right(*args)

    monkeypatch.setattr(bench_conv, "measure", measure)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), bench_conv.WrongResultError("2 is not 3")])
def test_what_was_measured_outlives_an_interruption(monkeypatch, tmp_path, error):
    path, tables = tmp_path / "figures.json", tmp_path / "tables.md"
    with monkeypatch.context() as patch:
        interrupted(patch, 2, error)
        with pytest.raises(SystemExit) as raised:
            bench_conv.main([*DILATED, "--only", "1", "--json", str(path), "--markdown", str(tables)])
    assert str(raised.value) in ("interrupted", "wrong result: 2 is not 3")
    report = json.loads(path.read_text())
    assert [r["name"] for r in report["rows"]] == ["1", "10"]
    assert report["means"]["all"]["flops"] > 0
    assert sum(line.startswith("| 8x8 ") for line in tables.read_text().splitlines()) == 1

    bench_conv.main([*DILATED, "--only", "10", "--json", str(path), "--append"])
    bench_conv.main([*DILATED, "--only", "13", "--json", str(path), "--append"])
    after = json.loads(path.read_text())
    assert [r["name"] for r in after["rows"]] == ["1", "10", "13"]
    assert after["rows"][0] == report["rows"][0]
    assert after["rows"][1] != report["rows"][1]
    assert [m["set"] for m in after["sets"]] == ["dilated"]


def test_rows_of_other_settings_do_not_mix(tmp_path):
    path = tmp_path / "figures.json"
    bench_conv.main([*DILATED, "--only", "13", "--json", str(path)])
    before = path.read_text()
    with pytest.raises(SystemExit, match="measured with another keep_weights: False, now True"):
        bench_conv.main([*DILATED, "--only", "13", "--json", str(path), "--append", "--keep-weights"])
    assert path.read_text() == before

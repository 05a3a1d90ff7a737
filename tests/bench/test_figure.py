import json
import xml.etree.ElementTree as ElementTree

import pytest

from bench import figure
from bench.shapes import SETS


def report(peer, sets, *, keep_weights=False, pass_="forward"):
    """A made-up report: ours at 1.2 of the peak, the peer at 0.5."""
    rows = [
        {"set": s, "name": c.name, "shape": str(c), "count": c.count, "batch": 1, "pass": pass_, "peak": 2e11}
        | {"ours": {"flops": 2.4e11}, "peer": {"flops": 1e11}}
        for s in sets
        for c in SETS[s]
    ]
    return {"peer": peer, "threads": 2, "keep_weights": keep_weights, "rows": rows}


def test_files_meet_in_the_panels_they_share():
    torch, ncnn = report("torch", ["alexnet", "unet"]), report("ncnn", ["alexnet"], keep_weights=True)
    alexnet, unet = figure.panels([torch, ncnn], "forward")
    assert (alexnet.title, unet.title) == ("alexnet, batch 1", "unet, batch 1")
    assert set(alexnet.series) == {"numbacnn", "PyTorch", "numbacnn, kernels kept", "ncnn"}
    assert set(unet.series) == {"numbacnn", "PyTorch"}
    assert set(alexnet.series["numbacnn"].values()) == {1.2}
    assert set(alexnet.series["ncnn"].values()) == {0.5}
    assert len(alexnet.shapes) == len(SETS["alexnet"])
    assert figure.panels([torch], "data") == []


def test_columns_are_about_as_high():
    panels = figure.panels([report("torch", SETS)], "forward")
    columns = figure.columns(panels, 3)
    assert sorted(p.title for c in columns for p in c) == sorted(p.title for p in panels)
    heights = [sum(p.height for p in c) for c in columns]
    assert max(heights) < 1.35 * min(heights)
    assert len(figure.columns(panels[:1], 3)) == 1


def test_a_picture_of_all_sets_is_small(tmp_path):
    pytest.importorskip("matplotlib")
    paths = [tmp_path / "torch.json", tmp_path / "ncnn.json"]
    paths[0].write_text(json.dumps(report("torch", SETS)))
    paths[1].write_text(json.dumps(report("ncnn", ["vgg_19", "resnet_50"])))
    out = tmp_path / "conv_peak.svg"
    arguments = [*map(str, paths), "--out", str(out)]
    figure.main(arguments)
    drawn = out.read_bytes()
    assert len(drawn) < 300_000
    texts = {e.text for e in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")}
    assert {"numbacnn", "PyTorch", "ncnn", "peak", "fraction of the multiply-add peak", "1.0"} <= texts
    assert "224x224 3->64 k7 s2" in texts
    assert "Convolution, forward, float32, 2 threads; the peak: 200 GF/s" in texts
    figure.main(arguments)
    assert out.read_bytes() == drawn


def test_an_empty_choice_is_an_error(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(report("torch", ["alexnet"])))
    with pytest.raises(SystemExit, match="no row of the forward pass"):
        figure.main([str(path), "--out", str(tmp_path / "none.svg"), "--set", "vgg_19"])

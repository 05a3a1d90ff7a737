import json

from bench import tile


def test_every_tile_is_right_and_timed():
    report = tile.measure(seconds=0.005, rounds=1)
    assert [(t["tile"], t["from"]) for t in report["tiles"]] == [
        (name, cache) for name, cache, _ in tile.CASES
    ]
    for row in report["tiles"]:
        assert row["fraction"] > 0
        assert row["fraction"] == row["flops"] / report["peak"]


def test_both_families_report(capsys, tmp_path):
    path = tmp_path / "figures.json"
    tile.main(["--seconds", "0.005", "--rounds", "1", "--json", str(path)])
    families = json.loads(path.read_text())["families"]
    lanes = {name: family["lanes"] for name, family in families.items()}
    assert lanes["native"] in (4, 8, 16)
    assert lanes.get("avx2", 8) == 8
    assert capsys.readouterr().out.splitlines()[-1].startswith("lowest fraction of peak: ")

import json
import math

from bench.report import Table, geomean, milliseconds, write_json


def test_geomean():
    assert math.isclose(geomean([2.0, 8.0]), 4.0)
    assert math.isnan(geomean([]))


def test_milliseconds_keep_three_digits():
    assert [milliseconds(s) for s in (1.5, 0.0123456, 0.001, 5.6e-7)] == ["1500", "12.3", "1.00", "0.000560"]


def test_rows_line_up_under_their_titles(capsys):
    table = Table((("name", 6), ("ms", 5), ("note", 6)))
    table.row("a", 1.5, None)
    table.row("b", 10, "x")
    assert capsys.readouterr().out.splitlines() == [
        "name       ms    note",
        "a         1.5",
        "b          10       x",
    ]


def test_json_is_written_where_asked(tmp_path):
    write_json(None, {"a": 1})
    write_json(tmp_path / "figures.json", {"a": 1})
    assert json.loads((tmp_path / "figures.json").read_text()) == {"a": 1}

"""The pictures are drawn, in the format asked for, without touching the user's matplotlib."""

import subprocess
import sys

import numpy as np
import pytest

from numbacnn.errors import MissingExtraError, ShapeError
from numbacnn.plotting import plot_curves, plot_mistakes
from numbacnn.training import History

pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")

NAMES = tuple("abc")


def history(epochs=3, columns=("loss", "accuracy", "val_loss", "val_accuracy")):
    made = History()
    made.rows = [{"epoch": k + 1, **dict.fromkeys(columns, 1 / (k + 1))} for k in range(epochs)]
    return made


def probabilities(answers):
    """Each row sure of its answer, the later the surer."""
    rows = np.full((len(answers), 3), 0.1)
    rows[np.arange(len(answers)), answers] = 0.8 + 0.01 * np.arange(len(answers))
    return rows


@pytest.mark.parametrize("columns", [("loss",), ("loss", "accuracy"), ("loss", "val_loss", "accuracy")])
def test_curves_of_what_was_measured(tmp_path, columns):
    path = tmp_path / "curves.png"
    plot_curves(history(columns=columns), path)
    with Image.open(path) as image:
        width, height = image.size
        assert np.asarray(image.convert("L")).std() > 5
    assert (width > 2 * height) == ("accuracy" in columns)  # two panels, or one


def test_curves_of_nothing_are_empty_axes(tmp_path):
    plot_curves(History(), tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_the_suffix_chooses_the_format(tmp_path):
    plot_curves(history(), tmp_path / "curves.svg")
    text = (tmp_path / "curves.svg").read_text()
    assert "<svg" in text


@pytest.mark.parametrize("channels", [1, 3])
def test_mistakes_are_counted_and_drawn(tmp_path, channels):
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8, channels), dtype=np.uint8)
    labels, answers = np.arange(30) % 3, np.arange(30) % 3
    answers[[4, 11, 20]] = (labels[[4, 11, 20]] + 1) % 3
    few, many, none = (tmp_path / f"{name}.png" for name in ("few", "many", "none"))
    assert plot_mistakes(images, labels, probabilities(answers), NAMES, few) == 3
    assert plot_mistakes(images, labels, probabilities((labels + 1) % 3), NAMES, many, limit=20) == 30
    assert plot_mistakes(images, labels, probabilities(labels), NAMES, none) == 0
    heights = [Image.open(path).size[1] for path in (none, few, many)]
    assert heights[0] == heights[1] < heights[2]
    # the pictures are there: more dark pixels than in the empty grid
    grey = [np.asarray(Image.open(path).convert("L")) for path in (none, few)]
    assert (grey[1] < 128).sum() > (grey[0] < 128).sum() + 500


def test_the_surest_mistakes_come_first(tmp_path, monkeypatch):
    images = np.stack([np.full((4, 4, 1), k, np.uint8) for k in range(6)])
    shown = []
    axes = pytest.importorskip("matplotlib.axes").Axes
    monkeypatch.setattr(axes, "imshow", lambda self, image, **options: shown.append(int(image[0, 0])))
    plot_mistakes(
        images, np.zeros(6, int), probabilities([1, 0, 2, 1, 0, 1]), NAMES, tmp_path / "m.png", limit=3
    )
    assert shown == [5, 3, 2]


def test_arrays_that_do_not_belong_together_are_refused(tmp_path):
    images = np.zeros((4, 8, 8, 1), np.uint8)
    for labels, rows in ((np.zeros(3, int), 4), (np.zeros(4, int), 3)):
        with pytest.raises(ShapeError, match="plot_mistakes"):
            plot_mistakes(images, labels, probabilities([0] * rows), NAMES, tmp_path / "m.png")


def test_an_absent_matplotlib_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"numbacnn\[demo\]"):
        plot_curves(history(), tmp_path / "curves.png")


def test_pyplot_is_not_touched(tmp_path):
    script = f"""
import sys
from numbacnn.plotting import plot_curves
from numbacnn.training import History
assert "matplotlib" not in sys.modules
plot_curves(History(), {str(tmp_path / "c.png")!r})
assert "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr

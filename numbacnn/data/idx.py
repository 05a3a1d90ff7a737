"""IDX, the file format of MNIST: a magic number, big-endian extents, then the elements.

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database", section "The IDX file format".
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np

from ..errors import ArgumentError, DTypeError, FileFormatError, message
from .dataset import Dataset

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CODES = {np.dtype(name).newbyteorder("=").str: code for code, name in _DTYPES.items()}
_GZIP_MAGIC = b"\x1f\x8b"


def _refuse(path: Path, expected: str, got: str) -> FileFormatError:
    return FileFormatError(message(str(path), expected, got, "fetch the file again"))


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    if not data.startswith(_GZIP_MAGIC):  # the first bytes decide: downloads lose or keep ".gz" at random
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, OSError, zlib.error) as error:
        raise _refuse(path, "a whole gzip file", f"a corrupt one ({error})") from error


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Read one IDX file, gzipped or not.

    Args:
        path: the file.

    Returns:
        Its array, C-contiguous, in this machine's byte order.

    Raises:
        FileFormatError: another kind of file, or one that is truncated, too long or corrupt.
        OSError: the file cannot be opened.

    """
    path = Path(path)
    data = _content(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _DTYPES or data[3] == 0:
        raise _refuse(path, "an IDX file", f"one that begins with {data[:4].hex(' ') or 'nothing'}")
    dtype, rank = np.dtype(_DTYPES[data[2]]), data[3]
    start = 4 + 4 * rank
    if len(data) < start:
        raise _refuse(path, f"{rank} extents of 4 bytes each", f"a file of {len(data)} bytes")
    shape = tuple(int(extent) for extent in np.frombuffer(data, ">u4", rank, 4))
    expected = start + math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise _refuse(path, f"{expected} bytes for shape {shape} of {dtype.name}", f"{len(data)} bytes")
    return np.frombuffer(data, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def write_idx(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Write an array as an IDX file, gzipped where the name ends in ``.gz``.

    Args:
        path: the file to write.
        array: 1 to 255 axes of uint8, int8, int16, int32, float32 or float64.

    Raises:
        DTypeError: IDX has no code for the element type.
        ArgumentError: the array has no axis, or more than 255.

    """
    path, array = Path(path), np.asarray(array)
    code = _CODES.get(array.dtype.newbyteorder("=").str)
    if code is None:
        raise DTypeError(
            message("write_idx", "uint8, int8, int16, int32, float32 or float64", str(array.dtype), "cast it")
        )
    if not 1 <= array.ndim <= 255:
        raise ArgumentError(message("write_idx", "1 to 255 axes", str(array.ndim), "reshape the array"))
    header = bytes([0, 0, code, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    data = header + array.astype(_DTYPES[code]).tobytes()
    # A fixed time stamp: equal arrays give equal files
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def _find(root: Path, part: str, kind: str, rank: int) -> Path:
    """Find one of MNIST's four files under the names and folders that its mirrors use."""
    names = [f"{part}-{kind}{mark}idx{rank}-ubyte{end}" for mark in "-." for end in ("", ".gz")]
    for folder in (root, root / "raw", root / "MNIST" / "raw"):
        for name in names:
            if (folder / name).is_file():
                return folder / name
    expected = f"the file {names[0]} or {names[1]}"
    raise ArgumentError(message("load_mnist", expected, f"none in {root}", "put MNIST's four files there"))


def load_mnist(root: str | os.PathLike[str]) -> tuple[Dataset, Dataset]:
    """Read MNIST, or a data set in its form such as Fashion-MNIST, from its four IDX files.

    Args:
        root: the folder that holds ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``,
            ``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``, each gzipped (``.gz``) or not.

    Returns:
        The training and the test set: images (N, 28, 28, 1) uint8, labels (N,) int64 from 0 to 9.

    Raises:
        ArgumentError: a file is missing.
        FileFormatError: a file is corrupt, or holds another kind of array.
        TargetError: a label is not from 0 to 9.
        ShapeError: a set has not one label per image.

    """
    root = Path(root)
    # All four are looked for before the first is read: a missing one is told at once
    train, test = (
        (_find(root, part, "images", 3), _find(root, part, "labels", 1)) for part in ("train", "t10k")
    )
    return _load_part("MNIST train", *train), _load_part("MNIST test", *test)


def _load_part(name: str, images_path: Path, labels_path: Path) -> Dataset:
    images, labels = read_idx(images_path), read_idx(labels_path)
    for path, array, rank in ((images_path, images, 3), (labels_path, labels, 1)):
        if array.ndim != rank or array.dtype != np.uint8:
            got = f"{array.ndim} of {array.dtype}"
            raise _refuse(path, f"{rank} {'axis' if rank == 1 else 'axes'} of uint8", got)
    return Dataset(name, images[..., None], labels, tuple("0123456789"), content=20)

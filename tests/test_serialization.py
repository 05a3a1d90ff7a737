"""Saving and loading: equal bits, a format others can read, and files that are refused with nothing lost."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from numbacnn.errors import ArgumentError, FileFormatError
from numbacnn.layers import (
    AvgPool2D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    MaxPool2D,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
)
from numbacnn.models import lenet5
from numbacnn.regularizers import L1L2
from numbacnn.serialization import load, save
from tests.layers.check import values


def everything(dtype=np.float32, seed=0):
    """A model with every kind of layer, away from the defaults."""
    model = Sequential(
        [
            Conv2D(
                4,
                (3, 2),
                strides=(1, 2),
                padding=((1, 0), (0, 2)),
                dilation=(1, 2),
                groups=2,
                use_bias=False,
                kernel_initializer="lecun_uniform",
                kernel_regularizer=L1L2(0.1, 0.2),
            ),
            Tanh(),
            MaxPool2D((2, 1), strides=1, padding="same", dilation=(2, 1)),
            Sequential([Conv2D(3, 1, bias_initializer="normal"), ReLU(), Dropout(0.25)], name="block"),
            AvgPool2D(2, strides=1, padding=1, count_include_pad=True, name="mean"),
            Flatten(),
            Dense(5, kernel_initializer={"class": "Normal", "std": 0.1, "mean": 0.01}),
            Sigmoid(),
            Dense(4, use_bias=False),
            Softmax(),
        ],
        name="everything",
    )
    model.build((6, 7, 2), seed, dtype)
    return model


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_loaded_model_is_equal_bit_for_bit(path, dtype):
    model = everything(dtype)
    model["block"].trainable = False
    model.metadata = {"classes": ["zero", "eins", "двa"], "mean": 0.1307, "nested": {"a": [1, None, True]}}
    save(model, path)
    again = load(path)
    assert again.config() == model.config()
    assert again.input_shape == model.input_shape
    assert again.output_shape == model.output_shape
    assert again.dtype == dtype
    assert again.metadata == model.metadata
    for p, q in zip(model.parameters, again.parameters, strict=True):
        assert (p.name, p.dtype, p.trainable) == (q.name, q.dtype, q.trainable)
        assert (p.penalty and p.penalty.config()) == (q.penalty and q.penalty.config())
        np.testing.assert_array_equal(p.value.numpy(), q.value.numpy())
    x = values((3, 6, 7, 2)).astype(dtype)
    np.testing.assert_array_equal(model(x).numpy(), again(x).numpy())
    y, saved = again.forward(x, np.random.default_rng(0))  # it can be trained on
    again.backward(y, saved)
    assert again["dense_1"].kernel.grad is not None


def test_equal_models_give_equal_bytes_and_nothing_is_left_beside(path):
    save(everything(seed=3), path)
    first = path.read_bytes()
    save(load(path), path)
    assert path.read_bytes() == first
    assert [p.name for p in path.parent.iterdir()] == ["model.safetensors"]


def test_special_values_survive(path):
    model = Sequential([Dense(2)])
    model.build((3,))
    odd = np.array([[np.nan, np.inf], [-np.inf, -0.0], [1e-45, 3.4e38]], np.float32)
    model["dense_1"].kernel.value.numpy()[...] = odd
    save(model, str(path))
    assert load(str(path))["dense_1"].kernel.value.numpy().tobytes() == odd.tobytes()


def test_given_metadata_takes_the_place_of_the_models(path):
    model = everything()
    model.metadata = {"a": 1}
    save(model, path, metadata={"b": 2})
    assert load(path).metadata == {"b": 2}
    assert model.metadata == {"a": 1}


def test_others_can_read_the_file(path):
    safetensors = pytest.importorskip("safetensors.numpy")
    model = everything(np.float64)
    save(model, path)
    tensors = safetensors.load_file(path)
    assert set(tensors) == {p.name for p in model.parameters}
    for p in model.parameters:
        np.testing.assert_array_equal(tensors[p.name], p.value.numpy())


def rewritten(path, **changes):
    """Save the file anew by safetensors' own writer, its description changed: None removes an entry."""
    from safetensors import safe_open
    from safetensors.numpy import save_file

    with safe_open(path, "numpy") as file:
        description, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    tensors.update(changes.pop("tensors", {}))
    tensors = {name: value for name, value in tensors.items() if value is not None}
    description = {k: v for k, v in {**description, **changes}.items() if v is not None}
    save_file(tensors, path, description)


def test_a_file_by_another_writer_loads(path):
    model = everything()
    save(model, path)
    rewritten(path)
    np.testing.assert_array_equal(
        load(path)["dense_2"].kernel.value.numpy(), model["dense_2"].kernel.value.numpy()
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": None}, "a model saved by numbacnn"),
        ({"format": "other"}, "a model saved by numbacnn"),
        ({"format_version": "2"}, "expected format version 1, got version 2; .*upgrade"),
        ({"format_version": None}, "expected format version 1"),
        ({"architecture": None}, "architecture"),
        ({"architecture": "{"}, "architecture"),
        ({"architecture": "[]"}, "architecture"),
        ({"architecture": '{"class": "Unknown", "config": {}}'}, "architecture .*Unknown"),
        ({"architecture": '{"class": "Dense", "config": {"units": 3}}'}, "outermost layer is a Dense"),
        ({"architecture": '{"class": "Dense", "config": {"units": 3, "odd": 1}}'}, "architecture .*odd"),
        ({"metadata": None}, "architecture"),
        (
            {
                "architecture": json.dumps(
                    {
                        "class": "Sequential",
                        "config": {
                            "name": "huge",
                            "layers": [{"class": "Dense", "config": {"units": 10**15}}],
                        },
                        "input_shape": [3],
                        "dtype": "float32",
                        "frozen": [],
                    }
                )
            },
            "architecture that can be built",
        ),
        ({"tensors": {"dense_1.bias": None}}, "a difference in dense_1"),
        ({"tensors": {"stray": np.zeros(2, np.float32)}}, "a difference in stray"),
        (
            {"tensors": {"dense_1.bias": np.zeros(4, np.float32)}},
            r"dense_1\.bias as float32 \(5,\), got float32 \(4,\)",
        ),
        ({"tensors": {"dense_1.bias": np.zeros(5)}}, "got float64"),
    ],
)
def test_files_that_hold_something_else_are_refused(path, changes, said):
    save(everything(), path)
    rewritten(path, **changes)
    with pytest.raises(FileFormatError, match=said) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_every_truncation_is_refused(path):
    save(everything(), path)
    whole = path.read_bytes()
    for length in [0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 4, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(FileFormatError, match=r"a whole safetensors file.*truncated"):
            load(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(FileFormatError):
        load(path)


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04 a zip archive", b"\x89HDF\r\n\x1a\n" + b"\0" * 100, b"{}", b"\xff" * 64]
)
def test_foreign_files_are_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="whole safetensors file"):
        load(path)


def test_an_absent_file_and_a_folder_raise_pythons_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        load(tmp_path / "absent.safetensors")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("existing", [False, True])
def test_a_full_disk_loses_nothing(path, existing, monkeypatch):
    if existing:
        save(everything(seed=1), path)
    before = path.read_bytes() if existing else None
    monkeypatch.setattr(os, "fsync", full)
    kept = "the file that was there is as before" if existing else "nothing was written"
    with pytest.raises(OSError, match=rf"save .*No space left on device; free some space.*{kept}") as caught:
        save(everything(seed=2), path)
    assert caught.value.errno == errno.ENOSPC
    if existing:
        assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["model.safetensors"] * existing


LIMITED = """
import resource, sys
import numpy as np
from numbacnn import Dense, Sequential, load, save
small, large = Sequential([Dense(3)]), Sequential([Dense(500)])
small.build((2,))
large.build((500,))
save(small, sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    save(large, sys.argv[1])
except OSError as error:
    print(error)
print(load(sys.argv[1])["dense_1"].kernel.shape)
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of file sizes are POSIX")
def test_a_write_that_breaks_off_midway_loses_nothing(path):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    lines = done.stdout.splitlines()
    assert "File too large" in lines[0]
    assert "is as before" in lines[0]
    assert lines[1] == "(2, 3)"
    assert [p.name for p in path.parent.iterdir()] == ["model.safetensors"]


def test_an_interrupt_removes_the_new_file(path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    save(everything(seed=1), path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(everything(seed=2), path)
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1


def test_an_absent_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"save .*absent.*nothing was written"):
        save(everything(), tmp_path / "absent" / "model.safetensors")


def test_links_are_followed_and_rights_are_the_users(path, tmp_path):
    link = tmp_path / "latest"
    link.symlink_to(path)
    save(everything(), link)
    assert link.is_symlink()
    assert load(path).name == "everything"
    plain = tmp_path / "plain"
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode


def test_only_built_models_and_json_are_saved(path):
    with pytest.raises(ArgumentError, match="save: expected a built container, got Sequential, not built"):
        save(lenet5(), path)
    layer = Dense(3)
    layer.build((2,), None)
    with pytest.raises(ArgumentError, match="got Dense, built"):
        save(layer, path)
    with pytest.raises(ArgumentError, match=r"JSON.*tolist"):
        save(everything(), path, metadata={"mean": np.float32(1)})
    assert not path.exists()


def test_the_header_states_the_format(path):
    save(everything(), path, metadata={"classes": ["a"]})
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    description = header["__metadata__"]
    assert (description["format"], description["format_version"]) == ("numbacnn", "1")
    assert json.loads(description["metadata"]) == {"classes": ["a"]}
    assert json.loads(description["architecture"])["input_shape"] == [6, 7, 2]
    assert length % 8 == 0

"""Whole models in one safetensors file, without pickle: architecture in its header, weights as its tensors.

The file is a plain safetensors file (https://huggingface.co/docs/safetensors), which other tools can read: a
little-endian uint64 with the length of the header, the header in JSON, and the tensors end to end. The
header's ``__metadata__`` holds ``format`` ("numbacnn"), ``format_version``, ``architecture`` and
``metadata``, the last two as JSON.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from numbacnn.errors import ArgumentError, FileFormatError, NumbaCNNError, message
from numbacnn.layers.base import Layer
from numbacnn.layers.containers import Container, from_config, to_config

FORMAT = "numbacnn"
FORMAT_VERSION = "1"
_CODES = {np.dtype(np.float32): "F32", np.dtype(np.float64): "F64"}


def save(model: Layer, path: str | os.PathLike[str], metadata: Mapping[str, Any] | None = None) -> None:
    """Write a model, architecture and weights, into one file.

    The file is written beside the path, forced to disk and renamed, so that the path holds the earlier file
    or the whole new one at any time. Equal models give equal bytes. The optimizer's state is not part of it.

    Args:
        model: a built container: a Sequential, a Graph, or one of those made of them.
        path: of the file, such as ``"model.safetensors"``; replaced if it exists. A symbolic link is
            followed.
        metadata: kept with the model, in types that JSON knows, such as the names of the classes; None for
            ``model.metadata``.

    Raises:
        ArgumentError: the model is no built container, or JSON does not know a type of the metadata.
        OSError: the file cannot be written, for want of space or rights; an earlier file stays as it was.

    """
    if not isinstance(model, Container) or not model.built:
        got = f"{type(model).__name__}, {'built' if getattr(model, 'built', False) else 'not built'}"
        raise ArgumentError(
            message("save", "a built container", got, "wrap it in a Sequential and call build")
        )
    arrays = {p.name: p.value.numpy() for p in model.parameters}
    description = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "architecture": _json(_architecture(model)),
        "metadata": _json(dict(model.metadata if metadata is None else metadata)),
    }
    header: dict[str, Any] = {"__metadata__": description}
    end = 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        header[name] = {"dtype": _CODES[array.dtype], "shape": array.shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # keeps the tensors aligned, as the format asks
    little = (a.astype(a.dtype.newbyteorder("<"), copy=False).data for a in arrays.values())
    _replace(Path(path), (len(text).to_bytes(8, "little"), text, *little))


def load(path: str | os.PathLike[str]) -> Container:
    """Read a model that `save` wrote.

    Args:
        path: of the file.

    Returns:
        The built model with its weights; what was kept with it is in ``model.metadata``.

    Raises:
        FileFormatError: the file is truncated, is no model of numbacnn, is of another version, or does not
            hold what its architecture asks for.
        OSError: the file cannot be read.

    """
    from safetensors import SafetensorError, safe_open  # kept from the start of programs that load nothing

    path = Path(path)
    with path.open("rb"):
        pass  # an absent or unreadable file raises Python's own error, which names it
    try:
        with safe_open(path, framework="numpy") as file:
            model, frozen = _model(path, file.metadata() or {})
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        _refuse(
            path,
            "a whole safetensors file",
            str(error),
            "it is truncated or no model; save or fetch it again",
            error,
        )
    parameters = {p.name: p for p in model.parameters}
    if set(arrays) != set(parameters):
        odd = ", ".join(sorted(set(arrays) ^ set(parameters)))
        _refuse(
            path,
            f"the {len(parameters)} tensors of the architecture",
            f"a difference in {odd}",
            "save it again",
        )
    for name, p in parameters.items():
        if arrays[name].shape != p.shape or arrays[name].dtype != p.dtype:
            got = f"{arrays[name].dtype} {arrays[name].shape}"
            _refuse(path, f"{name} as {p.dtype} {p.shape}", got, "save it again")
        np.copyto(p.value.numpy(), arrays[name])
        p.frozen = name in frozen
    return model


def _architecture(model: Container) -> dict[str, Any]:
    return {
        **to_config(model),
        "input_shape": model.input_shape,
        "dtype": str(model.dtype),
        "frozen": [p.name for p in model.parameters if p.frozen],
    }


def _model(path: Path, description: Mapping[str, str]) -> tuple[Container, set[str]]:
    """The model that the header describes, built, with zeros for weights; and the names that are frozen."""
    if description.get("format") != FORMAT:
        got = "a safetensors file without its description"
        _refuse(path, "a model saved by numbacnn", got, "make the model in Python and use set_weights")
    version = description.get("format_version")
    if version != FORMAT_VERSION:
        remedy = "read it with the release of numbacnn that wrote it, or upgrade"
        _refuse(path, f"format version {FORMAT_VERSION}", f"version {version}", remedy)
    try:
        architecture = json.loads(description["architecture"])
        model = from_config(architecture)
        if not isinstance(model, Container):
            raise TypeError(f"the outermost layer is a {type(model).__name__}")
        model.build(architecture["input_shape"], None, architecture["dtype"])
        model.metadata = json.loads(description["metadata"])
        return model, set(architecture["frozen"])
    except (NumbaCNNError, LookupError, TypeError, ValueError, AttributeError, MemoryError) as error:
        got = f"{type(error).__name__}: {error}"
        _refuse(
            path,
            "an architecture that can be built",
            got,
            "import the modules of its layers, or save it again",
            error,
        )


def _refuse(path: Path, expected: str, got: str, remedy: str, cause: Exception | None = None) -> NoReturn:
    raise FileFormatError(message(f"load {path}", expected, got, remedy)) from cause


def _json(value: Any) -> str:
    try:
        return json.dumps(value, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        remedy = "convert arrays by .tolist() and numbers by float()"
        raise ArgumentError(message("save", "values that JSON knows", str(error), remedy)) from error


def _replace(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write the chunks into a new file beside the path, force it to disk, and rename it to the path."""
    target = Path(os.path.realpath(path))
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with beside.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
        _sync_folder(target.parent)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink()
        if not isinstance(error, OSError):
            raise
        kept = "the file that was there is as before" if target.exists() else "nothing was written"
        remedy = f"free some space or choose another folder; {kept}"
        text = message(f"save {path}", "a folder that takes the file", error.strerror or str(error), remedy)
        raise type(error)(error.errno, text) from error


def _sync_folder(folder: Path) -> None:
    """Force the rename to disk, where the system can: a crash later must not bring the old name back."""
    if os.name != "posix":
        return
    with suppress(OSError):  # the file itself is whole; some file systems refuse to sync folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

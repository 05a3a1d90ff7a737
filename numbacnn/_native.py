"""Compiled kernels as object files: kept on disk, loaded and called without Numba.

An entry point has the C signature ``int64_t entry(const int64_t *words)``.  The words are the arguments of a
call, tuples flattened: an integer, the bits of a float64, or the address of an array's ``PyArrayObject``,
from which the machine code reads where the data lie and the shape.  What a kernel returns it writes where the
last word points.  The entry returns 0, or the number, from 1, of an array that is not C-contiguous.

The file of an entry point is named after the kernel, its arguments' types and the CPU it was compiled for, so
that machines may share a folder, and starts with a digest, so that what was cut short is compiled anew.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite.binding as llvm
import numpy as np

from .errors import ArgumentError

_PROTOTYPE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_char_p)  # ctypes lets go of the GIL during a call
_MAGIC = b"numbacnn object 1\n"
_DIGEST = 32
#: Where the fields of a PyArrayObject lie, part of NumPy's ABI: behind the header of every Python object.
HEADER = object.__basicsize__
DATA, DIMENSIONS, FLAGS = HEADER, HEADER + 16, HEADER + 48
C_CONTIGUOUS = 1

loading = threading.RLock()  # held while a kernel is compiled or loaded


def _after_fork() -> None:
    global loading
    loading = threading.RLock()  # the thread that held it is not in the child


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Literal(int):
    """An integer that machine code is compiled for: another kernel for each value, and no word of a call."""


class Entry(NamedTuple):
    """A loaded entry point: how to call it, and how to pack the words of a call."""

    function: Callable[[bytes], int]
    pack: Callable[..., bytes]
    result: Any  # the ctypes type of what it returns, or None

    def run(self, words: list) -> Any:
        """Call it with the words of ``flatten``; return what the kernel returns."""
        if self.result is None:
            status, value = self.function(self.pack(*words)), None
        else:
            room = self.result()
            status, value = self.function(self.pack(*words, ctypes.addressof(room))), room.value
        if status:
            raise ArgumentError(f"kernel: array {status} of the arguments is not C-contiguous")
        return value


class Flat:
    """Arguments flattened once, for those that go with many calls, as a plan's tables do."""

    def __init__(self, values: tuple) -> None:
        self.values = values  # kept: the words are their addresses
        self.words: list = []
        flatten(values, [], self.words)
        self.words = [w.item() if isinstance(w, np.generic) else w for w in self.words]  # packed sooner
        self.key = sys.intern(signature(values))  # one string, whose hash is kept


def flatten(values: tuple, key: list, words: list) -> None:
    """Append what tells the types of ``values`` to ``key``, and their words to ``words``."""
    for value in values:
        kind = type(value)
        if kind is np.ndarray:
            key.append(value.dtype)
            key.append(value.ndim)
            words.append(id(value))
        elif kind is Flat:
            key.append(value.key)
            words += value.words
        elif kind is tuple:
            key.append(len(value))
            key.append(kind)
            flatten(value, key, words)
        elif isinstance(value, np.ndarray):  # a memory map, say: the same fields
            key.append(value.dtype)
            key.append(value.ndim)
            words.append(id(value))
        elif kind is Literal:
            key.append(kind)
            key.append(value)
        else:
            key.append(kind)
            words.append(value)


def expand(values: tuple) -> tuple:
    """Return the arguments with those of a ``Flat`` in its place."""
    return tuple(v for value in values for v in (value.values if isinstance(value, Flat) else (value,)))


def _code(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype.char}{value.ndim}"
    if isinstance(value, tuple):
        return f"({signature(value)})"
    if isinstance(value, Literal):
        return f"={value}"
    return np.dtype(type(value)).char


def signature(values: tuple) -> str:
    """Spell the types of a kernel's arguments.

    "f1" is a float32 array of one axis, "d" a float64, "=4" the literal 4.
    """
    return "".join(map(_code, values))


def _format(values: tuple) -> str:
    parts = []
    for value in values:
        if isinstance(value, tuple):
            parts.append(_format(value))
        elif isinstance(value, np.ndarray):
            parts.append("q")
        elif not isinstance(value, Literal):
            parts.append({"b": "?7x", "i": "q", "u": "Q", "f": "d"}[np.dtype(type(value)).kind])
    return "".join(parts)


@functools.cache
def target() -> tuple[str, str, str]:
    """Return the CPU compiled for and its features, and settings of Numba that change the code."""
    name, features = os.environ.get("NUMBA_CPU_NAME"), os.environ.get("NUMBA_CPU_FEATURES")
    try:
        host = llvm.get_host_cpu_features().flatten()
    except RuntimeError:
        host = ""
    settings = [f"{k}={v}" for k, v in sorted(os.environ.items()) if k in ("NUMBA_OPT", "NUMBA_ENABLE_AVX")]
    return name or llvm.get_host_cpu_name(), host if features is None else features, " ".join(settings)


@functools.cache
def _engine() -> Any:
    """Return the loader of object files: an LLVM engine that compiles nothing itself."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine()
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)


def symbol(kernel: str, codes: str, stamp: str) -> str:
    """Name the entry point of a kernel for arguments of these types, compiled for this CPU."""
    h = hashlib.sha256(repr((kernel, codes, stamp, target())).encode())
    return f"{kernel.replace('<locals>', 'locals')}-{h.hexdigest()[:16]}"


def load(code: bytes, name: str, values: tuple) -> Entry:
    """Load an object file; ``values`` are arguments of the types that it was compiled for."""
    result, code = {b"d": ctypes.c_double, b"q": ctypes.c_int64, b"-": None}[code[:1]], code[1:]
    engine = _engine()
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    function = _PROTOTYPE(engine.get_function_address(name))
    words = struct.Struct("=" + _format(values) + ("" if result is None else "q"))
    return Entry(function, words.pack, result)


def read(folder: Path, name: str) -> bytes | None:
    """Return what ``write`` kept, or None where there is nothing whole."""
    try:
        kept = (folder / f"{name}.o").read_bytes()
    except OSError:
        return None
    digest, code = kept[len(_MAGIC) :][:_DIGEST], kept[len(_MAGIC) + _DIGEST :]
    whole = kept.startswith(_MAGIC) and hashlib.sha256(name.encode() + code).digest() == digest
    return code if whole else None


def write(folder: Path, name: str, code: bytes) -> None:
    """Keep an object file; readers see it whole or not at all.  A full or lost folder is no error."""
    digest = hashlib.sha256(name.encode() + code).digest()
    beside = folder / f".{name}.{os.getpid()}.{threading.get_ident()}"
    try:
        beside.write_bytes(_MAGIC + digest + code)
        beside.replace(folder / f"{name}.o")
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()

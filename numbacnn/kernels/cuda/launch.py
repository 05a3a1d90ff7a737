"""Kernels as Python calls them: specialised for their constants and types, kept on disk, run on a stream.

``@kernel`` marks an entry point, ``@device`` a function that kernels call.  The same source runs on a GPU
and, with ``NUMBA_ENABLE_CUDASIM=1``, in the simulator.
"""

from __future__ import annotations

import builtins
import ctypes
import functools
import hashlib
import threading
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ... import _jit, _native
from . import _driver, simulator, simulator_mma
from .intrinsics import Word
from .unroll import unrolled

Constants = Mapping[str, Any]
Count = int | Callable[[Constants], int]

_lock = threading.RLock()
_SIMULATED = types.SimpleNamespace(**{**vars(simulator_mma), **vars(simulator)})
_MEETING = simulator.MEETING | simulator_mma.MEETING
_SCALARS: dict[str, tuple[str, Any]] = {
    "i32": ("int32", ctypes.c_int32), "i64": ("int64", ctypes.c_int64),
    "u32": ("uint32", ctypes.c_uint32), "u64": ("uint64", ctypes.c_uint64),
    "f32": ("float32", ctypes.c_float), "f64": ("float64", ctypes.c_double),
}  # fmt: skip


def ceil_div(a: int, b: int) -> int:
    """``a / b`` rounded up."""
    return -(-a // b)


class Device:
    """A function that kernels call; it sees their constants."""

    def __init__(self, function: Callable) -> None:
        functools.update_wrapper(self, function)
        self.function = function

    def __call__(self, *arguments: Any) -> Any:
        """Refuse: outside of kernels its words mean nothing."""
        raise TypeError(f"{self.function.__name__}() is called by kernels only")


def device(function: Callable) -> Any:
    """Mark a function that kernels call: put into them, never called from Python."""
    return Device(function)


def _names(function: Callable) -> set[str]:
    """The global names that a function's code uses, inner code included."""
    found: set[str] = set()
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        found.update(code.co_names)
        codes.extend(c for c in code.co_consts if hasattr(c, "co_names"))
    return found


def _used(function: Callable) -> Iterator[tuple[str, Any]]:
    """The global names that a function uses, and what they stand for: None where nothing does yet."""
    for name in sorted(_names(function)):
        if name in function.__globals__:
            yield name, function.__globals__[name]
        elif not hasattr(builtins, name):
            yield name, None


@functools.cache
def wanted(function: Callable) -> frozenset[str]:
    """The constants that a function and those that it calls are specialised by."""
    found: set[str] = set()
    for name, value in _used(function):
        if isinstance(value, Device):
            found |= wanted(value.function)
        elif value is None and name.isupper():
            found.add(name)
    return frozenset(found)


@functools.cache
def meets(function: Callable) -> bool:
    """Whether threads that run the function meet."""
    return any(
        (isinstance(value, Device) and meets(value.function))
        or (isinstance(value, Word) and value.name in _MEETING)
        for _, value in _used(function)
    )


def _specialise(
    function: Callable, constants: Constants, words: Any, real: str, mark: Callable[[Callable], Any]
) -> Callable:
    """The function with its constants put in and its words meaning what they mean here."""
    namespace = dict(function.__globals__)
    for name, value in _used(function):
        if isinstance(value, Word):
            namespace[name] = getattr(words, real if value.name == "real" else value.name)
        elif isinstance(value, Device):
            namespace[name] = mark(_specialise(value.function, constants, words, real, mark))
    own = {name: constants[name] for name in wanted(function)}
    plain = {k: v for k, v in function.__globals__.items() if isinstance(v, (int, float)) and k.isupper()}
    return unrolled(function, {**plain, **own}, namespace)


def _unowned(array: np.ndarray) -> np.ndarray:
    """The same memory, which this keeps from no one."""
    if not array.size:
        return np.empty(0, array.dtype)
    memory: Any = (ctypes.c_char * array.nbytes).from_address(array.ctypes.data)
    return np.frombuffer(memory, np.uint8).view(array.dtype)


class Parameter(NamedTuple):
    """One of a kernel's parameters, as its signature states it."""

    name: str
    kind: str  # "" for an array, else the type of a number


def _parameters(signature: str) -> tuple[Parameter, ...]:
    found = []
    for word in signature.split():
        name, _, kind = word.partition(":")
        assert kind in ("", "real", *_SCALARS), f"{word}: no type of a kernel's parameter"
        found.append(Parameter(name, kind))
    return tuple(found)


class Variant:
    """A kernel with its constants: call it with a grid and the arguments."""

    def __init__(self, kernel: Kernel, constants: Constants) -> None:
        missing = sorted(kernel.constants - set(constants))
        unknown = sorted(set(constants) - kernel.constants)
        if missing or unknown:
            raise TypeError(f"{kernel.__name__}: constants missing {missing}, unknown {unknown}")
        self.kernel, self.constants = kernel, dict(constants)
        self.threads, self.shared, self.blocks = (
            count(self.constants) if callable(count) else count
            for count in (kernel.threads, kernel.shared, kernel.blocks)
        )
        self._simulated: dict[str, Callable] = {}
        self._loaded: dict[tuple, Any] = {}

    def __call__(self, grid: int | tuple[int, ...], *arguments: Any) -> None:
        """Run on the current stream.

        Args:
            grid: blocks along x, or along x, y and z; nothing runs where some number is 0.
            arguments: device arrays, None for an array that the constants say is absent, and numbers.

        """
        x, y, z = (grid, 1, 1) if isinstance(grid, int) else (*grid, 1, 1)[:3]
        blocks = x, y, z
        assert len(arguments) == len(self.kernel.parameters), (
            f"{self.kernel.__name__}: wrong number of arguments"
        )
        if 0 in blocks:
            return
        if _driver.simulated():
            self._simulate(blocks, arguments)
        else:
            self._run(blocks, arguments)

    def real(self, arguments: tuple) -> str:
        """What the kernel computes in: told by its first array."""
        for argument, parameter in zip(arguments, self.kernel.parameters, strict=True):
            if not parameter.kind and argument is not None:
                return "f64" if argument.dtype == np.float64 else "f32"
        return "f32"

    def _simulate(self, grid: tuple[int, int, int], arguments: tuple) -> None:
        stream = _driver.current_stream()
        given = [
            a if p.kind or a is None else a.host
            for a, p in zip(arguments, self.kernel.parameters, strict=True)
        ]
        if stream.capture is not None:  # a graph owns the memory, not each of its launches
            given = [_unowned(a) if isinstance(a, np.ndarray) else a for a in given]
        _driver.calls()._do(stream.handle, lambda: self.simulate(grid, *given))

    def simulate(self, grid: int | tuple[int, ...], *arguments: Any) -> None:
        """Run in the simulator, here and now, whatever device there is; the arrays are flat ones of NumPy."""
        x, y, z = (grid, 1, 1) if isinstance(grid, int) else (*grid, 1, 1)[:3]
        real, values = self.real(arguments), []
        for argument, parameter in zip(arguments, self.kernel.parameters, strict=True):
            kind = real if parameter.kind == "real" else parameter.kind
            values.append(simulator.TYPES[kind](argument) if kind else argument)
        with _lock:
            if real not in self._simulated:
                self._simulated[real] = self.specialised(_SIMULATED, real, lambda function: function)
            function = self._simulated[real]
            simulator.run(function, self.kernel.meets, (x, y, z), self.threads, self.shared, values)

    def specialised(self, words: Any, real: str, mark: Callable[[Callable], Any]) -> Callable:
        """The kernel's function for these constants and this computing type."""
        return _specialise(self.kernel.function, self.constants, words, real, mark)

    def kinds(self, dtypes: tuple[str, ...], real: str) -> list[tuple[str, bool]]:
        """Of each parameter the type, given the element types of the arrays in order."""
        left, found = iter(dtypes), []
        for parameter in self.kernel.parameters:
            kind = real if parameter.kind == "real" else parameter.kind
            found.append((_SCALARS[kind][0], False) if kind else (next(left), True))
        return found

    def compiled(
        self, dtypes: tuple[str, ...], real: str, capability: tuple[int, int]
    ) -> tuple[bytes, str, str, str]:
        """Compile for arrays of these element types: cubin, entry's name, PTX and the assembler's report."""
        from . import _toolkit

        with _lock:
            function = self.specialised(_toolkit.vocabulary(), real, _toolkit.device_function)
            kinds = self.kinds(dtypes, real)
            return _toolkit.compile_kernel(function, kinds, self.threads, self.blocks, capability)

    def _run(self, grid: tuple[int, int, int], arguments: tuple) -> None:
        real, dtypes, words = self.real(arguments), [], []
        for argument, parameter in zip(arguments, self.kernel.parameters, strict=True):
            if parameter.kind:
                kind = real if parameter.kind == "real" else parameter.kind
                words.append(_SCALARS[kind][1](argument))
            elif argument is None:
                dtypes.append("float32")
                words.append(ctypes.c_void_p(0))
            else:
                dtypes.append(argument.dtype.name)
                words.append(ctypes.c_void_p(argument.pointer))
        target = _driver.device()
        key = (target.index, real, *dtypes)
        function = self._loaded.get(key)
        if function is None:
            function = self._load(key, tuple(dtypes), real, target)
        _driver.launch(function, grid, self.threads, self.shared, words)

    def _load(self, key: tuple, dtypes: tuple[str, ...], real: str, target: Any) -> Any:
        with _lock:
            if key not in self._loaded:
                code = self._code(dtypes, real, target.capability)
                name, _, cubin = code.partition(b"\0")
                self._loaded[key] = _driver.load(cubin, name.decode(), self.shared)
            return self._loaded[key]

    def _code(self, dtypes: tuple[str, ...], real: str, capability: tuple[int, int]) -> bytes:
        """The entry's name and the cubin, from disk where they are kept."""
        from . import _toolkit

        folder: Path | None = _jit.cache_dir()
        stem = f"{self.kernel.__module__}.{self.kernel.__name__}"
        what = stem, sorted(self.constants.items()), dtypes, real, capability, _toolkit.versions()
        name = f"{stem}-{hashlib.sha256(repr(what).encode()).hexdigest()[:16]}"
        code = None if folder is None else _native.read(folder, name)
        if code is None:
            cubin, entry, _, _ = self.compiled(dtypes, real, capability)
            code = entry.encode() + b"\0" + cubin
            if folder is not None:
                _native.write(folder, name, code)
        return code


class Kernel:
    """An entry point; `of` gives it its constants."""

    __name__: str

    def __init__(
        self, function: Callable, signature: str, threads: Count, shared: Count, blocks: Count
    ) -> None:
        functools.update_wrapper(self, function)
        self.function, self.parameters = function, _parameters(signature)
        named = function.__code__.co_varnames[: function.__code__.co_argcount]
        assert named == tuple(p.name for p in self.parameters), (
            f"{function.__name__}: signature differs from it"
        )
        self.threads, self.shared, self.blocks = threads, shared, blocks
        self._variants: dict[tuple, Variant] = {}

    @functools.cached_property
    def constants(self) -> frozenset[str]:
        """The names of the constants that it is specialised by."""
        return wanted(self.function)

    @functools.cached_property
    def meets(self) -> bool:
        """Whether its threads meet."""
        return meets(self.function)

    def of(self, **constants: Any) -> Variant:
        """The kernel with values for its constants, which it names in capitals."""
        key = tuple(constants.items())
        variant = self._variants.get(key)
        if variant is None:
            variant = self._variants[key] = Variant(self, constants)
        return variant

    def __call__(self, grid: int | tuple[int, ...], *arguments: Any) -> None:
        """Run a kernel without constants; see `Variant.__call__`."""
        self.of()(grid, *arguments)


def kernel(
    signature: str, *, threads: Count = 256, shared: Count = 0, blocks: Count = 0
) -> Callable[[Callable], Kernel]:
    """Make a function a kernel.

    Args:
        signature: its parameters in order: a bare name is an array, typed by what is given; ``name:i32``,
            i64, u32, u64, f32, f64 or real is a number.
        threads: of a block, or a function of the constants.
        shared: bytes of dynamic shared memory, likewise.
        blocks: that a multiprocessor is to hold at least, likewise; 0 leaves it to the compiler.

    Returns:
        The decorator.

    """
    return lambda function: Kernel(function, signature, threads, shared, blocks)

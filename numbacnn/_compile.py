"""Kernels to object files, by Numba: imported when first a kernel is not on disk.

Numba lowers a kernel to LLVM; an entry point that unpacks the words of a call (see ``_native``) is added, and
both are optimised and emitted together, once.  Device functions are never emitted by themselves, as Numba's
own dispatchers would do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, compiler
from numba.core.codegen import AOTCodeLibrary, AOTCPUCodegen
from numba.core.compiler_lock import global_compiler_lock
from numba.core.dispatcher import _FunctionCompiler  # type: ignore[attr-defined]
from numba.core.registry import CPUDispatcher, CPUTarget, cpu_target
from numba.np.arrayobj import populate_array
from numba.np.numpy_support import from_dtype

from . import _native
from ._deferred import materialise

_WORD = ir.IntType(64)
_ENTRY = ir.FunctionType(_WORD, [_WORD.as_pointer()])
# What every process has, from C's own libraries; of all else an object file must bring its own
_KNOWN = {"memcpy", "memmove", "memset", "sqrt", "sqrtf"}


class _Library(AOTCodeLibrary):
    """The code of one function and of all that it calls."""

    entry = ""

    def _optimize_final_module(self) -> None:
        # Hidden, what is inlined everywhere is dropped, and two objects never define one symbol
        if self.entry:
            module = self._final_module
            for thing in (*module.functions, *module.global_variables):
                if not thing.is_declaration and thing.name != self.entry:
                    thing.linkage = "internal"
            super()._optimize_final_module()


class _Codegen(AOTCPUCodegen):
    """Ahead of time, but for this very CPU."""

    _library_class = _Library

    def _customize_tm_features(self) -> str:
        return self._get_host_cpu_features()


class _Compiler(_FunctionCompiler):
    def _customize_flags(self, flags: Any) -> Any:
        flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
        flags.no_compile = True  # not before the entry point is there
        return flags


def _no_address(b: ir.IRBuilder, address: int, info: str) -> Any:
    """Stand for the address of a device function as an object, which no code reads; refuse all others.

    Addresses of this process have no place in a file.
    """
    if info != _Device.__name__:
        raise NotImplementedError(f"a kernel holds the address of a {info}")
    return ir.Constant(cgutils.voidptr_t, None)


class _Target(CPUTarget):
    """Numba's CPU target with our code generator."""

    @property
    def typing_context(self) -> Any:
        return cpu_target.typing_context

    @cached_property
    def target_context(self) -> Any:
        return cpu_target.target_context.subtarget(
            _internal_codegen=_Codegen("numbacnn", "host"),
            aot_mode=True,
            add_dynamic_addr=_no_address,
            # Nothing executable, but what tells functions apart where Numba looks their code up
            get_executable=lambda library, descriptor, environment: descriptor.mangled_name,
        )


_target = _Target("cpu")


class _Device(CPUDispatcher):
    """A device function, compiled for each type of arguments that kernels call it with."""

    targetdescr = _target

    def add_overload(self, compiled: Any) -> None:
        self.overloads[tuple(compiled.signature.args)] = compiled  # and no entry for Python to call


def device(function: Callable, options: dict[str, Any]) -> Any:
    """Make the Numba object of a device function."""
    return _Device(function, {}, {"nopython": True, **options})


def _type(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return types.Array(from_dtype(value.dtype), value.ndim, "C")
    if isinstance(value, tuple):
        return types.BaseTuple.from_types([_type(v) for v in value])
    if isinstance(value, _native.Literal):
        return types.literal(int(value))
    return numba.typeof(value)


class _Unpacker:
    """Emits the reading of arguments from words."""

    def __init__(self, context: Any, b: ir.IRBuilder, words: Any) -> None:
        self.context, self.b, self.words = context, b, words
        self.used, self.arrays = 0, 0

    def word(self) -> Any:
        address = self.b.gep(self.words, [ir.Constant(_WORD, self.used)])
        self.used += 1
        return self.b.load(address)

    def field(self, array: Any, offset: int, kind: ir.Type) -> Any:
        address = self.b.add(array, ir.Constant(_WORD, offset))
        return self.b.load(self.b.inttoptr(address, kind.as_pointer()))

    def value(self, kind: Any) -> Any:
        b = self.b
        if isinstance(kind, types.Array):
            return self.array(kind)
        if isinstance(kind, types.BaseTuple):
            return self.context.make_tuple(b, kind, [self.value(k) for k in kind.types])
        if isinstance(kind, types.IntegerLiteral):
            return ir.Constant(_WORD, kind.literal_value)
        if isinstance(kind, types.Boolean):
            return b.icmp_unsigned("!=", b.trunc(self.word(), ir.IntType(8)), ir.Constant(ir.IntType(8), 0))
        if isinstance(kind, types.Float):
            double = b.bitcast(self.word(), ir.DoubleType())
            return double if kind.bitwidth == 64 else b.fptrunc(double, ir.FloatType())
        assert isinstance(kind, types.Integer), kind
        return self.word() if kind.bitwidth == 64 else b.trunc(self.word(), ir.IntType(kind.bitwidth))

    def array(self, kind: Any) -> Any:
        b, context = self.b, self.context
        source = self.word()
        self.arrays += 1
        flags = self.field(source, _native.FLAGS, ir.IntType(32))
        contiguous = b.trunc(flags, ir.IntType(1))  # NPY_ARRAY_C_CONTIGUOUS is bit 0
        with b.if_then(b.not_(contiguous), likely=False):
            b.ret(ir.Constant(_WORD, self.arrays))
        dimensions = self.field(source, _native.DIMENSIONS, _WORD.as_pointer())
        shape = [b.load(b.gep(dimensions, [ir.Constant(_WORD, i)])) for i in range(kind.ndim)]
        size = context.get_abi_sizeof(context.get_data_type(kind.dtype))
        strides: list = []
        step = ir.Constant(_WORD, size)
        for extent in reversed(shape):
            strides.insert(0, step)
            step = b.mul(step, extent)
        array = context.make_array(kind)(context, b)
        data = b.inttoptr(self.field(source, _native.DATA, _WORD), array.data.type)
        populate_array(array, data, shape, strides, ir.Constant(_WORD, size), None)
        return array._getvalue()


def _emit_entry(context: Any, library: _Library, compiled: Any, name: str) -> bytes:
    """Add the entry point to a kernel's code; return the code of its result's type."""
    module = library.create_ir_module(f"{name}.entry")
    entry = ir.Function(module, _ENTRY, name)
    b = ir.IRBuilder(entry.append_basic_block())
    unpacker = _Unpacker(context, b, entry.args[0])
    kinds, result = compiled.signature.args, compiled.signature.return_type
    values = [unpacker.value(kind) for kind in kinds]
    callee = context.declare_function(module, compiled.fndesc)
    _, returned = context.call_conv.call_function(b, callee, result, kinds, values)
    code = b"-"
    if result != types.none:
        code = b"d" if isinstance(result, types.Float) else b"q"
        wide = context.cast(b, returned, result, types.float64 if code == b"d" else types.int64)
        b.store(wide, b.inttoptr(unpacker.word(), wide.type.as_pointer()))
    b.ret(ir.Constant(_WORD, 0))
    # Arrays belong to the caller and kernels allocate nothing: no reference falls to zero
    void, pointer = ir.VoidType(), cgutils.voidptr_t
    dead = ir.Function(module, ir.FunctionType(void, [pointer]), "NRT_MemInfo_call_dtor")
    ir.IRBuilder(dead.append_basic_block()).ret_void()
    library.add_ir_module(module)
    return code


def _foreign(library: _Library) -> Iterator[str]:
    for function in library._final_module.functions:
        name = function.name
        if function.is_declaration and not name.startswith("llvm.") and name not in _KNOWN:
            yield name


def compile_entry(function: Callable, options: dict[str, Any], name: str, values: tuple) -> bytes:
    """Compile a kernel for arguments like ``values``: the code of its result's type, and the object file."""
    with global_compiler_lock:
        materialise()
        cpu_target.typing_context.refresh()
        context = _target.target_context
        context.refresh()
        kinds = tuple(map(_type, values))
        compiled = _Compiler(function, _target, {"nopython": True, **options}, {}, compiler.Compiler).compile(
            kinds, None
        )
        library = compiled.library
        library.entry = name
        code = _emit_entry(context, library, compiled, name)
        library.finalize()
        if foreign := sorted(_foreign(library)):
            raise RuntimeError(f"{name} calls what an object file does not bring: {', '.join(foreign)}")
        return code + library.emit_native_object()

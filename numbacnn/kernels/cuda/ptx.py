"""What the words of ``intrinsics`` mean on a GPU: with ``ptx_mma`` the one place that writes PTX and LLVM.

Imported only where a kernel is compiled: it needs numba-cuda.  Its twin for machines without is
``simulator``.  Arrays are bare pointers; float16 and bfloat16 arrays are pointers to 16-bit integers, told
apart by their sign: ``uint16`` holds float16, ``int16`` holds bfloat16.
"""

from __future__ import annotations

import math

from llvmlite import ir
from numba import cuda
from numba.cuda import cgutils, types
from numba.cuda.core.errors import RequireLiteralValue
from numba.cuda.extending import intrinsic
from numba.cuda.typing import signature

f32, f64 = types.float32, types.float64
i32, i64, u32, u64 = types.int32, types.int64, types.uint32, types.uint64
F16, BF16 = types.uint16, types.int16
ELEMENTS = {
    "float32": f32, "float64": f64, "float16": F16, "bfloat16": BF16, "int32": i32, "int64": i64,
    "uint8": types.uint8, "bool": types.uint8, "int8": types.int8, "uint32": u32, "uint64": u64,
}  # fmt: skip

_I8, _I16, _I32, _I64 = (ir.IntType(width) for width in (8, 16, 32, 64))
_HALF, _FLOAT, _VOID = ir.HalfType(), ir.FloatType(), ir.VoidType()
_SHARED = 3  # address space


def widened(element: types.Type) -> types.Type:
    """The type that elements are loaded as."""
    return f32 if element in (F16, BF16) else element


def asm(builder, result, arguments, text, constraints, values, effects=False):
    """Call inline PTX."""
    function = ir.InlineAsm(ir.FunctionType(result, arguments), text, constraints, side_effect=effects)
    return builder.call(function, values)


def literal(value):
    """The value of a literal type, such as a constant argument's."""
    if not isinstance(value, types.Literal):
        raise RequireLiteralValue(value)  # Numba tries again with the literal's type
    return value.literal_value


def _widen(builder, element, value):
    if element == F16:
        return builder.fpext(builder.bitcast(value, _HALF), _FLOAT)
    if element == BF16:
        wide = builder.shl(builder.zext(value, _I32), ir.Constant(_I32, 16))
        return builder.bitcast(wide, _FLOAT)
    return value


def _narrow(builder, element, value):
    if element == F16:
        return builder.bitcast(builder.fptrunc(value, _HALF), _I16)
    if element == BF16:
        return asm(builder, _I16, [_FLOAT], "cvt.rn.bf16.f32 $0, $1;", "=h,f", [value])
    return value


def _register(name):
    @intrinsic
    def word(typingctx):
        def codegen(context, builder, sig, args):
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(_I32, []), f"llvm.nvvm.read.ptx.sreg.{name}"
            )
            return builder.call(function, [])

        return signature(i32), codegen

    return word


thread, lane = _register("tid.x"), _register("laneid")
block_x, block_y, block_z = (_register(f"ctaid.{axis}") for axis in "xyz")
grid_x = _register("nctaid.x")


@intrinsic
def load(typingctx, p, i):
    """An element; 16-bit floats as float32."""

    def codegen(context, builder, sig, args):
        return _widen(builder, p.dtype, builder.load(builder.gep(args[0], [args[1]])))

    return signature(widened(p.dtype), p, i), codegen


@intrinsic
def store(typingctx, p, i, value):
    """Write an element; to 16-bit floats rounded to nearest, ties to even."""

    def codegen(context, builder, sig, args):
        builder.store(_narrow(builder, p.dtype, args[2]), builder.gep(args[0], [args[1]]))
        return context.get_dummy_value()

    return signature(types.void, p, i, widened(p.dtype)), codegen


def vector_of(builder, p, i, count, element_type):
    """A pointer to a vector of elements that begins at element i."""
    first = builder.gep(p, [i])
    return builder.bitcast(first, ir.PointerType(ir.VectorType(element_type, count)))


@intrinsic
def load4(typingctx, p, i):
    """Four elements at once."""

    def codegen(context, builder, sig, args):
        element = args[0].type.pointee
        width = element.width if isinstance(element, ir.IntType) else 64 if element == ir.DoubleType() else 32
        if p.dtype == F16:  # NVVM would make two loads of a vector of halves
            pairs = builder.load(vector_of(builder, args[0], args[1], 2, _I32), align=8)
            words = [builder.extract_element(pairs, ir.Constant(_I32, k // 2)) for k in range(4)]
            shifted = [builder.lshr(word, ir.Constant(_I32, k % 2 * 16)) for k, word in enumerate(words)]
            parts = [builder.trunc(word, _I16) for word in shifted]
        else:
            vector = builder.load(vector_of(builder, args[0], args[1], 4, element), align=min(16, width // 2))
            parts = [builder.extract_element(vector, ir.Constant(_I32, k)) for k in range(4)]
        parts = [_widen(builder, p.dtype, part) for part in parts]
        return context.make_tuple(builder, sig.return_type, parts)

    return signature(types.UniTuple(widened(p.dtype), 4), p, i), codegen


@intrinsic
def store4(typingctx, p, i, values):
    """Write four elements at once."""

    def codegen(context, builder, sig, args):
        element = args[0].type.pointee
        width = element.width if isinstance(element, ir.IntType) else 64 if element == ir.DoubleType() else 32
        vector = ir.Constant(ir.VectorType(element, 4), ir.Undefined)
        for k, part in enumerate(cgutils.unpack_tuple(builder, args[2], 4)):
            part = _narrow(builder, p.dtype, part)
            vector = builder.insert_element(vector, part, ir.Constant(_I32, k))
        target = vector_of(builder, args[0], args[1], 4, element)
        builder.store(vector, target, align=min(16, width // 2))
        return context.get_dummy_value()

    return signature(types.void, p, i, types.UniTuple(widened(p.dtype), 4)), codegen


@intrinsic
def shared_array(typingctx, size, kind):
    """A pointer to the block's own memory, aligned to 16 bytes."""
    count, element = literal(size), kind.instance_type

    def codegen(context, builder, sig, args):
        kind_ = ir.ArrayType(context.get_data_type(element), count)
        name = builder.module.get_unique_name("shared")
        memory = ir.GlobalVariable(builder.module, kind_, name, _SHARED)
        memory.linkage, memory.align, memory.initializer = "internal", 16, ir.Constant(kind_, ir.Undefined)
        first = builder.gep(memory, [ir.Constant(_I32, 0)] * 2)
        return builder.addrspacecast(first, ir.PointerType(kind_.element), "generic")

    return signature(types.CPointer(element), size, kind), codegen


@intrinsic
def dynamic_shared(typingctx, kind):
    """A pointer to the block's memory that the launch sized, aligned to 16 bytes."""
    element = kind.instance_type

    def codegen(context, builder, sig, args):
        name = "dynamic_shared_memory"
        memory = builder.module.globals.get(name)
        if memory is None:
            memory = ir.GlobalVariable(builder.module, ir.ArrayType(_I8, 0), name, _SHARED)
            memory.linkage, memory.align = "external", 16
        first = builder.gep(memory, [ir.Constant(_I32, 0)] * 2)
        target = ir.PointerType(context.get_data_type(element))
        return builder.bitcast(builder.addrspacecast(first, ir.PointerType(_I8), "generic"), target)

    return signature(types.CPointer(element), kind), codegen


@intrinsic
def local_array(typingctx, size, kind):
    """A thread's own array: in registers where each index is constant."""
    count, element = literal(size), kind.instance_type

    def codegen(context, builder, sig, args):
        array = cgutils.alloca_once(builder, ir.ArrayType(context.get_data_type(element), count))
        return builder.gep(array, [ir.Constant(_I32, 0)] * 2)

    return signature(types.CPointer(element), size, kind), codegen


@intrinsic
def div(typingctx, a, b):
    """Unsigned 32-bit division: signed division of Numba's 64-bit integers costs ten times as much."""

    def codegen(context, builder, sig, args):
        return builder.udiv(*args)

    return signature(i32, i32, i32), codegen


@intrinsic
def fma(typingctx, a, b, c):
    """``a b + c``, rounded once."""

    def codegen(context, builder, sig, args):
        return builder.fma(*args)

    return signature(a, a, a, a), codegen


@intrinsic
def rsqrt(typingctx, x):
    """``1 / sqrt(x)``, both rounded."""

    def codegen(context, builder, sig, args):
        root = context.get_function(math.sqrt, signature(x, x))(builder, args)
        return builder.fdiv(ir.Constant(root.type, 1.0), root)

    return signature(x, x), codegen


@intrinsic
def is_nan(typingctx, x):
    """Whether x is NaN."""

    def codegen(context, builder, sig, args):
        return builder.fcmp_unordered("uno", args[0], args[0])

    return signature(types.boolean, x), codegen


@intrinsic
def normal_cdf(typingctx, x):
    """The normal distribution's share below x, by the library of numba-cuda's other functions."""

    def codegen(context, builder, sig, args):
        name = "__nv_normcdff" if sig.args[0] == f32 else "__nv_normcdf"
        kind = ir.FunctionType(args[0].type, [args[0].type])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)

    return signature(x, x), codegen


def _chosen(comparison):
    @intrinsic
    def word(typingctx, a, b):
        def codegen(context, builder, sig, args):
            compare = builder.fcmp_ordered if isinstance(a, types.Float) else builder.icmp_signed
            return builder.select(compare(comparison, *args), *args)

        kind = a if isinstance(a, types.Float) or a == b else i64
        return signature(kind, kind, kind), codegen

    return word


maximum, minimum = _chosen(">"), _chosen("<")


def _shuffle(of_numba):
    def word(value, by):
        return of_numba(u32(0xFFFFFFFF), value, by)

    return cuda.jit(device=True, forceinline=True)(word)


shuffle_xor, shuffle_down = _shuffle(cuda.shfl_xor_sync), _shuffle(cuda.shfl_down_sync)
sync = cuda.syncthreads


@cuda.jit(device=True, forceinline=True)
def sync_warp():
    """Meet the warp's other lanes; Numba knows its name as a member of the module only."""
    cuda.syncwarp()


exp, log, sqrt, tanh, pow_, abs_ = math.exp, math.log, math.sqrt, math.tanh, math.pow, abs
expm1, log1p = math.expm1, math.log1p
static_range = range

"""Vectors: what the tiles use of LLVM.

What the host offers (vector width, number of registers) and the few vector operations that the tiles
are written with.  A vector is as wide as the host's registers: 16 floats with AVX-512, 8 with AVX2,
4 with NEON or SSE.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from ..._deferred import cgutils, intrinsic, types

INTP = ir.IntType(64)
LANE = ir.IntType(32)


def _probe(cpu: str, features: str) -> bytes:
    """Return which vector registers LLVM picks for a sum of 64-byte vectors on that CPU."""
    vector = ir.VectorType(ir.FloatType(), 16)
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [vector.as_pointer()] * 2), "probe")
    b = ir.IRBuilder(function.append_basic_block())
    x, y = function.args
    b.store(b.fadd(b.load(x), b.load(y)), x)
    b.ret_void()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple().create_target_machine(cpu=cpu, features=features)
    return target.emit_assembly(llvm.parse_assembly(str(module))).encode()


@functools.cache
def host_vectors() -> tuple[int, int]:
    """Return the bytes in a vector register and the number of such registers, of the CPU compiled for.

    The host's, unless ``NUMBA_CPU_NAME`` names another: then LLVM is asked what it would use there.
    """
    name, features = os.environ.get("NUMBA_CPU_NAME"), os.environ.get("NUMBA_CPU_FEATURES")
    if name is None and features is None:
        host = llvm.get_host_cpu_features()
        wide, middle, many = host.get("avx512f"), host.get("avx2"), host.get("neon")
    else:
        code = _probe(name or llvm.get_host_cpu_name(), features or "")
        wide, middle, many = b"zmm" in code, b"ymm" in code, b".4s" in code
    if wide:
        return 64, 32
    if middle:
        return 32, 16
    return 16, 32 if many else 16


VECTOR_BYTES, REGISTERS = host_vectors()


def vector_type(dtype: Any) -> ir.VectorType:
    """Return the LLVM type of a full register of float32 or float64."""
    if dtype == types.float32:
        return ir.VectorType(ir.FloatType(), VECTOR_BYTES // 4)
    return ir.VectorType(ir.DoubleType(), VECTOR_BYTES // 8)


def lanes_of(dtype: Any) -> int:
    """Return how many numbers of this Numba type fill a register."""
    return VECTOR_BYTES // (dtype.bitwidth // 8)


def data_pointer(context: Any, builder: ir.IRBuilder, array_type: Any, array: Any) -> Any:
    """Return the pointer to an array's first element."""
    return context.make_array(array_type)(context, builder, array).data


def index(value: int) -> ir.Constant:
    """Return an integer constant of pointer width."""
    return ir.Constant(INTP, value)


def offset(b: ir.IRBuilder, pointer: Any, amount: Any) -> Any:
    """Return ``pointer + amount`` elements."""
    return b.gep(pointer, [index(amount) if isinstance(amount, int) else amount])


def _suffix(vector: ir.VectorType) -> str:
    return f"v{vector.count}{'f32' if vector.element == ir.FloatType() else 'f64'}"


def _alignment(vector: ir.VectorType) -> int:
    return 4 if vector.element == ir.FloatType() else 8


def zeros(vector: ir.VectorType) -> ir.Constant:
    """Return a vector of zeros."""
    return ir.Constant(vector, [0.0] * vector.count)


def load(b: ir.IRBuilder, vector: ir.VectorType, pointer: Any) -> Any:
    """Read a vector from any element's address."""
    value = b.load(b.bitcast(pointer, vector.as_pointer()))
    value.align = _alignment(vector)
    return value


def store(b: ir.IRBuilder, value: Any, pointer: Any) -> None:
    """Write a vector to any element's address."""
    b.store(value, b.bitcast(pointer, value.type.as_pointer())).align = _alignment(value.type)


def number(b: ir.IRBuilder, pointer: Any) -> Any:
    """Read one number."""
    value = b.load(pointer)
    value.align = 4 if value.type == ir.FloatType() else 8
    return value


def set_number(b: ir.IRBuilder, value: Any, pointer: Any) -> None:
    """Write one number."""
    b.store(value, pointer).align = 4 if value.type == ir.FloatType() else 8


def splat(b: ir.IRBuilder, vector: ir.VectorType, pointer: Any) -> Any:
    """Read one number into every lane."""
    return spread(b, vector, number(b, pointer))


def spread(b: ir.IRBuilder, vector: ir.VectorType, value: Any) -> Any:
    """Put one number into every lane."""
    undefined = ir.Constant(vector, ir.Undefined)
    lane0 = ir.Constant(ir.VectorType(LANE, vector.count), [0] * vector.count)
    return b.shuffle_vector(b.insert_element(undefined, value, ir.Constant(LANE, 0)), undefined, lane0)


def clip(b: ir.IRBuilder, x: Any, low: Any, high: Any) -> Any:
    """Return x where it lies between the bounds, else the one that it passes; NaN stays NaN."""
    x = b.select(b.fcmp_ordered("<", x, low), low, x)
    return b.select(b.fcmp_ordered(">", x, high), high, x)


def fma(b: ir.IRBuilder, x: Any, y: Any, z: Any) -> Any:
    """Return x * y + z, rounded once."""
    # llvmlite's declare_intrinsic() rejects vector types: declare the function by its mangled name
    vector = x.type
    function = cgutils.get_or_insert_function(
        b.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fma.{_suffix(vector)}"
    )
    return b.call(function, [x, y, z])


def fetch_to_write(b: ir.IRBuilder, pointer: Any) -> None:
    """Ask for the cache line that will be written soon."""
    i32 = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer(), i32, i32, i32])
    function = cgutils.get_or_insert_function(b.module, kind, "llvm.prefetch.p0")
    address = b.bitcast(pointer, ir.IntType(8).as_pointer())
    b.call(function, [address, ir.Constant(i32, 1), ir.Constant(i32, 3), ir.Constant(i32, 1)])


def lane_mask(b: ir.IRBuilder, vector: ir.VectorType, first: int, valid: Any) -> Any:
    """Return the mask of the lanes whose number, counted from ``first``, is below ``valid``."""
    numbers = ir.VectorType(INTP, vector.count)
    undefined = ir.Constant(numbers, ir.Undefined)
    lane0 = ir.Constant(ir.VectorType(LANE, vector.count), [0] * vector.count)
    limit = b.shuffle_vector(b.insert_element(undefined, valid, ir.Constant(LANE, 0)), undefined, lane0)
    return b.icmp_signed("<", ir.Constant(numbers, [first + i for i in range(vector.count)]), limit)


def masked_load(b: ir.IRBuilder, vector: ir.VectorType, pointer: Any, mask: Any) -> Any:
    """Read the lanes of the mask, zeros elsewhere; nothing outside the mask is touched."""
    address = b.bitcast(pointer, vector.as_pointer())
    function = cgutils.get_or_insert_function(
        b.module,
        ir.FunctionType(vector, [address.type, LANE, mask.type, vector]),
        f"llvm.masked.load.{_suffix(vector)}.p0",
    )
    return b.call(function, [address, ir.Constant(LANE, _alignment(vector)), mask, zeros(vector)])


def masked_store(b: ir.IRBuilder, value: Any, pointer: Any, mask: Any) -> None:
    """Write the lanes of the mask; nothing outside it is touched."""
    address = b.bitcast(pointer, value.type.as_pointer())
    function = cgutils.get_or_insert_function(
        b.module,
        ir.FunctionType(ir.VoidType(), [value.type, address.type, LANE, mask.type]),
        f"llvm.masked.store.{_suffix(value.type)}.p0",
    )
    b.call(function, [value, address, ir.Constant(LANE, _alignment(value.type)), mask])


def store_first(b: ir.IRBuilder, values: list, pointers: list, count: Any) -> None:
    """Write the first ``count`` lanes of each vector, at most all, without masks.

    Halves of halves: a masked store takes AMD twelve cycles and more.
    """
    lanes = values[0].type.count
    with b.if_else(b.icmp_signed(">=", count, index(lanes)), likely=True) as (whole, part):
        with whole:
            for value, pointer in zip(values, pointers, strict=True):
                store(b, value, pointer)
        with part:
            while lanes > 1:
                lanes //= 2
                low, high = (
                    ir.Constant(ir.VectorType(LANE, lanes), list(range(first, first + lanes)))
                    for first in (0, lanes)
                )
                taken = b.icmp_signed("!=", b.and_(count, index(lanes)), index(0))
                lows = [b.shuffle_vector(value, value, low) for value in values]
                with b.if_then(taken):
                    for value, pointer in zip(lows, pointers, strict=True):
                        store(b, value, pointer)
                highs = [b.shuffle_vector(value, value, high) for value in values]
                values = [b.select(taken, *pair) for pair in zip(highs, lows, strict=True)]
                written = b.and_(count, index(lanes))
                pointers = [offset(b, pointer, written) for pointer in pointers]


def keep_rolled(module: Any, branch: Any) -> None:
    """Tell LLVM not to unroll the loop that ends here: it has few turns, and compiling it takes longer."""
    disable = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    loop = module.add_metadata([disable, ir.MetaDataString(module, branch.parent.name)])
    loop.operands = (loop, disable)  # a loop's node begins with itself
    branch.set_metadata("llvm.loop", loop)


def _interleave(b: ir.IRBuilder, rows: list, block: int) -> list:
    """One stage of a transposition: swap the off-diagonal ``block x block`` squares of every pair."""
    lanes = rows[0].type.count
    shuffle = ir.VectorType(LANE, lanes)
    low, high = [], []
    for i in range(lanes):
        inner = i // block % 2
        low.append(i if not inner else lanes + i - block)
        high.append(i + block if not inner else lanes + i)
    out = list(rows)
    for i in range(lanes):
        if i // block % 2 == 0:
            x, y = rows[i], rows[i + block]
            out[i] = b.shuffle_vector(x, y, ir.Constant(shuffle, low))
            out[i + block] = b.shuffle_vector(x, y, ir.Constant(shuffle, high))
    return out


def transposed(b: ir.IRBuilder, rows: list) -> list:
    """The columns of a square: of as many vectors as each has lanes."""
    block = 1
    while block < len(rows):
        rows = _interleave(b, rows, block)
        block *= 2
    return rows


def lane_sums(b: ir.IRBuilder, rows: list) -> list:
    """Return vectors that hold, in order, the sums over the lanes of each row; zeros where rows end."""
    lanes, results = rows[0].type.count, []
    shuffle = ir.VectorType(LANE, lanes)
    for first in range(0, len(rows), lanes):
        square = rows[first : first + lanes]
        square += [zeros(rows[0].type)] * (lanes - len(square))
        block = 1
        while block < lanes:  # a transposition whose halves are added: half as many vectors after each stage
            low = [i if not i // block % 2 else lanes + i - block for i in range(lanes)]
            high = [i + block if not i // block % 2 else lanes + i for i in range(lanes)]
            square = [
                b.fadd(*(b.shuffle_vector(x, y, ir.Constant(shuffle, half)) for half in (low, high)))
                for x, y in zip(square[::2], square[1::2], strict=True)
            ]
            block *= 2
        results += square
    return results


@intrinsic
def transpose_block(typingctx, source, source0, stride, target, target0, pitch):
    """``target[target0 + j * pitch + i] = source[source0 + i * stride + j]`` for i, j below a vector's lanes.

    Reads and writes a full square; both arrays are flat and of one dtype.
    """
    signature = types.void(source, types.intp, types.intp, target, types.intp, types.intp)

    def codegen(context, b, sig, args):
        vector = vector_type(sig.args[0].dtype)
        x = offset(b, data_pointer(context, b, sig.args[0], args[0]), args[1])
        y = offset(b, data_pointer(context, b, sig.args[3], args[3]), args[4])
        rows = [load(b, vector, offset(b, x, b.mul(args[2], index(i)))) for i in range(vector.count)]
        for i, row in enumerate(transposed(b, rows)):
            store(b, row, offset(b, y, b.mul(args[5], index(i))))
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def copy_run(typingctx, source, source0, target, target0, count):
    """Copy ``count`` numbers between flat arrays of one dtype that do not overlap."""
    signature = types.void(source, types.intp, target, types.intp, types.intp)

    def codegen(context, b, sig, args):
        x = offset(b, data_pointer(context, b, sig.args[0], args[0]), args[1])
        y = offset(b, data_pointer(context, b, sig.args[2], args[2]), args[3])
        cgutils.raw_memcpy(b, y, x, args[4], sig.args[0].dtype.bitwidth // 8)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def zero_run(typingctx, target, target0, count):
    """Set ``count`` numbers of a flat array to zero."""
    signature = types.void(target, types.intp, types.intp)

    def codegen(context, b, sig, args):
        y = offset(b, data_pointer(context, b, sig.args[0], args[0]), args[1])
        cgutils.memset(b, y, b.mul(args[2], index(sig.args[0].dtype.bitwidth // 8)), 0)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def copy_vector(typingctx, source, source0, target, target0):
    """Copy one full vector between flat arrays of one dtype."""
    signature = types.void(source, types.intp, target, types.intp)

    def codegen(context, b, sig, args):
        vector = vector_type(sig.args[0].dtype)
        x = offset(b, data_pointer(context, b, sig.args[0], args[0]), args[1])
        y = offset(b, data_pointer(context, b, sig.args[2], args[2]), args[3])
        store(b, load(b, vector, x), y)
        return context.get_dummy_value()

    return signature, codegen

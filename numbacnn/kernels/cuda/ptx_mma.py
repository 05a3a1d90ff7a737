"""The words of matrix products: copies that run beside the threads, tensor cores, outer products.

What ``ptx`` is to the other words; the twins are in ``simulator_mma``.
"""

from __future__ import annotations

from llvmlite import ir
from numba.cuda import types
from numba.cuda.extending import intrinsic
from numba.cuda.typing import signature

from .ptx import _FLOAT, _I8, _I32, _SHARED, _VOID, _narrow, _widen, asm, i32, i64, literal, u32, widened

_MEMORY = "~{memory}"


def _address(builder, p, i):
    """The shared memory's own 32-bit address of an element."""
    element = builder.gep(p, [i])
    inner = builder.addrspacecast(element, ir.PointerType(element.type.pointee, _SHARED))
    return builder.ptrtoint(inner, _I32)


def _by_warps(builder, result, arguments, text, constraints, values):
    """Call inline PTX that all lanes of a warp are to run together: not to be moved below a branch."""
    function = ir.InlineAsm(ir.FunctionType(result, arguments), text, constraints, side_effect=True)
    return builder.call(function, values, attrs=("convergent",))


def _registers(builder, array, count, first=0):
    """Pointers to the elements of a local array: after optimisation, registers."""
    return [builder.gep(array, [ir.Constant(_I32, first + k)]) for k in range(count)]


def _bytes(kind):
    return kind.bitwidth // 8


@intrinsic
def dynamic_like(typingctx, p):
    """The block's memory that the launch sized, of elements like p's."""

    def codegen(context, builder, sig, args):
        name = "dynamic_shared_memory"
        memory = builder.module.globals.get(name)
        if memory is None:
            memory = ir.GlobalVariable(builder.module, ir.ArrayType(_I8, 0), name, _SHARED)
            memory.linkage, memory.align = "external", 16
        first = builder.gep(memory, [ir.Constant(_I32, 0)] * 2)
        return builder.bitcast(builder.addrspacecast(first, ir.PointerType(_I8), "generic"), args[0].type)

    return signature(p, p), codegen


@intrinsic
def copy_async(typingctx, to, i, p, k, count, given):
    """Begin to copy elements to shared memory: zeros, and no read, where not given."""
    number, size = literal(count), _bytes(p.dtype)

    def codegen(context, builder, sig, args):
        target, source = _address(builder, args[0], args[1]), builder.gep(args[2], [args[3]])
        if number * size == 2:  # too little for such a copy: through a register
            value = builder.load(builder.select(args[5], source, args[2]))
            value = builder.select(args[5], value, ir.Constant(value.type, 0))
            builder.store(value, builder.gep(args[0], [args[1]]))
            return context.get_dummy_value()
        outer = builder.addrspacecast(source, ir.PointerType(source.type.pointee, 1))
        length = builder.select(args[5], ir.Constant(_I32, number * size), ir.Constant(_I32, 0))
        cached = "cg" if number * size == 16 else "ca"
        text = f"cp.async.{cached}.shared.global [$0], [$1], {number * size}, $2;"
        operands = [target, builder.ptrtoint(outer, ir.IntType(64)), length]
        asm(builder, _VOID, [_I32, ir.IntType(64), _I32], text, f"r,l,r,{_MEMORY}", operands, True)
        return context.get_dummy_value()

    return signature(types.void, to, i32, p, i64, count, types.boolean), codegen


@intrinsic
def copy_commit(typingctx):
    """Make the copies begun since the last call a group."""

    def codegen(context, builder, sig, args):
        asm(builder, _VOID, [], "cp.async.commit_group;", _MEMORY, [], True)
        return context.get_dummy_value()

    return signature(types.void), codegen


@intrinsic
def copy_wait(typingctx, left):
    """Wait until at most so many of the thread's groups are under way."""
    groups = literal(left)

    def codegen(context, builder, sig, args):
        asm(builder, _VOID, [], f"cp.async.wait_group {groups};", _MEMORY, [], True)
        return context.get_dummy_value()

    return signature(types.void, left), codegen


def _matrix(turned):
    @intrinsic
    def word(typingctx, to, first, p, i):
        start = literal(first)

        def codegen(context, builder, sig, args):
            text = f"ldmatrix.sync.aligned.m8n8.x4{turned}.shared.b16 {{$0,$1,$2,$3}}, [$4];"
            four = ir.LiteralStructType([_I32] * 4)
            where = [_address(builder, args[2], args[3])]
            read = _by_warps(builder, four, [_I32], text, f"=r,=r,=r,=r,r,{_MEMORY}", where)
            for k, register in enumerate(_registers(builder, args[0], 4, start)):
                builder.store(builder.extract_value(read, k), register)
            return context.get_dummy_value()

        return signature(types.void, to, first, p, i32), codegen

    return word


matrix4, matrix4_turned = _matrix(""), _matrix(".trans")


@intrinsic
def bits(typingctx, p, i):
    """The bits of a 32-bit element."""

    def codegen(context, builder, sig, args):
        return builder.bitcast(builder.load(builder.gep(args[0], [args[1]])), _I32)

    return signature(u32, p, i32), codegen


@intrinsic
def round_tf32(typingctx, fragment, count):
    """Round float32 bits to TF32: to nearest, ties away from zero."""
    number = literal(count)

    def codegen(context, builder, sig, args):
        for register in _registers(builder, args[0], number):
            value = builder.bitcast(builder.load(register), _FLOAT)
            builder.store(asm(builder, _I32, [_FLOAT], "cvt.rna.tf32.f32 $0, $1;", "=r,f", [value]), register)
        return context.get_dummy_value()

    return signature(types.void, fragment, count), codegen


def _mma(shape):
    text = f"mma.sync.aligned.{shape} {{$0,$1,$2,$3}},{{$4,$5,$6,$7}},{{$8,$9}},{{$10,$11,$12,$13}};"
    constraints = "=f,=f,=f,=f,r,r,r,r,r,r,f,f,f,f"

    @intrinsic
    def word(typingctx, sums, a, b, rows, columns):
        high, wide = literal(rows), literal(columns)

        def codegen(context, builder, sig, args):
            left = [builder.load(r) for r in _registers(builder, args[1], high * 4)]
            right = [builder.load(r) for r in _registers(builder, args[2], wide * 2)]
            four = ir.LiteralStructType([_FLOAT] * 4)
            for i in range(high):
                for step in range(wide):
                    j = step if i % 2 == 0 else wide - 1 - step  # there and back: the last b is at hand
                    c = _registers(builder, args[0], 4, (i * wide + j) * 4)
                    operands = [*left[i * 4 : i * 4 + 4], *right[j * 2 : j * 2 + 2], *map(builder.load, c)]
                    done = _by_warps(builder, four, [_I32] * 6 + [_FLOAT] * 4, text, constraints, operands)
                    for k in range(4):
                        builder.store(builder.extract_value(done, k), c[k])
            return context.get_dummy_value()

        return signature(types.void, sums, a, b, rows, columns), codegen

    return word


mma_tf32 = _mma("m16n8k8.row.col.f32.tf32.tf32.f32")
mma_bf16 = _mma("m16n8k16.row.col.f32.bf16.bf16.f32")
mma_f16 = _mma("m16n8k16.row.col.f32.f16.f16.f32")


@intrinsic
def fill_zero(typingctx, array, count):
    """Set a local array's elements to 0."""
    number = literal(count)

    def codegen(context, builder, sig, args):
        for register in _registers(builder, args[0], number):
            builder.store(ir.Constant(register.type.pointee, 0), register)
        return context.get_dummy_value()

    return signature(types.void, array, count), codegen


@intrinsic
def outer(typingctx, sums, rows, columns, depth, p, i, row_step, row_line, k, column_step, column_line):
    """Add the product of two operands of which shared memory holds lines, one for each step of the depth.

    A thread's rows are 16-byte pieces row_step apart, the first at i; the next line is row_line on.
    """
    high, wide, deep = literal(rows), literal(columns), literal(depth)
    apart, on = (literal(row_step), literal(column_step)), (literal(row_line), literal(column_line))
    size = 16 // _bytes(p.dtype)

    def codegen(context, builder, sig, args):
        kind = args[4].type.pointee
        inner = builder.addrspacecast(args[4], ir.PointerType(kind, _SHARED))
        starts = builder.gep(inner, [args[5]]), builder.gep(inner, [args[8]])
        registers = _registers(builder, args[0], high * wide)

        def pieces(side, count, line):
            found = []
            for number in range(count // size):
                place = builder.gep(starts[side], [ir.Constant(_I32, line * on[side] + number * apart[side])])
                piece = builder.bitcast(place, ir.PointerType(ir.VectorType(kind, size), _SHARED))
                vector = builder.load(piece, align=16)
                found += [builder.extract_element(vector, ir.Constant(_I32, n)) for n in range(size)]
            return found

        totals = [builder.load(register) for register in registers]
        for line in range(deep):
            left, right = pieces(0, high, line), pieces(1, wide, line)
            for m in range(high):
                for n in range(wide):
                    totals[m * wide + n] = builder.fma(left[m], right[n], totals[m * wide + n])
        for total, register in zip(totals, registers, strict=True):
            builder.store(total, register)
        return context.get_dummy_value()

    steps = (row_step, row_line, i32, column_step, column_line)
    return signature(types.void, sums, rows, columns, depth, p, i32, *steps), codegen


@intrinsic
def mul_high(typingctx, a, b):
    """The upper half of the product of two unsigned 32-bit numbers."""

    def codegen(context, builder, sig, args):
        wide = [builder.zext(arg, ir.IntType(64)) for arg in args]
        product = builder.lshr(builder.mul(*wide), ir.Constant(ir.IntType(64), 32))
        return builder.trunc(product, _I32)

    return signature(i32, u32, u32), codegen


@intrinsic
def div64(typingctx, a, b):
    """Unsigned 64-bit division."""

    def codegen(context, builder, sig, args):
        return builder.udiv(*args)

    return signature(i64, i64, i64), codegen


def _pair(builder, p, i):
    first = builder.gep(p, [i])
    kind = ir.VectorType(first.type.pointee, 2)
    return kind, builder.bitcast(first, ir.PointerType(kind))


@intrinsic
def load2(typingctx, p, i):
    """Two elements at once."""

    def codegen(context, builder, sig, args):
        _, place = _pair(builder, args[0], args[1])
        vector = builder.load(place, align=2 * _bytes(p.dtype))
        parts = [
            _widen(builder, p.dtype, builder.extract_element(vector, ir.Constant(_I32, k))) for k in (0, 1)
        ]
        return context.make_tuple(builder, sig.return_type, parts)

    return signature(types.UniTuple(widened(p.dtype), 2), p, i), codegen


@intrinsic
def store2(typingctx, p, i, first, second):
    """Write two elements at once."""
    kind = widened(p.dtype)

    def codegen(context, builder, sig, args):
        vector_kind, place = _pair(builder, args[0], args[1])
        vector = ir.Constant(vector_kind, ir.Undefined)
        for k in (0, 1):
            part = _narrow(builder, p.dtype, args[2 + k])
            vector = builder.insert_element(vector, part, ir.Constant(_I32, k))
        builder.store(vector, place, align=2 * _bytes(p.dtype))
        return context.get_dummy_value()

    return signature(types.void, p, i, kind, kind), codegen

"""A kernel's source made special: constants put in, tests of constants decided, constant loops unrolled.

Registers have no index: an array stays in them only where every index is a literal.  So loops over
``static_range`` are unrolled in the source, before Numba sees it.
"""

from __future__ import annotations

import ast
import copy
import functools
import inspect
import operator
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

_Statements = list[ast.stmt]

_BINARY: dict[type, Callable] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod, ast.LShift: operator.lshift, ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_, ast.BitOr: operator.or_, ast.BitXor: operator.xor, ast.Pow: operator.pow,
    ast.Div: operator.truediv,
}  # fmt: skip
_COMPARE: dict[type, Callable] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip
_UNARY: dict[type, Callable] = {ast.USub: operator.neg, ast.Not: operator.not_, ast.UAdd: operator.pos}
_CALLS: dict[str, Callable] = {"min": min, "max": max, "len": len}


class _Folder(ast.NodeTransformer):
    """Put constants in the place of names, and results in that of operations on them."""

    def __init__(self, constants: Mapping[str, Any]) -> None:
        self.constants = constants

    def _value(self, node: ast.AST, result: Callable[[], Any]) -> Any:
        try:
            value = result()
        except (TypeError, ValueError, ZeroDivisionError, IndexError):
            return node
        return ast.copy_location(_literal(value), node)

    def visit_Name(self, node: ast.Name) -> Any:
        if isinstance(node.ctx, ast.Load) and node.id in self.constants:
            return ast.copy_location(_literal(self.constants[node.id]), node)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        self.generic_visit(node)
        if _known(node.left, node.right) and type(node.op) in _BINARY:
            return self._value(node, lambda: _BINARY[type(node.op)](_of(node.left), _of(node.right)))
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        self.generic_visit(node)
        if _known(node.operand) and type(node.op) in _UNARY:
            return self._value(node, lambda: _UNARY[type(node.op)](_of(node.operand)))
        return node

    def visit_Compare(self, node: ast.Compare) -> Any:
        self.generic_visit(node)
        kind = type(node.ops[0])
        if len(node.ops) == 1 and _known(node.left, node.comparators[0]) and kind in _COMPARE:
            return self._value(node, lambda: _COMPARE[kind](_of(node.left), _of(node.comparators[0])))
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        self.generic_visit(node)
        deciding = isinstance(node.op, ast.Or)  # the value that decides the whole
        rest: list[ast.expr] = []
        for value in node.values:
            if _known(value):
                if bool(_of(value)) is deciding:
                    rest.append(value)
                    break
            else:
                rest.append(value)
        if not rest:
            return ast.copy_location(ast.Constant(not deciding), node)
        if len(rest) == 1:
            return rest[0]
        return ast.copy_location(ast.BoolOp(node.op, rest), node)

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        self.generic_visit(node)
        if _known(node.test):
            return node.body if _of(node.test) else node.orelse
        return node

    def visit_Call(self, node: ast.Call) -> Any:
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in _CALLS and not node.keywords and _known(*node.args):
            return self._value(node, lambda: _CALLS[name](*map(_of, node.args)))
        return node

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        self.generic_visit(node)
        loaded = isinstance(node.ctx, ast.Load) and isinstance(node.value, ast.Tuple)
        if loaded and _known(node.value, node.slice):
            return self._value(node, lambda: _of(node.value)[_of(node.slice)])
        return node


def _literal(value: Any) -> ast.expr:
    if isinstance(value, tuple):
        return ast.Tuple([_literal(v) for v in value], ast.Load())
    if isinstance(value, (bool, int, float, str)) or value is None:
        return ast.Constant(value)
    raise TypeError(f"no constant of a kernel: {value!r}")


def _known(*nodes: ast.AST) -> bool:
    return all(isinstance(n, ast.Constant) or (isinstance(n, ast.Tuple) and _known(*n.elts)) for n in nodes)


def _of(node: ast.AST) -> Any:
    return ast.literal_eval(node)


class _Unroller(ast.NodeTransformer):
    """Decide the tests and unroll the loops, statement by statement."""

    def __init__(self, constants: Mapping[str, Any]) -> None:
        self.constants = dict(constants)

    def _fold(self, node: Any) -> Any:
        return _Folder(self.constants).visit(node)

    def block(self, statements: _Statements) -> _Statements:
        done: _Statements = []
        for statement in statements:
            done.extend(self.statement(statement))
            if done and isinstance(done[-1], (ast.Return, ast.Continue, ast.Break)):
                break  # what follows a decided test's return is never reached
        return done

    def statement(self, node: ast.stmt) -> _Statements:
        if isinstance(node, ast.If):
            test = self._fold(node.test)
            if _known(test):
                return self.block(node.body if _of(test) else node.orelse)
            body = self.block(node.body) or [ast.Pass()]
            return [ast.copy_location(ast.If(test, body, self.block(node.orelse)), node)]
        if isinstance(node, ast.For):
            return self._loop(node)
        if isinstance(node, ast.While):
            test = self._fold(node.test)
            return [ast.copy_location(ast.While(test, self.block(node.body), []), node)]
        return [self._fold(node)]

    def _loop(self, node: ast.For) -> _Statements:
        call = node.iter
        named = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id
        if named != "static_range" or not isinstance(call, ast.Call):
            iterated = self._fold(call)
            return [ast.copy_location(ast.For(node.target, iterated, self.block(node.body), [], None), node)]
        assert isinstance(node.target, ast.Name)
        bounds = [self._fold(argument) for argument in call.args]
        if not _known(*bounds):
            raise TypeError(f"static_range of what is no constant: {ast.unparse(call)}")
        kept, name = self.constants, node.target.id
        done: _Statements = []
        for value in range(*map(_of, bounds)):
            self.constants = {**kept, name: value}
            done.extend(self.block(copy.deepcopy(node.body)))
        if any(_leaves(statement) for statement in done):
            raise TypeError(f"break or continue in a loop that is unrolled: {ast.unparse(call)}")
        self.constants = kept
        return done


def _leaves(node: ast.stmt) -> bool:
    """Whether the statement leaves a loop around it."""
    if isinstance(node, (ast.Break, ast.Continue)):
        return True
    return isinstance(node, ast.If) and any(map(_leaves, [*node.body, *node.orelse]))


@functools.cache
def _tree(function: Callable) -> ast.FunctionDef:
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(node, ast.FunctionDef)
    node.decorator_list = []
    if isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant):
        node.body = node.body[1:] or [ast.Pass()]
    return node


def unrolled(function: Callable, constants: Mapping[str, Any], namespace: dict[str, Any]) -> Callable:
    """The function with the constants put in and its constant loops unrolled, seeing the namespace."""
    node = copy.deepcopy(_tree(function))
    node.body = [*_Unroller(constants).block(node.body)] or [ast.Pass()]
    module = ast.fix_missing_locations(ast.Module([node], []))
    ast.increment_lineno(module, function.__code__.co_firstlineno - 1)
    exec(compile(module, function.__code__.co_filename, "exec"), namespace)
    made = namespace[function.__name__]
    made.__module__, made.__qualname__ = function.__module__, function.__qualname__
    return made

"""Specialised kernels: constants put in, tests decided, loops unrolled, and what cannot be is refused."""

import inspect

import pytest

from numbacnn.kernels.cuda.unroll import unrolled


def sums(x, n):
    total = 0
    for i in static_range(COUNT):  # noqa: F821
        for j in static_range(i, COUNT):  # noqa: F821
            if i == j and KIND == "diagonal":  # noqa: F821
                total += x[i] * (2 if i % 2 == 0 else 3)
            elif KIND != "diagonal":  # noqa: F821
                total += x[TABLE[j]]  # noqa: F821
    for k in range(n):
        if k == COUNT:  # noqa: F821
            break
        total += max(COUNT, 2)  # noqa: F821
    return total


def made(function, **constants):
    return unrolled(function, constants, {**function.__globals__, "static_range": range})


def by_hand(kind, count, table, x, n):
    total = 0
    for i in range(count):
        for j in range(i, count):
            if i == j and kind == "diagonal":
                total += x[i] * (2 if i % 2 == 0 else 3)
            elif kind != "diagonal":
                total += x[table[j]]
    return total + min(n, count) * max(count, 2)


@pytest.mark.parametrize("kind", ["diagonal", "all"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_result_is_that_of_the_source(kind, count):
    x, table = [5, 7, 11, 13], (2, 0, 3)
    function = made(sums, KIND=kind, COUNT=count, TABLE=table)
    assert function(x, 2) == by_hand(kind, count, table, x, 2)
    assert function(x, 9) == by_hand(kind, count, table, x, 9)


def test_indices_are_literals():
    code = made(sums, KIND="diagonal", COUNT=3, TABLE=(0, 0, 0)).__code__
    assert "static_range" not in code.co_names and "COUNT" not in code.co_names
    assert {0, 1, 2} <= set(code.co_consts)


def test_statements_after_a_decided_return_are_gone():
    def early(x):
        if FAST:  # noqa: F821
            return x
        return x.missing()

    assert made(early, FAST=True)(3) == 3
    assert "missing" not in made(early, FAST=True).__code__.co_names


def test_loops_that_cannot_be_unrolled_are_refused():
    def leaves(x):
        for i in static_range(3):  # noqa: F821
            if x[i]:
                break

    def bounds(x):
        for i in static_range(x):  # noqa: F821
            x += i

    with pytest.raises(TypeError, match="break or continue"):
        made(leaves)
    with pytest.raises(TypeError, match="no constant"):
        made(bounds)
    with pytest.raises(TypeError, match="no constant of a kernel"):
        made(sums, KIND=[], COUNT=1, TABLE=())


def test_line_numbers_stay_those_of_the_file():
    def fails(x):
        y = x
        return y + None

    with pytest.raises(TypeError) as info:
        made(fails)(1)
    line = info.traceback[-1].lineno + 1
    assert "y + None" in inspect.getsourcelines(fails)[0][line - inspect.getsourcelines(fails)[1]]

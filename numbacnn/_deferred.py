"""Numba, imported late: a process whose kernels are all on disk never imports it.

Importing Numba and loading its typing rules takes longer than a prediction.  So what Numba would compile is
recorded when its module is imported, and turned into Numba's objects when first a kernel must be compiled.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numba import types
    from numba.core import cgutils
else:

    class _Late:
        """A module that is imported when first something of it is used."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, name: str) -> Any:
            return getattr(importlib.import_module(self._name), name)

    types, cgutils = _Late("numba.types"), _Late("numba.core.cgutils")

__all__ = ["Deferred", "before_compiling", "cgutils", "intrinsic", "materialise", "recorded", "types"]


class Deferred:
    """A function and what makes a Numba object of it; stands for that object until then."""

    def __init__(self, function: Callable, make: Callable[[Callable], Any]) -> None:
        self.py_func, self.make = function, make
        self._made: Any = None
        recorded(function)

    def made(self) -> Any:
        """Return the Numba object, the same each time."""
        if self._made is None:
            self._made = self.make(self.py_func)
        return self._made


_functions: list[Callable] = []  # in whose globals and closures deferred objects may stand
_callbacks: list[Callable[[], None]] = []


def recorded(function: Callable) -> None:
    """Let ``materialise`` replace what stands for Numba objects where this function looks for them."""
    _functions.append(function)


def before_compiling(function: Callable[[], None]) -> Callable[[], None]:
    """Call ``function()`` once, before the first kernel is compiled: for what registers itself with Numba."""
    _callbacks.append(function)
    return function


def intrinsic(function: Callable | None = None, **options: Any) -> Any:
    """Numba's decorator of that name, put off."""
    if function is None:
        return lambda f: intrinsic(f, **options)

    def make(f: Callable) -> Any:
        from numba.extending import intrinsic as of_numba

        return of_numba(**options)(f) if options else of_numba(f)

    return Deferred(function, make)


def materialise() -> None:
    """Turn all that was recorded into Numba's objects, in the places where compiled functions look."""
    while _callbacks:
        _callbacks.pop()()
    while _functions:
        function = _functions.pop()
        space = function.__globals__
        for name, value in list(space.items()):
            if isinstance(value, Deferred):
                space[name] = value.made()
        for cell in function.__closure__ or ():
            if isinstance(cell.cell_contents, Deferred):
                cell.cell_contents = cell.cell_contents.made()

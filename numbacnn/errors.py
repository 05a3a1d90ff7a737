"""The errors that numbacnn raises: each names the operation, what was expected, what came, and what to do."""

import importlib
from types import ModuleType


class NumbaCNNError(Exception):
    """The base of every error raised by numbacnn on purpose."""


class ShapeError(NumbaCNNError, ValueError):
    """An array has the wrong rank or extents for the operation."""


class DTypeError(NumbaCNNError, TypeError):
    """An array has an element type that the operation does not take."""


class DeviceError(NumbaCNNError, RuntimeError):
    """A tensor lies on another device than the operation needs, or the device is absent."""


class DeviceMemoryError(DeviceError, MemoryError):
    """A device has not enough memory left."""


class ArgumentError(NumbaCNNError, ValueError):
    """A hyper-parameter or an option has a value outside its domain."""


class TargetError(NumbaCNNError, ValueError):
    """A target does not describe the classes or values it should."""


class IndexRangeError(NumbaCNNError, IndexError):
    """An integer that chooses something, such as a row of an embedding, chooses nothing that is there."""


class NumericsError(NumbaCNNError, ArithmeticError):
    """A NaN or an infinity was found where `config.check_finite` looks for one."""


class FileFormatError(NumbaCNNError, ValueError):
    """A file is truncated, corrupt, of another version, or not what it should be."""


class MissingExtraError(NumbaCNNError, ImportError):
    """An optional package is not installed."""


class CacheWarning(UserWarning):
    """Compiled kernels cannot be kept where they should be."""


def message(name: str, expected: str, got: str, remedy: str) -> str:
    """``<name>: expected <expected>, got <got>; <remedy>``.

    Args:
        name: the layer or operation that refuses.
        expected: what it takes.
        got: what it was given.
        remedy: what the caller can do about it.

    Returns:
        The one line that every error of this package carries.

    """
    return f"{name}: expected {expected}, got {got}; {remedy}"


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional module, or say in one line which extra brings it.

    Args:
        module: dotted name of the module, such as ``"matplotlib.pyplot"``.
        extra: the extra of numbacnn that installs it, such as ``"demo"``.
        purpose: what it is needed for, such as ``"plotting curves"``.

    Returns:
        The imported module.

    Raises:
        MissingExtraError: the module is absent, or present and unable to load.

    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        absent = isinstance(error, ModuleNotFoundError) and error.name in (package, module)
        got = "no such package" if absent else f"{type(error).__name__} ({error})"
        remedy = f'install it with: pip install "numbacnn[{extra}]"'
        raise MissingExtraError(message(purpose, f"the package {package!r}", got, remedy)) from error

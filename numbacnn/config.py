"""Settings of the running process. Each starts from an environment variable and can be assigned."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from .errors import ArgumentError, message

_GIB = 1 << 30


def _flag(variable: str, default: bool = False) -> bool:
    given = os.environ.get(variable, "").strip().lower()
    return default if not given else given not in ("0", "false", "no", "off")


def _memory_bytes() -> int:
    """Memory this process may use: the machine's, or less where a control group limits it."""
    limits = []
    try:
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        limits.append(8 * _GIB)
    with suppress(OSError, ValueError):  # no control groups, or the limit reads "max"
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return min(limits)


def _pool_limit() -> int:
    given = os.environ.get("NUMBACNN_POOL_LIMIT_BYTES", "").strip()
    # A quarter leaves room for the tensors in use; past 4 GiB nothing that fits a CPU gains.
    return int(given) if given.isdecimal() else min(4 * _GIB, _memory_bytes() // 4)


def _device_limit() -> int | None:
    given = os.environ.get("NUMBACNN_DEVICE_LIMIT_BYTES", "").strip()
    return int(given) if given.isdecimal() else None


_NAMES = ("check_finite", "device_limit_bytes", "pool_limit_bytes", "precision", "winograd")
_PRECISIONS = ("default", "tf32", "exact")
_precision_here: ContextVar[str | None] = ContextVar("numbacnn_precision", default=None)


def checked_precision(value: str) -> str:
    """The value, or ArgumentError where it names no precision."""
    if value not in _PRECISIONS:
        expected = 'precision "default", "tf32" or "exact"'
        raise ArgumentError(message("config", expected, repr(value), "choose one of these"))
    return value


class Config:
    """The settings of the process.

    Attributes:
        check_finite: containers raise NumericsError naming the first layer whose output or gradient holds
            a NaN or an infinity. Costs one more read of each activation. Starts from
            ``NUMBACNN_CHECK_FINITE`` (``1`` switches it on); off by default.
        device_limit_bytes: bytes that each GPU's memory is taken up with at most, in use and kept for reuse;
            read when a GPU is first used. Starts from ``NUMBACNN_DEVICE_LIMIT_BYTES``; by default None: all.
        pool_limit_bytes: bytes that the buffer pool keeps for reuse at most; buffers in use do not count.
            Starts from ``NUMBACNN_POOL_LIMIT_BYTES``; by default a quarter of the memory, at most 4 GiB.
        precision: how GPUs multiply float32 arrays. ``"default"``, as in PyTorch: convolutions round what
            they multiply to TF32 (10 bits of mantissa: an error of some 1e-3 of the largest output) for
            tensor cores, dense layers multiply exactly. ``"tf32"``: dense layers round too. ``"exact"``:
            nothing is rounded, and tensor cores lie idle. Sums are of float32 always. CPUs, and arrays of
            other types, are not concerned. Starts from ``NUMBACNN_PRECISION``; see also `precision_as`.
        winograd: float32 convolutions may use Winograd's method where it is faster. Its error is about ten
            times that of the direct method, some 1e-6 to 1e-5 of the largest output. Starts from
            ``NUMBACNN_WINOGRAD`` (``0`` forbids it); on by default.

    """

    __slots__ = ("_precision", "check_finite", "device_limit_bytes", "pool_limit_bytes", "winograd")

    def __init__(self) -> None:
        self.check_finite: bool = _flag("NUMBACNN_CHECK_FINITE")
        self.device_limit_bytes: int | None = _device_limit()
        self.pool_limit_bytes: int = _pool_limit()
        self.winograd: bool = _flag("NUMBACNN_WINOGRAD", default=True)
        self.precision = os.environ.get("NUMBACNN_PRECISION", "").strip().lower() or "default"

    @property
    def precision(self) -> str:
        """How GPUs multiply float32 arrays: what `precision_as` says here, or the process's setting."""
        return _precision_here.get() or self._precision

    @precision.setter
    def precision(self, value: str) -> None:
        self._precision: str = checked_precision(value)

    @contextmanager
    def precision_as(self, value: str) -> Iterator[None]:
        """Another precision within a ``with`` block, of this thread or task only.

        Args:
            value: as `precision`.

        Raises:
            ArgumentError: another value.

        """
        token = _precision_here.set(checked_precision(value))
        try:
            yield
        finally:
            _precision_here.reset(token)

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)}" for name in _NAMES)
        return f"Config({values})"


config = Config()

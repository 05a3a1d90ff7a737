"""Settings of the running process. Each starts from an environment variable and can be assigned."""

import os
from contextlib import suppress
from pathlib import Path

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
        winograd: float32 convolutions may use Winograd's method where it is faster. Its error is about ten
            times that of the direct method, some 1e-6 to 1e-5 of the largest output. Starts from
            ``NUMBACNN_WINOGRAD`` (``0`` forbids it); on by default.

    """

    __slots__ = ("check_finite", "device_limit_bytes", "pool_limit_bytes", "winograd")

    def __init__(self) -> None:
        self.check_finite: bool = _flag("NUMBACNN_CHECK_FINITE")
        self.device_limit_bytes: int | None = _device_limit()
        self.pool_limit_bytes: int = _pool_limit()
        self.winograd: bool = _flag("NUMBACNN_WINOGRAD", default=True)

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)}" for name in self.__slots__)
        return f"Config({values})"


config = Config()

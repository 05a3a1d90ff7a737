"""Compile kernels for GPUs that are not here, and read what the assembler says of them."""

from __future__ import annotations

import re
from typing import NamedTuple

from numbacnn.kernels.cuda.launch import Variant


class Configuration(NamedTuple):
    """A kernel as the package launches it.

    Attributes:
        variant: the kernel with its constants.
        dtypes: element types of the arrays, in the order of the parameters ("float32" for absent ones).
        registers: a thread's, at most.
        counts: of PTX instructions by prefix, exactly: such as {"mma.sync": 64}.
        least: of PTX instructions by prefix, at least.
        doubles: the kernel is to compute in float64 though its arrays hold float32.
        slow: it takes its turn with the slow tests: the kernel differs little from others.

    """

    variant: Variant
    dtypes: tuple[str, ...]
    registers: int = 255
    counts: dict[str, int] = {}
    least: dict[str, int] = {}
    doubles: bool = False
    slow: bool = False


class Report(NamedTuple):
    """What came of compiling."""

    registers: int
    stack: int
    spills: int
    shared: int
    ptx: str

    def count(self, prefix: str) -> int:
        """Instructions that begin so."""
        return len(re.findall(rf"^\s*(?:@!?%p\d+\s+)?{re.escape(prefix)}", self.ptx, re.MULTILINE))


def compiled(configuration: Configuration, capability: tuple[int, int]) -> Report:
    """Compile a configuration for a GPU of a capability."""
    first = next((d for d in configuration.dtypes), "float32")
    real = "f64" if first == "float64" else "f32"
    _, _, ptx, log = configuration.variant.compiled(configuration.dtypes, real, capability)
    registers = re.search(r"Used (\d+) registers", log)
    frame = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", log)
    shared = re.search(r"(\d+) bytes smem", log)
    assert registers and frame, log
    spills = int(frame[2]) + int(frame[3])
    return Report(int(registers[1]), int(frame[1]), spills, int(shared[1]) if shared else 0, ptx)


def check(configuration: Configuration, capability: tuple[int, int]) -> None:
    """Assert that nothing spills, no array left the registers, and float32 kernels hold no doubles."""
    report = compiled(configuration, capability)
    assert report.stack == 0, f"{report.stack} bytes of stack: an array is indexed by what is no constant"
    assert report.spills == 0, f"{report.spills} bytes spilled"
    assert report.registers <= configuration.registers, f"{report.registers} registers"
    if "float64" not in configuration.dtypes and not configuration.doubles:
        doubles = re.findall(r"^\s*(?:add|mul|fma|div|sqrt|cvt)\S*\.f64\S* .*$", report.ptx, re.MULTILINE)
        assert not doubles, f"doubles in a float32 kernel: {doubles[:3]}"
    for prefix, count in configuration.counts.items():
        assert report.count(prefix) == count, f"{report.count(prefix)} of {prefix}"
    for prefix, least in configuration.least.items():
        assert report.count(prefix) >= least, f"{report.count(prefix)} of {prefix}"

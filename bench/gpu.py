"""Checks and speeds of everything on an NVIDIA GPU, for a machine that is at hand for minutes.

    python -m bench.gpu --check                     # intrinsics, kernels, training; exit code 1 if one fails
    python -m bench.gpu --compile                   # all kernels first, on all processors
    python -m bench.gpu --bench --json speeds.json  # beside cuDNN and cuBLAS through PyTorch
    NUMBA_ENABLE_CUDASIM=1 python -m bench.gpu --check --small  # this script itself, without a GPU

``--only`` picks sections, and what was checked or measured is printed at once, a line each; the table of all
comes last.  Both take some minutes, the first time more, since kernels are compiled.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bench import gpu_case, gpu_check, gpu_compile, gpu_intrinsics, gpu_speed, gpu_stack
from bench.report import write_json
from numbacnn.errors import DeviceError

Check = tuple[str, Callable[[], str]]


def _intrinsics(small: bool) -> Iterator[Check]:
    from numbacnn.kernels.cuda import _driver

    for trial in gpu_intrinsics.trials(_driver.device().shared_limit):
        yield trial.name, lambda trial=trial: gpu_intrinsics.compare(trial)


def _kernels(section: str) -> Callable[[bool], Iterator[Check]]:
    def checks(small: bool) -> Iterator[Check]:
        for case in gpu_check.SECTIONS[section](small):
            for kind in case.kinds:
                label = " ".join(filter(None, (case.name, case.label, kind)))
                yield label, lambda case=case, kind=kind: gpu_case.compare(case, kind)

    return checks


CHECKS: dict[str, Callable[[bool], Iterator[Check]]] = {
    "intrinsics": _intrinsics,
    **{section: _kernels(section) for section in gpu_check.SECTIONS},
    "memory": gpu_stack.memory_checks,
    "dlpack": gpu_stack.other_checks,
    "training": gpu_stack.training_checks,
    "sanitizer": gpu_stack.sanitizer_checks,
}


def about() -> dict[str, Any]:
    """The device and the versions, printed too."""
    from numbacnn.kernels.cuda import _driver, _toolkit

    device, version = _driver.device(), _driver.driver_version()
    where = "SIMULATED: no GPU was used" if _driver.simulated() else device.name
    print(
        f"device: {where}, capability {device.capability[0]}.{device.capability[1]}, "
        f"{device.multiprocessors} multiprocessors, {device.shared_limit:,} bytes of shared memory a block, "
        f"{device.memory_bytes:,} bytes; CUDA {version[0]}.{version[1]}"
    )
    print(f"versions: {', '.join(_toolkit.versions())}")
    return {
        "device": where,
        "capability": list(device.capability),
        "multiprocessors": device.multiprocessors,
        "driver": list(version),
        "versions": list(_toolkit.versions()),
    }


def check(sections: Sequence[str], small: bool = False) -> list[dict[str, Any]]:
    """Make the checks of the sections, a line each; a row each."""
    rows = []
    for section in sections:
        for name, work in CHECKS[section](small):
            start = time.perf_counter()
            try:
                state, detail = "ok", work()
            except gpu_stack.SkippedError as error:
                state, detail = "skipped", str(error)
            except Exception as error:  # whatever it is, the other checks are worth making
                state, detail = "FAILED", f"{type(error).__name__}: {error}"
            seconds = time.perf_counter() - start
            print(f"{state:<7} {section}: {name}: {' '.join(detail.split())[:600]}", flush=True)
            rows.append(
                {"section": section, "name": name, "state": state, "detail": detail, "seconds": seconds}
            )
    return rows


def summarise(rows: Sequence[dict[str, Any]]) -> int:
    """Print a line for each section; return how many checks failed."""
    print(f"\n{'section':<12} {'ok':>5} {'FAILED':>7} {'skipped':>8} {'seconds':>8}")
    states = ("ok", "FAILED", "skipped")
    for section in [*dict.fromkeys(row["section"] for row in rows), "all"]:
        mine = [row for row in rows if section in (row["section"], "all")]
        counts = [sum(row["state"] == state for row in mine) for state in states]
        seconds = sum(row["seconds"] for row in mine)
        print(f"{section:<12} {counts[0]:>5} {counts[1]:>7} {counts[2]:>8} {seconds:>8.1f}")
    return sum(row["state"] == "FAILED" for row in rows)


def _compile(capability: str, sections: Sequence[str], settings: gpu_speed.Settings) -> int:
    from numbacnn.kernels.cuda import _driver

    major, minor = map(int, capability.split(".")) if capability else _driver.device().capability
    kernels = sorted(gpu_compile.wanted(sections, settings), key=str)
    failed = gpu_compile.compile_all(kernels, (major, minor))
    print(f"compiled {len(kernels) - len(failed)} of {len(kernels)} kernels for capability {major}.{minor}")
    return int(bool(failed))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--check", action="store_true", help="is everything right?")
    what.add_argument("--bench", action="store_true", help="how fast is it?")
    what.add_argument(
        "--compile",
        nargs="?",
        const="",
        metavar="CAPABILITY",
        help="compile only, for this GPU or such as 9.0",
    )
    parser.add_argument("--small", action="store_true", help="tiny sizes, for the simulator")
    parser.add_argument("--only", nargs="+", metavar="SECTION", help="some sections")
    parser.add_argument(
        "--sets", nargs="+", default=list(gpu_speed.SETS), help="of bench/shapes.py, with --bench"
    )
    parser.add_argument(
        "--batch", nargs="+", type=int, default=[32, 256], help="of convolutions, with --bench"
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side, with --bench")
    parser.add_argument(
        "--seconds", type=float, default=540.0, help="after which no row is begun, with --bench"
    )
    parser.add_argument("--json", metavar="FILE", help="write everything there too")
    a = parser.parse_args(argv)
    sections = gpu_speed.SECTIONS if a.bench else CHECKS
    only = list(sections) if a.only is None else a.only
    if unknown := sorted(set(only) - set(sections)):
        parser.error(f"no section {', '.join(unknown)}; there are {', '.join(sections)}")
    try:
        report = about()
    except DeviceError as error:
        sys.exit(str(error))
    settings = gpu_speed.Settings(a.small, a.sets, a.batch, a.rounds, a.seconds)
    if a.compile is not None:
        return _compile(a.compile, only, settings)
    if a.check:
        report["rows"] = check(only, a.small)
        failed = summarise(report["rows"])
        write_json(a.json, report)
        return int(failed > 0)
    report["rows"] = gpu_speed.measure(
        only, settings, lambda rows: write_json(a.json, {**report, "rows": rows})
    )
    report["summary"] = gpu_speed.summarise(report["rows"])
    write_json(a.json, report)
    return int(any("error" in row for row in report["rows"]))


if __name__ == "__main__":
    sys.exit(main())

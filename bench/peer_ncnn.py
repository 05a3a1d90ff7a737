"""ncnn as a peer of the convolutions, at its best: a net of one layer, its weights transformed when loaded.

Forward, one image, float32, two spatial axes.  Winograd, packed layouts and matrix products are on, as ncnn
has them by default; 16-bit storage and arithmetic are off.  What a net does not pay between its layers is not
timed either: the output stays in the layout in which the next layer would take it, and so may the input.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.peer_torch import plane
from bench.timing import fastest
from numbacnn.dims import ConvDims

#: Channels that lie side by side in a packed layout: of SSE or NEON, AVX and AVX-512.
PACKS = (1, 4, 8, 16)

#: In the order of the numbers that ncnn's parameter files use: width before height.
_NUMBERS = {"k_": (1, 11), "dilation_": (2, 12), "stride_": (3, 13), "pad_lo_": (4, 14), "pad_hi_": (15, 16)}


class UnsupportedError(Exception):
    """The peer has no such convolution, or none worth timing."""


def require_ncnn() -> Any:
    """Return ncnn, or end the program with the one line that says how to get it."""
    if importlib.util.find_spec("ncnn") is None:
        sys.exit("the peer is ncnn, which is not installed: pip install ncnn (or choose --peer none)")
    import ncnn

    return ncnn


def _layer(dims: ConvDims) -> str:
    """The net as a parameter file has it: the input "x" and the convolution "y" of it."""
    height, width = dims.in_
    values = {0: dims.c_out, 5: 0, 6: int(np.prod(dims.kernel_shape))}
    for field, numbers in _NUMBERS.items():
        values |= dict(zip(numbers, reversed(getattr(dims, field)), strict=True))
    kind = "Convolution"
    if dims.groups > 1:
        kind, values[7] = "ConvolutionDepthWise", dims.groups  # of any groups, whatever its name
    options = " ".join(f"{key}={value}" for key, value in sorted(values.items()))
    head = "7767517\n2 2\n"  # the format's number; layers and arrays
    return f"{head}Input x 0 1 x 0={width} 1={height} 2={dims.c_in}\n{kind} y 1 1 x y {options}\n"


class NcnnConv:
    """One convolution's forward pass in ncnn, from and to channels-last NumPy arrays of one image."""

    def __init__(self, dims: ConvDims, x: np.ndarray, w: np.ndarray, threads: int) -> None:
        self.signal = dims.rank == 1
        if self.signal:
            dims, x, w = plane(dims), x[:, None], w[None]
        if dims.rank != 2 or dims.n != 1:
            raise UnsupportedError("ncnn: only images of one or two spatial axes, one at a time")
        self.ncnn, self.dims = require_ncnn(), dims
        self.net = self._loaded(w, threads)
        array = np.ascontiguousarray(np.moveaxis(x[0], -1, 0))
        planar = self.ncnn.Mat(array).clone()  # a Mat of an array does not keep it alive
        self.inputs = {pack: self._packed(planar, pack) for pack in PACKS if dims.c_in % pack == 0}

    def _loaded(self, w: np.ndarray, threads: int) -> Any:
        net = self.ncnn.Net()
        net.opt.num_threads = threads
        for option in dir(net.opt):
            if option.startswith(("use_fp16", "use_bf16")):
                setattr(net.opt, option, False)
        if net.load_param_mem(_layer(self.dims)) != 0:
            raise UnsupportedError(f"ncnn: refuses the layer {_layer(self.dims).splitlines()[-1]}")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "weights.bin"
            # (c_out, c_in / groups, kh, kw), behind a word that says: float32, as they are
            path.write_bytes(bytes(4) + np.ascontiguousarray(w.transpose(3, 2, 0, 1)).tobytes())
            if net.load_model(str(path)) != 0:
                raise UnsupportedError("ncnn: cannot make the layer")
        return net

    def _packed(self, mat: Any, pack: int) -> Any:
        packed = self.ncnn.Mat()
        self.ncnn.convert_packing(mat, packed, pack, self.net.opt)
        return packed

    def _call(self, pack: int) -> Callable[[], Any]:
        net, x = self.net, self.inputs[pack]

        def call() -> Any:
            extractor = net.create_extractor()  # keeps what it computed: a new one for each run
            extractor.input("x", x)
            return extractor.extract("y", 1)[1]  # 1: as the layer leaves it, not unpacked

        return call

    def best(self, pass_: str, *, turn_seconds: float) -> tuple[str, Callable[[], Any]]:
        """The layout of the input that runs fastest, and the pass from it."""
        if pass_ != "forward":
            raise UnsupportedError(f"ncnn: has no {pass_} pass")
        calls = {"planar" if p == 1 else f"pack {p}": self._call(p) for p in self.inputs}
        name = fastest(calls, turn_seconds=turn_seconds)
        return name, calls[name]

    def result(self, pass_: str, call: Callable[[], Any]) -> np.ndarray:
        """What the call computes, as a channels-last NumPy array."""
        y = self._packed(call(), 1)  # held: the array is a view of it
        # one row of one pixel comes with fewer axes
        result = np.moveaxis(np.array(y.numpy()).reshape(self.dims.c_out, *self.dims.out_), 0, -1)[None]
        return result[:, 0] if self.signal else result

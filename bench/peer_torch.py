"""PyTorch as the peer of the convolutions, at its best: warm, no autograd, its fastest memory format."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from bench.timing import fastest, require_torch
from numbacnn.dims import ConvDims

#: Which of input, weights and bias aten.convolution_backward computes the gradient of.
_MASKS = {"data": [True, False, False], "weights": [False, True, False]}


class TorchConv:
    """One convolution's three passes in PyTorch, from and to channels-last NumPy arrays.

    Where padding differs between the ends and PyTorch's equal padding would not give the same outputs, the
    input is padded beforehand, outside the timing.  Signals are images of one row there, as PyTorch's own
    conv1d makes them: so they have a channels-last format too.  With ``keep_weights`` the forward pass may
    also run as in a compiled model for inference: from a kernel rearranged beforehand by oneDNN.
    """

    def __init__(
        self, dims: ConvDims, x: np.ndarray, w: np.ndarray, dy: np.ndarray, *, keep_weights: bool = False
    ) -> None:
        self.torch, self.signal, self.keep_weights = require_torch(), dims.rank == 1, keep_weights
        if self.signal:
            dims, x, w, dy = plane(dims), x[:, None], w[None], dy[:, None]
        self.dims = dims
        per_axis = zip(dims.in_, dims.pad_lo_, dims.span_, dims.stride_, strict=True)
        equal_out = tuple((i + 2 * lo - span) // s + 1 for i, lo, span, s in per_axis)
        self.padded = equal_out != dims.out_
        if self.padded:
            x = np.pad(x, ((0, 0), *zip(dims.pad_lo_, dims.pad_hi_, strict=True), (0, 0)))
        pad = (0,) * dims.rank if self.padded else dims.pad_lo_
        self.geometry = {"stride": dims.stride_, "padding": pad, "dilation": dims.dilation_}
        first, last = dims.rank + 1, range(1, dims.rank + 1)
        x, dy = np.moveaxis(x, first, 1), np.moveaxis(dy, first, 1)
        w = np.transpose(w, (first, first - 1, *(a - 1 for a in last)))
        channels_last = {2: self.torch.channels_last, 3: self.torch.channels_last_3d}[dims.rank]
        formats = {"contiguous": self.torch.contiguous_format, "channels_last": channels_last}
        self.arrays = {
            name: [
                self.torch.from_numpy(np.ascontiguousarray(a)).contiguous(memory_format=f) for a in (x, w, dy)
            ]
            for name, f in formats.items()
        }

    def _call(self, pass_: str, memory_format: str) -> Callable[[], Any]:
        torch, g, groups = self.torch, self.geometry, self.dims.groups
        x, w, dy = self.arrays[memory_format]
        if pass_ == "forward":
            forward = {2: torch.nn.functional.conv2d, 3: torch.nn.functional.conv3d}[self.dims.rank]
            return functools.partial(forward, x, w, None, groups=groups, **g)
        zeros = [0] * self.dims.rank
        geometry = [list(g[key]) for key in ("stride", "padding", "dilation")]
        arguments = (dy, x, w, None, *geometry, False, zeros, groups, _MASKS[pass_])
        return functools.partial(torch.ops.aten.convolution_backward, *arguments)

    def _prepacked(self) -> Callable[[], Any]:
        """The forward pass as torch.compile has it for inference, by the operators it compiles to."""
        ops, g, groups = self.torch.ops.mkldnn, self.geometry, self.dims.groups
        x, w, _ = self.arrays["channels_last"]
        geometry = [list(g[key]) for key in ("padding", "stride", "dilation")]
        packed = ops._reorder_convolution_weight(w, *geometry, groups, list(x.shape))
        return functools.partial(
            ops._convolution_pointwise, x, packed, None, *geometry, groups, "none", [], ""
        )

    def best(self, pass_: str, *, turn_seconds: float) -> tuple[str, Callable[[], Any]]:
        """The fastest of the memory formats, and the pass in it (to be called in inference mode)."""
        calls = {name: self._call(pass_, name) for name in self.arrays}
        inference = self.keep_weights and pass_ == "forward" and self.dims.rank == 2
        if inference and self.torch.backends.mkldnn.is_available():
            calls["prepacked"] = self._prepacked()
        name = fastest(calls, turn_seconds=turn_seconds)
        return name, calls[name]

    def result(self, pass_: str, call: Callable[[], Any]) -> np.ndarray:
        """What the call computes, as a channels-last NumPy array."""
        value, rank = call(), self.dims.rank
        if pass_ == "forward":
            y = np.moveaxis(value.numpy(), 1, -1)
            return y[:, 0] if self.signal else y
        if pass_ == "weights":
            dw = np.transpose(value[1].numpy(), (*range(2, rank + 2), 1, 0))
            return dw[0] if self.signal else dw
        dx = np.moveaxis(value[0].numpy(), 1, -1)
        if self.padded:
            per_axis = zip(self.dims.pad_lo_, self.dims.in_, strict=True)
            dx = dx[(slice(None), *(slice(lo, lo + i) for lo, i in per_axis))]
        return dx[:, 0] if self.signal else dx


def plane(dims: ConvDims) -> ConvDims:
    """The same convolution of images of one row."""
    ones = {field: (1, *getattr(dims, field)) for field in ("in_", "k_", "stride_", "dilation_")}
    return replace(dims, **ones, pad_lo_=(0, *dims.pad_lo_), pad_hi_=(0, *dims.pad_hi_))

"""What convolutions and dense layers share: an activation that belongs to the layer."""

from __future__ import annotations

from typing import Any, ClassVar

from numpy.typing import ArrayLike

from numbacnn import functional
from numbacnn.epilogue import Activation, ActivationLike
from numbacnn.layers.base import Layer, Training, frozen
from numbacnn.tensor import Tensor


class Activated(Layer):
    """``y = activation(z)``, z what the subclass computes by `_linear`; ``dz = dy activation'``.

    Where `_fuses`, the activation is applied while results are in the cache. Its gradient needs the output
    only, but for SiLU's, which in training is applied afterwards and keeps z.

    Attributes:
        activation: None, ``"relu"``, ``"relu6"``, ``"silu"``, ``("leaky_relu", slope)`` or ``("clip", low,
            high)``.

    """

    _fuses: ClassVar[bool] = False
    activation: ActivationLike = None
    _activation: Activation | None = None

    def _activate(self, activation: ActivationLike) -> None:
        """Take the constructor's argument."""
        self.activation = frozen(activation)
        self._activation = Activation.of(self.activation, self.name)

    def _linear(self, x: ArrayLike, training: Training, activation: ActivationLike) -> tuple[Tensor, Any]:
        """What `forward` returns without an activation; where `_fuses`, with one."""
        raise NotImplementedError

    def _linear_backward(self, dz: ArrayLike, saved: Any, input_gradient: bool) -> Tensor | None:
        """What `backward` does without an activation."""
        raise NotImplementedError

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """Compute z and apply the activation."""
        follow = self._activation
        if follow is None:
            return self._linear(x, training, None)
        smooth = follow.kind == "silu"
        late = not self._fuses or (smooth and bool(training))
        z, saved = self._linear(x, training, None if late else self.activation)
        y = _applied(follow, z, self.path) if late else z
        return y, ((saved, z if smooth else y) if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> Tensor | None:
        """Gradients of the parameters and, where asked for, of the input."""
        if self._activation is not None:
            saved, kept = saved
            dy = _gradient(self._activation, dy, kept, self.path)
        return self._linear_backward(dy, saved, input_gradient)


def _applied(follow: Activation, z: Tensor, name: str) -> Tensor:
    kind, low, high = follow
    if kind == "relu":
        return functional.relu_forward(z, name=name)
    if kind == "leaky_relu":
        return functional.leaky_relu_forward(z, slope=low, name=name)
    if kind == "silu":
        return functional.silu_forward(z, name=name)
    return functional.clip_forward(z, low, high, name=name)


def _gradient(follow: Activation, dy: ArrayLike, kept: Tensor, name: str) -> Tensor:
    kind, low, high = follow
    if kind == "relu":
        return functional.relu_backward(dy, kept, name=name)
    if kind == "leaky_relu":
        return functional.leaky_relu_backward(dy, kept, slope=low, name=name)
    if kind == "silu":
        return functional.silu_backward(dy, kept, name=name)
    return functional.clip_backward(dy, kept, low, high, name=name)

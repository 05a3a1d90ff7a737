"""A scale of the loss, so that gradients in 16 bits neither vanish nor overflow; kept on the GPU."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

from numbacnn.errors import ArgumentError, message
from numbacnn.tensor import Tensor

_NEVER = (1 << 31) - 1


class LossScale:
    """Multiplies the loss's gradient by a scale; a step whose gradients overflow is skipped and halves it.

    After `interval` steps without overflow the scale doubles, up to 2^24. All of it happens on the GPU: no
    step waits for the host. `fit` makes one for models that compute in 16 bits; in a loop of one's own::

        scale = LossScale(model.device)
        loss, dy = criterion.value_and_gradient(y, target)
        model.backward(scale.up(dy), saved)
        optimizer.step(model.parameters, scale)

    Args:
        device: where the model is.
        initial: scale to begin with, a power of two.
        dynamic: False keeps the scale and looks for no overflow: for bfloat16, whose range is float32's.
        interval: steps without overflow before the scale doubles.

    Source:
        Micikevicius et al., "Mixed Precision Training", ICLR 2018, section 3.2.

    """

    def __init__(
        self, device: str, initial: float = 65536.0, dynamic: bool = True, interval: int = 2000
    ) -> None:
        if not 2.0**-14 <= initial <= 2.0**24 or math.frexp(initial)[0] != 0.5:
            expected = "initial as a power of two from 2^-14 to 2^24"
            raise ArgumentError(message("LossScale", expected, repr(initial), "pass such as 65536.0"))
        from numbacnn.kernels.cuda import mixed

        self._kernels: Any = mixed
        self.dynamic, self.interval = bool(dynamic), int(interval) if dynamic else _NEVER
        probe = Tensor([0.0], device)  # names the device's number, or says why there is none
        with _on(probe):
            self._state, self._flag = mixed.new_loss_scale(initial)

    @property
    def value(self) -> float:
        """The scale now; waits for the GPU."""
        return float(self._state.numpy()[0])

    @property
    def skipped(self) -> int:
        """Steps that overflowed and changed nothing; waits for the GPU."""
        return int(self._state.numpy()[3])

    def up(self, dy: Tensor) -> Tensor:
        """The gradient of the scaled loss, in the place of that of the loss."""
        with _on(dy):
            self.scaled(dy._array)
        return dy

    def scaled(self, x: Any) -> None:
        """Multiply an array by the scale."""
        self._kernels.scale_up(x, self._state, x)

    def down(self, x: Any, y: Any) -> None:
        """Write ``x / scale``."""
        self._kernels.scale_down(x, self._state, y)

    def check(self, gradients: Iterable[Any]) -> None:
        """Look for overflow in the gradients of a step, before it is made."""
        if self.dynamic:
            for array in gradients:
                self._kernels.check_finite(array, self._flag)

    def update(self) -> None:
        """Adapt the scale, after a step."""
        self._kernels.update_loss_scale(self._state, self._flag, self.interval)

    @property
    def arrays(self) -> tuple[Any, Any]:
        """The state on the GPU, and the flag that overflow raises."""
        return self._state, self._flag


def _on(x: Tensor) -> AbstractContextManager[None]:
    from numbacnn.kernels.cuda import _driver

    return _driver.on(x._array.device)

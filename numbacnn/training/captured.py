"""Training steps that are recorded once and launched as one: a CUDA graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..errors import ArgumentError, DeviceError, ShapeError, message
from ..functional import add
from ..layers import Dropout, Layer
from ..loss_scale import LossScale
from ..regularizers import penalty_value
from ..tensor import Tensor, as_tensor, empty
from .loop import scale_for


class CapturedStep:
    """Training steps of one batch size as a CUDA graph: forward, loss, gradients and update in one launch.

    A step of a small model is hundreds of launches of a few microseconds each; a graph is launched once. The
    results have the bits of steps made one by one::

        step = CapturedStep(model.to("cuda"), SoftmaxCrossEntropy(), Adam(), batch_size=64)
        for x, y in batches:
            optimizer.lr = schedule(number)     # may change from step to step
            loss = step(x, y)                   # a tensor () on the GPU; .item() waits for it

    The first step runs as always, the second is recorded and launched, the others are launched. What the
    graph took from Python stays as it was then: the optimizer's settings but its learning rate, which
    parameters are trainable, and the loss. Gradients lie in ``parameter.grad`` until the next step.

    Args:
        model: built, on a GPU, without dropout, whose masks would be the same in each step.
        loss: has ``value_and_gradient(prediction, target)``.
        optimizer: of this package; assign its ``lr`` between steps.
        batch_size: samples of each step.
        target_shape: of one sample's target: () for classes.
        target_dtype: element type of the targets.

    Raises:
        ArgumentError: the model is not built, or has dropout.
        DeviceError: it is not on a GPU.

    """

    def __init__(
        self,
        model: Layer,
        loss: Any,
        optimizer: Any,
        batch_size: int,
        *,
        target_shape: Sequence[int] = (),
        target_dtype: DTypeLike = np.int64,
    ) -> None:
        if not model.built or model.input_shape is None:
            raise ArgumentError(message(model.path, "a built model", "one not yet built", "call build first"))
        if model.device == "cpu":
            expected, remedy = "a model on a GPU", 'move it by .to("cuda"); on the CPU use fit'
            raise DeviceError(message("CapturedStep", expected, "one on 'cpu'", remedy))
        for layer in getattr(model, "leaves", lambda: [model])():
            if isinstance(layer, Dropout) and layer.rate:
                expected, remedy = "no random layer in a captured step", "use fit, or leave it out"
                raise ArgumentError(message(layer.path, expected, repr(layer), remedy))
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.scale: LossScale | None = scale_for(model)
        device = model.device
        shape = batch_size, *model.input_shape
        kind = np.dtype(np.int64) if model.takes_integers else model.parameters[0].dtype
        self._x = empty(shape, kind, device)
        self._y = empty((batch_size, *target_shape), target_dtype, device)
        self._warm = False
        self._graph: Any = None
        self._total: Any = None
        self._captured: list[tuple[Any, bool]] = []
        self._boards: list[Any] = []  # where the numbers lie that the graph reads

    def __call__(self, x: ArrayLike, y: ArrayLike) -> Tensor:
        """Make a step.

        Args:
            x: (batch_size, ...) inputs of the parameters' dtype, or integers, on the host or the model's GPU.
            y: (batch_size, ...) targets, likewise.

        Returns:
            The loss with the penalties, a tensor () on the GPU: read it by ``.item()`` when it is needed.

        Raises:
            ShapeError: another shape than the step was made for.
            ArgumentError: parameters were moved, frozen or unfrozen since the capture, or the optimizer was
                reset, loaded or given other parameters.

        """
        from ..kernels.cuda import _driver
        from ..kernels.cuda._graph import capture

        with _driver.on(self._x._array.device):  # type: ignore[attr-defined]
            self._fill("inputs", self._x, x)
            self._fill("targets", self._y, y)
            parameters = self.model.parameters
            if not self._warm:  # as always, so that all kernels are loaded before the capture
                total = self._gradients()
                self.optimizer.step(parameters, self.scale)
                self._warm = True
                return total
            if self._graph is None:
                self.optimizer._prepare(parameters, self.scale)
                with capture() as graph:
                    self._total = self._gradients()
                    self.optimizer._launch(parameters, self.scale)
                self._graph, self._captured, self._boards = graph, self._present(), self.optimizer._boards
            elif any(
                a is not b or s != t for (a, s), (b, t) in zip(self._present(), self._captured, strict=True)
            ):
                expected, got = "the parameters as they were captured", "some moved, frozen or unfrozen"
                raise ArgumentError(message("CapturedStep", expected, got, "make a new CapturedStep"))
            else:
                self.optimizer._prepare(parameters, self.scale)
                if self.optimizer._boards is not self._boards:
                    expected, got = "the optimizer's state as it was captured", "another"
                    raise ArgumentError(message("CapturedStep", expected, got, "make a new CapturedStep"))
            self._graph.launch()
            return Tensor(self._total._array.copy())

    def _present(self) -> list[tuple[Any, bool]]:
        return [(p.value._array, p.frozen) for p in self.model.parameters]

    def _gradients(self) -> Tensor:
        """The gradients of all parameters; the loss."""
        self.model.zero_grad()
        prediction, saved = self.model.forward(self._x, training=True)
        value, gradient = self.loss.value_and_gradient(prediction, self._y)
        penalty = penalty_value(self.model.parameters)
        self.model.backward(gradient if self.scale is None else self.scale.up(gradient), saved)
        return add(value, penalty) if isinstance(penalty, Tensor) else value

    def _fill(self, what: str, place: Tensor, value: ArrayLike) -> None:
        array: Any = as_tensor(value, name=what)._array
        if array.shape != place.shape:
            remedy = "give full batches of the captured size, or make a CapturedStep for this one"
            raise ShapeError(message("CapturedStep", f"{what} {place.shape}", str(array.shape), remedy))
        if type(array) is np.ndarray:
            array = array.astype(place.dtype, copy=False)
        elif array.device != place._array.device:  # type: ignore[attr-defined]
            expected, got = f"{what} on {place.device!r} or the host", f"'cuda:{array.device}'"
            raise DeviceError(message("CapturedStep", expected, got, "move them first"))
        place._array.write(array)  # type: ignore[attr-defined]

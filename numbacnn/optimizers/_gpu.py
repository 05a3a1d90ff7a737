"""Steps of parameters on a GPU: their numbers lie there, and the host waits for nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from numbacnn.errors import ArgumentError, message
from numbacnn.kernels.cuda import _driver
from numbacnn.kernels.cuda.held import Rows
from numbacnn.kernels.cuda.rules import run, square_sums
from numbacnn.loss_scale import LossScale


class Board:
    """Parameters of one rule, element type and device, whose numbers are settled by one launch.

    Args:
        states: of the parameters.
        counted: whether the GPU counts their steps, as a loss scale may skip some.

    """

    def __init__(self, states: Sequence[Any], counted: bool) -> None:
        self.states, self.counted = list(states), counted
        self.rows = Rows(states[0].by.rule, [s.w for s in states], [s.step for s in states])

    def write(self, numbers: Sequence[tuple[float, ...]]) -> None:
        """Send the numbers of the next step; steps counted on the GPU are not among them."""
        if self.counted:
            numbers = [(lr, 0.0, *rest) for lr, _, *rest in numbers]
        self._some_limit = any(n[3] < math.inf for n in numbers)
        self._some_penalty = any(n[4] or n[5] for n in numbers)
        self.rows.write(numbers)

    def recall(self) -> None:
        """Ask the GPU for the steps it counted; waits for it."""
        if self.counted:
            for state, step in zip(self.states, self.rows.steps.numpy().tolist(), strict=True):
                state.step = step

    def launch(self, optimizer: Any, scale: LossScale | None, squares: Any) -> None:
        """Step the parameters."""
        state, flag = (None, None) if scale is None else scale.arrays
        flag = flag if self.counted else None
        self.rows.settle(state, flag, squares, optimizer.clip_norm or 0.0)
        for k, s in enumerate(self.states):
            p = s.parameter
            run(
                s.by.rule,
                s.w,
                s.gradient.reshape(-1),
                s.arrays,
                self.rows.settled[k],
                limited=self._some_limit,
                penalty=self._some_penalty,
                average=optimizer._average(s),
                copy=None if p.copy is None else p.copy._array.reshape(-1),
                flag=flag,
            )


def boards_for(boards: list[Board], states: Sequence[Any], scale: LossScale | None) -> list[Board]:
    """The boards of these parameters: those at hand, or new ones where other parameters step."""
    for s in states:
        if s.parameter.copy is not None and scale is None:
            expected, remedy = "a loss scale, as the model computes in 16 bits", "pass the LossScale"
            remedy += " by which the loss's gradient was scaled"
            raise ArgumentError(message(s.parameter.name, expected, "none", remedy))
    counted = scale is not None and scale.dynamic
    order: dict[Any, list[Any]] = {}
    for s in states:
        order.setdefault((s.by.rule, s.w.dtype, s.device), []).append(s)
    if len(boards) == len(order) and all(
        board.counted == counted and _same(board.states, held)
        for board, held in zip(boards, order.values(), strict=True)
    ):
        return boards
    for board in boards:
        board.recall()
    made = []
    for held in order.values():
        with _driver.on(held[0].w.device):
            made.append(Board(held, counted))
    return made


def _same(states: Sequence[Any], others: Sequence[Any]) -> bool:
    return len(states) == len(others) and all(a is b for a, b in zip(states, others, strict=True))


def launch(optimizer: Any, boards: Sequence[Board], scale: LossScale | None) -> None:
    """Step the parameters of all boards; the norm that is clipped is that of all."""
    squares = None
    if optimizer.clip_norm is not None:
        squares = square_sums([s.gradient.reshape(-1) for board in boards for s in board.states])
    for board in boards:
        with _driver.on(board.states[0].w.device):
            board.launch(optimizer, scale, squares)

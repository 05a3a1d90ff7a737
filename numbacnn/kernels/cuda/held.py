"""The numbers of optimizer steps, kept on the GPU for many parameters: what a graph of steps reads.

The host writes a row of `update_rules.Numbers` for each parameter where something changed, and a launch
settles what the kernels read of them. Where a loss scale may skip steps, the GPU counts those made.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...update_rules import COUNT, Numbers
from .launch import ceil_div
from .memory import DeviceArray, empty, from_numpy
from .rules import SETTLED, settle, settled_type

__all__ = ["Rows"]


class Rows:
    """The numbers of parameters that step by one rule, of one element type.

    Attributes:
        settled: (parameters, SETTLED), a row for each parameter's kernel.
        steps: (parameters,) int32, those made; counted where a flag may skip them.

    Args:
        rule: of `update_rules.RULES`.
        weights: of the parameters.
        made: their steps so far.

    """

    def __init__(self, rule: str, weights: Sequence[DeviceArray], made: Sequence[int]) -> None:
        self.rule, device = rule, weights[0].device
        self._rows = empty((len(weights), COUNT), np.float64, device)
        self.settled = empty((len(weights), SETTLED), settled_type(weights[0]), device)
        self.steps = from_numpy(np.array(made, np.int32), device)
        self._sent: np.ndarray | None = None

    def write(self, numbers: Sequence[Numbers | tuple[float, ...]]) -> None:
        """Send the numbers, where they differ from those that were sent last."""
        rows = np.array(numbers, np.float64)
        if self._sent is None or not np.array_equal(rows, self._sent):
            self._rows.write(rows)
            self._sent = rows

    def settle(
        self,
        state: DeviceArray | None = None,  # of a loss scale, by which gradients were multiplied
        flag: DeviceArray | None = None,  # where it is up nothing changes, and steps are counted here
        squares: DeviceArray | None = None,  # () float64, the sum of the gradients' squares
        most: float = 0.0,  # that their norm may be, without the loss scale
    ) -> None:
        """Make what the steps read from the numbers."""
        count = self.steps.size
        variant = settle.of(
            RULE=self.rule,
            FLAGGED=flag is not None,
            COUNTED=flag is not None,
            SCALED=state is not None,
            CLIPPED=squares is not None,
        )
        given = self._rows, self.steps, flag, state, squares, self.settled
        variant(ceil_div(count, 64), *given, count, most)

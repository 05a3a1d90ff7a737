"""The rules by which optimizers move weights, and the numbers of a step: what all kernels of them share."""

from __future__ import annotations

import math
from typing import NamedTuple

#: How many arrays of state a rule keeps of a parameter, zero at first. What it does, the reference states.
RULES = {
    "descent": 0,
    "sgd": 1,  # velocity
    "rmsprop": 1,  # mean square
    "rmsprop_momentum": 2,  # mean square, velocity
    "rmsprop_centered": 3,  # mean square, velocity, mean
    "adagrad": 1,  # sum of squares
    "adadelta": 2,  # mean square of gradients, of moves
    "adam": 2,  # first and second moment
    "amsgrad": 3,  # and the largest second moment
    "radam": 2,
    "lion": 1,  # first moment
    "lamb": 2,
}


class Numbers(NamedTuple):
    """What a step of a parameter is told: a row of float64.

    The gradient is first multiplied by `gain`, then limited to -limit .. limit, then a penalty's is added:
    ``l1 sign(w) + l2 w``. The rule's own numbers follow; one that it does not know of is ignored.

    Attributes:
        lr: learning rate.
        step: number of the parameter's step, from 1.
        gain: factor of the gradient.
        limit: of the gradient's magnitude.
        l1: weight of the penalty's sum of magnitudes.
        l2: weight of half its sum of squares, and of weight decay that is coupled.
        decay: decoupled weight decay, a share of the learning rate.
        share: by which the average of the weights moves to them.
        beta1: share of the velocity or the first moment that a step keeps.
        beta2: share of the mean square or the second moment that a step keeps.
        eps: keeps a division finite.
        dampening: of the gradient in the velocity, after the first step.
        ahead: 1 with Nesterov's momentum.
        lr_decay: of the learning rate with the steps.

    """

    lr: float
    step: float = 1.0
    gain: float = 1.0
    limit: float = math.inf
    l1: float = 0.0
    l2: float = 0.0
    decay: float = 0.0
    share: float = 0.0
    beta1: float = 0.0
    beta2: float = 0.0
    eps: float = 0.0
    dampening: float = 0.0
    ahead: float = 0.0
    lr_decay: float = 0.0


#: Where a row has what.
(LR, STEP, GAIN, LIMIT, L1, L2, DECAY, SHARE, BETA1, BETA2, EPS, DAMPENING, AHEAD, LR_DECAY) = range(14)
COUNT = len(Numbers._fields)

"""Limited-memory BFGS (Nocedal & Wright 2006, algorithms 7.4 and 7.5)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from pinncli.optimisers.base import Objective, StepInfo
from pinncli.optimisers.searches import Point, StrongWolfe, descend


@dataclass(frozen=True)
class LbfgsState:
    """The last steps and gradient changes as rows (k, p), in rings updated in place.

    `count` pairs have been learnt since the last reset; the newest is in row (count - 1) mod k.
    `inverse` (k,) holds 1/(s'y), `scale` the newest s'y/y'y; `length` is that of the last step.
    """

    steps: Tensor
    changes: Tensor
    inverse: Tensor
    count: int
    scale: float
    value: float
    gradient: Tensor
    length: float


@dataclass(frozen=True)
class Lbfgs:
    """L-BFGS over the last `memory` pairs with a strong Wolfe search."""

    memory: int
    c1: float
    c2: float

    state_type: ClassVar[type] = LbfgsState

    def init(self, objective: Objective, theta: Tensor) -> LbfgsState:
        """No pairs."""
        start = Point.of(objective, theta)
        steps = theta.new_zeros((self.memory, len(theta)))
        inverse = theta.new_zeros(self.memory)
        return LbfgsState(
            steps, steps.clone(), inverse, 0, 1.0, start.value, start.gradient, start.first_length
        )

    def step(
        self, objective: Objective, theta: Tensor, state: LbfgsState
    ) -> tuple[Tensor, LbfgsState, StepInfo]:
        """One search; where it fails the pairs are forgotten and steepest descent is tried."""
        start = Point(theta, state.value, state.gradient)
        newton = two_loops(state) if state.count else None
        descent = descend(StrongWolfe(self.c1, self.c2), objective, start, newton, state.length)
        info = descent.info(start)
        if descent.trial is None:
            return theta, state, info
        end = descent.trial.point
        kept = replace(state, count=0) if descent.restarted else state
        pair = descent.pair(start)
        kept = kept if pair is None else _learn(kept, *pair)
        return end.theta, replace(kept, value=end.value, gradient=end.gradient, length=info.step_size), info

    def refresh(self, objective: Objective, theta: Tensor, state: LbfgsState) -> LbfgsState:
        """Value and gradient anew, so that no pair mixes two objectives; the pairs stay."""
        start = Point.of(objective, theta)
        return replace(state, value=start.value, gradient=start.gradient)

    def recover(self, objective: Objective, theta: Tensor, state: LbfgsState) -> LbfgsState:
        """No pairs, and a first step a tenth of the last."""
        return replace(self.refresh(objective, theta, state), count=0, length=0.1 * state.length)


def two_loops(state: LbfgsState) -> Tensor:
    """-H g (p,), without leaving the device (algorithm 7.4)."""
    memory = len(state.inverse)
    rows = [k % memory for k in range(max(0, state.count - memory), state.count)]
    direction = -state.gradient
    shares: dict[int, Tensor] = {}
    for k in reversed(rows):
        shares[k] = state.inverse[k] * state.steps[k].dot(direction)
        direction -= shares[k] * state.changes[k]
    direction *= state.scale
    for k in rows:
        direction += (shares[k] - state.inverse[k] * state.changes[k].dot(direction)) * state.steps[k]
    return direction


def _learn(state: LbfgsState, s: Tensor, y: Tensor, sy: float) -> LbfgsState:
    """Store the pair of a step, in place."""
    row = state.count % len(state.inverse)
    state.steps[row] = s
    state.changes[row] = y
    state.inverse[row] = 1.0 / sy
    return replace(state, count=state.count + 1, scale=sy / float(y.dot(y)))

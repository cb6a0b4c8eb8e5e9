"""Limited-memory BFGS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from pinncli.optimisers.base import Objective, StepInfo
from pinncli.optimisers.searches import first_step, strong_wolfe


@dataclass(frozen=True)
class LbfgsState:
    """Value and gradient (p,) at theta, and the last `count` pairs s, y as rows of (k, p), oldest first."""

    value: float
    gradient: Tensor
    steps: Tensor
    changes: Tensor


@dataclass(frozen=True)
class Lbfgs:
    """L-BFGS (Nocedal & Wright 2006, algorithms 7.4 and 7.5) with a strong Wolfe search."""

    memory: int
    c1: float
    c2: float
    state_type: ClassVar[type] = LbfgsState

    def init(self, objective: Objective, theta: Tensor) -> LbfgsState:
        """An empty memory."""
        value, gradient = objective.value_and_grad(theta)
        empty = theta.new_empty((0, theta.shape[0]))
        return LbfgsState(value, gradient, empty, empty.clone())

    def step(
        self, objective: Objective, theta: Tensor, state: LbfgsState
    ) -> tuple[Tensor, LbfgsState, StepInfo]:
        """One direction, search and pair."""
        direction = _direction(state)
        first = 1.0 if len(state.steps) else first_step(state.gradient)
        found = strong_wolfe(
            objective, theta, direction, (state.value, state.gradient), first=first, c1=self.c1, c2=self.c2
        )
        norm = float(state.gradient.norm())
        trial = found.trial
        if not found.found:
            return theta, state, StepInfo(state.value, norm, 0.0, found.evaluations, "failed")
        s = trial.a * direction
        y = trial.gradient - state.gradient
        steps, changes = state.steps, state.changes
        if float(s.dot(y)) > 1e-12 * float(y.dot(y)) ** 0.5 * float(s.dot(s)) ** 0.5:
            steps = torch.cat([steps, s.unsqueeze(0)])[-self.memory :]
            changes = torch.cat([changes, y.unsqueeze(0)])[-self.memory :]
        info = StepInfo(trial.value, norm, float(s.norm()), found.evaluations, "ok")
        return theta + s, LbfgsState(trial.value, trial.gradient, steps, changes), info

    def refresh(self, objective: Objective, theta: Tensor, state: LbfgsState) -> LbfgsState:
        """Value and gradient at the new points; the pairs are kept, each from one set of points."""
        value, gradient = objective.value_and_grad(theta)
        return replace(state, value=value, gradient=gradient)

    def recover(self, objective: Objective, theta: Tensor, state: LbfgsState) -> LbfgsState:  # noqa: ARG002
        """Forget the curvature."""
        return self.init(objective, theta)


def _direction(state: LbfgsState) -> Tensor:
    """-H g by the two-loop recursion, H_0 = (s^T y / y^T y) I of the newest pair (eq. 7.20)."""
    q = -state.gradient
    k = len(state.steps)
    if not k:
        return q
    products = (state.steps * state.changes).sum(1)
    weights: list[Tensor] = []
    for i in reversed(range(k)):
        weight = state.steps[i].dot(q) / products[i]
        q = q - weight * state.changes[i]
        weights.append(weight)
    q = q * (products[-1] / state.changes[-1].dot(state.changes[-1]))
    for i in range(k):
        q = q + (weights[k - 1 - i] - state.changes[i].dot(q) / products[i]) * state.steps[i]
    return q

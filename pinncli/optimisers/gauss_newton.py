"""Stop-gap Levenberg-Marquardt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from pinncli.optimisers.base import Objective, StepInfo


@dataclass(frozen=True)
class DampingState:
    damping: float


@dataclass(frozen=True)
class LevenbergMarquardt:
    damping: float
    state_type: ClassVar[type] = DampingState

    def init(self, objective: Objective, theta: Tensor) -> DampingState:
        return DampingState(self.damping * 1e-3)

    def step(self, objective: Objective, theta: Tensor, state: DampingState) -> tuple[Tensor, DampingState, StepInfo]:
        value, g, a = objective.gram(theta)
        scale = a.diagonal().max()
        lam = state.damping
        for trial in range(10):
            factor, bad = torch.linalg.cholesky_ex(a + torch.diag(torch.full_like(g, float(lam * scale))))
            if not int(bad):
                s = -torch.cholesky_solve(g[:, None], factor)[:, 0]
                new = objective.value(theta + s)
                predicted = -float(g @ s + 0.5 * s @ (a @ s))
                if new < value and predicted > 0:
                    ratio = (value - new) / predicted
                    lam = max(lam / 5, 1e-19) if ratio > 0.75 else lam * 3 if ratio < 0.25 else lam
                    return theta + s, DampingState(lam), StepInfo(new, float(g.norm()), float(s.norm()), trial + 2)
            lam *= 5
        return theta, DampingState(lam), StepInfo(value, float(g.norm()), 0.0, 11, "failed")

    def refresh(self, objective: Objective, theta: Tensor, state: DampingState) -> DampingState:
        return state

    def recover(self, objective: Objective, theta: Tensor, state: DampingState) -> DampingState:
        return replace(state, damping=state.damping * 100)

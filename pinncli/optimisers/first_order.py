"""First-order methods."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from pinncli.optimisers.base import Objective, StepInfo


@dataclass(frozen=True)
class AdamState:
    """Value and gradient (p,) at theta, the moments (p,), steps taken, what recoveries left of the rate."""

    value: float
    gradient: Tensor
    first: Tensor
    second: Tensor
    steps: int
    factor: float


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba 2015, algorithm 1), the rate times `decay_rate` every `decay_steps` steps."""

    learning_rate: float
    beta1: float
    beta2: float
    epsilon: float
    decay_rate: float
    decay_steps: int
    state_type: ClassVar[type] = AdamState

    def init(self, objective: Objective, theta: Tensor) -> AdamState:
        """No moments yet."""
        value, gradient = objective.value_and_grad(theta)
        return AdamState(value, gradient, torch.zeros_like(theta), torch.zeros_like(theta), 0, 1.0)

    def step(
        self, objective: Objective, theta: Tensor, state: AdamState
    ) -> tuple[Tensor, AdamState, StepInfo]:
        """One step and the gradient at its end; not taken, and "failed", where that is not finite."""
        steps = state.steps + 1
        first = self.beta1 * state.first + (1.0 - self.beta1) * state.gradient
        second = self.beta2 * state.second + (1.0 - self.beta2) * state.gradient.square()
        rate = self.learning_rate * state.factor * self.decay_rate ** (state.steps / self.decay_steps)
        moment = first / (1.0 - self.beta1**steps)
        change = rate * moment / ((second / (1.0 - self.beta2**steps)).sqrt() + self.epsilon)
        value, gradient = objective.value_and_grad(theta - change)
        norm = float(gradient.norm())
        if not math.isfinite(value + norm):
            return theta, state, StepInfo(state.value, norm, 0.0, 1, "failed")
        info = StepInfo(value, norm, float(change.norm()), 1, "ok")
        return theta - change, AdamState(value, gradient, first, second, steps, state.factor), info

    def refresh(self, objective: Objective, theta: Tensor, state: AdamState) -> AdamState:
        """Value and gradient at the new points; moments average over points anyway."""
        value, gradient = objective.value_and_grad(theta)
        return replace(state, value=value, gradient=gradient)

    def recover(self, objective: Objective, theta: Tensor, state: AdamState) -> AdamState:
        """Begin anew with a tenth of the rate."""
        return replace(self.init(objective, theta), factor=0.1 * state.factor)

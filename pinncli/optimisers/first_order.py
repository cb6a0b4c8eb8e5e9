"""First-order methods."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from pinncli.optimisers.base import Objective, StepInfo


@dataclass(frozen=True)
class AdamState:
    """First and second moments (p,), steps taken, and the factor that recoveries left on the rate."""

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

    def init(self, objective: Objective, theta: Tensor) -> AdamState:  # noqa: ARG002
        """No moments yet."""
        return AdamState(torch.zeros_like(theta), torch.zeros_like(theta), 0, 1.0)

    def step(self, objective: Objective, theta: Tensor, state: AdamState) -> tuple[Tensor, AdamState, StepInfo]:
        """One gradient; `StepInfo.value` is the value before the step, which is what was computed."""
        value, gradient = objective.value_and_grad(theta)
        steps = state.steps + 1
        first = self.beta1 * state.first + (1.0 - self.beta1) * gradient
        second = self.beta2 * state.second + (1.0 - self.beta2) * gradient * gradient
        rate = self.learning_rate * state.factor * self.decay_rate ** (state.steps / self.decay_steps)
        moment = first / (1.0 - self.beta1**steps)
        change = rate * moment / ((second / (1.0 - self.beta2**steps)).sqrt() + self.epsilon)
        info = StepInfo(value, float(gradient.norm()), rate, 1)
        return theta - change, AdamState(first, second, steps, state.factor), info

    def refresh(self, objective: Objective, theta: Tensor, state: AdamState) -> AdamState:  # noqa: ARG002
        """Moments average over points anyway."""
        return state

    def recover(self, objective: Objective, theta: Tensor, state: AdamState) -> AdamState:
        """Begin anew with a tenth of the rate."""
        return replace(self.init(objective, theta), factor=0.1 * state.factor)

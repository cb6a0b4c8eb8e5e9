"""First-order methods."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from pinncli.optimisers.base import Objective, StepInfo, unchanged


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
    """Adam (Kingma & Ba 2015, algorithm 1), the rate times `decay_rate` every `decay_steps` steps.

    With `weight_decay` w theta shrinks by rate w besides, not through the moments: AdamW (Loshchilov &
    Hutter 2019, algorithm 2).
    """

    learning_rate: float
    beta1: float
    beta2: float
    epsilon: float
    weight_decay: float
    warmup: int
    decay_rate: float
    decay_steps: int
    state_type: ClassVar[type] = AdamState
    refresh = unchanged  # the gradient known is one at points that no step has seen: one gradient a step

    def init(self, objective: Objective, theta: Tensor) -> AdamState:
        """No moments yet."""
        value, gradient = objective.value_and_grad(theta)
        return AdamState(value, gradient, torch.zeros_like(theta), torch.zeros_like(theta), 0, 1.0)

    def step(
        self, objective: Objective, theta: Tensor, state: AdamState
    ) -> tuple[Tensor, AdamState, StepInfo]:
        """One step and the gradient at its end; not taken, and "failed", where that is not finite."""
        steps = state.steps + 1
        first = torch.lerp(state.first, state.gradient, 1.0 - self.beta1)
        second = (self.beta2 * state.second).addcmul_(state.gradient, state.gradient, value=1.0 - self.beta2)
        rate = state.factor * learning_rate(
            self.learning_rate, state.steps, self.warmup, self.decay_rate, self.decay_steps
        )
        deviation = second.sqrt().div_(math.sqrt(1.0 - self.beta2**steps)).add_(self.epsilon)
        change = (first / deviation).mul_(rate / (1.0 - self.beta1**steps))
        if self.weight_decay:
            change.add_(theta, alpha=rate * self.weight_decay)
        value, gradient = objective.value_and_grad(theta - change)
        norm = float(torch.linalg.vector_norm(gradient))
        if not math.isfinite(value + norm):
            return theta, state, StepInfo(state.value, norm, 0.0, 1, "failed")
        info = StepInfo(value, norm, float(torch.linalg.vector_norm(change)), 1, "ok")
        return theta - change, AdamState(value, gradient, first, second, steps, state.factor), info

    def recover(self, objective: Objective, theta: Tensor, state: AdamState) -> AdamState:
        """Begin anew with a tenth of the rate."""
        return replace(self.init(objective, theta), factor=0.1 * state.factor)


def learning_rate(peak: float, steps: int, warmup: int, decay_rate: float, decay_steps: int) -> float:
    """After so many steps: up to `peak` along a line, then down by `decay_rate` every `decay_steps`."""
    rise = min(1.0, (steps + 1) / warmup) if warmup else 1.0
    return float(peak * rise * decay_rate ** (max(0, steps - warmup) / decay_steps))

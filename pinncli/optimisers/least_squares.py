"""Gauss-Newton by orthogonal factorisation: a linear least-squares problem in one step.

A step minimises |r + J v|^2 + lambda^2 |S v|^2, S the column norms of J. [J S^-1  r] is
triangularised once by Householder reflections, to T, and [T; lambda I] for every lambda; J'J is
never formed. Features frozen at random depend on one another to the last digit, so that J is
singular in any precision, and how the factorisation meets that decides the error: measured on wave
and heat equations (p = 801), lambda at a few roundings left residuals as small as no damping at all
and smaller than truncation of small singular values, whereas the rank found by column pivoting lost
up to ten digits (Householder steps without pivoting, with lambda as a guard, are backward stable).
lambda is raised only where a nonlinear problem asks for shorter steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pinncli.optimisers.base import Objective, StepInfo, unchanged

FLOOR = 4.0
"""Least lambda, in units of rounding."""
LOST = 2.0
"""Residuals of so many times the least lambda, relative to |S theta|, are rounding of their own terms."""
LEAST_RATIO = 0.1
"""Of the decrease to the promised one, for a step to be taken."""
LOWER = 1e-2
"""Least factor on lambda after a step."""


@dataclass(frozen=True)
class LeastSquaresState:
    """lambda of the next step."""

    damping: float


@dataclass(frozen=True)
class LeastSquares:
    """lambda by Nielsen's rule (Madsen, Nielsen & Tingleff 2004, eq. 2.21), lowered faster.

    Converged where the undamped step promises less than the fraction `tolerance` of the value.

    So too where the residual is nothing but rounding of the terms that it is made of, J theta.
    """

    tolerance: float
    state_type: ClassVar[type] = LeastSquaresState
    refresh = unchanged  # nothing of the objective is kept

    def init(self, objective: Objective, theta: Tensor) -> LeastSquaresState:  # noqa: ARG002
        """lambda at its least."""
        return LeastSquaresState(_floor(theta))

    def step(
        self, objective: Objective, theta: Tensor, state: LeastSquaresState
    ) -> tuple[Tensor, LeastSquaresState, StepInfo]:
        """The step of the first lambda that decreases the value as promised."""
        r, jacobian = objective.residual_and_jacobian(theta)
        value = 0.5 * float(r.dot(r))
        norm = float(torch.linalg.vector_norm(r @ jacobian))
        if not math.isfinite(value + norm):
            return theta, state, StepInfo(value, norm, 0.0, 1, "failed")
        model = Model.of(r, jacobian)
        floor, eps = _floor(theta), torch.finfo(theta.dtype).eps
        damping, growth, evaluations = state.damping, 2.0, 1
        lost = LOST * floor * float(torch.linalg.vector_norm(model.norms * theta))
        if math.sqrt(2.0 * value) <= lost:
            return theta, state, StepInfo(value, norm, 0.0, evaluations, "converged")
        while True:
            v = model.step(damping)
            ahead = r + jacobian @ v
            promised = value - 0.5 * float(ahead.dot(ahead))
            if not promised > (self.tolerance if damping <= floor else eps) * value:
                info = StepInfo(value, norm, 0.0, evaluations, "converged")
                return theta, LeastSquaresState(damping), info
            trial = objective.value(theta + v)
            evaluations += 1
            ratio = (value - trial) / promised
            if ratio > LEAST_RATIO:
                damping = max(damping * max(LOWER, 1.0 - (2.0 * ratio - 1.0) ** 3), floor)
                length = float(torch.linalg.vector_norm(v))
                info = StepInfo(trial, norm, length, evaluations, "ok")
                return theta + v, LeastSquaresState(damping), info
            damping *= growth
            growth *= 2.0

    def recover(
        self,
        objective: Objective,  # noqa: ARG002
        theta: Tensor,  # noqa: ARG002
        state: LeastSquaresState,
    ) -> LeastSquaresState:
        """A hundred times the lambda."""
        return LeastSquaresState(100.0 * state.damping)


@dataclass(frozen=True)
class Model:
    """The triangle T (k, p + 1) of [J S^-1  r], k = min(n, p + 1), and the diagonal of S (p,)."""

    triangle: Tensor
    norms: Tensor

    @classmethod
    def of(cls, r: Tensor, jacobian: Tensor) -> Model:
        """From r (n,) and J (n, p)."""
        norms = torch.linalg.vector_norm(jacobian, dim=0)
        norms = torch.where(norms > 0.0, norms, torch.ones_like(norms))
        columns = torch.cat([jacobian / norms, r.unsqueeze(1)], dim=1)
        return cls(torch.linalg.qr(columns, mode="r").R, norms)

    def step(self, damping: float) -> Tensor:
        """v (p,)."""
        p = len(self.norms)
        guard = damping * torch.eye(p, p + 1, dtype=self.norms.dtype, device=self.norms.device)
        factor = torch.linalg.qr(torch.cat([self.triangle, guard]), mode="r").R
        scaled: Tensor = torch.linalg.solve_triangular(factor[:p, :p], factor[:p, p:], upper=True)
        return -scaled.squeeze(1) / self.norms


def _floor(theta: Tensor) -> float:
    return FLOOR * torch.finfo(theta.dtype).eps

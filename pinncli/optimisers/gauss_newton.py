"""Levenberg-Marquardt: Gauss-Newton steps for least squares, damped until they decrease the value.

A step solves (J'J + lambda D) v = -J'r. One Jacobian serves every damping tried: a trial costs one
triangular factorisation and a few residuals. Three choices were made by measurement on stiff
residuals of differential equations (heat, Burgers, wave, Kovasznay, KdV; p = 501 to 921):

* Factorisation. A Cholesky factor for every damping is 12 to 14 times cheaper than one
  eigendecomposition for all, and most steps need one. Where J'J is too ill-conditioned for the
  damping wanted (it has the squared condition number), the factor comes from orthogonal
  transformations of J instead: [J r] is triangularised once and [R; sqrt(lambda D)] for every
  damping.
* Scaling. D = sqrt(diag(J'J) max diag(J'J)), half-way between Levenberg's identity and
  Marquardt's diagonal, was never far from the better of the two and often better than both.
* Geodesic acceleration, and the rule for the damping: `pinncli.optimisers.damping`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from pinncli.optimisers.base import Objective, StepInfo, unchanged
from pinncli.optimisers.damping import half_square, scaling, search


@dataclass(frozen=True)
class LevenbergMarquardtState:
    """lambda, and whether J'J has become too ill-conditioned, so that J itself is factored."""

    damping: float
    orthogonal: bool


@dataclass(frozen=True)
class LevenbergMarquardt:
    """Damping by Nielsen's rule (Madsen, Nielsen & Tingleff 2004, eq. 2.21) from `damping` on."""

    damping: float

    state_type: ClassVar[type] = LevenbergMarquardtState
    refresh = unchanged  # nothing of the objective is kept but the damping, which adapts

    def init(self, objective: Objective, theta: Tensor) -> LevenbergMarquardtState:  # noqa: ARG002
        """The initial damping."""
        return LevenbergMarquardtState(self.damping, False)

    def step(
        self, objective: Objective, theta: Tensor, state: LevenbergMarquardtState
    ) -> tuple[Tensor, LevenbergMarquardtState, StepInfo]:
        """The first damping whose step decreases the value; J is factored where J'J offers none."""
        r = objective.residual(theta)
        value = half_square(r)
        if not math.isfinite(value):
            return theta, state, StepInfo(value, math.nan, 0.0, 1, "failed")
        evaluations = 1
        for orthogonal in (True,) if state.orthogonal else (False, True):
            kind: type[GramModel | OrthogonalModel] = OrthogonalModel if orthogonal else GramModel
            model = kind.of(objective, theta)
            tried = search(objective, theta, r, value, model, state.damping)
            evaluations += 1 + tried.evaluations
            if tried.theta is not None:
                break
        norm = float(torch.linalg.vector_norm(model.gradient))
        if tried.theta is None:
            info = StepInfo(value, norm, 0.0, evaluations, tried.status)
            return theta, replace(state, orthogonal=True), info
        length = float(torch.linalg.vector_norm(tried.theta - theta))
        found = LevenbergMarquardtState(tried.damping, orthogonal)
        return tried.theta, found, StepInfo(tried.value, norm, length, evaluations, "ok")

    def recover(
        self,
        objective: Objective,  # noqa: ARG002
        theta: Tensor,  # noqa: ARG002
        state: LevenbergMarquardtState,
    ) -> LevenbergMarquardtState:
        """At least a hundred times the damping."""
        return LevenbergMarquardtState(100.0 * max(state.damping, self.damping), False)


@dataclass(frozen=True)
class Factored:
    """`step` v (p,) = -(J'J + lambda D)^-1 J'r, and the upper triangular U (p, p) with U'U the matrix."""

    step: Tensor
    predicted: float
    factor: Tensor

    @classmethod
    def of(cls, step: Tensor, gradient: Tensor, damping: Tensor, factor: Tensor) -> Factored:
        """By `damping`, the diagonal (p,) of lambda D: v solves exactly, so J v need not be formed."""
        return cls(step, 0.5 * float(step.dot(damping * step - gradient)), factor)

    def solve(self, b: Tensor) -> Tensor:
        """(J'J + lambda D)^-1 b for b (p,)."""
        return torch.cholesky_solve(b.unsqueeze(1), self.factor, upper=True).squeeze(1)


@dataclass
class GramModel:
    """The model from J'J (p, p), of any number of rows; it loses what is below sqrt(eps) of the largest."""

    gradient: Tensor
    scale: Tensor
    matrix: Tensor
    pull: Callable[[Tensor], Tensor]

    @classmethod
    def of(cls, objective: Objective, theta: Tensor) -> GramModel:
        """J'J and J'r from the objective."""
        _, gradient, matrix = objective.gram(theta)
        return cls(gradient, scaling(matrix.diagonal()), matrix, partial(objective.vjp, theta))

    def damped(self, damping: float) -> Factored | None:
        """By Cholesky; None where the damped matrix is not positive definite in this precision."""
        diagonal = damping * self.scale
        factor, failed = torch.linalg.cholesky_ex(self.matrix + torch.diag(diagonal), upper=True)
        if int(failed):
            return None
        step = torch.cholesky_solve(-self.gradient.unsqueeze(1), factor, upper=True)
        return Factored.of(step.squeeze(1), self.gradient, diagonal, factor)


@dataclass
class OrthogonalModel:
    """The model from the triangle R (p + 1, p + 1) of [J r], with the condition number of J itself."""

    gradient: Tensor
    scale: Tensor
    triangle: Tensor
    pull: Callable[[Tensor], Tensor]

    @classmethod
    def of(cls, objective: Objective, theta: Tensor) -> OrthogonalModel:
        """The triangle from the objective; J'r and the diagonal of J'J are read off it."""
        triangle = objective.triangle(theta)
        jacobian, right = triangle[:, :-1], triangle[:, -1]
        scale = scaling(jacobian.square().sum(dim=0))
        return cls(jacobian.t() @ right, scale, triangle, partial(objective.vjp, theta))

    def damped(self, damping: float) -> Factored | None:
        """By triangularising [R; sqrt(lambda D)]; None where the triangle is singular."""
        diagonal = damping * self.scale
        extended = torch.diag(torch.cat([diagonal.sqrt(), self.scale.new_zeros(1)]))
        triangle = torch.linalg.qr(torch.cat([self.triangle, extended[:-1]]), mode="r").R
        p = len(self.scale)
        factor, right = triangle[:p, :p].contiguous(), triangle[:p, p:]
        if not bool(factor.diagonal().all()):
            return None
        step = -torch.linalg.solve_triangular(factor, right, upper=True).squeeze(1)
        return Factored.of(step, self.gradient, diagonal, factor)

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
* Geodesic acceleration (Transtrum & Sethna, arXiv 1201.5885): the second-order correction
  a = -1/2 (J'J + lambda D)^-1 J' r_vv follows the bend of the valley. r_vv comes from residuals at
  theta + v and theta - v, the first of which is the trial without correction; the better of the two is
  kept. After 100 steps the value was 170 times (Burgers) to 1,000 times (heat) lower than without.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from pinncli.optimisers.base import Objective, Status, StepInfo

MAX_TRIALS = 30
"""Bound on the dampings tried for one model; rounding ends the trials long before."""
LEAST_RATIO = 1e-4
"""Of the decrease to the predicted one, for a step to be taken."""
LEAST_SCALE = 1e-6
"""Smallest entry of D relative to the largest."""


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

    def init(self, objective: Objective, theta: Tensor) -> LevenbergMarquardtState:  # noqa: ARG002
        """The initial damping."""
        return LevenbergMarquardtState(self.damping, False)

    def step(
        self, objective: Objective, theta: Tensor, state: LevenbergMarquardtState
    ) -> tuple[Tensor, LevenbergMarquardtState, StepInfo]:
        """The first damping whose step decreases the value; J is factored where J'J offers none."""
        r = objective.residual(theta)
        value = _half_square(r)
        if not math.isfinite(value):
            return theta, state, StepInfo(value, math.nan, 0.0, 1, "failed")
        evaluations = 1
        for orthogonal in (True,) if state.orthogonal else (False, True):
            kind: type[GramModel | OrthogonalModel] = OrthogonalModel if orthogonal else GramModel
            model = kind.of(objective, theta)
            tried = _search(objective, theta, r, value, model, state.damping)
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

    def refresh(
        self,
        objective: Objective,  # noqa: ARG002
        theta: Tensor,  # noqa: ARG002
        state: LevenbergMarquardtState,
    ) -> LevenbergMarquardtState:
        """Nothing of the objective is kept but the damping, which adapts."""
        return state

    def recover(
        self,
        objective: Objective,  # noqa: ARG002
        theta: Tensor,  # noqa: ARG002
        state: LevenbergMarquardtState,
    ) -> LevenbergMarquardtState:
        """At least a hundred times the damping."""
        return LevenbergMarquardtState(100.0 * max(state.damping, self.damping), False)


@dataclass(frozen=True)
class Damped:
    """`step` v (p,) = -(J'J + lambda D)^-1 J'r, and the upper triangular U (p, p) with U'U the matrix."""

    step: Tensor
    factor: Tensor

    def solve(self, b: Tensor) -> Tensor:
        """(J'J + lambda D)^-1 b for b (p,)."""
        return torch.cholesky_solve(b.unsqueeze(1), self.factor, upper=True).squeeze(1)


class Model(Protocol):
    """0.5 |r + J v|^2 at one theta."""

    gradient: Tensor
    scale: Tensor
    """The diagonal of D (p,)."""

    def damped(self, damping: float) -> Damped | None:
        """The damped step; None where the arithmetic cannot give it."""
        ...


@dataclass
class GramModel:
    """The model from J'J (p, p), of any number of rows; it loses what is below sqrt(eps) of the largest."""

    gradient: Tensor
    scale: Tensor
    matrix: Tensor

    @classmethod
    def of(cls, objective: Objective, theta: Tensor) -> GramModel:
        """J'J and J'r from the objective."""
        _, gradient, matrix = objective.gram(theta)
        return cls(gradient, _scale(matrix.diagonal()), matrix)

    def damped(self, damping: float) -> Damped | None:
        """By Cholesky; None where the damped matrix is not positive definite in this precision."""
        factor, failed = torch.linalg.cholesky_ex(self.matrix + torch.diag(damping * self.scale), upper=True)
        if int(failed):
            return None
        step = torch.cholesky_solve(-self.gradient.unsqueeze(1), factor, upper=True)
        return Damped(step.squeeze(1), factor)


@dataclass
class OrthogonalModel:
    """The model from the triangle R (p + 1, p + 1) of [J r], with the condition number of J itself."""

    gradient: Tensor
    scale: Tensor
    triangle: Tensor

    @classmethod
    def of(cls, objective: Objective, theta: Tensor) -> OrthogonalModel:
        """The triangle from the objective; J'r and the diagonal of J'J are read off it."""
        triangle = objective.triangle(theta)
        jacobian, right = triangle[:, :-1], triangle[:, -1]
        return cls(jacobian.t() @ right, _scale(jacobian.square().sum(dim=0)), triangle)

    def damped(self, damping: float) -> Damped | None:
        """By triangularising [R; sqrt(lambda D)]; None where the triangle is singular."""
        extended = torch.diag(torch.cat([(damping * self.scale).sqrt(), self.scale.new_zeros(1)]))
        triangle = torch.linalg.qr(torch.cat([self.triangle, extended[:-1]]), mode="r").R
        p = len(self.scale)
        factor, right = triangle[:p, :p].contiguous(), triangle[:p, p:]
        if not bool(factor.diagonal().all()):
            return None
        return Damped(-torch.linalg.solve_triangular(factor, right, upper=True).squeeze(1), factor)


@dataclass(frozen=True)
class Tried:
    """Where the search for a damping ended: `theta` is None where no damping helped."""

    theta: Tensor | None
    value: float
    damping: float
    evaluations: int
    status: Status


def _search(
    objective: Objective, theta: Tensor, r: Tensor, value: float, model: Model, damping: float
) -> Tried:
    """Raise the damping until the step decreases the value or the decrease drowns in rounding."""
    if not bool(model.gradient.any()):
        return Tried(None, value, damping, 0, "converged")
    eps = torch.finfo(theta.dtype).eps
    damping, growth, evaluations = max(damping, eps * eps), 2.0, 0
    for _ in range(MAX_TRIALS):
        damped = model.damped(damping)
        if damped is None:
            return Tried(None, value, damping, evaluations, "failed")
        v = damped.step
        predicted = 0.5 * float(v.dot(damping * model.scale * v - model.gradient))
        if predicted <= eps * value:
            return Tried(None, value, damping, evaluations, "converged")
        s, trial, count = _accelerated(objective, theta, r, damped)
        evaluations += count
        ratio = (value - trial) / predicted
        if trial < value and ratio > LEAST_RATIO:
            damping *= max(1.0 / 3.0, 1.0 - (2.0 * ratio - 1.0) ** 3)
            return Tried(theta + s, trial, damping, evaluations, "ok")
        damping *= growth
        growth *= 2.0
    return Tried(None, value, damping, evaluations, "failed")


def _accelerated(objective: Objective, theta: Tensor, r: Tensor, damped: Damped) -> tuple[Tensor, float, int]:
    """The step with or without geodesic acceleration, the value there (inf for NaN), and evaluations."""
    v = damped.step
    ahead = objective.residual(theta + v)
    plain = _half_square(ahead)
    if not math.isfinite(plain):
        return v, math.inf, 1
    bend = ahead - 2.0 * r + objective.residual(theta - v)
    bent = v - 0.5 * damped.solve(objective.vjp(theta, bend))
    accelerated = _half_square(objective.residual(theta + bent))
    return (bent, accelerated, 4) if accelerated < plain else (v, plain, 4)


def _scale(diagonal: Tensor) -> Tensor:
    """D (p,) from the diagonal of J'J."""
    largest = diagonal.max()
    return (diagonal * largest).sqrt().clamp_min(LEAST_SCALE * largest)


def _half_square(r: Tensor) -> float:
    return 0.5 * float(r.dot(r))

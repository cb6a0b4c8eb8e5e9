"""Gauss-Newton by orthogonal factorisation: a linear least-squares problem in one step.

A step minimises |r + J (theta' - theta)|^2 + lambda^2 |S theta'|^2 over theta' and goes there, or part of
the way where the problem is not linear; S holds the column norms of J. [J r] is triangularised by
orthogonal transformations, block by block, to T, and [T S^-1; lambda I] for every lambda; J'J is never
formed. Features frozen at random depend on one another to the last digit, so that J is singular in any
precision. Three things decide the error then, all found by measurement (wave, heat, Kovasznay and
Korteweg-de Vries equations, p = 801 to 1,800):

* Householder steps without pivoting, with lambda at a few roundings as a guard, left residuals as small
  as no damping at all and smaller than truncation of small singular values; the rank found by column
  pivoting lost up to ten digits.
* The guard holds theta' and not the step. Damped steps keep what they once added, so an early linearisation
  that asks for huge coefficients leaves its rounding in all that follows: theta of 1e11 where 1e6 will do,
  and an error of 1e-3 where 1e-7 is to be had.
* Where a first step proves the problem nonlinear lambda starts higher and is lowered when progress ends:
  the least lambda converges slowly, far from the solution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pinncli.optimisers.base import Objective, StepInfo, unchanged
from pinncli.optimisers.patch_elimination import ChainModel

FLOOR = 4.0
"""Least lambda, in units of rounding."""
NONLINEAR = 1e3
"""First lambda where the problem is nonlinear, in units of rounding."""
LOWER = 0.1
"""On lambda, once it has given what it can."""
LOST = 2.0
"""Residuals of so many times the least lambda, relative to |S theta|, are rounding of their own terms."""
LINEAR = 0.9
"""A full step that yields less than this part of the promised decrease says that the problem is nonlinear."""
LEAST_RATIO = 0.1
"""Of the decrease to the promised one, for a step to be taken."""
SHORTER = tuple(10.0**k for k in range(-8, 4))
"""lambda of steps that are held to theta, where no part of the free step helps."""
HALVINGS = 12
"""Of a step that does not decrease the value as promised."""


@dataclass(frozen=True)
class LeastSquaresState:
    """lambda of the next step."""

    damping: float


@dataclass(frozen=True)
class LeastSquares:
    """Converged where the least lambda promises less than the fraction `tolerance` of the value.

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
        """The whole step, or the largest half, quarter, ... that decreases the value as promised."""
        model: Model | ChainModel
        if objective.sparse:
            model = ChainModel.of(objective.sparse_jacobian(theta), theta)
        else:
            model = Model.of(objective.triangle(theta), theta)
        value, norm, evaluations = model.value, model.gradient_norm, 1
        if not math.isfinite(value + norm):
            return theta, state, StepInfo(value, norm, 0.0, evaluations, "failed")
        if math.sqrt(2.0 * value) <= LOST * _floor(theta) * model.size:
            return theta, state, StepInfo(value, norm, 0.0, evaluations, "converged")
        damping, raised = state.damping, False
        while True:
            v = model.step(damping)
            promised = value - model.ahead(v)
            trial, share = math.inf, 1.0
            if promised > self.tolerance * value:
                trial, share, count = _search(objective, theta, v, value, promised)
                evaluations += count
                untried = not raised and damping == state.damping < _first(theta)
                if untried and value - trial < LINEAR * promised:
                    damping, raised = _first(theta), True
                    continue
            if trial < value:
                length = share * float(torch.linalg.vector_norm(v))
                info = StepInfo(trial, norm, length, evaluations, "ok")
                return theta + share * v, LeastSquaresState(damping), info
            if damping <= _floor(theta):
                break
            damping = max(LOWER * damping, _floor(theta))
        if promised <= self.tolerance * value:
            return theta, LeastSquaresState(damping), StepInfo(value, norm, 0.0, evaluations, "converged")
        for damping in SHORTER:
            v = model.step(damping, theta)
            trial = objective.value(theta + v)
            evaluations += 1
            if value - trial > LEAST_RATIO * (value - model.ahead(v)):
                length = float(torch.linalg.vector_norm(v))
                info = StepInfo(trial, norm, length, evaluations, "ok")
                return theta + v, LeastSquaresState(state.damping), info
        return theta, state, StepInfo(value, norm, 0.0, evaluations, "failed")

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
    """0.5 |r + J v|^2 through the triangle R (p + 1, p + 1) of [J r], at one theta (p,)."""

    triangle: Tensor
    norms: Tensor
    """The diagonal of S (p,)."""
    theta: Tensor

    @classmethod
    def of(cls, triangle: Tensor, theta: Tensor) -> Model:
        """The column norms of J are those of its triangle."""
        norms = torch.linalg.vector_norm(triangle[:, :-1], dim=0)
        return cls(triangle, torch.where(norms > 0.0, norms, torch.ones_like(norms)), theta)

    @property
    def value(self) -> float:
        """0.5 |r|^2."""
        return 0.5 * float(self.triangle[:, -1].dot(self.triangle[:, -1]))

    @property
    def gradient_norm(self) -> float:
        """|J'r|."""
        return float(torch.linalg.vector_norm(self.triangle[:, -1] @ self.triangle[:, :-1]))

    @property
    def size(self) -> float:
        """|S theta|: of the terms that the residual is made of."""
        return float(torch.linalg.vector_norm(self.norms * self.theta))

    def ahead(self, v: Tensor) -> float:
        """0.5 |r + J v|^2."""
        r = self.triangle[:, -1] + self.triangle[:, :-1] @ v
        return 0.5 * float(r.dot(r))

    def step(self, damping: float, about: Tensor | None = None) -> Tensor:
        """v (p,) to the theta' of this lambda, held to `about` (p,) if not to zero."""
        p = len(self.norms)
        away = self.theta if about is None else self.theta - about
        goal = self.triangle[:, :-1] @ away - self.triangle[:, -1]
        rows = torch.cat([self.triangle[:, :-1] / self.norms, goal.unsqueeze(1)], dim=1)
        guard = damping * torch.eye(p, p + 1, dtype=self.norms.dtype, device=self.norms.device)
        factor = torch.linalg.qr(torch.cat([rows, guard]), mode="r").R
        scaled: Tensor = torch.linalg.solve_triangular(factor[:p, :p], factor[:p, p:], upper=True)
        return scaled.squeeze(1) / self.norms - away


def _search(
    objective: Objective, theta: Tensor, v: Tensor, value: float, promised: float
) -> tuple[float, float, int]:
    """The value (inf where nothing helped), the share of the step and the evaluations."""
    share = 1.0
    for count in range(1, HALVINGS + 2):
        trial = objective.value(theta + share * v)
        # a linear problem would fall by (2 - share) share of the promise
        if value - trial > LEAST_RATIO * share * (2.0 - share) * promised:
            return trial, share, count
        share *= 0.5
    return math.inf, share, count


def _floor(theta: Tensor) -> float:
    return FLOOR * torch.finfo(theta.dtype).eps


def _first(theta: Tensor) -> float:
    return NONLINEAR * torch.finfo(theta.dtype).eps

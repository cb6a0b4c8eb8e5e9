"""Quasi-Newton methods with a dense inverse Hessian approximation H (p, p).

With s = a d the step, d = -H g, y the change of the gradient, rho = 1/(y^T s):

    b = -a rho s^T g        h = rho y^T H y        c = b h - 1
    BFGS       H+ = H - rho (Hy s^T + s (Hy)^T) + rho (1 + h) s s^T
    SSBFGS     H <- H / tau first, tau = min(1, 1/b)
    SSBroyden  rho- = min(1, h (1 - sqrt(|c|/(1 + c))))    th- = (rho- - 1)/c    th+ = 1/rho-
               th = max(th-, min(th+, (1 - b)/b))    sg = 1 + th c    s1 = |sg|^(1/(1 - p))
               tau = min(r1 s1, sg) if th <= 0, else r1 min(s1, 1/th),   r1 = min(1, 1/b)
               phi = (1 - th)/(1 + c th)    v = rho s - Hy/(y^T H y)
               H+ = (1/tau) [H - Hy (Hy)^T/(y^T H y) + phi (y^T H y) v v^T] + rho s s^T

(Al-Baali 1998; Urban, Stefanou & Pons 2024, arXiv 2405.04230; Kiyani et al. 2025, arXiv 2501.16371.)
Each update is written as (1/tau) [H + U M U^T] with U = [Hy, s], so it costs two passes over H.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from pinncli.optimisers.base import Objective, StepInfo
from pinncli.optimisers.searches import first_step, strong_wolfe


@dataclass(frozen=True)
class QuasiNewtonState:
    """Value and gradient (p,) at theta and H (p, p); `fresh` until the first update scales H."""

    value: float
    gradient: Tensor
    inverse_hessian: Tensor
    fresh: bool


@dataclass(frozen=True)
class Update:
    """H+ = scale H + hh Hy (Hy)^T + hs (Hy s^T + s (Hy)^T) + ss s s^T."""

    scale: float
    hh: float
    hs: float
    ss: float


def bfgs(rho: float, h: float, b: float, p: int) -> Update:  # noqa: ARG001
    """The BFGS update."""
    return Update(1.0, 0.0, -rho, rho * (1.0 + h))


def ssbfgs(rho: float, h: float, b: float, p: int) -> Update:  # noqa: ARG001
    """Self-scaled BFGS: BFGS of H/tau, where y^T H y becomes h/tau."""
    scale = 1.0 / min(1.0, 1.0 / b)
    return Update(scale, 0.0, -rho * scale, rho * (1.0 + h * scale))


def ssbroyden(rho: float, h: float, b: float, p: int) -> Update:
    """Self-scaled Broyden."""
    c = b * h - 1.0
    if abs(c) < 1e-12:
        return ssbfgs(rho, h, b, p)  # H y is along s: every member of the family is the same
    low = min(1.0, h * (1.0 - math.sqrt(abs(c) / (1.0 + c))))
    theta = max((low - 1.0) / c, min(1.0 / low, (1.0 - b) / b))
    sigma = 1.0 + theta * c
    ratio = min(1.0, 1.0 / b)
    root = abs(sigma) ** (1.0 / (1 - p)) if p > 1 else 1.0
    tau = min(ratio * root, sigma) if theta <= 0.0 else ratio * min(root, 1.0 / theta)
    phi = (1.0 - theta) / (1.0 + c * theta)
    yhy = h / rho
    return Update(1.0 / tau, (phi - 1.0) / (yhy * tau), -phi * rho / tau, phi * yhy * rho * rho / tau + rho)


RULES = {"bfgs": bfgs, "ssbfgs": ssbfgs, "ssbroyden": ssbroyden}


@dataclass(frozen=True)
class QuasiNewton:
    """A dense quasi-Newton method with a strong Wolfe search; `kind` is a key of `RULES`.

    `step` updates H in place: the state it was given must not be used again, except by `recover`,
    which needs no H.
    """

    kind: str
    c1: float
    c2: float
    state_type: ClassVar[type] = QuasiNewtonState

    def init(self, objective: Objective, theta: Tensor) -> QuasiNewtonState:
        """H = I, scaled at the first update."""
        value, gradient = objective.value_and_grad(theta)
        return QuasiNewtonState(
            value, gradient, torch.eye(len(theta), dtype=theta.dtype, device=theta.device), True
        )

    def step(
        self, objective: Objective, theta: Tensor, state: QuasiNewtonState
    ) -> tuple[Tensor, QuasiNewtonState, StepInfo]:
        """One direction, search and update."""
        direction = -(state.inverse_hessian @ state.gradient)
        found = strong_wolfe(
            objective,
            theta,
            direction,
            (state.value, state.gradient),
            first=first_step(state.gradient) if state.fresh else 1.0,
            c1=self.c1,
            c2=self.c2,
        )
        norm = float(state.gradient.norm())
        trial = found.trial
        if not found.found:
            return theta, state, StepInfo(state.value, norm, 0.0, found.evaluations, "failed")
        s = trial.a * direction
        matrix, fresh = self._updated(state, s, trial.gradient - state.gradient, trial.a)
        info = StepInfo(trial.value, norm, float(s.norm()), found.evaluations, "ok")
        return theta + s, QuasiNewtonState(trial.value, trial.gradient, matrix, fresh), info

    def _updated(self, state: QuasiNewtonState, s: Tensor, y: Tensor, a: float) -> tuple[Tensor, bool]:
        """H after the pair s, y, in place; unchanged where the pair has no curvature."""
        matrix = state.inverse_hessian
        sy = float(s.dot(y))
        if not sy > 1e-14 * float(s.norm()) * float(y.norm()):
            return matrix, state.fresh
        if state.fresh:
            matrix *= sy / float(y.dot(y))
        hy = matrix @ y
        rho = 1.0 / sy
        # b = s^T H^-1 s / s^T y, with H = (s^T y / y^T y) I after the first step
        b = (
            rho * rho * float(s.dot(s)) * float(y.dot(y))
            if state.fresh
            else -a * rho * float(s.dot(state.gradient))
        )
        h = rho * float(y.dot(hy))
        if not (b > 0.0 and h > 0.0):
            return torch.eye(len(s), dtype=s.dtype, device=s.device).mul_(sy / float(y.dot(y))), False
        update = RULES[self.kind](rho, h, b, len(s))
        # two symmetric rank-one pieces: left u^T + u left^T with left = (hh/2) Hy + hs s, and ss' s s^T
        matrix *= update.scale
        left = 0.5 * update.hh * hy + update.hs * s
        factors = torch.stack([left, hy, update.ss * s], dim=1)
        others = torch.stack([hy, left, s], dim=1)
        matrix.addmm_(factors, others.t())
        return matrix, False

    def refresh(self, objective: Objective, theta: Tensor, state: QuasiNewtonState) -> QuasiNewtonState:
        """Value and gradient at the new points; H is kept."""
        value, gradient = objective.value_and_grad(theta)
        return replace(state, value=value, gradient=gradient)

    def recover(self, objective: Objective, theta: Tensor, state: QuasiNewtonState) -> QuasiNewtonState:  # noqa: ARG002
        """H = I again."""
        return self.init(objective, theta)

"""Quasi-Newton methods with a dense inverse Hessian H (p, p): BFGS and its self-scaled relatives.

With direction -H g, s = alpha (-H g), y = g+ - g, rho = 1/(s'y), u = H y and v = rho s - u/(y'u),

    H+ = [H - u u'/(y'u) + phi (y'u) v v'] / tau + rho s s'

is the whole self-scaled Broyden family: phi = tau = 1 is BFGS, and any tau and phi satisfy the
secant equation H+ y = s. tau and phi for SSBFGS and SSBroyden are Al-Baali's (Comput. Optim. Appl. 9,
1998, 191-203) as given by Urban, Stefanou & Pons (J. Comput. Phys. 523, 2025, 113656, eqs. 11 and
13-23) and coded by them. The update adds one product of (p, 3) and (3, p) to H in place, its columns
scaled so that the result is symmetric as H was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from pinncli.optimisers.base import Objective, StepInfo
from pinncli.optimisers.searches import Descent, Point, StrongWolfe, Trial, descend

Kind = Literal["bfgs", "ssbfgs", "ssbroyden"]


@dataclass(frozen=True)
class QuasiNewtonState:
    """H (p, p), updated in place, and the objective's value and gradient (p,) at theta.

    `learnt` is False while H is the identity; `length` is that of the last step, which the next
    step down the gradient tries first.
    """

    H: Tensor
    value: float
    gradient: Tensor
    learnt: bool
    length: float


@dataclass(frozen=True)
class QuasiNewton:
    """BFGS, self-scaled BFGS or self-scaled Broyden with a strong Wolfe search."""

    kind: Kind
    c1: float
    c2: float

    state_type: ClassVar[type] = QuasiNewtonState

    def init(self, objective: Objective, theta: Tensor) -> QuasiNewtonState:
        """H = I."""
        start = Point.of(objective, theta)
        H = torch.eye(len(theta), dtype=theta.dtype, device=theta.device)
        length = min(1.0, float(torch.linalg.vector_norm(start.gradient)))
        return QuasiNewtonState(H, start.value, start.gradient, False, length)

    def step(
        self, objective: Objective, theta: Tensor, state: QuasiNewtonState
    ) -> tuple[Tensor, QuasiNewtonState, StepInfo]:
        """One search and one update of H. H is reset where its direction fails or it turns indefinite."""
        start = Point(theta, state.value, state.gradient)
        newton = -(state.H @ state.gradient) if state.learnt else None
        descent = descend(StrongWolfe(self.c1, self.c2), objective, start, newton, state.length)
        info = descent.info(start)
        if descent.trial is None:
            return theta, state, info
        if descent.restarted:
            _reset(state.H)
        learnt = _learn(
            self.kind, state.H, state.learnt and not descent.restarted, start, descent, descent.trial
        )
        end = descent.trial.point
        return end.theta, QuasiNewtonState(state.H, end.value, end.gradient, learnt, info.step_size), info

    def refresh(self, objective: Objective, theta: Tensor, state: QuasiNewtonState) -> QuasiNewtonState:
        """Value and gradient anew, so that no y mixes two objectives; H stays."""
        start = Point.of(objective, theta)
        return replace(state, value=start.value, gradient=start.gradient)

    def recover(self, objective: Objective, theta: Tensor, state: QuasiNewtonState) -> QuasiNewtonState:
        """H = I, and a first step a tenth of the last."""
        _reset(state.H)
        return replace(self.refresh(objective, theta, state), learnt=False, length=0.1 * state.length)


def _reset(H: Tensor) -> None:
    H.zero_().fill_diagonal_(1.0)


def _learn(kind: Kind, H: Tensor, learnt: bool, start: Point, descent: Descent, trial: Trial) -> bool:
    """Take the step's curvature into H, in place; whether H has learnt anything so far.

    A pair without usable curvature, or that underflows, is left out. H that has lost positive
    definiteness is reset.
    """
    s = trial.step * descent.direction
    y = trial.point.gradient - start.gradient
    u = H @ y
    sy, yy, yu, ss, sg = torch.stack([s.dot(y), y.dot(y), y.dot(u), s.dot(s), s.dot(start.gradient)]).tolist()
    limits = torch.finfo(H.dtype)
    if not (sy > limits.eps * math.sqrt(ss * yy) and min(sy, yy) > limits.tiny):
        return learnt
    if not yu > 0.0:
        _reset(H)
        return False
    b = -trial.step * sg / sy
    if not learnt:  # H = I becomes (s'y/y'y) I (Nocedal & Wright 2006, eq. 6.20)
        gamma = sy / yy
        H.mul_(gamma)
        u, yu, b = u * gamma, yu * gamma, b / gamma
    tau, phi = coefficients(kind, b, yu / sy, len(s))
    broyden_update(H, s, u, sy, yu, tau, phi)
    return True


def coefficients(kind: Kind, b: float, h: float, n: int) -> tuple[float, float]:
    """tau and phi from b = s'H^-1 s / s'y, h = y'Hy / s'y and the number n of unknowns."""
    if kind == "bfgs":
        return 1.0, 1.0
    shrink = min(1.0, 1.0 / b)
    if kind == "ssbfgs":
        return shrink, 1.0
    a = max(b * h - 1.0, torch.finfo(torch.float64).eps)  # Cauchy-Schwarz: not negative but for rounding
    # 1 - sqrt(a/(1 + a)) and, at the lower bound of theta, sigma = low: both without cancellation
    low = min(1.0, h / ((1.0 + a) * (1.0 + math.sqrt(a / (1.0 + a)))))
    theta = max((low - 1.0) / a, min(1.0 / low, (1.0 - b) / b))
    sigma = max(1.0 + theta * a, low)
    root = sigma ** (1.0 / (1.0 - max(n, 2)))
    tau = min(shrink * root, sigma) if theta <= 0.0 else shrink * min(root, 1.0 / theta)
    return tau, (1.0 - theta) / sigma


def broyden_update(H: Tensor, s: Tensor, u: Tensor, sy: float, yu: float, tau: float, phi: float) -> None:
    """H (p, p) <- [H - u u'/yu + phi yu v v'] / tau + s s'/sy in place, v = s/sy - u/yu, u = H y."""
    v = s / sy - u / yu
    rows = torch.stack([u / math.sqrt(yu * tau), v * math.sqrt(abs(phi) * yu / tau), s / math.sqrt(sy)])
    signs = rows.new_tensor([[-1.0], [math.copysign(1.0, phi)], [1.0]])
    H.addmm_(rows.t(), rows * signs, beta=1.0 / tau)

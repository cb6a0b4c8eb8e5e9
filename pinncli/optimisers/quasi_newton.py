"""Quasi-Newton methods with a dense inverse Hessian H (p, p): BFGS and its self-scaled relatives.

With direction -H g, s = alpha (-H g), y = g+ - g, rho = 1/(s'y), u = H y and v = rho s - u/(y'u),

    H+ = [H - u u'/(y'u) + phi (y'u) v v'] / tau + rho s s'

is the whole self-scaled Broyden family: phi = tau = 1 is BFGS, and any tau and phi satisfy the
secant equation H+ y = s. tau and phi for SSBFGS and SSBroyden are Al-Baali's (Comput. Optim. Appl. 9,
1998, 191-203) as given by Urban, Stefanou & Pons (J. Comput. Phys. 523, 2025, 113656, eqs. 11 and
13-23) and coded by them. The update adds one product of (p, 3) and (3, p) to H in place, its columns
scaled so that the result is symmetric as H was. A step reads H twice and writes it once: H y, and the
update together with the next H g, by strips of rows that stay in the cache in between.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from pinncli.optimisers.base import Objective, StepInfo
from pinncli.optimisers.searches import Point, StrongWolfe, descend

STRIP_BYTES = 3 << 20
"""Of the rows of H that are updated and multiplied while in the cache of a CPU."""

Kind = Literal["bfgs", "ssbfgs", "ssbroyden"]


@dataclass(frozen=True)
class QuasiNewtonState:
    """H (p, p), updated in place, the objective's value and gradient g (p,) at theta, and -H g.

    `learnt` is False while H is the identity; `length` is that of the last step, which the next
    step down the gradient tries first.
    """

    H: Tensor
    value: float
    gradient: Tensor
    direction: Tensor
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
        return QuasiNewtonState(H, start.value, start.gradient, -start.gradient, False, start.first_length)

    def step(
        self, objective: Objective, theta: Tensor, state: QuasiNewtonState
    ) -> tuple[Tensor, QuasiNewtonState, StepInfo]:
        """One search and one update of H. H is reset where its direction fails or it turns indefinite."""
        start = Point(theta, state.value, state.gradient)
        newton = state.direction if state.learnt else None
        descent = descend(StrongWolfe(self.c1, self.c2), objective, start, newton, state.length)
        info = descent.info(start)
        if descent.trial is None:
            return theta, state, info
        H, end = state.H, descent.trial.point
        if descent.restarted:
            _reset(H)
        learnt = state.learnt and not descent.restarted
        pair = descent.pair(start)
        if pair is None:
            product = H @ end.gradient
        else:
            b = -descent.trial.step * float(pair[0].dot(start.gradient)) / pair[2]
            learnt, product = _learn(self.kind, H, learnt, *pair, b, end.gradient)
        after = QuasiNewtonState(H, end.value, end.gradient, -product, learnt, info.step_size)
        return end.theta, after, info

    def refresh(self, objective: Objective, theta: Tensor, state: QuasiNewtonState) -> QuasiNewtonState:
        """Value and gradient anew, so that no y mixes two objectives; H stays."""
        start = Point.of(objective, theta)
        direction = -(state.H @ start.gradient)
        return replace(state, value=start.value, gradient=start.gradient, direction=direction)

    def recover(self, objective: Objective, theta: Tensor, state: QuasiNewtonState) -> QuasiNewtonState:
        """H = I, and a first step a tenth of the last."""
        _reset(state.H)
        return replace(self.refresh(objective, theta, state), learnt=False, length=0.1 * state.length)


def _reset(H: Tensor) -> None:
    H.zero_().fill_diagonal_(1.0)


def _learn(
    kind: Kind, H: Tensor, learnt: bool, s: Tensor, y: Tensor, sy: float, b: float, g: Tensor
) -> tuple[bool, Tensor]:
    """Take the curvature of a step into H, in place: whether H has learnt anything so far, and H+ g.

    b = s'H^-1 s / s'y. H that has lost positive definiteness is reset.
    """
    u = H @ y if learnt else y
    yy, yu = torch.stack([y.dot(y), y.dot(u)]).tolist()
    if not (yu > 0.0 and math.isfinite(b)):
        _reset(H)
        return False, g
    if not learnt:  # H = I becomes (s'y/y'y) I (Nocedal & Wright 2006, eq. 6.20)
        gamma = sy / yy
        H.mul_(gamma)
        u, yu, b = u * gamma, yu * gamma, b / gamma
    return True, broyden_update(H, s, u, sy, yu, *coefficients(kind, b, yu / sy, len(s)), g)


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


def broyden_update(
    H: Tensor, s: Tensor, u: Tensor, sy: float, yu: float, tau: float, phi: float, g: Tensor
) -> Tensor:
    """H (p, p) <- [H - u u'/yu + phi yu v v'] / tau + s s'/sy in place, v = s/sy - u/yu, u = H y.

    The new H times g (p,).
    """
    v = s / sy - u / yu
    rows = torch.stack([u / math.sqrt(yu * tau), v * math.sqrt(abs(phi) * yu / tau), s / math.sqrt(sy)])
    signs = rows.new_tensor([[-1.0], [math.copysign(1.0, phi)], [1.0]])
    signed, product = rows * signs, torch.empty_like(g)
    strip = len(H) if H.is_cuda else max(64, STRIP_BYTES // (H.element_size() * len(H)))
    for start in range(0, len(H), strip):
        part = slice(start, start + strip)
        H[part].addmm_(rows[:, part].t(), signed, beta=1.0 / tau)
        torch.mv(H[part], g, out=product[part])
    return product

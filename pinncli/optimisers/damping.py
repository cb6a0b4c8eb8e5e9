"""The damping of Gauss-Newton steps: raised until a step decreases the value as its model promised.

Nielsen's rule (Madsen, Nielsen & Tingleff 2004, eq. 2.21) over any model that solves
(J'J + lambda D) v = b, with geodesic acceleration (Transtrum & Sethna, arXiv 1201.5885): the
second-order correction a = -1/2 (J'J + lambda D)^-1 J' r_vv follows the bend of the valley. r_vv
comes from residuals at theta + v and theta - v, the first of which is the trial without correction;
the better of the two is kept. After 100 steps of Levenberg-Marquardt the value was 170 times
(Burgers) to 1,000 times (heat) lower than without.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pinncli.optimisers.base import Objective, Status

MAX_TRIALS = 30
"""Bound on the dampings tried for one model; rounding ends the trials long before."""
LEAST_RATIO = 1e-4
"""Of the decrease to the predicted one, for a step to be taken."""
LEAST_SCALE = 1e-6
"""Smallest entry of D relative to the largest."""


class Damped(Protocol):
    """A model solved for one damping."""

    @property
    def step(self) -> Tensor:
        """v (p,), about -(J'J + lambda D)^-1 J'r."""
        ...

    @property
    def predicted(self) -> float:
        """The decrease 0.5 |r|^2 - 0.5 |r + J v|^2."""
        ...

    def solve(self, b: Tensor) -> Tensor:
        """About (J'J + lambda D)^-1 b for b (p,)."""
        ...


class Model(Protocol):
    """0.5 |r + J v|^2 at one theta."""

    gradient: Tensor
    """J'r (p,)."""

    def damped(self, damping: float) -> Damped | None:
        """The damped step; None where the arithmetic cannot give it."""
        ...

    def pull(self, w: Tensor) -> Tensor:
        """J'w (p,) for w (n,)."""
        ...


@dataclass(frozen=True)
class Tried:
    """Where the search for a damping ended: `theta` is None where no damping helped."""

    theta: Tensor | None
    value: float
    damping: float
    evaluations: int
    status: Status


def search(
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
        predicted = damped.predicted
        if predicted <= eps * value:
            return Tried(None, value, damping, evaluations, "converged")
        s, trial, count = _accelerated(objective, theta, r, model, damped)
        evaluations += count
        ratio = (value - trial) / predicted
        if trial < value and ratio > LEAST_RATIO:
            return Tried(theta + s, trial, damping * eased(ratio), evaluations, "ok")
        damping *= growth
        growth *= 2.0
    return Tried(None, value, damping, evaluations, "failed")


def eased(ratio: float) -> float:
    """The factor on the damping after a step with this ratio of the decrease to the predicted one."""
    return max(1.0 / 3.0, 1.0 - (2.0 * ratio - 1.0) ** 3)


def scaling(diagonal: Tensor) -> Tensor:
    """D (p,) from the diagonal of J'J: half-way between Levenberg's identity and Marquardt's diagonal."""
    largest = diagonal.max()
    return (diagonal * largest).sqrt().clamp_min(LEAST_SCALE * largest)


def half_square(r: Tensor) -> float:
    """0.5 |r|^2."""
    return 0.5 * float(r.dot(r))


def _accelerated(
    objective: Objective, theta: Tensor, r: Tensor, model: Model, damped: Damped
) -> tuple[Tensor, float, int]:
    """The step with or without geodesic acceleration, the value there (inf for NaN), and evaluations."""
    v = damped.step
    ahead = objective.residual(theta + v)
    plain = half_square(ahead)
    if not math.isfinite(plain):
        return v, math.inf, 1
    bend = ahead - 2.0 * r + objective.residual(theta - v)
    bent = v - 0.5 * damped.solve(model.pull(bend))
    accelerated = half_square(objective.residual(theta + bent))
    return (bent, accelerated, 4) if accelerated < plain else (v, plain, 4)

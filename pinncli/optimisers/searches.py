"""Line searches: how far to go along a direction.

Strong Wolfe conditions (Nocedal & Wright 2006, eq. 3.7) by algorithms 3.5 and 3.6 with safeguarded
cubic interpolation (eq. 3.59), and near convergence, where differences of values drown in
rounding, the approximate Wolfe conditions of Hager & Zhang (2005, eq. 4.1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pinncli.optimisers.base import Objective

MAX_EVALUATIONS = 25
ROUNDING = 1e-12
"""Relative change of the value below which only slopes are trusted."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A point on the line: step `a`, value, slope along the direction, gradient (p,)."""

    a: float
    value: float
    slope: float
    gradient: Tensor


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Where the search ended; `found` is False where no acceptable step exists."""

    trial: Trial
    evaluations: int
    found: bool


@dataclass(frozen=True)
class _Line:
    objective: Objective
    theta: Tensor
    direction: Tensor
    c1: float
    c2: float
    start: Trial

    def at(self, a: float) -> Trial:
        """The trial at step `a`; a value that is not finite counts as infinite, so the search backs off."""
        value, gradient = self.objective.value_and_grad(self.theta + a * self.direction)
        slope = float(gradient.dot(self.direction))
        if not (math.isfinite(value) and math.isfinite(slope)):
            return Trial(a, math.inf, math.inf, gradient)
        return Trial(a, value, slope, gradient)

    def decreases(self, trial: Trial) -> bool:
        """Sufficient decrease, or its approximation where values are equal to rounding."""
        if trial.value <= self.start.value + self.c1 * trial.a * self.start.slope:
            return True
        near = abs(trial.value - self.start.value) <= ROUNDING * abs(self.start.value)
        return near and trial.slope <= (2.0 * self.c1 - 1.0) * self.start.slope

    def flat(self, trial: Trial) -> bool:
        """The curvature condition."""
        return abs(trial.slope) <= -self.c2 * self.start.slope


def strong_wolfe(
    objective: Objective,
    theta: Tensor,
    direction: Tensor,
    start: tuple[float, Tensor],
    *,
    first: float,
    c1: float,
    c2: float,
) -> SearchResult:
    """A step along `direction` (p,) from `theta` (p,), where value and gradient are `start`.

    Tries `first`, expands or zooms, and after `MAX_EVALUATIONS` returns the best point that
    decreases, or the start with `found` False.
    """
    value, gradient = start
    origin = Trial(0.0, value, float(gradient.dot(direction)), gradient)
    line = _Line(objective, theta, direction, c1, c2, origin)
    if not origin.slope < 0.0:
        return SearchResult(origin, 0, found=False)
    previous, a, count = origin, first, 0
    while count < MAX_EVALUATIONS:
        trial = line.at(a)
        count += 1
        if not line.decreases(trial) or (count > 1 and trial.value >= previous.value):
            return _zoom(line, previous, trial, count)
        if line.flat(trial):
            return SearchResult(trial, count, found=True)
        if trial.slope >= 0.0:
            return _zoom(line, trial, previous, count)
        previous, a = trial, min(10.0 * a, max(2.0 * a, _cubic(previous, trial, 2.0 * a)))
    return SearchResult(previous, count, found=previous.a > 0.0)


def _zoom(line: _Line, low: Trial, high: Trial, count: int) -> SearchResult:
    """Algorithm 3.6: `low` has the smallest value so far among those that decrease."""
    while count < MAX_EVALUATIONS:
        width = high.a - low.a
        if abs(width) * line.direction.abs().max() <= 1e-16 * line.theta.abs().max():
            break
        middle = _cubic(low, high, low.a + 0.5 * width)
        inside = sorted((low.a + 0.1 * width, high.a - 0.1 * width))
        trial = line.at(min(max(middle, inside[0]), inside[1]))
        count += 1
        if not line.decreases(trial) or trial.value > low.value:
            high = trial
            continue
        if line.flat(trial):
            return SearchResult(trial, count, found=True)
        if trial.slope * (high.a - low.a) >= 0.0:
            high = low
        low = trial
    return SearchResult(low, count, found=low.a > 0.0 and low.value < line.start.value)


def _cubic(a: Trial, b: Trial, otherwise: float) -> float:
    """The minimiser of the cubic through two values and slopes (eq. 3.59)."""
    if not (math.isfinite(a.value) and math.isfinite(b.value) and a.a != b.a):
        return otherwise
    d1 = a.slope + b.slope - 3.0 * (a.value - b.value) / (a.a - b.a)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0.0:
        return otherwise
    d2 = math.copysign(math.sqrt(square), b.a - a.a)
    below = b.slope - a.slope + 2.0 * d2
    if below == 0.0:
        return otherwise
    step = b.a - (b.a - a.a) * (b.slope + d2 - d1) / below
    return step if math.isfinite(step) else otherwise


def first_step(gradient: Tensor) -> float:
    """A cautious step along steepest descent, where nothing is known of the curvature."""
    return min(1.0, 1.0 / max(float(torch.linalg.vector_norm(gradient, ord=1)), 1e-300))

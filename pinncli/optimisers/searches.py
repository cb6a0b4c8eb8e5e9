"""Line searches: how far to go along a direction that another module chose.

`StrongWolfe` is Nocedal & Wright 2006, algorithms 3.5 and 3.6, in one loop: bracketing is zooming
with the far end at infinity. It is hardened in four ways. Trials that are not finite count as
+infinity. Interpolation is safeguarded, and an interval that shrinks slowly is halved. Where
differences of the value drown in rounding, the decrease is judged by slopes (the approximate
Wolfe condition of Hager & Zhang 2005). The number of evaluations is bounded, and the best point
that decreases enough comes back even where its slope is still too steep.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pinncli.optimisers.base import Objective, Status, StepInfo

MAX_EVALUATIONS = 25
EXPANSION = (1.1, 10.0)
"""Least and greatest growth, in units of the last advance, while no minimum is bracketed."""
MARGIN = 0.1
"""An interpolated step stays this share of the interval away from its ends."""
SLOW = 0.66
"""Two trials that leave more than this share of the interval are followed by halving."""
WALL_SHARE = 0.2
"""Where the far end is not finite, the next step is this share of the interval."""


@dataclass(frozen=True)
class Point:
    """theta (p,) with the objective's value and gradient (p,) there."""

    theta: Tensor
    value: float
    gradient: Tensor

    @classmethod
    def of(cls, objective: Objective, theta: Tensor) -> Point:
        """Evaluate the objective at theta."""
        return Point(theta, *objective.value_and_grad(theta))

    @property
    def first_length(self) -> float:
        """Of the first step that a search tries down the gradient: the gradient's, at most 1."""
        return min(1.0, float(torch.linalg.vector_norm(self.gradient)))


@dataclass(frozen=True)
class Trial:
    """A point on the ray, at `step` times the direction; `slope` is the derivative along it."""

    point: Point
    step: float
    slope: float

    @property
    def value(self) -> float:
        """The objective."""
        return self.point.value

    @property
    def finite(self) -> bool:
        """Whether value and gradient are numbers."""
        return math.isfinite(self.value) and math.isfinite(self.slope)


@dataclass(frozen=True)
class Found:
    """The trial accepted, if any, and what it cost."""

    trial: Trial | None
    evaluations: int


@dataclass(frozen=True)
class StrongWolfe:
    """value <= value0 + c1 step slope0 and |slope| <= c2 |slope0|."""

    c1: float
    c2: float

    def __call__(self, objective: Objective, start: Point, direction: Tensor, first: float) -> Found:
        """Search from `start` along `direction` (p,), trying the step `first` first.

        No trial is found along a direction that does not descend, or where none decreases enough.
        """
        origin = Trial(start, 0.0, float(start.gradient.dot(direction)))
        if not (origin.finite and origin.slope < 0.0):
            return Found(None, 0)
        noise = torch.finfo(direction.dtype).eps ** 0.4 * abs(origin.value)
        previous = low = origin
        high: Trial | None = None
        widths = (math.inf, math.inf)
        step, evaluations = first, 0
        while evaluations < MAX_EVALUATIONS:
            point = Point.of(objective, start.theta + step * direction)
            trial = Trial(point, step, float(point.gradient.dot(direction)))
            evaluations += 1
            if not self._decreases(trial, origin, noise) or trial.value > low.value + noise:
                high = trial
            elif abs(trial.slope) <= -self.c2 * origin.slope:
                return Found(trial, evaluations)
            else:
                ahead = math.inf if high is None else high.step
                if trial.slope * (ahead - low.step) >= 0.0:
                    high = low
                previous, low = low, trial
            if high is None:
                step = _extrapolate(previous, low)
                continue
            width = abs(high.step - low.step)
            slow, widths = width > SLOW * widths[0], (widths[1], width)
            step = _interpolate(low, high, noise, halve=slow)
            if step in (low.step, high.step):
                break
        return Found(low if low.value < origin.value else None, evaluations)

    def _decreases(self, trial: Trial, origin: Trial, noise: float) -> bool:
        """Armijo's condition or, within `noise` of the starting value, the one on slopes."""
        if not trial.finite:
            return False
        if trial.value <= origin.value + self.c1 * trial.step * origin.slope:
            return True
        return trial.value <= origin.value + noise and trial.slope <= (2.0 * self.c1 - 1.0) * origin.slope


def _extrapolate(previous: Trial, last: Trial) -> float:
    advance = last.step - previous.step
    least, greatest = (last.step + factor * advance for factor in EXPANSION)
    guess = _cubic_minimiser(previous, last)
    return greatest if guess is None or guess <= last.step else min(max(guess, least), greatest)


def _interpolate(low: Trial, high: Trial, noise: float, *, halve: bool) -> float:
    """A step inside the interval between `low` and `high`, whichever is the longer."""
    width = high.step - low.step
    if not high.finite:
        return low.step + WALL_SHARE * width
    if halve:
        return low.step + 0.5 * width
    close = abs(high.value - low.value) <= noise
    guess = _secant(low, high) if close else _cubic_minimiser(low, high)
    if guess is None:
        return low.step + 0.5 * width
    share = (guess - low.step) / width
    return low.step + min(max(share, MARGIN), 1.0 - MARGIN) * width


def _secant(a: Trial, b: Trial) -> float | None:
    """The root of the line through two slopes of opposite sign."""
    if a.slope * b.slope >= 0.0:
        return None
    return (a.step * b.slope - b.step * a.slope) / (b.slope - a.slope)


def _cubic_minimiser(a: Trial, b: Trial) -> float | None:
    """Minimiser of the cubic through two values and slopes (Nocedal & Wright 2006, eq. 3.59)."""
    d1 = a.slope + b.slope - 3.0 * (a.value - b.value) / (a.step - b.step)
    square = d1 * d1 - a.slope * b.slope
    if not 0.0 <= square < math.inf:
        return None
    d2 = math.copysign(math.sqrt(square), b.step - a.step)
    denominator = b.slope - a.slope + 2.0 * d2
    if denominator == 0.0:
        return None
    return b.step - (b.step - a.step) * (b.slope + d2 - d1) / denominator


@dataclass(frozen=True)
class Descent:
    """A search's outcome, after a second try along steepest descent where the first one failed.

    `trial` is the one accepted, None where both failed or nothing was left to gain; `direction`
    (p,) leads to it, and `restarted` tells that it is minus the gradient.
    """

    trial: Trial | None
    direction: Tensor
    restarted: bool
    evaluations: int
    status: Status

    def pair(self, start: Point) -> tuple[Tensor, Tensor, float] | None:
        """s and y (p,) of the step, and s'y; None without usable curvature, or where that underflows."""
        if self.trial is None:
            return None
        s = self.trial.step * self.direction
        y = self.trial.point.gradient - start.gradient
        sy, yy, ss = torch.stack([s.dot(y), y.dot(y), s.dot(s)]).tolist()
        limits = torch.finfo(s.dtype)
        return (s, y, sy) if sy > limits.eps * math.sqrt(ss * yy) and min(sy, yy) > limits.tiny else None

    def info(self, start: Point) -> StepInfo:
        """In numbers, for the training loop."""
        at = start if self.trial is None else self.trial.point
        share = 0.0 if self.trial is None else self.trial.step
        length = share * float(torch.linalg.vector_norm(self.direction))
        norm = float(torch.linalg.vector_norm(at.gradient))
        return StepInfo(at.value, norm, length, self.evaluations, self.status)


def descend(
    search: StrongWolfe, objective: Objective, start: Point, newton: Tensor | None, length: float
) -> Descent:
    """Go along the Newton-like direction `newton` (p,), if any, else or failing that down the gradient.

    `length` is that of the first trial step down the gradient. It has converged where the gradient is
    nothing but rounding or the step is lost in theta.
    """
    eps = torch.finfo(start.theta.dtype).eps
    downhill = -start.gradient
    products = [start.gradient.dot(downhill if newton is None else newton), start.theta.dot(start.theta)]
    slope, square, norm = torch.stack([*products, torch.linalg.vector_norm(downhill)]).tolist()
    lost = eps * math.sqrt(square)
    # rounding of the residuals r makes a gradient d of J'd, |d| ~ eps |r|, with d'J H J'd <= p |d|^2
    rounding = len(start.theta) * eps * eps * start.value
    if norm == 0.0 or (newton is not None and 0.0 < -slope <= rounding):
        return Descent(None, downhill, False, 0, "converged")
    evaluations = 0
    if newton is not None:
        found = search(objective, start, newton, 1.0)
        evaluations = found.evaluations
        if found.trial is not None:
            return Descent(found.trial, newton, False, evaluations, "ok")
    if length <= lost:
        return Descent(None, downhill, False, evaluations, "converged")
    found = search(objective, start, downhill, length / norm)
    status: Status = "failed" if found.trial is None else "ok"
    return Descent(found.trial, downhill, True, evaluations + found.evaluations, status)

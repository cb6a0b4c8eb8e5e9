"""Width, patches and scale of frozen features, by trial: least residual at fresh points.

A trial draws the features, fits the output layer and looks at points that the fit has not seen, in a
fraction of a second. The search goes downhill from 1 patch of scale 1: the scale by factors of 2, then
one more cut of one coordinate or of all for as long as that halves the value at the least, then twice
the features for as long as that gains a factor of ten. It depends on the problem and the seed alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import torch

from pinncli.assembly import assemble
from pinncli.optimisers import Optimiser
from pinncli.problem.defaults import FeatureNetwork, choose
from pinncli.problem.terms import Formulation

STEPS = 8
"""Of the fit of one trial, if the problem is nonlinear."""
FRESH_INTERIOR, FRESH_SIDE = 1000, 200
SCALES = (1.0 / 16.0, 32.0)
CUT_GAIN, WIDTH_GAIN = 0.5, 0.1
"""The value must fall to this fraction."""
CUT_SCALES = (1.0, 0.6)
"""Factors on the scale to try with one cut more: a patch holds fewer waves than the whole."""
HOPELESS, ACCEPTED = 1e-3, 1e-9
"""Value at fresh points relative to that of u = 0: above the first after one trial a nonlinear problem is
left to other networks; up to the second, the features that were found are the better choice."""
ENOUGH = 1000.0
"""Residuals of so many roundings cannot be improved."""


@dataclass(frozen=True)
class Trial:
    """A network and the value of its objective at fresh points."""

    network: FeatureNetwork
    value: float


@dataclass(frozen=True)
class Tuner:
    """Makes trials, each once; none are made after `stop` said so."""

    formulation: Formulation
    optimiser: Optimiser
    seed: int
    device: torch.device
    dtype: torch.dtype
    stop: Callable[[], bool]
    known: dict[FeatureNetwork, float] = field(default_factory=dict)

    def trial(self, network: FeatureNetwork) -> Trial:
        """Fit the features of `network`; the value is infinite where that fails."""
        if network not in self.known and not self.stop():
            self.known[network] = self._value(network)
        return Trial(network, self.known.get(network, math.inf))

    def start(self, network: FeatureNetwork) -> float:
        """The value at fresh points of u = 0."""
        choices = choose(self.formulation, decided=network)
        assembly = assemble(self.formulation, choices, self.seed, self.device, self.dtype)
        return assembly.objective(assembly.fresh(FRESH_INTERIOR, FRESH_SIDE)).value(assembly.initial_theta())

    def best(self, networks: Iterable[FeatureNetwork]) -> Trial:
        """The best of several, the first of equals."""
        return min(map(self.trial, networks), key=lambda trial: trial.value)

    def done(self, best: Trial) -> bool:
        """Whether nothing is left to gain, or no time to gain it."""
        return self.stop() or best.value <= (ENOUGH * torch.finfo(self.dtype).eps) ** 2

    def _value(self, network: FeatureNetwork) -> float:
        choices = choose(self.formulation, decided=network)
        assembly = assemble(self.formulation, choices, self.seed, self.device, self.dtype)
        objective = assembly.objective(assembly.draw(0, None))
        theta = assembly.initial_theta()
        state = self.optimiser.init(objective, theta)
        for _ in range(1 if self.formulation.linear else STEPS):
            theta, state, info = self.optimiser.step(objective, theta, state)
            if info.status != "ok" or self.stop():
                break
        value = assembly.objective(assembly.fresh(FRESH_INTERIOR, FRESH_SIDE)).value(theta)
        return value if math.isfinite(value) else math.inf


def accept(network: FeatureNetwork, tuner: Tuner) -> FeatureNetwork | None:
    """`network` decided, if the features are good enough to be the solution; None if not."""
    first = _first(network, tuner)
    start = tuner.start(first)
    if not tuner.formulation.linear and not tuner.trial(first).value <= HOPELESS * start:
        return None
    best = tuner.trial(tune(network, tuner))
    return best.network if best.value <= ACCEPTED * start else None


def tune(network: FeatureNetwork, tuner: Tuner) -> FeatureNetwork:
    """Decide what `network` leaves open."""
    open_scale, open_patches = network.scale is None, network.patches is None
    first = _first(network, tuner)
    if not (open_scale or open_patches or network.width < network.most):
        return first
    best = tuner.trial(first)
    if open_scale:
        best = _scale(best, tuner)
    if open_patches:
        best = _cut(best, tuner, CUT_SCALES if open_scale else CUT_SCALES[:1])
    while best.network.width < best.network.most and not tuner.done(best):
        wide = replace(best.network, width=min(2 * best.network.width, best.network.most))
        factors = (1.0, 1.5) if open_scale else (1.0,)
        wider = tuner.best(_scaled(wide, factor) for factor in factors)
        if not wider.value <= WIDTH_GAIN * best.value:
            break
        best = wider
    return best.network


def _first(network: FeatureNetwork, tuner: Tuner) -> FeatureNetwork:
    d = len(tuner.formulation.problem.coordinates)
    return replace(network, scale=network.scale or 1.0, patches=network.patches or (1,) * d)


def _scale(best: Trial, tuner: Tuner) -> Trial:
    """Downhill in the logarithm of the scale, up first; at the end by half a step."""
    start = best
    for factor in (2.0, 0.5):
        while not tuner.done(best):
            ahead = _scaled(best.network, factor)
            if not SCALES[0] <= _number(ahead.scale) <= SCALES[1]:
                break
            trial = tuner.trial(ahead)
            if not trial.value < best.value:
                break
            best = trial
        if best is not start:
            break
    if tuner.done(best):
        return best
    return min(
        best, tuner.best(_scaled(best.network, f) for f in (math.sqrt(0.5), math.sqrt(2.0))), key=_value
    )


def _cut(best: Trial, tuner: Tuner, scales: Sequence[float]) -> Trial:
    """Cut along one coordinate more, or along all, while that gains."""
    every = tuple(range(len(tuner.formulation.problem.coordinates)))
    axes = [(k,) for k in every] + ([every] if len(every) > 1 else [])
    while not tuner.done(best):
        trial = tuner.best(_scaled(_patched(best.network, a), s) for a in axes for s in scales)
        if not trial.value <= CUT_GAIN * best.value:
            break
        best = trial
    return best


def _scaled(network: FeatureNetwork, factor: float) -> FeatureNetwork:
    return replace(network, scale=_number(network.scale) * factor)


def _patched(network: FeatureNetwork, axes: Sequence[int]) -> FeatureNetwork:
    """1, 2, 3, 4, 6, 9, 13, ... patches along each of `axes`."""
    patches = enumerate(network.patches or ())
    return replace(network, patches=tuple(k + max(1, k // 2) if axis in axes else k for axis, k in patches))


def _number(scale: float | None) -> float:
    assert scale is not None  # noqa: S101  (a trial has one)
    return scale


def _value(trial: Trial) -> float:
    return trial.value

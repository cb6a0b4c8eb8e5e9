"""How finely an evolution problem is to be cut in time and space, by trial: a march that is worth its time.

A coarse march over all of time, a few seconds, shows where the problem is hardest: the window that leaves
the most residual at fresh points. That piece of time is then solved anew from what the pilot has at its
beginning, with twice the patches, twice the windows or more features, whichever lowers the residual most,
for as long as the whole march would still be done in the time allowed. Times are estimated by counting
operations, so that the outcome depends on the problem, the seed and the time allowed alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from pinncli.marching import Route
from pinncli.optimisers import Optimiser
from pinncli.piece import Piece
from pinncli.problem.evolution import March, first_march
from pinncli.problem.legs import Leg, legs

RATE = 5e9
"""Operations a second of the factorisations, on one core of 2023."""
SECONDS, SHARE = 60.0, 0.4
"""That a march may take where no time limit is given; of a limit, this part."""
LEAST_STEPS, STEPS = 3, 8
"""Of the fit of one window: those that work take three to five."""
LOST = 0.03
"""A pilot ends where a window leaves this part of the residual that it began with (rms): nothing that is
finer by a few steps will make up for it."""
AGAIN = 0.25
"""An ordinary differential equation is then tried once more in twice the windows, where that takes no more
than this part of the time allowed."""
GAIN = 0.5
"""A finer march must lower the residual (rms) to this part."""
FINE = 1e-10
"""A march that leaves so little is not made finer."""
ACCEPTED = 1e-3
"""Of the residual (rms) that the hardest window began with: above, other networks do better."""
FRESH_SHARE, FRESH_SIDE = 0.3, 200
"""Fresh points of a window, interior by the number that it is trained on."""


@dataclass(frozen=True)
class Fit:
    """A window as it was fitted: its residual at fresh points (rms), also before the fit, and the steps."""

    piece: Piece
    residual: float
    before: float
    steps: int

    @property
    def left(self) -> float:
        """The part of the residual that is left."""
        return self.residual / self.before if self.before > 0.0 else 0.0


@dataclass(frozen=True)
class Pilot:
    """Marches in any windows and on any patches along `route`; `over` says that time is up."""

    route: Route
    optimiser: Optimiser
    allowed: float
    """Operations that a whole march may take."""
    over: Callable[[], bool]

    def find(self) -> March | None:
        """The finest march that is worth its time; None where even that would not solve the problem."""
        march = first_march(self.route.formulation)
        if march is None or LEAST_STEPS * march.operations > self.allowed:
            return None
        fits = self.fit(march)
        while len(fits) < march.windows:
            march = replace(march, windows=2 * march.windows)
            dear = LEAST_STEPS * march.operations > AGAIN * self.allowed
            if self.over() or dear or self.route.formulation.problem.space:
                return None
            fits = self.fit(march)
        first = march.windows
        k = max(range(first), key=lambda k: fits[k].residual)
        earlier = tuple(fit.piece for fit in fits[:k])
        hardest, steps = fits[k], max(fit.steps for fit in fits)
        while not self.over() and hardest.left > FINE:
            tried: list[tuple[March, Fit]] = []
            for finer in march.finer:
                if steps * finer.operations <= self.allowed:
                    split = finer.windows // first
                    again = self.fit(finer, earlier, range(k * split, (k + 1) * split))
                    if len(again) == split:
                        tried.append((finer, max(again, key=_residual)))
            if not tried:
                break
            finer, worst = min(tried, key=lambda each: each[1].residual)
            if not worst.residual <= GAIN * hardest.residual:
                break
            march, hardest, steps = finer, replace(worst, before=hardest.before), worst.steps
        return march if hardest.left <= ACCEPTED else None

    def fit(
        self, march: March, earlier: Sequence[Piece] = (), windows: Sequence[int] | None = None
    ) -> list[Fit]:
        """Window after window, all or some that follow on `earlier`; fewer where one is lost."""
        route = along(self.route, march)
        chosen: Sequence[Leg] = route.legs if windows is None else [route.legs[k] for k in windows]
        fits: list[Fit] = []
        theta: Tensor | None = None
        for leg in chosen:
            assembly = route.assembly(leg, (*earlier, *(fit.piece for fit in fits)))
            objective = assembly.objective(assembly.draw(0, None))
            begun = assembly.initial_theta()
            theta = begun if theta is None else theta
            state, steps = self.optimiser.init(objective, theta), 0
            while steps < STEPS and not self.over():
                theta, state, info = self.optimiser.step(objective, theta, state)
                steps += 1
                if info.status != "ok":
                    break
            count = round(FRESH_SHARE * route.choices(leg).interior)
            fresh = assembly.objective(assembly.fresh(count, FRESH_SIDE))
            residual, before = (math.sqrt(2.0 * fresh.value(t)) for t in (theta, begun))
            fit = Fit(Piece(assembly, theta), residual, before, steps)
            if not fit.left <= LOST or self.over():
                break
            fits.append(fit)
        return fits


def along(route: Route, march: March) -> Route:
    """The same way, in the windows of `march` and with its network."""
    formulation = march.cut(route.formulation)
    return replace(route, formulation=formulation, legs=legs(formulation), network=march.network)


def operations(allowed: float | None) -> float:
    """That a march may take which is allowed so many seconds."""
    return RATE * (SECONDS if allowed is None else SHARE * allowed)


def _residual(fit: Fit) -> float:
    return fit.residual

"""Random coefficient fields of `darcy` and `heat2d_varying`: log-normal, smooth, from a fixed seed.

log a is a Gaussian field on the unit square, even about its sides: a sum of cos(i pi x) cos(j pi y) whose
random coefficients have the deviations exp(-(pi l)^2 (i^2 + j^2)/4), as a correlation exp(-d^2/l^2) has them
(Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006, section 4.2.1), scaled to the deviation
asked for. The tables are so fine that the cubic spline through them, which is what the problems and their
references take for a, is as smooth as the field.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from fourier import Array
from scipy.interpolate import RectBivariateSpline

POINTS = 49
MODES = 12


@dataclass(frozen=True)
class LogNormal:
    """`length` l of the correlation, `deviation` of log a over the square, and the seed."""

    length: float
    deviation: float
    seed: int

    def table(self) -> tuple[Array, Array]:
        """The axis (n,) of x and of y, and a (n, n), to nine decimals."""
        axis, order = np.linspace(0, 1, POINTS), np.arange(MODES)
        decay = np.exp(-((np.pi * self.length * order) ** 2) / 4)
        weights = np.random.default_rng(self.seed).standard_normal((MODES, MODES)) * np.outer(decay, decay)
        weights[0, 0] = 0.0
        waves = np.cos(np.pi * np.outer(axis, order))
        gaussian = waves @ weights @ waves.T
        return axis, np.round(np.exp(self.deviation * gaussian / gaussian.std()), 9)

    def spline(self) -> Callable[[Array, Array], Array]:
        """The cubic spline through the table, with not-a-knot ends, at x and y of any shape."""
        axis, values = self.table()
        through = RectBivariateSpline(axis, axis, values, s=0)
        return lambda x, y: np.asarray(through.ev(x, y))


FIELDS = {"darcy": LogNormal(0.25, 1.0, 0), "heat2d_varying": LogNormal(0.25, 0.7, 1)}
"""By the problem, in whose `NAME_coefficient.h5` the table is."""

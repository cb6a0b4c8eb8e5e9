"""Noisy samples of u for `poisson_inverse` and `heat_inverse`, whose coefficient fields are to be found.

u is the formula that the problem states as exact, at points drawn uniformly from its domain, plus Gaussian
noise of a stated fraction of the standard deviation of u.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from fourier import Array

SEED = 0


@dataclass(frozen=True)
class Samples:
    """Where u is measured and how well: `ranges` by coordinate, `noise` relative to the deviation of u."""

    ranges: dict[str, tuple[float, float]]
    solution: Callable[..., Array]
    count: int
    noise: float

    def draw(self) -> tuple[Array, Array]:
        """Columns of points and u_measured (count, d + 1), rounded as they are written, and the noise."""
        generator = np.random.default_rng(SEED)
        columns = [np.round(generator.uniform(*ends, self.count), 6) for ends in self.ranges.values()]
        u = self.solution(*columns)
        measured = np.round(u + self.noise * u.std() * generator.standard_normal(self.count), 6)
        return np.stack([*columns, measured], axis=1), measured - u


def _poisson(x: Array, y: Array) -> Array:
    return np.asarray(np.sin(np.pi * x) * np.sin(np.pi * y))


def _heat(x: Array, y: Array, t: Array) -> Array:
    return np.asarray(np.exp(-t) * _poisson(x, y))


SAMPLES = {
    "poisson_inverse": Samples({"x": (0, 1), "y": (0, 1)}, _poisson, 2500, 0.01),
    "heat_inverse": Samples({"x": (-1, 1), "y": (-1, 1), "t": (0, 1)}, _heat, 2500, 0.01),
}

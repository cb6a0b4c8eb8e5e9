"""Noisy measurements for the inverse problems whose unknowns are a few numbers, and what they can tell.

Each table is the solution at stated points plus Gaussian noise of a stated standard deviation, rounded as it
is written. With J the sensitivities of the noise-free columns to the logarithms of the numbers, the least
relative standard deviations of an unbiased estimate are those of sigma^2 (J^T J)^-1 (Cramer & Rao), and
(J^T J)^-1 J^T noise is the shift that the drawn noise causes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import ordinary

Array = np.ndarray
SEED = 0


@dataclass(frozen=True)
class Experiment:
    """What is measured, where, and how well."""

    points: Mapping[str, Array]
    """Coordinates of the measurements, each (n,)."""
    columns: tuple[str, ...]
    model: Callable[[Mapping[str, Array], Array], Array]
    """Points and numbers to the columns without noise (len(columns), n)."""
    truth: Mapping[str, float]
    noise: float
    """Standard deviation."""

    def draw(self) -> tuple[Array, Array]:
        """The table (n, coordinates + columns), and the noise in it (len(columns), n)."""
        exact = self.model(self.points, np.array(list(self.truth.values())))
        drawn = self.noise * np.random.default_rng(SEED).standard_normal(exact.shape)
        measured = np.round(exact + drawn, 6)
        return np.stack([*self.points.values(), *measured], axis=1), measured - exact

    def identifiability(self, noise: Array, h: float = 1e-5) -> tuple[Array, Array]:
        """Relative standard deviations and shifts of the least-squares estimates, each (numbers,)."""
        truth = np.array(list(self.truth.values()))

        def column(k: int) -> Array:
            ends = [
                self.model(self.points, truth * (1 + s * h * (np.arange(len(truth)) == k))) for s in (1, -1)
            ]
            return ((ends[0] - ends[1]) / (2 * h)).ravel()

        inverse = np.linalg.pinv(np.stack([column(k) for k in range(len(truth))], axis=1))
        return self.noise * np.linalg.norm(inverse, axis=1), inverse @ noise.ravel()


def reaction_rates() -> Experiment:
    """A to B at the rate k1, B on at the rate k2, both amounts at 60 times; a(0) = 1, b(0) = 0."""

    def model(points: Mapping[str, Array], rates: Array) -> Array:
        first, second = (np.exp(-rate * points["t"]) for rate in rates)
        return np.stack([first, rates[0] / (rates[1] - rates[0]) * (first - second)])

    times = np.round(np.linspace(5 / 60, 5, 60), 6)
    return Experiment({"t": times}, ("a_measured", "b_measured"), model, {"k1": 1.5, "k2": 0.6}, 0.005)


def wave_speed() -> Experiment:
    """A string's displacement at three places, 50 times each."""

    def model(points: Mapping[str, Array], speed: Array) -> Array:
        waves = [
            np.sin(n * np.pi * points["x"]) * np.cos(n * speed[0] * np.pi * points["t"]) / n for n in (1, 2)
        ]
        return np.stack([sum(waves)])

    x, t = np.meshgrid([0.2, 0.55, 0.7], np.linspace(0.04, 2, 50), indexing="ij")
    return Experiment(
        {"x": x.ravel(), "t": np.round(t.ravel(), 6)}, ("u_measured",), model, {"c": 1.3}, 0.015
    )


def lorenz_inverse() -> Experiment:
    """All amplitudes of the Lorenz system with rho = 15 at 60 times."""

    def model(points: Mapping[str, Array], coefficients: Array) -> Array:
        times = np.append(0.0, points["t"])
        return ordinary.solve(ordinary.lorenz(*coefficients), times, 1e-12)[:, 1:]

    truth = {"sigma": 10.0, "rho": 15.0, "beta": 8 / 3}
    columns = ("x_measured", "y_measured", "z_measured")
    return Experiment({"t": np.round(np.linspace(0.05, 3, 60), 6)}, columns, model, truth, 0.1)


EXPERIMENTS: Mapping[str, Callable[[], Experiment]] = {
    "reaction_rates": reaction_rates,
    "wave_speed": wave_speed,
    "lorenz_inverse": lorenz_inverse,
}

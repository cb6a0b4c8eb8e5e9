"""Fourier series on a periodic interval: the transform, projection and sampling that the solvers share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Transform:
    """Fourier coefficients of real (half spectrum) or complex values on `points` points of [-half, half)."""

    points: int
    half: float
    real: bool

    @property
    def grid(self) -> Array:
        """The points (points,), from -half, without the right end."""
        return -self.half + 2 * self.half * np.arange(self.points) / self.points

    @property
    def modes(self) -> Array:
        """Mode numbers (modes,), integers as float, in the order of the coefficients."""
        frequencies = np.fft.rfftfreq if self.real else np.fft.fftfreq
        return np.round(frequencies(self.points) * self.points)

    @property
    def wavenumbers(self) -> Array:
        """Wave numbers (modes,)."""
        return self.modes * np.pi / self.half

    def forward(self, values: Array) -> Array:
        """Values (points,) to coefficients (modes,)."""
        return np.fft.rfft(values) if self.real else np.fft.fft(values)

    def inverse(self, coefficients: Array) -> Array:
        """Coefficients (modes,) to values (points,)."""
        return np.fft.irfft(coefficients, self.points) if self.real else np.fft.ifft(coefficients)


def project(initial: Callable[[Array], Array], transform: Transform, fine: int = 2**20) -> Array:
    """Coefficients (modes,) of the L2 projection of `initial`, sampled on `fine` points and truncated.

    Initial data whose periodic continuation has a kink have coefficients that fall off like 1/k^2:
    interpolating them on the grid of the solver would alias what is projected away here.
    """
    sampler = Transform(fine, transform.half, transform.real)
    coefficients = sampler.forward(initial(sampler.grid)) * (transform.points / fine)
    coefficients = coefficients[np.abs(sampler.modes) <= transform.points // 2]
    kept = coefficients if transform.real else np.delete(coefficients, transform.points // 2)
    kept[np.abs(transform.modes) == transform.points // 2] = 0  # the unpaired mode
    return kept


def sample(values: Array, intervals: int) -> Array:
    """Values (points,) at the intervals + 1 equidistant points of the closed interval."""
    return np.append(values[:: len(values) // intervals], values[0])

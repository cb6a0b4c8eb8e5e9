"""Noisy samples of Burgers' equation for `burgers_inverse`, and what they can tell about the two parameters.

The samples are the Cole-Hopf solution (`cole_hopf.py`) at points drawn uniformly from [-1, 1] x [0, 1], plus
Gaussian noise of a stated fraction of the standard deviation of u. `identifiability` linearises the fit
about the truth: with J the sensitivities of u to (lam, ln nu) and to a free initial profile (a Fourier
series, since the problem states no initial condition), the least standard deviations of an unbiased
estimate are those of sigma^2 (J^T J)^-1 (Cramer & Rao), and (J^T J)^-1 J^T noise is the shift that the drawn
noise causes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import etdrk4
import numpy as np
from cole_hopf import burgers
from fourier import Array
from scipy.interpolate import RectBivariateSpline

NU = 0.01 / np.pi
SAMPLES = 2000
NOISE = 0.005
SEED = 0
PROFILE_MODES = 16


def draw() -> tuple[Array, Array]:
    """Columns x, t, u_measured (samples, 3), rounded as they are written, and the noise (samples,)."""
    generator = np.random.default_rng(SEED)
    x = np.round(generator.uniform(-1, 1, SAMPLES), 6)
    t = np.round(generator.uniform(0, 1, SAMPLES), 6)
    u = burgers(x, t, NU)
    measured = np.round(u + NOISE * u.std() * generator.standard_normal(SAMPLES), 6)
    return np.stack([x, t, measured], axis=1), measured - u


def identifiability(table: Array, noise: Array) -> tuple[Array, Array]:
    """Relative standard deviations (2,) and shifts (2,) of the least-squares estimates of lam and nu."""
    times = np.linspace(0, 1, 101)
    x = np.linspace(-1, 1, 1025)

    def sampled(convection: float, nu: float, profile: Callable[[Array], Array] = np.zeros_like) -> Array:
        equation = etdrk4.burgers(nu, convection)
        start = equation.initial
        shifted = replace(equation, initial=lambda x: start(x) + profile(x))
        u = etdrk4.solve(shifted, 1024, times, steps=8, intervals=1024)
        return np.asarray(RectBivariateSpline(x, times, u).ev(table[:, 0], table[:, 1]))

    h = 1e-4
    base = sampled(1.0, NU)
    columns = [(sampled(1 + h, NU) - base) / h, (sampled(1.0, NU * (1 + h)) - base) / h]
    for mode in range(PROFILE_MODES + 1):
        for wave in (np.cos, np.sin)[: 2 if mode else 1]:
            profile = sampled(1.0, NU, lambda x, wave=wave, mode=mode: h * wave(mode * np.pi * x))
            columns.append((profile - base) / h)
    inverse = np.linalg.pinv(np.stack(columns, axis=1))
    return noise.std() * np.linalg.norm(inverse[:2], axis=1), inverse[:2] @ noise

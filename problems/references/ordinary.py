"""Ordinary differential equations by Runge-Kutta methods of high order with small steps, from scipy.

The explicit method of order 8 of Dormand & Prince (Hairer, Norsett & Wanner, Solving Ordinary Differential
Equations I, section II.10) makes the references. Its check is the implicit Radau IIA method of order 5
(Hairer & Wanner, Solving Ordinary Differential Equations II, section IV.8), which shares nothing with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import ellipj, ellipk

Array = np.ndarray
TOLERANCE = 3e-14
"""Relative error of a step; scipy takes none below 100 roundings."""


@dataclass(frozen=True)
class System:
    """y' = slope(y) from `initial` at t = 0."""

    slope: Callable[[Array], list[float]]
    initial: tuple[float, ...]


def van_der_pol(mu: float = 5.0) -> System:
    """u'' = mu (1 - u^2) u' - u from u = 2, u' = 0."""
    return System(lambda y: [y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]], (2.0, 0.0))


def lorenz(sigma: float = 10.0, rho: float = 28.0, beta: float = 8 / 3) -> System:
    """x' = sigma (y - x), y' = x (rho - z) - y, z' = x y - beta z from (-8, 7, 27)."""
    return System(
        lambda y: [sigma * (y[1] - y[0]), y[0] * (rho - y[2]) - y[1], y[0] * y[1] - beta * y[2]],
        (-8.0, 7.0, 27.0),
    )


def pendulum(angle: float = np.pi / 3, g: float = 9.81, length: float = 1.0) -> System:
    """The angle from the vertical: a'' = -(g/length) sin a, from rest."""
    return System(lambda y: [y[1], -g / length * np.sin(y[0])], (angle, 0.0))


def solve(system: System, times: Array, tolerance: float = TOLERANCE, method: str = "DOP853") -> Array:
    """The solution (len(initial), len(times)) at rising `times` from 0, each the end of a step."""
    state, values = np.array(system.initial), [np.array(system.initial)]
    for begin, end in pairwise(times):
        done = solve_ivp(
            lambda _, y: system.slope(y), (begin, end), state, method, rtol=tolerance, atol=tolerance
        )
        state = done.y[:, -1]
        values.append(state)
    return np.stack(values, axis=1)


def pendulum_cartesian(motion: Array, g: float = 9.81, length: float = 1.0) -> dict[str, Array]:
    """Angle and its rate (2, n) to x, y, and the tension of a mass of one: g cos a + length a'^2."""
    angle, rate = motion
    return {
        "x": length * np.sin(angle),
        "y": -length * np.cos(angle),
        "tension": g * np.cos(angle) + length * rate**2,
    }


def pendulum_closed(times: Array, angle: float = np.pi / 3, g: float = 9.81, length: float = 1.0) -> Array:
    """Angle and rate (2, n) by elliptic functions: sin(a/2) = k sn(K + w t), a'/2 = k w cn(K + w t).

    k = sin(angle/2), w = sqrt(g/length), K the quarter period (Whittaker, Analytical
    Dynamics, 1937, section 44).
    """
    k, w = np.sin(angle / 2), np.sqrt(g / length)
    sn, cn, _, _ = ellipj(ellipk(k**2) + w * times, k**2)
    return np.stack([2 * np.arcsin(k * sn), 2 * k * w * cn])

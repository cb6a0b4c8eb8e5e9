"""Periodic evolution equations: Fourier in space, exponential time differencing (ETDRK4) in time.

An equation is u_t = L u + N(u) with L diagonal in Fourier space. A step of length h is eqs. (26)-(29) of
Cox & Matthews, J. Comput. Phys. 176, 2002; the coefficients are means over a circle in the complex plane
around every eigenvalue of hL, which avoids their cancellation (Kassam & Trefethen, SIAM J. Sci. Comput.
26, 2005, section 2). The linear part is exact, so that stiffness does not limit h.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from fourier import Array, Transform, project, sample


@dataclass(frozen=True)
class Equation:
    """u_t = linear(k) u + factor(k) flux(u) on the periodic interval [-half, half]."""

    half: float
    linear: Callable[[Array], Array]
    """Wave numbers (modes,) to the eigenvalues of L (modes,)."""
    flux: Callable[[Array], Array]
    """Values of u on the grid to values of the flux."""
    factor: Callable[[Array], Array]
    """Wave numbers (modes,) to the symbol in front of the flux (modes,)."""
    initial: Callable[[Array], Array]
    """Points to the values at t = 0."""


def burgers(nu: float, convection: float = 1.0) -> Equation:
    """u_t + convection u u_x = nu u_xx from -sin(pi x): odd, hence zero on the walls x = -1 and 1 too."""
    return Equation(
        half=1.0,
        linear=lambda k: -nu * k**2,
        flux=lambda u: -convection * u**2 / 2,
        factor=lambda k: 1j * k,
        initial=lambda x: -np.sin(np.pi * x),
    )


def allen_cahn(diffusion: float = 1e-4, rate: float = 5.0) -> Equation:
    """u_t = diffusion u_xx + rate (u - u^3) from x^2 cos(pi x)."""
    return Equation(
        half=1.0,
        linear=lambda k: rate - diffusion * k**2,
        flux=lambda u: -rate * u**3,
        factor=np.ones_like,
        initial=lambda x: x**2 * np.cos(np.pi * x),
    )


def kdv(dispersion: float = 0.022**2) -> Equation:
    """u_t + u u_x + dispersion u_xxx = 0 from cos(pi x)."""
    return Equation(
        half=1.0,
        linear=lambda k: 1j * dispersion * k**3,
        flux=lambda u: -(u**2) / 2,
        factor=lambda k: 1j * k,
        initial=lambda x: np.cos(np.pi * x),
    )


def kuramoto_sivashinsky() -> Equation:
    """u_t + (100/16) u u_x + (100/16^2) u_xx + (100/16^4) u_xxxx = 0 from cos(x) (1 + sin(x)) on [0, 2 pi].

    L = (100/16^2) k^2 - (100/16^4) k^4: waves with |k| < 16 grow.
    """
    return Equation(
        half=np.pi,
        linear=lambda k: 100 / 16**2 * k**2 - 100 / 16**4 * k**4,
        flux=lambda u: -100 / 16 * u**2 / 2,
        factor=lambda k: 1j * k,
        initial=lambda x: np.cos(x + np.pi) * (1 + np.sin(x + np.pi)),
    )


def schrodinger() -> Equation:
    """i h_t + h_xx/2 + |h|^2 h = 0 from 2 sech(x).

    The mean of 2|h|^2, a constant of the motion, is counted as linear: it is the leading effect of the
    cubic term on the many modes of high k that the kink at x = -5, 5 excites.
    """
    mean = 8 * np.tanh(5.0) / 10
    return Equation(
        half=5.0,
        linear=lambda k: 1j * (2 * mean - k**2 / 2),
        flux=lambda h: 1j * (h.real**2 + h.imag**2 - 2 * mean) * h,
        factor=np.ones_like,
        initial=lambda x: 2 / np.cosh(x) + 0j,
    )


def step_coefficients(eigenvalues: Array, h: float, circle: int = 64) -> tuple[Array, ...]:
    """exp(hL), exp(hL/2), Q, f1, f2, f3, each (modes,), by `circle` points around every eigenvalue of hL."""
    z = h * np.asarray(eigenvalues, dtype=complex)
    totals = np.zeros((4, z.size), dtype=complex)
    for root in np.exp(2j * np.pi * (np.arange(circle) + 0.5) / circle):
        r = z + root
        e = np.exp(r)
        totals[0] += (np.exp(r / 2) - 1) / r
        totals[1] += (-4 - r + e * (4 - 3 * r + r**2)) / r**3
        totals[2] += (2 + r + e * (r - 2)) / r**3
        totals[3] += (-4 - 3 * r - r**2 + e * (4 - r)) / r**3
    return np.exp(z), np.exp(z / 2), *(h * totals / circle)


def solve(equation: Equation, points: int, times: Array, steps: int, intervals: int = 256) -> Array:
    """Solution (intervals + 1, len(times)) on the closed interval, at equidistant `times` from 0.

    `points` are those of the transform, a multiple of `intervals`; `steps` lead from one time to the next.
    """
    x = np.linspace(-equation.half, equation.half, intervals + 1)
    values = [equation.initial(x)]
    transform = Transform(points, equation.half, real=not np.iscomplexobj(values[0]))
    k = transform.wavenumbers
    factor = equation.factor(k)
    e, e2, q, f1, f2, f3 = step_coefficients(equation.linear(k), (times[1] - times[0]) / steps)

    def nonlinear(v: Array) -> Array:
        return factor * transform.forward(equation.flux(transform.inverse(v)))

    v = project(equation.initial, transform)
    for _ in times[1:]:
        for _ in range(steps):
            nv = nonlinear(v)
            a = e2 * v + q * nv
            na = nonlinear(a)
            nb = nonlinear(e2 * v + q * na)
            nc = nonlinear(e2 * a + q * (2 * nb - nv))
            v = e * v + f1 * nv + 2 * f2 * (na + nb) + f3 * nc
        values.append(sample(transform.inverse(v), intervals))
    return np.stack(values, axis=1)

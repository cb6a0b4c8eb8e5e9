"""Burgers' equation in closed form: the Cole-Hopf integral, evaluated by quadrature.

    u_t + u u_x = nu u_xx,   u(x, 0) = -sin(pi x),   x in [-1, 1],   u(-1, t) = u(1, t) = 0

With u = -2 nu phi_x/phi, phi solves the heat equation and (Basdevant et al., Computers & Fluids
14, 1986, 23-41, eq. 2.5)

    u(x, t) = - sum_s sin(pi y) w / sum_s w,  y = x - 2 sqrt(nu t) s,  w = exp(-s^2 - cos(pi y)/(2 pi nu))

where the sums stand for integrals over all s. The integrands are entire and decay like a Gaussian, so
the trapezoidal rule converges geometrically (Trefethen & Weideman, SIAM Review 56, 2014); the Gauss-Hermite
rule, which is the usual choice, is kept as the independent check. `w` is scaled by its largest value.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray
Rule = tuple[Array, Array]
"""Nodes and the logarithms of their weights for the integral of exp(-s^2) f(s), each (nodes,)."""

REACH = 13.0  # exp(-REACH^2 + 1/(pi nu)) is below 1e-29 for nu = 0.01/pi, the least viscosity that is served


def trapezoid(nodes: int = 401) -> Rule:
    """The trapezoidal rule, up to a common factor of the weights."""
    s = np.linspace(-REACH, REACH, nodes)
    return s, -(s**2)


def gauss_hermite(nodes: int = 160) -> Rule:
    """The Gauss-Hermite rule; more than about 250 nodes underflow."""
    s, weights = np.polynomial.hermite.hermgauss(nodes)
    return s, np.log(weights)


def burgers(x: Array, t: Array, nu: float, rule: Rule | None = None) -> Array:
    """Solution (n,) at the points x (n,), t (n,), t >= 0."""
    s, log_weights = trapezoid() if rule is None else rule
    y = x[:, None] - 2 * np.sqrt(nu * t)[:, None] * s
    exponent = log_weights - np.cos(np.pi * y) / (2 * np.pi * nu)
    weight = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    return -(np.sin(np.pi * y) * weight).sum(axis=1) / weight.sum(axis=1)


def burgers_grid(x: Array, t: Array, nu: float, rule: Rule | None = None) -> Array:
    """Solution (len(x), len(t)) on the grid of x and t; the initial and wall values are set exactly."""
    u = np.stack([burgers(x, np.full_like(x, time), nu, rule) for time in t], axis=1)
    u[:, t == 0] = -np.sin(np.pi * x)[:, None]
    u[np.abs(x) == 1] = 0.0
    return u

"""The screened Poisson equation in the plane by functions that satisfy it, fitted to boundary values.

    -lap u + k^2 u = A (17 + x^2 + y^2) sin(pi x) sin(4 pi y) in a square less disks

A particular solution is a formula. To it are added Bessel functions K_n(k r) about the disks' centres, K_0
about points around the square (fundamental solutions: Fairweather & Karageorghis, Adv. Comput. Math. 9, 1998)
and K_0, K_1 about points that crowd towards its corners (Gopal & Trefethen, Proc. Natl. Acad. Sci. 116,
2019). By the maximum principle the error is nowhere larger than it is on the boundary.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from fourier import Array
from harmonic import fit
from reference import Reference, difference
from scipy.special import kv

K, A = 8.0, 10.0
DISKS = ((0.5, 0.5, 0.2), (0.4, -0.4, 0.4), (-0.2, -0.7, 0.1), (-0.6, 0.5, 0.3))
RIM, HOLES = 0.2, 1.0
"""Values of u on the square and on the circles."""
CORNERS = np.array([-1 - 1j, 1 - 1j, 1 + 1j, -1 + 1j])


def particular(z: Array) -> Array:
    """A solution of the equation alone: with L = -lap + k^2, S = sin(pi x) sin(4 pi y), s = 17 pi^2 + k^2

    L S = s S, and for q = pi, 4 pi along x, y, C = S with the cosine along that coordinate:
    L (x C) = 2 q S + s x C and L (x^2 S) = s x^2 S - 2 S - 4 q x C.
    """
    x, y, s = z.real, z.imag, 17 * np.pi**2 + K**2
    wave = np.sin(np.pi * x) * np.sin(4 * np.pi * y)
    total = 17 * wave / s
    along = (x, np.pi, np.cos(np.pi * x) * np.sin(4 * np.pi * y))
    for c, q, turned in (along, (y, 4 * np.pi, np.sin(np.pi * x) * np.cos(4 * np.pi * y))):
        total = total + c**2 * wave / s + 4 * q * c * turned / s**2 + (2 / s**2 - 8 * q**2 / s**3) * wave
    return A * total


def solve(order: int) -> tuple[Callable[[Array], Array], float]:
    """u, and its largest miss on the boundary; orders to `order` at the disks, in proportion elsewhere."""
    around = np.exp(2j * np.pi * (np.arange(12 * order) + 0.5) / (12 * order))
    ring = 1.25 * around / np.maximum(abs(around.real), abs(around.imag))
    away = 0.4 * np.exp(-3.0 * (np.sqrt(order) - np.sqrt(np.arange(1, order + 1))))
    crowd = (CORNERS[:, None] + CORNERS[:, None] / np.sqrt(2) * away).ravel()

    def basis(z: Array) -> Array:
        parts = [kv(0, K * abs(z[:, None] - ring)), kv(0, K * abs(z[:, None] - crowd))]
        offset = z[:, None] - crowd
        first = kv(1, K * abs(offset)) * offset / abs(offset)
        parts += [first.real, first.imag]
        for x, y, radius in DISKS:
            offset = z[:, None] - (x + 1j * y)
            orders = np.arange(order + 1)
            radial = kv(orders, K * np.maximum(abs(offset), radius)) / kv(orders, K * radius)
            turned = radial * (offset / np.maximum(abs(offset), 1e-300)) ** orders
            parts += [turned.real, turned.imag[:, 1:]]
        return np.concatenate(parts, axis=1)

    share = np.concatenate([[0.0], 0.5 * (1.0 + np.tanh(np.linspace(-9.0, 9.0, 30 * order)))])
    square = (CORNERS[:, None] + (np.roll(CORNERS, -1) - CORNERS)[:, None] * share).ravel()
    turn = np.exp(2j * np.pi * np.arange(10 * order) / (10 * order))
    circles = np.concatenate([x + 1j * y + radius * turn for x, y, radius in DISKS])
    values = np.concatenate([np.full(square.shape, RIM), np.full(circles.shape, HOLES)])
    places = np.concatenate([square, circles])
    rest, miss = fit(basis, places, values - particular(places))
    return lambda z: particular(z) + rest(z), miss


def poisson_boltzmann() -> Reference:
    """On a grid, zero inside the disks, which nobody reads."""
    axis = np.linspace(-1, 1, 101)
    z = axis[:, None] + 1j * axis[None, :]
    inside = np.all([abs(z - (x + 1j * y)) >= radius - 1e-9 for x, y, radius in DISKS], axis=0)
    u, before = np.zeros(z.shape), np.zeros(z.shape)
    fine, coarse = solve(24), solve(18)
    u[inside], before[inside] = fine[0](z[inside]), coarse[0](z[inside])
    return Reference(
        title="-lap u + 64 u = 10 (17 + x^2 + y^2) sin(pi x) sin(4 pi y) on [-1, 1]^2 less four disks, u = 1 "
        "on them, 0.2 outside",
        made_by="screened.py: Bessel functions, least squares on the boundary, order 24",
        coordinates={"x": axis, "y": axis},
        values={"u": u},
        refinements={"order 18": difference(before, u)},
        checks={"largest miss on the boundary": fine[1]},
    )


MAKERS: dict[str, Callable[[], Reference]] = {"poisson_boltzmann": poisson_boltzmann}

"""Poisson's equation in the plane by functions that satisfy it, fitted to boundary values by least squares.

What is harmonic in the domain is a sum of polynomials, poles of every order inside the holes (Vekua;
Trefethen, Series solution of Laplace problems, ANZIAM J. 60, 2018) and the singular functions of the corners
(Fox, Henrici & Moler, SIAM J. Numer. Anal. 4, 1967). By the maximum principle the error is nowhere larger
than it is on the boundary.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from fourier import Array
from reference import Reference, difference

Basis = Callable[[Array], Array]
"""Complex points (n,) to harmonic functions (n, k)."""


def fit(basis: Basis, boundary: Array, values: Array) -> tuple[Callable[[Array], Array], float]:
    """The sum of the basis that has `values` (n,) at the points `boundary` (n,), and its largest miss."""
    columns = basis(boundary)
    scale = np.linalg.norm(columns, axis=0)
    weights = np.linalg.lstsq(columns / scale, values, rcond=1e-15)[0] / scale
    return lambda z: basis(z) @ weights, float(np.abs(columns @ weights - values).max())


def clustered(start: complex, end: complex, count: int) -> Array:
    """Chebyshev points along a line, which are dense at its ends."""
    return start + (end - start) * 0.5 * (1.0 - np.cos(np.pi * (np.arange(count) + 0.5) / count))


def polynomials(z: Array, degree: int) -> Array:
    """Real and imaginary parts of z^k for k to `degree`, z at most of size 1."""
    powers = np.vander(z, degree + 1, increasing=True)
    return np.concatenate([powers.real, powers.imag[:, 1:]], axis=1)


# ---- the square less four disks

CENTRES, RADIUS = np.array([0.3 + 0.3j, -0.3 + 0.3j, 0.3 - 0.3j, -0.3 - 0.3j]), 0.1


def holes(order: int) -> tuple[Callable[[Array], Array], float]:
    """u = 1 on the square [-1/2, 1/2]^2, u = 0 on the circles; poles to `order`, polynomials to 4 `order`."""

    def basis(z: Array) -> Array:
        parts = [polynomials(z / np.sqrt(0.5), 4 * order)]
        for centre in CENTRES:
            poles = (RADIUS / (z[:, None] - centre)) ** np.arange(1, order + 1)
            parts += [np.log(np.abs(z[:, None] - centre)), poles.real, poles.imag]
        return np.concatenate(parts, axis=1)

    corners = np.array([-0.5 - 0.5j, 0.5 - 0.5j, 0.5 + 0.5j, -0.5 + 0.5j])
    count = 12 * order
    square = np.concatenate(
        [clustered(a, b, count) for a, b in zip(corners, np.roll(corners, -1), strict=True)]
    )
    circle = RADIUS * np.exp(2j * np.pi * np.arange(count) / count)
    circles = (CENTRES[:, None] + circle).ravel()
    values = np.concatenate([np.ones(len(square)), np.zeros(len(circles))])
    return fit(basis, np.concatenate([square, circles]), values)


def between_holes(z: Array) -> Array:
    """Whether points of the square are outside of all disks."""
    return np.abs(z[..., None] - CENTRES).min(axis=-1) >= RADIUS - 1e-9


# ---- the L-shaped domain

_CONVEX = np.array([1.0, 1.0 - 1.0j, -1.0 - 1.0j, -1.0 + 1.0j, 1.0j])


def lshape(order: int) -> tuple[Callable[[Array], Array], float]:
    """-lap u = 1 on [-1, 1]^2 less [0, 1]^2, u = 0 on the boundary.

    u = -|z|^2/4 + h. At the corner in the middle, of angle 3 pi/2, h has r^(2k/3) sin(2k phi/3) and, as at
    every corner, z^2 log z, since the data r^2/4 on both its edges are no trace of a polynomial.
    """

    def basis(z: Array) -> Array:
        radius, angle = np.abs(z)[:, None], np.mod(np.angle(z) - 0.5 * np.pi, 2.0 * np.pi)[:, None]
        angle = np.where(angle > 1.75 * np.pi, 0.0, angle)  # rounding beside the edge where it is zero
        powers = 2.0 / 3.0 * np.arange(1, order + 1)
        logs = np.log(np.maximum(radius, 1e-300))
        parts = [
            polynomials(z / np.sqrt(2.0), order),
            (radius / np.sqrt(2.0)) ** powers * np.sin(powers * angle),
            radius**2 * (logs * np.sin(2 * angle) + angle * np.cos(2 * angle)),
        ]
        for corner in _CONVEX:
            inward = np.where(abs(corner) > 1.2, -corner, -corner + (-1.0 - 1.0j)) / np.sqrt(2.0)
            local = (z - corner) / (inward / abs(inward))  # the cut lies outside
            square = local**2 * np.log(np.where(local == 0, 1.0, local))
            parts += [square.real[:, None], square.imag[:, None]]
        return np.concatenate(parts, axis=1)

    corners = np.array([0.0, 1.0j, -1.0 + 1.0j, -1.0 - 1.0j, 1.0 - 1.0j, 1.0])
    edges = [clustered(a, b, 12 * order) for a, b in zip(corners, np.roll(corners, -1), strict=True)]
    boundary = np.concatenate(edges)
    harmonic, miss = fit(basis, boundary, np.abs(boundary) ** 2 / 4)
    return lambda z: harmonic(z) - np.abs(z) ** 2 / 4, miss


def in_lshape(z: Array) -> Array:
    """Whether points of the square are not in its missing quarter."""
    return ~((z.real > 1e-9) & (z.imag > 1e-9))


# ---- an island whose coast is a polygon from a file

ISLAND = 48


def coast() -> Array:
    """The corners (n, 2) of the coast, to four decimals as they are written to the file."""
    angle = 2.0 * np.pi * np.arange(ISLAND) / ISLAND
    radius = 0.72 + 0.1 * np.cos(2 * angle + 0.5) + 0.09 * np.sin(3 * angle) + 0.05 * np.cos(5 * angle + 1.0)
    return np.round(radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), 4)


def ashore(z: Array) -> Array:
    """Whether points are on the island: a ray to the right crosses the coast an odd number of times."""
    corners = coast() @ np.array([1.0, 1.0j])
    odd = np.zeros(z.shape, dtype=bool)
    for a, b in zip(corners, np.roll(corners, -1), strict=True):
        beside = (a.imag <= z.imag) != (b.imag <= z.imag)
        odd ^= beside & (z.real < a.real + (z.imag - a.imag) * (b - a).real / ((b - a).imag or 1.0))
    return odd


def island(order: int) -> tuple[Callable[[Array], Array], float]:
    """-lap u = 1 on the island, u = 0 on the coast, by poles that crowd towards every corner.

    u = -|z|^2/4 + h; on the outward bisector of a corner the poles of h have distances
    L exp(-4 (sqrt n - sqrt j)), j = 1 to n (Gopal & Trefethen, SIAM J. Numer. Anal. 57, 2019, (3.2)).
    """
    corners = coast() @ np.array([1.0, 1.0j])
    after, before = np.roll(corners, -1) - corners, np.roll(corners, 1) - corners
    outward = -1j * after / abs(after) + 1j * before / abs(before)
    outward /= abs(outward)
    away = 0.15 * np.exp(-4.0 * (np.sqrt(order) - np.sqrt(np.arange(1, order + 1))))
    poles = (corners[:, None] + outward[:, None] * away).ravel()
    sizes = np.tile(away, len(corners))

    def basis(z: Array) -> Array:
        dipoles = sizes / (z[:, None] - poles)
        return np.concatenate([polynomials(z, 4 * order), dipoles.real, dipoles.imag], axis=1)

    share = 0.5 * (1.0 + np.tanh(np.linspace(-5.5, 5.5, 8 * order)))
    edge = (corners[:, None] + after[:, None] * share).ravel()
    harmonic, miss = fit(basis, edge, np.abs(edge) ** 2 / 4)
    return lambda z: harmonic(z) - np.abs(z) ** 2 / 4, miss


def _made(
    title: str,
    solver: Callable[[int], tuple[Callable[[Array], Array], float]],
    domain: Callable[[Array], Array],
    orders: tuple[int, int],
    half: float,
) -> Reference:
    """On a grid, zero outside the domain, which nobody reads; `domain` says what is in it."""
    axis = np.linspace(-half, half, 101)
    z = axis[:, None] + 1j * axis[None, :]
    inside = domain(z)
    coarse, fine = (solver(order) for order in orders)
    u, before = np.zeros(z.shape), np.zeros(z.shape)
    u[inside], before[inside] = fine[0](z[inside]), coarse[0](z[inside])
    return Reference(
        title=title,
        made_by=f"harmonic.py: least squares on the boundary, order {orders[1]}",
        coordinates={"x": axis, "y": axis},
        values={"u": u},
        refinements={f"order {orders[0]}": difference(before, u)},
        checks={"largest miss on the boundary": fine[1]},
    )


def poisson_holes() -> Reference:
    """Poles in the holes."""
    title = (
        "lap u = 0 on [-1/2, 1/2]^2 less disks of radius 0.1 about (+-0.3, +-0.3), u = 0 on them, 1 outside"
    )
    return _made(title, holes, between_holes, (24, 28), 0.5)


def poisson_lshape() -> Reference:
    """Singular functions at the corners."""
    title = "-lap u = 1 on [-1, 1]^2 less [0, 1]^2, u = 0 on the boundary"
    return _made(title, lshape, in_lshape, (24, 30), 1.0)


def _island() -> Reference:
    """Poles at the corners of the coast."""
    return _made("-lap u = 1 on an island of 48 corners, u = 0 on the coast", island, ashore, (10, 14), 1.0)


MAKERS: dict[str, Callable[[], Reference]] = {
    "poisson_holes": poisson_holes,
    "island": _island,
    "poisson_lshape": poisson_lshape,
}
OUTLINES: dict[str, Callable[[], Array]] = {"island": coast}
"""Corners (n, 2) of the shapes that problems read from files."""

"""Diffusion in the plane by spectral elements: u_t = div(a grad u) + f, a dn(u) = b - c u on the boundary.

The elements and their quadrature are those of `spectral_elements`; a and f may jump where elements meet,
since both are evaluated inside of elements. In time the diagonally implicit Runge-Kutta method of order 4
(Hairer & Wanner, Solving ordinary differential equations II, 1996, table IV.6.5), L-stable, whose steps may
grow: sources and boundary values that begin with a jump need that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.polynomial import legendre
from scipy import sparse
from scipy.sparse.linalg import splu
from spectral_elements import Array, Mesh, lagrange, lobatto, matrix, products

Field = Callable[[Array, Array], Array]
"""x and y, of any shape, to values."""


@dataclass(frozen=True)
class Robin:
    """a dn(u) = value - factor u on the edges all of whose nodes are in `part`, a mask of x and y."""

    part: Field
    factor: Field
    value: float


@dataclass(frozen=True)
class Diffusion:
    """The weak form mass u' + stiff u = load at the nodes `free`; u is zero at the others."""

    mesh: Mesh
    mass: sparse.csr_matrix
    stiff: sparse.csr_matrix
    load: Array
    """Of the source and of the boundary (nodes,)."""
    free: Array

    def steady(self) -> Array:
        """Values (nodes,) at rest."""
        u = np.zeros(len(self.load))
        u[self.free] = splu(self.stiff.tocsc()).solve(self.load[self.free])
        return u

    def evolve(
        self, times: Array, inner: Callable[[float, float], Array], force: Callable[[float], float]
    ) -> Array:
        """Values (nodes, times) from zero at the first time; the load is multiplied by `force` of the time.

        `inner` gives the ends of all steps between two times, the later time last.
        """
        u = np.zeros(len(self.load))
        found, factors = [u.copy()], {}
        load = self.load[self.free]
        for start, end in pairwise(times):
            now = start
            for until in inner(start, end):
                step = until - now
                key = float(f"{step:.9e}")
                if key not in factors:
                    factors = {key: splu((self.mass + GAMMA * step * self.stiff).tocsc())}
                u[self.free] = _sdirk(
                    u[self.free], now, step, factors[key].solve, self.stiff, lambda t: force(t) * load
                )
                now = until
            found.append(u.copy())
        return np.stack(found, axis=1)


GAMMA = 0.25
STAGES = (
    (1 / 4,),
    (1 / 2, 1 / 4),
    (17 / 50, -1 / 25, 1 / 4),
    (371 / 1360, -137 / 2720, 15 / 544, 1 / 4),
    (25 / 24, -49 / 48, 125 / 16, -85 / 12, 1 / 4),
)
"""Rows of Butcher's table; the last are the weights of the step, too."""


def _sdirk(
    u: Array,
    now: float,
    step: float,
    solve: Callable[[Array], Array],
    stiff: sparse.csr_matrix,
    load: Callable[[float], Array],
) -> Array:
    """u (nodes,) one step later; `solve` inverts mass + GAMMA step stiff."""
    slopes: list[Array] = []
    for row in STAGES:
        known = u + step * sum((a * k for a, k in zip(row, slopes, strict=False)), np.zeros_like(u))
        slopes.append(solve(load(now + step * sum(row)) - stiff @ known))
    return u + step * sum((b * k for b, k in zip(STAGES[-1], slopes, strict=True)), np.zeros_like(u))


def assemble(
    mesh: Mesh, a: Field, f: Field, robin: Sequence[Robin] = (), fixed: Field | None = None
) -> Diffusion:
    """u is zero at the nodes of `fixed`; where neither that nor Robin's condition holds, dn(u) = 0."""
    w, values, by_x, by_y, _ = mesh.quadrature
    points, numbers = mesh.velocity
    n = len(points)
    places = np.einsum("qn,enc->eqc", values, points[numbers])
    weighted = w * a(places[..., 0], places[..., 1])
    stiff = matrix(products(weighted, by_x, by_x) + products(weighted, by_y, by_y), numbers, numbers, (n, n))
    mass = matrix(products(w, values, values), numbers, numbers, (n, n))
    source = np.einsum("eq,qn->en", w * f(places[..., 0], places[..., 1]), values)
    load = np.bincount(numbers.ravel(), source.ravel(), n)
    if robin:
        own, length, basis = edges(mesh)
        spots = np.einsum("qn,knc->kqc", basis, points[own])
        for condition in robin:
            here = condition.part(*np.moveaxis(points[own], 2, 0)).all(axis=1)
            factor = condition.factor(spots[here, :, 0], spots[here, :, 1])
            blocks = products(length[here] * factor, basis, basis)
            stiff = stiff + matrix(blocks, own[here], own[here], (n, n))
            load += condition.value * np.bincount(own[here].ravel(), (length[here] @ basis).ravel(), n)
    free = np.ones(n, dtype=bool) if fixed is None else ~fixed(points[:, 0], points[:, 1])
    free = np.flatnonzero(free)
    return Diffusion(mesh, mass[free][:, free], stiff[free][:, free], load, free)


def edges(mesh: Mesh) -> tuple[Array, Array, Array]:
    """Edges that one element has alone: numbers (k, n), quadrature weights (k, q), values (q, n)."""
    points, numbers = mesh.velocity
    size = mesh.degree + 1
    square = np.arange(size**2).reshape(size, size)
    sides = np.concatenate(
        [numbers[:, side] for side in (square[0], square[-1], square[:, 0], square[:, -1])]
    )
    ends = np.sort(sides[:, [0, -1]], axis=1)
    _, first, count = np.unique(ends, axis=0, return_index=True, return_counts=True)
    own = sides[first[count == 1]]
    g, weights = legendre.leggauss(mesh.degree + 2)
    values, slopes = lagrange(lobatto(mesh.degree), g)
    slope = np.einsum("qn,knc->kqc", slopes, points[own])
    return own, weights * np.linalg.norm(slope, axis=2), values

"""Steady incompressible flow by Taylor-Hood spectral elements: quadrilaterals of high degree, also curved.

Velocity of degree k and continuous pressure of degree k - 1 on the Gauss-Lobatto points of every element
(Karniadakis & Sherwin 2005), the weak form of

    u . grad u + grad p = nu lap u,    div u = 0

by Gauss quadrature, Newton's method with a sparse factorisation from the Stokes flow. Where no velocity is
given the boundary is free: nu dn(u) = p n. Corners at which the flow is singular want elements that shrink
towards them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.polynomial import legendre
from scipy import sparse
from scipy.sparse.linalg import splu

Array = np.ndarray
Map = Callable[[Array, Array], tuple[Array, Array]]
"""Local coordinates in [-1, 1]^2 to x and y."""


def lobatto(degree: int) -> Array:
    """The degree + 1 Gauss-Lobatto points of [-1, 1]."""
    inner = legendre.legroots(legendre.legder([0] * degree + [1]))
    return np.concatenate([[-1.0], np.sort(inner.real), [1.0]])


def lagrange(nodes: Array, r: Array) -> tuple[Array, Array]:
    """Values and slopes (points, nodes) at r of the polynomials that are one at one node, zero at others."""
    n = len(nodes) - 1
    to_nodes = np.linalg.inv(legendre.legvander(nodes, n))
    slopes = np.stack([legendre.legval(r, legendre.legder(row)) for row in np.eye(n + 1)], axis=1)
    return legendre.legvander(r, n) @ to_nodes, slopes @ to_nodes


def square_basis(nodes: Array, r: Array, s: Array) -> tuple[Array, Array, Array]:
    """Values and both slopes (points, nodes^2) at the points (r, s), the second local coordinate fastest."""
    (a, da), (b, db) = lagrange(nodes, r), lagrange(nodes, s)
    count = len(nodes) ** 2
    one, two, three = (
        (p[:, :, None] * q[:, None, :]).reshape(len(r), count) for p, q in [(a, b), (da, b), (a, db)]
    )
    return one, two, three


def rectangles(x: Sequence[float], y: Sequence[float]) -> list[Map]:
    """One element for each cell between the breaks x and y."""

    def cell(a: float, b: float, c: float, d: float) -> Map:
        return lambda r, s: (a + (b - a) * (r + 1) / 2, c + (d - c) * (s + 1) / 2)

    return [cell(*x[i : i + 2], *y[j : j + 2]) for i in range(len(x) - 1) for j in range(len(y) - 1)]


def graded(breaks: Sequence[float], towards: Sequence[float], levels: int, ratio: float = 0.2) -> list[float]:
    """`breaks` with the cells at each end of `towards` cut again and again in `ratio`."""
    found = list(breaks)
    for end in towards:
        for other in (
            sorted(breaks, key=lambda b: abs(b - end))[1:2]
            if end in (breaks[0], breaks[-1])
            else [
                breaks[breaks.index(end) - 1],
                breaks[breaks.index(end) + 1],
            ]
        ):
            found += [end + (other - end) * ratio**k for k in range(1, levels + 1)]
    return sorted(found)


@dataclass(frozen=True)
class Mesh:
    """Elements of one degree; nodes where elements meet are found by their coordinates."""

    maps: Sequence[Map]
    degree: int

    def numbering(self, degree: int) -> tuple[Array, Array]:
        """Coordinates (nodes, 2), and the numbers (elements, (degree + 1)^2) of the elements' nodes."""
        r, s = (c.ravel() for c in np.meshgrid(*[lobatto(degree)] * 2, indexing="ij"))
        local = np.array([np.stack(m(r, s), axis=1) for m in self.maps])
        keys = np.round(local.reshape(-1, 2), 10) + 0.0
        _, first, numbers = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        return local.reshape(-1, 2)[first], numbers.reshape(len(self.maps), -1)

    @cached_property
    def velocity(self) -> tuple[Array, Array]:
        """Numbering of the nodes of degree k."""
        return self.numbering(self.degree)

    @cached_property
    def pressure(self) -> tuple[Array, Array]:
        """Numbering of the nodes of degree k - 1."""
        return self.numbering(self.degree - 1)

    @cached_property
    def quadrature(self) -> tuple[Array, Array, Array, Array, Array]:
        """Weights (E, q); values (q, n) and slopes (E, q, n) of degree k; values (q, m) of degree k - 1."""
        g, w = legendre.leggauss(self.degree + 1 + self.degree // 2)
        r, s = (c.ravel() for c in np.meshgrid(g, g, indexing="ij"))
        values, by_r, by_s = square_basis(lobatto(self.degree), r, s)
        pressure, _, _ = square_basis(lobatto(self.degree - 1), r, s)
        points, numbers = self.velocity
        local = points[numbers]  # (E, n, 2)
        xr, xs = (np.einsum("qn,enc->eqc", b, local) for b in (by_r, by_s))
        det = xr[..., 0] * xs[..., 1] - xr[..., 1] * xs[..., 0]
        by_x = (xs[..., 1, None] * by_r - xr[..., 1, None] * by_s) / det[..., None]
        by_y = (-xs[..., 0, None] * by_r + xr[..., 0, None] * by_s) / det[..., None]
        return np.outer(w, w).ravel() * np.abs(det), values, by_x, by_y, pressure


def products(w: Array, f: Array, g: Array) -> Array:
    """Integrals (E, n, m) of the products of two families of functions (q, n) or (E, q, n)."""
    found: Array = np.swapaxes(f, -1, -2) @ (w[..., None] * g)
    return found


def matrix(blocks: Array, rows: Array, columns: Array, shape: tuple[int, int]) -> sparse.csr_matrix:
    """Sum of element matrices (E, n, m)."""
    i = np.broadcast_to(rows[:, :, None], blocks.shape).ravel()
    j = np.broadcast_to(columns[:, None, :], blocks.shape).ravel()
    return sparse.coo_matrix((blocks.ravel(), (i, j)), shape).tocsr()


@dataclass(frozen=True)
class Flow:
    """Velocity (nodes, 2) and pressure (nodes,) on a mesh."""

    mesh: Mesh
    velocity: Array
    pressure: Array
    updates: tuple[float, ...]
    """Newton's steps, relative."""

    def at(self, points: Array) -> Array:
        """u, v and p (points, 3)."""
        k = self.mesh.degree
        return evaluate(self.mesh, points, [(k, self.velocity), (k - 1, self.pressure[:, None])])

    def stream(self) -> Array:
        """The stream function at the nodes of degree k, zero on the whole boundary: u = psi_y, v = -psi_x."""
        w, _, by_x, by_y, _ = self.mesh.quadrature
        points, numbers = self.mesh.velocity
        n = len(points)
        stiff = matrix(
            products(w, by_x, by_x) + products(w, by_y, by_y),
            *(numbers, numbers),
            (n, n),
        )
        values = self.mesh.quadrature[1]
        u = np.einsum("qn,enc->eqc", values, self.velocity[numbers])
        load = np.einsum("eq,eqn->en", w * u[..., 0], by_y) - np.einsum("eq,eqn->en", w * u[..., 1], by_x)
        right = np.bincount(numbers.ravel(), load.ravel(), n)
        low, high = points.min(axis=0), points.max(axis=0)
        free = ((points > low + 1e-9) & (points < high - 1e-9)).all(axis=1)
        psi = np.zeros(n)
        psi[free] = splu(stiff[free][:, free].tocsc()).solve(right[free])
        return psi


def evaluate(mesh: Mesh, points: Array, fields: Sequence[tuple[int, Array]]) -> Array:
    """Fields, each of a degree and values (nodes, c), at `points` (P, 2): all columns beside one another."""
    nodes, numbers = mesh.velocity
    grid = lobatto(mesh.degree)
    numberings = [mesh.velocity[1] if k == mesh.degree else mesh.numbering(k)[1] for k, _ in fields]
    out = np.full((len(points), sum(values.shape[1] for _, values in fields)), np.nan)
    for e, own in enumerate(numbers):
        local = nodes[own]
        low, high = local.min(axis=0), local.max(axis=0)
        low, high = low - 0.02 * (high - low), high + 0.02 * (high - low)  # sides bulge between nodes
        inside = ((points >= low) & (points <= high)).all(axis=1)
        chosen = np.flatnonzero(inside & np.isnan(out[:, 0]))
        if not len(chosen):
            continue
        rs = np.zeros((len(chosen), 2))
        for _ in range(30):
            value, by_r, by_s = square_basis(grid, rs[:, 0], rs[:, 1])
            jacobian = np.stack([by_r @ local, by_s @ local], axis=2)
            step = np.linalg.solve(jacobian, (points[chosen] - value @ local)[..., None])[..., 0]
            rs = np.clip(rs + step, -1.5, 1.5)
            if np.abs(step).max() < 1e-14:
                break
        hit = np.abs(rs).max(axis=1, initial=0) < 1 + 1e-8
        chosen, rs = chosen[hit], rs[hit]
        columns = [
            square_basis(lobatto(k), rs[:, 0], rs[:, 1])[0] @ values[table[e]]
            for (k, values), table in zip(fields, numberings, strict=True)
        ]
        out[chosen] = np.concatenate(columns, axis=1)
    if np.isnan(out).any():
        raise ValueError("a point lies in no element")
    return out


def solve(
    mesh: Mesh,
    nu: float,
    given: Callable[[Array, Array], tuple[Array, Array, Array]],
    level: tuple[float, float] | None = None,
    tolerance: float = 1e-11,
) -> Flow:
    """Newton's method; `given` maps x and y of all nodes to a mask of given velocities, and to u and v.

    `level` is the node whose pressure is zero, for flows that are given on the whole boundary.
    """
    w, values, by_x, by_y, pressure = mesh.quadrature
    points, numbers = mesh.velocity
    places, own = mesh.pressure
    n, m = len(points), len(places)
    stiff = nu * (products(w, by_x, by_x) + products(w, by_y, by_y))
    gradient = [-products(w, b, pressure) for b in (by_x, by_y)]
    gx, gy = (matrix(g, numbers, own, (n, m)) for g in gradient)
    mask, u, v = given(points[:, 0], points[:, 1])
    state = np.concatenate([np.where(mask, u, 0.0), np.where(mask, v, 0.0), np.zeros(m)])
    free = np.concatenate([~mask, ~mask, np.ones(m, dtype=bool)])
    if level is not None:
        free[2 * n + np.abs(places - level).sum(axis=1).argmin()] = False
    updates: list[float] = []
    for step in range(40):
        field = state[: 2 * n].reshape(2, n).T[numbers]  # (E, n, 2)
        a = np.einsum("qn,enc->eqc", values, field)
        ax, ay = (np.einsum("eqn,enc->eqc", b, field) for b in (by_x, by_y))
        on = float(step > 0)  # the first step is Stokes' problem
        carried = a[..., 0, None] * by_x + a[..., 1, None] * by_y
        convection = on * products(w, values, carried)
        push = [[on * products(w * d[..., c], values, values) for d in (ax, ay)] for c in (0, 1)]
        pieces = [
            [stiff + convection + push[0][0], push[0][1]],
            [push[1][0], stiff + convection + push[1][1]],
        ]
        square = [[matrix(b, numbers, numbers, (n, n)) for b in row] for row in pieces]
        jacobian = sparse.bmat([[*square[0], gx], [*square[1], gy], [gx.T, gy.T, None]], format="csr")
        diffusion = matrix(stiff, numbers, numbers, (n, n))
        force = [
            on * np.einsum("eq,qn->en", w * (a[..., 0] * ax[..., c] + a[..., 1] * ay[..., c]), values)
            for c in (0, 1)
        ]
        u, v, p = state[:n], state[n : 2 * n], state[2 * n :]
        residual = np.concatenate(
            [
                diffusion @ u + gx @ p + np.bincount(numbers.ravel(), force[0].ravel(), n),
                diffusion @ v + gy @ p + np.bincount(numbers.ravel(), force[1].ravel(), n),
                gx.T @ u + gy.T @ v,
            ]
        )
        change = splu(jacobian[free][:, free].tocsc()).solve(-residual[free])
        state[free] += change
        updates.append(float(np.abs(change).max() / np.abs(state).max()))
        if step > 0 and updates[-1] < tolerance:
            break
    return Flow(mesh, state[: 2 * n].reshape(2, n).T.copy(), state[2 * n :].copy(), tuple(updates))

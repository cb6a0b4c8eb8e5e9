"""A screened Poisson equation in a cube with spherical cavities and no flux, by Galerkin's method.

    -lap u + k(z)^2 u = f in the cube less balls,    dn(u) = 0 on the whole boundary

The weak form has no boundary terms, so that any smooth functions on the cube will do, whatever they are
inside the balls (fictitious domain; Parvizian, Duester & Rank, Comput. Mech. 41, 2007): products of
polynomials, in z two families that meet where k jumps. Integrals over the domain are those over the cube less
those over the balls, by product rules along z, across the disk there, and along chords of it. The modes of
the cube itself diagonalise its part of the matrix and precondition conjugate gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from fourier import Array
from numpy.polynomial import legendre
from reference import Reference, difference
from scipy.linalg import eigh

Source = Callable[[Array, Array, Array], Array]
Ball = tuple[float, float, float, float]
"""Centre and radius."""

GHOST = 1e-5
"""Share of the equation that stays inside the balls (the same authors' alpha), so that the matrix is
definite in spite of quadrature."""


def gauss(low: float, high: float, count: int) -> tuple[Array, Array]:
    """Nodes and weights on an interval."""
    nodes, weights = legendre.leggauss(count)
    return low + (high - low) * (nodes + 1) / 2, weights * (high - low) / 2


@dataclass(frozen=True)
class Modes:
    """Continuous functions m_i of one coordinate, polynomials of a degree between breaks of [0, 1], with

    integral m_i m_j = 1 for i = j, else 0, and integral (m_i' m_j' + k^2 m_i m_j) = a number of i for i = j,
    else 0; `squares` are k^2 between the breaks.
    """

    breaks: tuple[float, ...]
    squares: tuple[float, ...]
    degree: int

    def raw(self, x: Array) -> tuple[Array, Array]:
        """Values and slopes (n, functions) at x (n,) of hats at the breaks, and of bubbles between them."""
        values, slopes = [], []
        for k in range(len(self.breaks)):
            hat = np.interp(x, self.breaks, np.eye(len(self.breaks))[k])
            slope = np.zeros_like(x)
            for i, j in ((k - 1, k), (k, k + 1)):
                if i >= 0 and j < len(self.breaks):
                    here = self.within(x, i)
                    slope[here] = (1.0 if j == k else -1.0) / (self.breaks[j] - self.breaks[i])
            values, slopes = [*values, hat], [*slopes, slope]
        for i, (low, high) in enumerate(zip(self.breaks, self.breaks[1:], strict=False)):
            here = self.within(x, i)
            s = 2.0 * (x - low) / (high - low) - 1.0
            for n in range(2, self.degree + 1):  # (L_n - L_(n-2)) / (2n - 1) has the slope L_(n-1)
                bubble = np.zeros(n + 1)
                bubble[n], bubble[n - 2] = 1.0, -1.0
                size = np.sqrt(2.0 * n - 1.0)
                values.append(np.where(here, legendre.legval(s, bubble) / size, 0.0))
                slope = legendre.legval(s, np.eye(n)[n - 1]) * size * 2.0 / (high - low)
                slopes.append(np.where(here, slope, 0.0))
        return np.stack(values, axis=1), np.stack(slopes, axis=1)

    def within(self, x: Array, i: int) -> Array:
        """Whether x lies in piece i; a break belongs to the piece above it, but for the last."""
        last = i == len(self.breaks) - 2
        found: Array = (x >= self.breaks[i]) & (
            (x <= self.breaks[i + 1]) if last else (x < self.breaks[i + 1])
        )
        return found

    @cached_property
    def rule(self) -> tuple[Array, Array, Array]:
        """Nodes and weights on [0, 1], twice as many as products of modes want, and k^2 at the nodes."""
        pieces = [gauss(a, b, 2 * self.degree) for a, b in zip(self.breaks, self.breaks[1:], strict=False)]
        squares = np.repeat(self.squares, 2 * self.degree)
        return np.concatenate([x for x, _ in pieces]), np.concatenate([w for _, w in pieces]), squares

    @cached_property
    def solved(self) -> tuple[Array, Array]:
        """The numbers of the modes, and the modes as combinations (functions, modes) of the raw functions."""
        x, w, squares = self.rule
        f, g = self.raw(x)
        stiff, mass = g.T @ (w[:, None] * g) + f.T @ ((w * squares)[:, None] * f), f.T @ (w[:, None] * f)
        values, vectors = eigh(stiff, mass)
        return values, vectors

    def at(self, x: Array) -> tuple[Array, Array]:
        """Values and slopes (..., modes) at x (...)."""
        f, g = self.raw(x.ravel())
        vectors = self.solved[1]
        return (f @ vectors).reshape(*x.shape, -1), (g @ vectors).reshape(*x.shape, -1)


@dataclass(frozen=True)
class Chords:
    """A product rule on a slab of a ball: heights z (q,), chords at y (q, r), points of them x (q, r, s)."""

    z: Array
    y: Array
    x: Array
    weights: Array

    @classmethod
    def of(cls, ball: Ball, low: float, high: float, counts: tuple[int, int, int]) -> Chords:
        """low < z < high, y = c + rho sin(angle), rho the radius of the disk at z; counts along x, y, z."""
        cx, cy, cz, radius = ball
        z, wz = gauss(low, high, counts[2])
        angle, wa = gauss(-np.pi / 2, np.pi / 2, counts[1])
        s, ws = gauss(-1.0, 1.0, counts[0])
        rho = np.sqrt(radius**2 - (z - cz) ** 2)
        half = rho[:, None] * np.cos(angle)
        x = cx + half[..., None] * s
        weights = (1.0 - GHOST) * wz[:, None, None] * (half**2 * wa)[..., None] * ws
        return cls(z, cy + rho[:, None] * np.sin(angle), x, weights)


@dataclass(frozen=True)
class Cavities:
    """Degrees in x, y and z (between its breaks).

    The rules in balls have 10 points a coordinate and `finer` for each degree of the part of [0, 1], or of a
    piece of it, that the ball takes.
    """

    balls: Sequence[Ball]
    breaks: tuple[float, ...]
    squares: tuple[float, ...]
    degrees: tuple[int, int, int]
    finer: float = 1.8

    @cached_property
    def modes(self) -> tuple[Modes, Modes, Modes]:
        """In x, y and z; k^2 is taken along z."""
        x, y, z = self.degrees
        return Modes((0.0, 1.0), (0.0,), x), Modes((0.0, 1.0), (0.0,), y), Modes(self.breaks, self.squares, z)

    @cached_property
    def diagonal(self) -> Array:
        """The cube's part of the matrix, (x, y, z)."""
        x, y, z = (m.solved[0] for m in self.modes)
        return x[:, None, None] + y[:, None] + z

    @cached_property
    def slabs(self) -> list[tuple[Chords, float, list[tuple[Array, Array]]]]:
        """The rules of the balls' parts between the breaks, k^2 there, and the modes at their points."""
        found = []
        for ball in self.balls:
            for a, b, square in zip(self.breaks, self.breaks[1:], self.squares, strict=False):
                low, high = max(a, ball[2] - ball[3]), min(b, ball[2] + ball[3])
                if low < high:
                    parts = (2.0 * ball[3], 2.0 * ball[3], (high - low) / (b - a))
                    x, y, z = (
                        10 + int(self.finer * n * part) for n, part in zip(self.degrees, parts, strict=True)
                    )
                    chords = Chords.of(ball, low, high, (x, y, z))
                    at = [m.at(p) for m, p in zip(self.modes, (chords.x, chords.y, chords.z), strict=True)]
                    found.append((chords, square, at))
        return found

    def apply(self, c: Array) -> Array:
        """The matrix times coefficients (x, y, z)."""
        total = self.diagonal * c
        for chords, square, [(x, dx), (y, dy), (z, dz)] in self.slabs:
            w = chords.weights
            level, rising = (np.einsum("ijk,qk->qij", c, f, optimize=True) for f in (z, dz))
            rows, across, up = level @ _t(y), level @ _t(dy), rising @ _t(y)  # (q, i, r)
            value, by_x = (_at(f, rows) * w for f in (x, dx))
            by_y, by_z = _at(x, across) * w, _at(x, up) * w
            rows, across, up = _back(x, square * value) + _back(dx, by_x), _back(x, by_y), _back(x, by_z)
            level, rising = rows @ y + across @ dy, up @ y  # (q, i, j)
            for part, f in ((level, z), (rising, dz)):
                total -= np.einsum("qij,qk->ijk", part, f, optimize=True)
        return total

    def load(self, source: Source) -> Array:
        """The integrals of the source times each mode."""
        rules = [m.rule[:2] for m in self.modes]
        (x, wx), (y, wy), (z, wz) = rules
        f = source(x[:, None, None], y[:, None], z) * wx[:, None, None] * wy[:, None] * wz
        for m, (p, _) in zip(self.modes, rules, strict=True):
            f = np.tensordot(f, m.at(p)[0], axes=(0, 0))  # the first axis goes, a last one comes
        for chords, _, [(x, _), (y, _), (z, _)] in self.slabs:
            values = source(chords.x, chords.y[..., None], chords.z[:, None, None]) * chords.weights
            f = f - np.einsum("qij,qk->ijk", _back(x, values) @ y, z, optimize=True)
        return f

    def solve(self, source: Source, tolerance: float = 1e-4, limit: int = 4000) -> tuple[Array, int]:
        """Coefficients by conjugate gradients in the cube's own norm, and the number of iterations."""
        root = 1.0 / np.sqrt(self.diagonal)
        residual = root * self.load(source)
        found = np.zeros_like(residual)
        direction, square = residual, float((residual**2).sum())
        first = square
        for step in range(limit):
            image = root * self.apply(root * direction)
            length = square / float((direction * image).sum())
            found = found + length * direction
            residual = residual - length * image
            square, before = float((residual**2).sum()), square
            if square < tolerance**2 * first:
                return root * found, step + 1
            direction = residual + (square / before) * direction
        raise RuntimeError(f"no convergence in {limit} iterations: {np.sqrt(square / first):.1e}")

    def at(self, c: Array, points: Array) -> Array:
        """The solution at points (n, 3)."""
        x, y, z = (m.at(p)[0] for m, p in zip(self.modes, points.T, strict=True))
        parts = [
            np.einsum("ijk,ni,nj,nk->n", c, *rows, optimize=True)
            for rows in zip(*(np.array_split(f, len(points) // 500 + 1) for f in (x, y, z)), strict=True)
        ]
        return np.concatenate(parts)


def _t(f: Array) -> Array:
    return np.swapaxes(f, -1, -2)


def _at(f: Array, rows: Array) -> Array:
    """Modes (q, r, s, i) times coefficients (q, i, r): values (q, r, s)."""
    found: Array = (f @ _t(rows)[..., None])[..., 0]
    return found


def _back(f: Array, values: Array) -> Array:
    """The transpose of `_at`."""
    found: Array = _t((values[..., None, :] @ f)[..., 0, :])
    return found


# ---- PINNacle's case

BALLS = ((0.4, 0.3, 0.6, 0.2), (0.6, 0.7, 0.6, 0.2), (0.2, 0.8, 0.7, 0.1), (0.6, 0.2, 0.3, 0.1))


def source(x: Array, y: Array, z: Array) -> Array:
    """20 exp(a + b + c) (r^2 - 1)/(r^2 + 1) + 100 a b c, a = sin pi x, b = sin 10 pi y, c = sin 5 pi z."""
    a, b, c = np.sin(np.pi * x), np.sin(10 * np.pi * y), np.sin(5 * np.pi * z)
    square = x**2 + y**2 + z**2
    found: Array = 20.0 * np.exp(a + b + c) * (square - 1) / (square + 1) + 100.0 * a * b * c
    return found


def poisson3d_spheres() -> Reference:
    """Galerkin's method; points of a grid that lie in the domain."""
    axis = np.linspace(0, 1, 25)
    points = np.stack([a.ravel() for a in np.meshgrid(axis, axis, axis, indexing="ij")], axis=1)
    for *centre, radius in BALLS:
        points = points[np.linalg.norm(points - centre, axis=1) >= radius]

    def solution(degrees: tuple[int, int, int]) -> Array:
        cavities = Cavities(BALLS, (0.0, 0.5, 1.0), (64.0, 100.0), degrees)
        return cavities.at(cavities.solve(source)[0], points)

    u = solution((52, 82, 42))
    return Reference(
        title="-lap u + k^2 u = f in the unit cube less four balls, k = 8 below z = 1/2, 10 above, dn(u) = 0",
        made_by="cavities.py: Galerkin's method with polynomials of degree 52, 82 and twice 42",
        coordinates=dict(zip("xyz", points.T, strict=True)),
        values={"u": np.round(u, 9)},
        refinements={"degree 44, 74 and twice 36": difference(solution((44, 74, 36)), u)},
        layout="points",
    )


MAKERS = {"poisson3d_spheres": poisson3d_spheres}

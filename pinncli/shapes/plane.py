"""Shapes of the plane besides rectangle and disk: ellipse and polygon."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pinncli.shapes.base import Array, Leaf, Mask, Piece, Vector

_PANELS = 1024
_NEWTON = 4
_BLOCK = 2**16
"""Pairs of a point and an edge that are looked at together."""


@dataclass(frozen=True)
class EllipseCurve(Piece):
    """(a cos(angle), b sin(angle)) about a centre, by arc length."""

    centre: Vector
    axes: Vector

    @property
    def cube(self) -> int:
        """Arc length."""
        return 1

    @property
    def curve(self) -> bool:
        """Yes."""
        return True

    @property
    def measure(self) -> float:
        """The circumference."""
        return float(self._lengths[-1])

    @cached_property
    def _lengths(self) -> Array:
        """Arc length up to each of the equally spaced angles, by Gauss's rule between them."""
        steps = self._arc(self._angles[:-1], self._angles[1:])
        return np.concatenate([[0.0], np.cumsum(steps)])

    @cached_property
    def _angles(self) -> Array:
        return np.linspace(0.0, 2.0 * math.pi, _PANELS + 1)

    def _speed(self, angle: Array) -> Array:
        a, b = self.axes
        speed: Array = np.sqrt((a * np.sin(angle)) ** 2 + (b * np.cos(angle)) ** 2)
        return speed

    def _arc(self, start: Array, end: Array) -> Array:
        """Arc length (n,) between angles (n,)."""
        nodes, weights = np.polynomial.legendre.leggauss(8)
        half = 0.5 * (end - start)
        angles = start[:, None] + half[:, None] * (1.0 + nodes)
        total: Array = half * (self._speed(angles) @ weights)
        return total

    def place(self, unit: Array) -> tuple[Array, Array]:
        """The angle at which the arc has the wanted length, by Newton's method within a panel."""
        wanted = unit[:, 0] * self.measure
        panel = np.clip(np.searchsorted(self._lengths, wanted, side="right") - 1, 0, _PANELS - 1)
        start, rest = self._angles[panel], wanted - self._lengths[panel]
        angle = start + rest / self._speed(start)
        for _ in range(_NEWTON):
            angle = angle - (self._arc(start, angle) - rest) / self._speed(angle)
        a, b = self.axes
        away = np.stack([a * np.cos(angle), b * np.sin(angle)], axis=1)
        normals = np.stack([b * np.cos(angle), a * np.sin(angle)], axis=1)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        return np.array(self.centre) + away, normals


@dataclass(frozen=True)
class Ellipse(Leaf):
    """Half axes `axes` along the coordinates."""

    centre: Vector
    axes: Vector

    @property
    def dimension(self) -> int:
        """Two."""
        return 2

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        """The rectangle around it."""
        sides = list(zip(self.centre, self.axes, strict=True))
        return tuple(c - a for c, a in sides), tuple(c + a for c, a in sides)

    def level(self, x: Sequence[Any], f: Any = np) -> Any:
        """Excess of the scaled radius over 1, times the shorter half axis: at most the distance."""
        scaled = [(v - c) * (1.0 / a) for v, c, a in zip(x, self.centre, self.axes, strict=True)]
        return (f.sqrt(scaled[0] * scaled[0] + scaled[1] * scaled[1]) - 1.0) * min(self.axes)

    def pieces(self) -> tuple[Piece, ...]:
        """The curve."""
        return (EllipseCurve(self.centre, self.axes),)


@dataclass(frozen=True)
class Outline(Piece):
    """A closed chain of straight lines, counterclockwise, by arc length."""

    vertices: tuple[Vector, ...]

    @property
    def cube(self) -> int:
        """Arc length."""
        return 1

    @property
    def curve(self) -> bool:
        """Yes."""
        return True

    @property
    def measure(self) -> float:
        """The length of all edges."""
        return float(self.lengths[-1])

    @property
    def breaks(self) -> Vector:
        """The vertices."""
        return tuple((self.lengths[1:-1] / self.lengths[-1]).tolist())

    @cached_property
    def lengths(self) -> Array:
        """Arc length up to each vertex, and the whole."""
        return np.concatenate([[0.0], np.cumsum(np.linalg.norm(self._edges, axis=1))])

    @cached_property
    def _edges(self) -> Array:
        corners = np.array(self.vertices)
        edges: Array = np.roll(corners, -1, axis=0) - corners
        return edges

    def place(self, unit: Array) -> tuple[Array, Array]:
        """On the edge where the chain has the wanted length."""
        wanted = unit[:, 0] * self.measure
        edge = np.clip(np.searchsorted(self.lengths, wanted, side="right") - 1, 0, len(self._edges) - 1)
        size = np.linalg.norm(self._edges, axis=1)
        along = self._edges[edge] / size[edge, None]
        points = np.array(self.vertices)[edge] + (wanted - self.lengths[edge])[:, None] * along
        return points, np.stack([along[:, 1], -along[:, 0]], axis=1)


@dataclass(frozen=True)
class Polygon(Leaf):
    """The inside of a closed chain of straight lines that does not cross itself, counterclockwise."""

    vertices: tuple[Vector, ...]

    @property
    def dimension(self) -> int:
        """Two."""
        return 2

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        """The rectangle around it."""
        corners = np.array(self.vertices)
        return tuple(corners.min(axis=0).tolist()), tuple(corners.max(axis=0).tolist())

    def level(self, x: Sequence[Any], f: Any = np) -> Any:
        """Distance from the nearest edge, negative where a ray to the right crosses an odd number of them.

        Of formulas an edge at a time, of numbers all edges of a block of points at once: the same sum.
        """
        if f is np:
            return self._levels(np.stack(x, axis=1))
        u, v = x
        sign: Any = None
        nearest: Any = None
        for (ax, ay), (bx, by) in zip(self.vertices, (*self.vertices[1:], self.vertices[0]), strict=True):
            ex, ey = bx - ax, by - ay
            du, dv = u - ax, v - ay
            share = f.minimum(f.maximum((du * ex + dv * ey) * (1.0 / (ex * ex + ey * ey)), 0.0), 1.0)
            pu, pv = du - share * ex, dv - share * ey
            squared = pu * pu + pv * pv
            nearest = squared if nearest is None else f.minimum(nearest, squared)
            if ay == by:
                continue
            beside = f.logical_and(f.less_equal(min(ay, by), v), f.less(v, max(ay, by)))
            flip = f.where(f.logical_and(beside, f.less(du, dv * (ex / ey))), -1.0, 1.0)
            sign = flip if sign is None else sign * flip
        return sign * f.sqrt(nearest)

    def _levels(self, points: Array) -> Array:
        """The level (n,) at `points` (n, 2)."""
        rows = max(1, _BLOCK // len(self.vertices))
        parts = [self._block(points[k : k + rows]) for k in range(0, len(points), rows)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _block(self, points: Array) -> Array:
        """The same for so few points that a table of points and edges fits into the cache."""
        start, edges, squares, slopes, low, high = self._lines
        du, dv = points[:, :1] - start[:, 0], points[:, 1:] - start[:, 1]
        share = (du * edges[:, 0] + dv * edges[:, 1]) * (1.0 / squares)
        np.clip(share, 0.0, 1.0, out=share)
        nearest = ((du - share * edges[:, 0]) ** 2 + (dv - share * edges[:, 1]) ** 2).min(axis=1)
        crossed = (low <= points[:, 1:]) & (points[:, 1:] < high) & (du < dv * slopes)
        level: Array = np.where(crossed.sum(axis=1) % 2, -1.0, 1.0) * np.sqrt(nearest)
        return level

    @cached_property
    def _lines(self) -> tuple[Array, ...]:
        """Starts (k, 2), edges (k, 2), squares of their lengths, dx/dy, lower and upper ends in y (k,)."""
        start = np.array(self.vertices)
        end = np.roll(start, -1, axis=0)
        edges = end - start
        rise = np.where(edges[:, 1] == 0.0, 1.0, edges[:, 1])
        low, high = np.minimum(start[:, 1], end[:, 1]), np.maximum(start[:, 1], end[:, 1])
        return start, edges, np.sum(edges**2, axis=1), edges[:, 0] / rise, low, high

    def pieces(self) -> tuple[Piece, ...]:
        """The outline."""
        return (Outline(self.vertices),)


def signed_area(vertices: Sequence[Vector]) -> float:
    """Positive where the vertices go counterclockwise (Gauss's formula)."""
    corners = np.array(vertices)
    x, y = (corners - corners[0]).T
    return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def crossing(vertices: Sequence[Vector]) -> tuple[int, int] | None:
    """Two edges, by number, that meet otherwise than as neighbours in a corner; None where none do."""
    start = np.array(vertices)
    end = np.roll(start, -1, axis=0)
    edges, count = end - start, len(start)
    slack = 1e-12 * float(np.ptp(start, axis=0).max()) ** 2
    after = np.roll(edges, -1, axis=0)
    back = (np.abs(edges[:, 0] * after[:, 1] - edges[:, 1] * after[:, 0]) <= slack) & (
        np.sum(edges * after, axis=1) < 0
    )
    if back.any():
        k = int(np.argmax(back))
        return k, (k + 1) % count
    for k in range(count - 2):
        others = np.arange(k + 2, count if k else count - 1)
        c, d = start[others], end[others]
        apart = _one_side(_turn(start[k], end[k], c), _turn(start[k], end[k], d), slack)
        apart |= _one_side(_turn(c, d, start[k]), _turn(c, d, end[k]), slack)
        low, high = np.minimum(start[k], end[k]), np.maximum(start[k], end[k])
        apart |= ((np.maximum(c, d) < low) | (np.minimum(c, d) > high)).any(axis=1)
        if not apart.all():
            return k, int(others[int(np.argmin(apart))])
    return None


def _one_side(one: Array, two: Array, slack: float) -> Mask:
    """Whether both ends of a line lie on the same side of another, given twice the areas they span."""
    mask: Mask = ((one > slack) & (two > slack)) | ((one < -slack) & (two < -slack))
    return mask


def _turn(a: Array, b: Array, c: Array) -> Array:
    """Twice the signed area of the triangles a, b, c."""
    one, two = b - a, c - a
    area: Array = one[..., 0] * two[..., 1] - one[..., 1] * two[..., 0]
    return area

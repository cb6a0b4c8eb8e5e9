"""Quadrature on shapes of the plane and the line, and on parts of their boundaries: Gauss's rule by pieces.

A boundary is cut into its smooth curves, along which arc length is even. A domain is cut into strips by the
lines x = c through every place where its boundary turns round or has a corner; in a strip from a to b the
nodes are x = a + (b - a)(1 - cos(pi s))/2 with Gauss's s, which makes the square roots in which a strip's
height may begin and end analytic, and on each line the nodes are Gauss's between the curves that it crosses.
Both converge faster than any power for integrands that are smooth up to the boundary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pinncli.shapes.base import Array, Piece
from pinncli.shapes.geometry import Geometry

Rows = tuple[tuple[float, tuple[float, ...]], ...]
"""Weights with what their nodes are: coordinates; on a boundary the outward normal's components, too."""

_LOOKS = 256
"""Places along a smooth curve at which is looked how it goes on."""
_HALVINGS = 60
_SAME = 1e-9
"""Of the box: lines so close are one."""


class NoRuleError(ValueError):
    """A region that has no rule; says why."""


def region_rule(geometry: Geometry, label: str, nodes: int) -> Rows:
    """A rule for `interior` or a part of the boundary; raises `NoRuleError`."""
    if len(geometry.names) > 2:
        raise NoRuleError("integrals over regions are for one and two space coordinates")
    if label == "interior":
        found = _intervals(geometry, nodes) if len(geometry.names) == 1 else _strips(geometry, nodes)
    else:
        found = _along(geometry, label, nodes)
    weights, points = found
    if not len(weights):
        raise NoRuleError(f"there is nothing of {label} to integrate over")
    return tuple(zip(weights.tolist(), map(tuple, points.tolist()), strict=True))


def gauss(nodes: int) -> tuple[Array, Array]:
    """Nodes and weights (nodes,) of Gauss and Legendre on [0, 1]."""
    places, weights = np.polynomial.legendre.leggauss(nodes)
    return 0.5 * (1.0 + places), 0.5 * weights


def _along(geometry: Geometry, label: str, nodes: int) -> tuple[Array, Array]:
    """Weights (n,), and places with outward normals (n, 2 d), on a part of the boundary."""
    weights, rows = [], []
    g, w = gauss(nodes)
    for part in geometry.parts(label):
        if part.spans is None and part.piece.cube == 0:  # a point of a line
            unit, sizes = np.zeros((1, 0)), np.ones(1)
        else:
            cuts = _smooth(part.piece, np.array([[0.0, 1.0]]) if part.spans is None else part.spans)
            low, size = cuts[:, :1], np.diff(cuts, axis=1)
            unit, sizes = (low + size * g).reshape(-1, 1), (part.piece.measure * size * w).ravel()
        points, normals = part.piece.place(unit)
        _, normals = geometry.kept(label, part, points, normals)
        weights.append(sizes)
        rows.append(np.concatenate([points, normals], axis=1))
    if not rows:
        return np.zeros(0), np.zeros((0, 2 * len(geometry.names)))
    return np.concatenate(weights), np.concatenate(rows)


def _smooth(piece: Piece, spans: Array) -> Array:
    """Spans (k, 2) of a curve's unit interval, cut where it has corners; in four where it has none."""
    found: list[tuple[float, float]] = []
    for low, high in spans:
        corners = [b for b in piece.breaks if low + 1e-12 < b < high - 1e-12]
        quarters = [] if piece.breaks else [low + (high - low) * k / 4 for k in (1, 2, 3)]
        ends = [low, *corners, *quarters, high]
        found += pairwise(ends)
    return np.array(found, dtype=np.float64).reshape(-1, 2)


def _intervals(geometry: Geometry, nodes: int) -> tuple[Array, Array]:
    """On a line: Gauss's rule between neighbouring ends that have the domain between them."""
    parts = geometry.parts("boundary")
    ends = np.unique([part.piece.place(np.zeros((1, 0)))[0][0, 0] for part in parts])
    g, w = gauss(nodes)
    pairs = [(a, b) for a, b in pairwise(ends) if geometry.inside(np.array([[0.5 * (a + b)]]))[0]]
    weights = np.concatenate([(b - a) * w for a, b in pairs])
    return weights, np.concatenate([a + (b - a) * g for a, b in pairs])[:, None]


@dataclass(frozen=True)
class _Stretch:
    """A part of a curve along which x rises or falls, from `left` to `right`."""

    piece: Piece
    low: float
    high: float
    left: float
    right: float

    def height(self, x: Array) -> Array:
        """y (n,) where the stretch has x (n,), by bisection."""
        rises = _place(self.piece, np.array([self.low, self.high]))[:, 0]
        low, high = np.full(len(x), self.low), np.full(len(x), self.high)
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            before = (_place(self.piece, middle)[:, 0] < x) == (rises[0] < rises[1])
            low, high = np.where(before, middle, low), np.where(before, high, middle)
        height: Array = _place(self.piece, 0.5 * (low + high))[:, 1]
        return height


def _strips(geometry: Geometry, nodes: int) -> tuple[Array, Array]:
    """In the plane: strips along y, and on each line the intervals inside."""
    slack = _SAME * geometry.size
    stretches = [s for s in _stretches(geometry) if s.right - s.left > slack]
    lines: list[float] = []
    for x in sorted(end for s in stretches for end in (s.left, s.right)):
        if not lines or x - lines[-1] > slack:
            lines.append(x)
    g, w = gauss(nodes)
    weights, rows = [], []
    for a, b in pairwise(lines):
        across: Array = a + (b - a) * 0.5 * (1.0 - np.cos(math.pi * g))
        width = (b - a) * 0.5 * math.pi * np.sin(math.pi * g) * w
        crossing = [s.height(across) for s in stretches if s.left <= a + slack and s.right >= b - slack]
        if len(crossing) % 2:
            raise NoRuleError("the boundary is not closed to rounding")
        heights = np.sort(np.array(crossing).reshape(-1, len(across)), axis=0)
        for low, high in zip(heights[::2], heights[1::2], strict=True):
            y = low[:, None] + (high - low)[:, None] * g
            weights.append((width[:, None] * (high - low)[:, None] * w).ravel())
            rows.append(np.stack([np.repeat(across, nodes), y.ravel()], axis=1))
    return np.concatenate(weights), np.concatenate(rows)


def _stretches(geometry: Geometry) -> list[_Stretch]:
    """The boundary cut at corners, and where its tangent is vertical: where the normal's y changes sign."""
    found = []
    for part in geometry.parts("boundary"):
        for low, high in np.array([[0.0, 1.0]]) if part.spans is None else part.spans:
            ends = _ends(part.piece, low, high, _SAME * geometry.size)
            x = _place(part.piece, ends)[:, 0]
            found += [
                _Stretch(part.piece, ends[k], ends[k + 1], min(x[k], x[k + 1]), max(x[k], x[k + 1]))
                for k in range(len(ends) - 1)
            ]
    return found


def _ends(piece: Piece, low: float, high: float, slack: float) -> Array:
    """Where stretches of a curve begin and end; of a closed smooth curve the turns alone, also beyond 1."""
    corners = [b for b in piece.breaks if low + 1e-12 < b < high - 1e-12]
    first, last = _place(piece, np.array([low, high]))
    closed = not corners and bool(np.linalg.norm(last - first) < slack)
    cuts, turns = [low, *corners, high], []
    for start, end in pairwise(cuts):
        tried = start + (end - start) * (np.arange(_LOOKS + closed) + 0.5) / _LOOKS
        signs = np.sign(_slope(piece, tried))
        turns += [_turn(piece, tried[k], tried[k + 1]) for k in np.flatnonzero(signs[1:] * signs[:-1] < 0)]
        turns += [tried[k] for k in np.flatnonzero(signs == 0) if (signs != 0).any()]
    ends = sorted(turns) if closed else sorted([*cuts, *turns])
    return np.array([*ends, ends[0] + 1.0] if closed else ends)


def _place(piece: Piece, unit: Array) -> Array:
    """Points (n, 2) of a curve, whose unit interval begins anew after 1."""
    return piece.place(np.where(unit > 1.0, unit - 1.0, unit)[:, None])[0]


def _slope(piece: Piece, unit: Array) -> Array:
    """The normal's y component (n,), zero where the tangent is vertical, to rounding."""
    slope = piece.place(np.where(unit > 1.0, unit - 1.0, unit)[:, None])[1][:, 1]
    return np.where(np.abs(slope) < 1e-14, 0.0, slope)


def _turn(piece: Piece, low: float, high: float) -> float:
    """Where the tangent is vertical, between two places on either side."""
    first = _slope(piece, np.array([low]))[0] > 0
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if (_slope(piece, np.array([middle]))[0] > 0) == first:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)

"""A solid inside a closed surface of triangles: signed distance, points by area, volume.

The nearest point of a triangle is on its face, an edge or a corner (Ericson, Real-Time Collision Detection,
2005, section 5.1.5). The sign of the distance is that of the offset times a normal there: of the face; at an
edge the sum of both faces' normals; at a corner the sum of all, weighted by their angles (Baerentzen &
Aanaes, IEEE Trans. Vis. Comput. Graph. 11, 2005). Cells of a grid know which triangles can be nearest there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinncli.shapes.base import Array, Leaf, Mask, Piece, Vector

Indices = NDArray[np.int64]

_FACE, _AB, _BC, _CA, _A, _B, _C = range(7)
"""Where the nearest point of a triangle may be."""
_BLOCK = 2**16
"""Pairs of a point and a triangle that are looked at together."""
_PADDING = 1e-3
"""Of the size: the grid is larger than the solid by so much."""


@dataclass(frozen=True, eq=False)
class Facets(Piece):
    """Triangles (k, 3, 3): corners, counterclockwise as seen from outside."""

    corners: Array

    @property
    def cube(self) -> int:
        """Two: the first number also says which triangle."""
        return 2

    @property
    def curve(self) -> bool:
        """A surface."""
        return False

    @property
    def measure(self) -> float:
        """The area."""
        return float(self.areas.sum())

    @cached_property
    def normals(self) -> Array:
        """Unit normals (k, 3)."""
        normals: Array = self._spanned / np.linalg.norm(self._spanned, axis=1, keepdims=True)
        return normals

    @cached_property
    def areas(self) -> Array:
        """Areas (k,)."""
        areas: Array = 0.5 * np.linalg.norm(self._spanned, axis=1)
        return areas

    @cached_property
    def _spanned(self) -> Array:
        a, b, c = self.corners.transpose(1, 0, 2)
        return np.cross(b - a, c - a)

    def place(self, unit: Array) -> tuple[Array, Array]:
        """In the triangle at a share of the area, whose rest, by its root, is spread evenly over it."""
        reached = np.concatenate([[0.0], np.cumsum(self.areas)])
        wanted = unit[:, 0] * reached[-1]
        face = np.clip(np.searchsorted(reached, wanted, side="right") - 1, 0, len(self.areas) - 1)
        along = np.sqrt(np.clip((wanted - reached[face]) / self.areas[face], 0.0, 1.0))[:, None]
        a, b, c = self.corners[face].transpose(1, 0, 2)
        points = a + along * (b - a + unit[:, 1:] * (c - b))
        return points, self.normals[face]


@dataclass(frozen=True, eq=False)
class Surface(Leaf):
    """What a closed surface of triangles (k, 3, 3), counterclockwise as seen from outside, encloses."""

    corners: Array

    @property
    def dimension(self) -> int:
        """Three."""
        return 3

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        """The box around all corners."""
        points = self.corners.reshape(-1, 3)
        return tuple(points.min(axis=0).tolist()), tuple(points.max(axis=0).tolist())

    @property
    def volume(self) -> float:
        """A third of the flux of x through the surface: the sum of a . (b x c)/6."""
        away = self.corners - self.corners[0, 0]
        return float(np.linalg.det(away).sum() / 6.0)

    def pieces(self) -> tuple[Piece, ...]:
        """All triangles together."""
        return (self._facets,)

    def level(self, x: Sequence[Any], f: Any = np) -> Any:
        """The signed distance, or less where the surface is far; of numbers only."""
        if f is not np:
            raise NotImplementedError("a surface from a file has no formula: it bounds domains, and no more")
        points = np.stack(x, axis=1)
        rows = max(1, 4 * _BLOCK // max(1, int(self._grid.counts.max())))
        parts = [self._levels(points[k : k + rows]) for k in range(0, len(points), rows)]
        return np.concatenate(parts) if parts else np.zeros(0)

    @cached_property
    def _facets(self) -> Facets:
        return Facets(self.corners)

    def _levels(self, points: Array) -> Array:
        """The level (n,) at points (n, 3): exact in cells that meet the surface, else a bound."""
        low, high = (np.array(end) for end in self.bounds)
        beyond = np.maximum(low - points, points - high).max(axis=1)
        grid = self._grid
        cell, within = grid.cell(points)
        middle = np.linalg.norm(points - grid.centres[cell], axis=1)
        at_middle = grid.levels[cell]
        level: Array = np.where(within, np.sign(at_middle) * (np.abs(at_middle) - middle), beyond)
        close = np.flatnonzero(within & (np.abs(at_middle) <= grid.radius))
        if close.size:
            level[close] = self._signed(points[close], grid.nearby(cell[close]))
        return level

    def _signed(self, points: Array, nearby: tuple[Indices, Indices]) -> Array:
        """The signed distance (n,) from the triangles `nearby`: indices one after the other, and how many."""
        triangles, counts = nearby
        rows = np.repeat(np.arange(len(points)), counts)
        away, feature = _nearest(points[rows], self.corners[triangles])
        squared = np.sum(away**2, axis=1)
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        least = np.minimum.reduceat(squared, first)
        hits = np.flatnonzero(squared == least[rows])
        best = hits[np.searchsorted(rows[hits], np.arange(len(points)))]
        side = np.sum(away[best] * self._pseudonormals[triangles[best], feature[best]], axis=1)
        return np.where(side < 0.0, -1.0, 1.0) * np.sqrt(least)

    @cached_property
    def _pseudonormals(self) -> Array:
        """Normals (k, 7, 3) of face, edges and corners of each triangle, of any length."""
        normals = self._facets.normals
        found = np.zeros((len(normals), 7, 3))
        found[:, _FACE] = normals
        _, ids = np.unique(self.corners.reshape(-1, 3), axis=0, return_inverse=True)
        ids = ids.reshape(-1, 3)
        summed = np.zeros((ids.max() + 1, 3))
        for k in range(3):
            one, two = (self.corners[:, (k + j) % 3] - self.corners[:, k] for j in (1, 2))
            cosine = np.sum(one * two, axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
            np.add.at(summed, ids[:, k], np.arccos(np.clip(cosine, -1.0, 1.0))[:, None] * normals)
        pairs = np.sort(np.stack([ids, np.roll(ids, -1, axis=1)], axis=2), axis=2)
        edges = np.unique(pairs.reshape(-1, 2), axis=0, return_inverse=True)[1].reshape(-1, 3)
        across = np.zeros((edges.max() + 1, 3))
        for k in range(3):
            np.add.at(across, edges[:, k], normals)
            found[:, _A + k] = summed[ids[:, k]]
        for k in range(3):
            found[:, _AB + k] = across[edges[:, k]]
        return found

    @cached_property
    def _grid(self) -> _Grid:
        """Cells of about the size of a triangle, with the triangles that may be nearest in each."""
        low, high = (np.array(end) for end in self.bounds)
        pad = _PADDING * float(np.linalg.norm(high - low))
        count = int(np.clip(1.2 * np.sqrt(len(self.corners)), 16, 24))
        grid = _Grid.empty(low - pad, high + pad, count)
        middles = self.corners.mean(axis=1)
        sizes = np.linalg.norm(self.corners - middles[:, None], axis=2).max(axis=1)
        rows = max(1, 8 * _BLOCK // len(middles))
        counts, kept, levels = [], [], []
        for k in range(0, len(grid.centres), rows):
            centres = grid.centres[k : k + rows]
            distance = np.linalg.norm(centres[:, None] - middles, axis=2)
            least = distance - sizes  # the triangle is no nearer; the nearest is no further than `distance`
            at, triangle = np.nonzero(least <= distance.min(axis=1)[:, None])
            level = self._signed(centres, (triangle, np.bincount(at, minlength=len(centres))))
            size = np.abs(level)[:, None]
            at, triangle = np.nonzero((least <= size + 2.0 * grid.radius) & (size <= grid.radius))
            away, _ = _nearest(centres[at], self.corners[triangle])
            may = np.linalg.norm(away, axis=1) <= size[at, 0] + 2.0 * grid.radius
            at, triangle = at[may], triangle[may]
            counts.append(np.bincount(at, minlength=len(centres)))
            kept.append(triangle)
            levels.append(level)
        return grid.filled(np.concatenate(counts), np.concatenate(kept), np.concatenate(levels))


@dataclass(frozen=True, eq=False)
class _Grid:
    """Equal cells, `shape` of them along the axes; for each the `levels` at its centre and its triangles."""

    low: Array
    step: Array
    shape: int
    centres: Array
    counts: Indices
    triangles: Indices
    levels: Array

    @classmethod
    def empty(cls, low: Array, high: Array, count: int) -> _Grid:
        """Cells without triangles."""
        step = (high - low) / count
        index = np.stack(np.meshgrid(*[np.arange(count)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        none = np.zeros(0, dtype=np.int64)
        return cls(low, step, count, low + (index + 0.5) * step, none, none, np.zeros(0))

    def filled(self, counts: Indices, triangles: Indices, levels: Array) -> _Grid:
        """The same cells with their triangles, one cell's after the other's."""
        return _Grid(self.low, self.step, self.shape, self.centres, counts, triangles, levels)

    @property
    def radius(self) -> float:
        """From the centre of a cell to its corners, and a little more."""
        return float(0.5001 * np.linalg.norm(self.step))

    @cached_property
    def starts(self) -> Indices:
        """Where each cell's triangles begin."""
        starts: Indices = np.concatenate([[0], np.cumsum(self.counts)[:-1]]).astype(np.int64)
        return starts

    def cell(self, points: Array) -> tuple[Indices, Mask]:
        """The cell (n,) of each point, the nearest where it is outside, and whether it is within."""
        index = np.floor((points - self.low) / self.step)
        within: Mask = np.all((index >= 0) & (index < self.shape), axis=1)
        index = np.clip(np.nan_to_num(index), 0, self.shape - 1).astype(np.int64)
        return index @ np.array([self.shape**2, self.shape, 1]), within

    def nearby(self, cell: Indices) -> tuple[Indices, Indices]:
        """The triangles of cells (n,), one cell's after the other's, and how many each has."""
        counts = self.counts[cell]
        first = np.cumsum(counts) - counts
        places = np.arange(int(counts.sum())) - np.repeat(first - self.starts[cell], counts)
        return self.triangles[places], counts


def _nearest(points: Array, corners: Array) -> tuple[Array, Indices]:
    """Vectors (m, 3) from the nearest points of triangles (m, 3, 3) to points (m, 3), and where these are."""
    a, b, c = corners.transpose(1, 0, 2)
    ab, ac, ap = b - a, c - a, points - a
    d1, d2 = np.sum(ab * ap, axis=1), np.sum(ac * ap, axis=1)
    bb, bc, cc = np.sum(ab * ab, axis=1), np.sum(ab * ac, axis=1), np.sum(ac * ac, axis=1)
    d3, d4, d5, d6 = d1 - bb, d2 - bc, d1 - bc, d2 - cc
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
    feature = np.select(
        [
            (d1 <= 0) & (d2 <= 0),
            (d3 >= 0) & (d4 <= d3),
            (d6 >= 0) & (d5 <= d6),
            (vc <= 0) & (d1 >= 0) & (d3 <= 0),
            (vb <= 0) & (d2 >= 0) & (d6 <= 0),
            (va <= 0) & (d4 >= d3) & (d5 >= d6),
        ],
        [_A, _B, _C, _AB, _CA, _BC],
        _FACE,
    )
    whole = np.where(feature == _FACE, va + vb + vc, 1.0)
    share = np.clip((d4 - d3) / np.where(feature == _BC, d4 - d3 + d5 - d6, 1.0), 0.0, 1.0)
    v = np.select(
        [feature == _FACE, feature == _AB, feature == _BC, feature == _B],
        [vb / whole, d1 / np.where(bb > 0, bb, 1.0), 1.0 - share, 1.0],
    )
    w = np.select(
        [feature == _FACE, feature == _CA, feature == _BC, feature == _C],
        [vc / whole, d2 / np.where(cc > 0, cc, 1.0), share, 1.0],
    )
    return ap - v[:, None] * ab - w[:, None] * ac, feature

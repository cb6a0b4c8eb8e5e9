"""The whole domain, a shape in space times ranges of the other coordinates, and points in its regions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pinncli.shapes.base import Array, Mask
from pinncli.shapes.geometry import Geometry, Part

Unit = Callable[[int, int, str], Array]
"""(n, dimension, stream) to points (n, dimension) in the open unit cube, the same for the same stream."""

Predicate = Callable[[Array], Mask]
"""Points (n, d) to booleans (n,): the part of a region that `where` keeps."""

MAX_ENLARGEMENTS = 8
"""How often more points are proposed, twice as many each time, where too few are kept."""
SPARE = 1.05
"""Points proposed over those expected to be kept."""


class TooFewError(ValueError):
    """A region has almost no points; says which."""


@dataclass(frozen=True)
class Points:
    """Points `(n, d)` and outward unit normals `(n, d)`, zero where a point is not on a boundary."""

    points: Array
    normals: Array

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, key: slice | Mask) -> Points:
        return Points(self.points[key], self.normals[key])

    @classmethod
    def join(cls, parts: Sequence[Points]) -> Points:
        """One after the other."""
        return cls(np.concatenate([p.points for p in parts]), np.concatenate([p.normals for p in parts]))


@dataclass(frozen=True, eq=False)
class Domain:
    """`low[k] <= coordinate k <= high[k]`, and the space coordinates in the geometry's domain.

    Without space coordinates `geometry` is None.
    """

    names: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    geometry: Geometry | None

    @cached_property
    def space(self) -> list[int]:
        """Axes of the space coordinates."""
        return [self.names.index(name) for name in (self.geometry.names if self.geometry else ())]

    @cached_property
    def others(self) -> list[int]:
        """Axes of the other coordinates."""
        return [k for k in range(len(self.names)) if k not in self.space]

    def contains(self, points: Array) -> Mask:
        """Whether points (n, d), whose other coordinates are in their ranges, are in the closed domain."""
        if self.geometry is None or self.geometry.is_box:
            return np.ones(len(points), dtype=bool)
        return self.geometry.contains(points[:, self.space])

    def on(self, label: str, points: Array) -> Mask:
        """Whether points (n, d) of the boundary of space belong to `label`, a part of that boundary."""
        assert self.geometry is not None  # noqa: S101  (without space there are no such labels)
        return self.geometry.on(label, points[:, self.space])

    def is_boundary(self, label: str) -> bool:
        """Whether a label is about the boundary of space: `boundary`, a side of space, a named shape."""
        return label != "interior" and self._held(label) is None

    def share(self, label: str) -> float:
        """Length or area of a part of the boundary over that of a mean side of the box; of others, 1."""
        if self.geometry is None or not self.is_boundary(label):
            return 1.0
        if self.geometry.is_box and label not in ("boundary", *self.geometry.shapes):
            return 1.0
        return self.geometry.measure(label) / self.geometry.face

    def is_points(self, label: str) -> int:
        """The number of points that a label consists of; 0 where it has a continuum of them."""
        if label == "interior":
            return 0
        if not self.is_boundary(label):
            return int(len(self.names) == 1)
        assert self.geometry is not None  # noqa: S101  (it has a boundary)
        single = len(self.space) == 1 and not self.others
        return len(self.geometry.parts(label)) if single else 0

    def sample(self, label: str, count: int, unit: Unit, where: Predicate | None = None) -> Points:
        """`count` points of a region, as many as it has where these are countable.

        Uniform in volume, arc length or area as far as `unit` is. The result depends on the arguments
        alone. Raises TooFewError where almost nothing is kept.
        """
        count = self.is_points(label) or count
        if not count:
            return Points(np.zeros((0, len(self.names))), np.zeros((0, len(self.names))))
        expected = self._expected(label)
        asked = count if expected == 1.0 else int(SPARE * count / max(expected, 1e-9)) + 8
        kept = 0
        for attempt in range(MAX_ENLARGEMENTS):  # one larger set each time, since a grid is not independent
            parts = self._propose(label, asked, unit, attempt)
            if where is not None:
                parts = [part[where(part.points)] for part in parts]
            kept = sum(map(len, parts))
            if kept >= count:
                shares = allotted(count, [len(part) for part in parts])
                return Points.join([part[:share] for part, share in zip(parts, shares, strict=True)])
            asked *= 2
        region = "the interior" if label == "interior" else f"side {label}" if label[-1] in "+-" else label
        raise TooFewError(f"`where` keeps almost no point of {region}: {kept} of {asked // 2}")

    def _held(self, label: str) -> int | None:
        """The axis whose end a label names, if it is no coordinate of space."""
        if label[-1] in "+-" and label[:-1] in self.names and self.names.index(label[:-1]) in self.others:
            return self.names.index(label[:-1])
        return None

    def _expected(self, label: str) -> float:
        """The part of the proposed points that is kept."""
        if self.geometry is None:
            return 1.0
        if not self.is_boundary(label):
            return self.geometry.share
        parts = [p for p in self.geometry.parts(label) if p.spans is None]
        whole = sum(part.piece.measure for part in parts)
        return min(1.0, sum(part.measure for part in parts) / whole) if parts else 1.0

    def _propose(self, label: str, count: int, unit: Unit, attempt: int) -> list[Points]:
        if not self.is_boundary(label):
            return [self._inside(label, count, unit, attempt)]
        assert self.geometry is not None  # noqa: S101  (it has a boundary)
        parts = self.geometry.parts(label)
        shares = [1] * len(parts)
        if not self.is_points(label):
            shares = allotted(count, [p.piece.measure if p.spans is None else p.measure for p in parts])
        return [
            self._beside(label, part, share, unit, f"{_stream(label)}{f'/{k}' * (len(parts) > 1)}/{attempt}")
            for k, (part, share) in enumerate(zip(parts, shares, strict=True))
            if share
        ]

    def _inside(self, label: str, count: int, unit: Unit, attempt: int) -> Points:
        """Points of the interior, or of an end of a coordinate that is not of space."""
        held = None if label == "interior" else self._held(label)
        free = [k for k in range(len(self.names)) if k != held]
        points = self._stretched(free, count, unit, f"{_stream(label)}/{attempt}")
        normals = np.zeros_like(points)
        if held is not None:
            points[:, held] = (self.high if label[-1] == "+" else self.low)[held]
            normals[:, held] = 1.0 if label[-1] == "+" else -1.0
        if self.geometry is None or self.geometry.is_box:
            return Points(points, normals)
        return Points(points, normals)[self.geometry.inside(points[:, self.space])]

    def _stretched(self, free: Sequence[int], count: int, unit: Unit, stream: str) -> Array:
        low, high = np.array(self.low), np.array(self.high)
        points = np.tile(low, (count, 1))
        if free:
            points[:, free] = low[free] + (high[free] - low[free]) * unit(count, len(free), stream)
        return points

    def _beside(self, label: str, part: Part, count: int, unit: Unit, stream: str) -> Points:
        """Points of a part of the boundary, times the other coordinates."""
        assert self.geometry is not None  # noqa: S101  (it has a boundary)
        cube, rest = part.piece.cube, self.others
        drawn = unit(count, cube + len(rest), stream) if cube + len(rest) else np.zeros((count, 0))
        low, high = np.array(self.low), np.array(self.high)
        points, normals = np.zeros((count, len(self.names))), np.zeros((count, len(self.names)))
        points[:, rest] = low[rest] + (high[rest] - low[rest]) * drawn[:, cube:]
        places, outward = part.place(drawn[:, :cube])
        keep, outward = self.geometry.kept(label, part, places, outward)
        points[:, self.space], normals[:, self.space] = places, outward
        return Points(points, normals)[keep]


def _stream(label: str) -> str:
    """The name of a region's random numbers: `x-1`, `x1` for sides."""
    return {"-": f"{label}1", "+": f"{label[:-1]}1"}.get(label[-1], label)


def allotted(count: int, weights: Sequence[float]) -> list[int]:
    """`count` things by weight, each share the floor or the ceiling of the exact one (largest remainders)."""
    whole = sum(weights)
    exact = [count * weight / whole for weight in weights]
    shares = [int(e) for e in exact]
    order = sorted(range(len(exact)), key=lambda k: shares[k] - exact[k])
    for k in order[: count - sum(shares)]:
        shares[k] += 1
    return shares

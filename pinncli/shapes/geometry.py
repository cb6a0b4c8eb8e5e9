"""The space part of a domain: a shape in the box of the coordinates, with the parts of its boundary by name.

A point p of the boundary of one of the leaves of a shape S, with normal n there, is on the boundary of S
where exactly one of p + eps n and p - eps n is inside S; the outward normal points to the other. That holds
for every combination of shapes, also where boundaries of leaves coincide. A point that lies on several
leaves' boundaries counts for the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pinncli.shapes.base import Array, Leaf, Mask, Piece, Shape
from pinncli.shapes.solid import Box, Face

ASIDE, ON = 1e-7, 1e-9
"""Distances over the diagonal of the box: eps above; of points that count as on a boundary."""
CUTS = 4096
"""Places along a curve at which is looked whether it is on the boundary; between them ends are bisected."""
BISECTIONS = 50
TRIES = 16384
"""Random points by which the share of the box that is domain, and of a surface that is boundary, is found."""


@dataclass(frozen=True)
class Part:
    """What counts of a piece: of a curve the `spans` (k, 2) of its unit interval, of a surface a `share`."""

    piece: Piece
    before: tuple[Leaf, ...]
    """Leaves whose boundary has its points already."""
    share: float
    spans: Array | None = None

    @property
    def measure(self) -> float:
        """Length or area of what counts."""
        return self.share * self.piece.measure

    def place(self, unit: Array) -> tuple[Array, Array]:
        """Points and normals of the piece; of a curve, all of them count."""
        if self.spans is None:
            return self.piece.place(unit)
        lengths = self.spans[:, 1] - self.spans[:, 0]
        reached = np.concatenate([[0.0], np.cumsum(lengths)])
        wanted = unit[:, 0] * reached[-1]
        span = np.clip(np.searchsorted(reached, wanted, side="right") - 1, 0, len(lengths) - 1)
        along = self.spans[span, 0] + np.minimum(wanted - reached[span], lengths[span])
        return self.piece.place(along[:, None])


@dataclass(frozen=True, eq=False)
class Geometry:
    """The box `low` to `high` of the space coordinates `names`, named shapes, and the domain among them."""

    names: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    shapes: Mapping[str, Shape]

    @cached_property
    def box(self) -> Box:
        """The box as a shape."""
        return Box(self.low, self.high)

    @property
    def domain(self) -> Shape:
        """The shape named `domain`; the box where there is none."""
        return self.shapes.get("domain", self.box)

    @cached_property
    def is_box(self) -> bool:
        """Whether the domain is the whole box."""
        return self.domain == self.box

    @cached_property
    def size(self) -> float:
        """The diagonal of the box."""
        return float(np.linalg.norm(np.subtract(self.high, self.low)))

    @cached_property
    def share(self) -> float:
        """The part of the box that is inside the domain; exactly 1 for the box itself."""
        if self.is_box:
            return 1.0
        unit = _tries(len(self.names))
        return float(np.mean(self.inside(np.array(self.low) + np.subtract(self.high, self.low) * unit)))

    def inside(self, points: Array) -> Mask:
        """Whether points (n, d) are in the open domain."""
        mask: Mask = self.domain(points) < 0.0
        return mask

    def contains(self, points: Array) -> Mask:
        """Whether points (n, d) are in the closed domain, to rounding: inside, or beside what is inside.

        Where a part that is taken away reaches the end of the box, a level of zero alone would not say that.
        """
        level = self.domain(points)
        mask: Mask = level < -ON * self.size
        close = np.flatnonzero(np.abs(level) <= ON * self.size)
        for direction in self._directions:
            mask[close] = self.inside(points[close] + ASIDE * self.size * direction)
            close = close[~mask[close]]
        return mask

    def on(self, label: str, points: Array) -> Mask:
        """Whether points (n, d) of the domain's boundary belong to `label`."""
        if label == "boundary":
            return np.ones(len(points), dtype=bool)
        if label in self.shapes:
            near = np.stack([np.abs(leaf(points)) for leaf in self.shapes[label].leaves()])
            mask: Mask = near.min(axis=0) <= 10.0 * ON * self.size
            return mask
        axes = self.axes(label[:-1])
        ends = np.array(self.high if label[-1] == "+" else self.low)[axes]
        gap: Mask = np.abs(points[:, axes] - ends).min(axis=1) <= 10.0 * ON * self.size
        return gap

    def axes(self, name: str) -> list[int]:
        """The axis of a coordinate, or those of all components of a vector coordinate."""
        return [k for k, own in enumerate(self.names) if own == name or own.startswith(f"{name}[")]

    def parts(self, label: str) -> tuple[Part, ...]:
        """The parts of `boundary`, of a side such as `x-`, or of a named shape's boundary; none if empty."""
        if label not in self._known:
            self._known[label] = tuple(self._parts(label))
        return self._known[label]

    def measure(self, label: str) -> float:
        """Length or area of the parts together."""
        return float(sum(part.measure for part in self.parts(label)))

    @cached_property
    def face(self) -> float:
        """Mean length or area of the sides of the box."""
        return float(np.mean([piece.measure for piece in self.box.pieces()]))

    def kept(self, label: str, part: Part, points: Array, normals: Array) -> tuple[Mask, Array]:
        """Which points (n, d) of a part belong to `label`, and the outward normals (n, d) there.

        Outward of the domain on its boundary, of the named shape inside the domain. Where the box is the
        domain its faces are kept whole, as they are.
        """
        if self.is_box and label not in self.shapes:
            return np.ones(len(points), dtype=bool), normals
        aside = ASIDE * self.size * normals
        ahead, behind = self.inside(points + aside), self.inside(points - aside)
        outward = np.where(ahead, -1.0, 1.0)
        counts = ahead != behind
        if label in self.shapes:
            shape = self.shapes[label]
            over, under = shape(points + aside) < 0.0, shape(points - aside) < 0.0
            outward = np.where(counts, outward, np.where(over, -1.0, 1.0))
            counts = (over != under) & (ahead | behind)
        counts &= self.domain(points) <= ON * self.size  # of points aside of a corner some would be outside
        for leaf in part.before:
            counts &= np.abs(leaf(points)) > ON * self.size
        return counts, normals * outward[:, None]

    def corners(self, label: str) -> Array:
        """Where curves of `label` end (n, 2): corners of the domain, in the plane."""
        curves = [(part.piece, part.spans) for part in self.parts(label) if part.spans is not None]
        ends = [piece.place(spans.reshape(-1, 1))[0] for piece, spans in curves]
        return np.concatenate(ends) if ends else np.zeros((0, len(self.names)))

    @cached_property
    def _directions(self) -> Array:
        """Unit vectors (k, d) every way."""
        d = len(self.names)
        random = np.random.default_rng(0).normal(size=(32, d))
        ways = np.concatenate([np.eye(d), -np.eye(d), random, -random])
        directions: Array = ways / np.linalg.norm(ways, axis=1, keepdims=True)
        return directions

    @cached_property
    def _known(self) -> dict[str, tuple[Part, ...]]:
        return {}

    def _parts(self, label: str) -> list[Part]:
        shape = self.domain if label == "boundary" else self.shapes.get(label)
        if shape is None:
            sign = 1 if label[-1] == "+" else -1
            pieces: list[tuple[Piece, tuple[Leaf, ...]]] = [
                (Face(self.low, self.high, axis, sign), ()) for axis in self.axes(label[:-1])
            ]
        else:
            leaves = tuple(dict.fromkeys(shape.leaves()))
            pieces = [(piece, leaves[:k]) for k, leaf in enumerate(leaves) for piece in leaf.pieces()]
        parts = [self._part(label, piece, before) for piece, before in pieces]
        return [part for part in parts if part.share > 0.0]

    def _part(self, label: str, piece: Piece, before: tuple[Leaf, ...]) -> Part:
        whole = Part(piece, before, 1.0)
        if self.is_box and label not in self.shapes:
            return whole
        if not piece.curve:
            counts, _ = self.kept(label, whole, *piece.place(_tries(piece.cube)))
            return Part(piece, before, float(np.mean(counts)))
        spans = _spans(lambda unit: self.kept(label, whole, *piece.place(unit[:, None]))[0])
        return Part(piece, before, float(np.sum(spans[:, 1] - spans[:, 0])), spans)


def _tries(dimension: int) -> Array:
    """Random points of the unit cube; one where it is a point."""
    return np.random.default_rng(0).random((TRIES if dimension else 1, dimension))


def _spans(counts: Callable[[Array], Mask]) -> Array:
    """The parts (k, 2) of the unit interval whose points count."""
    tried = (np.arange(CUTS) + 0.5) / CUTS
    found = counts(tried)
    turns = np.flatnonzero(found[1:] != found[:-1])
    low, high = tried[turns], tried[turns + 1]
    for _ in range(BISECTIONS if len(turns) else 0):
        middle = 0.5 * (low + high)
        early = counts(middle) == found[turns]
        low, high = np.where(early, middle, low), np.where(early, high, middle)
    ends = np.concatenate([[0.0] * bool(found[0]), 0.5 * (low + high), [1.0] * bool(found[-1])])
    return ends.reshape(-1, 2)

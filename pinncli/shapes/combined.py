"""Shapes made of shapes: union, difference, intersection, and moved ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from typing import Any

import numpy as np

from pinncli.shapes.base import Leaf, Motion, MovedPiece, Piece, Shape, Vector


@dataclass(frozen=True)
class Union(Shape):
    """Points of any of the shapes."""

    parts: tuple[Shape, ...]

    @property
    def dimension(self) -> int:
        """That of the first."""
        return self.parts[0].dimension

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        """Around all of them."""
        lows, highs = zip(*(part.bounds for part in self.parts), strict=True)
        return tuple(map(min, *lows)), tuple(map(max, *highs))

    def level(self, x: Sequence[Any], f: Any = np) -> Any:
        """The least level."""
        return reduce(f.minimum, [part.level(x, f) for part in self.parts])

    def leaves(self) -> tuple[Leaf, ...]:
        """Those of all."""
        return tuple(leaf for part in self.parts for leaf in part.leaves())


@dataclass(frozen=True)
class Intersection(Shape):
    """Points of all of the shapes."""

    parts: tuple[Shape, ...]

    @property
    def dimension(self) -> int:
        """That of the first."""
        return self.parts[0].dimension

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        """Where the boxes around them overlap; a point where they do not."""
        lows, highs = zip(*(part.bounds for part in self.parts), strict=True)
        low, high = tuple(map(max, *lows)), tuple(map(min, *highs))
        return low, tuple(map(max, low, high))

    def level(self, x: Sequence[Any], f: Any = np) -> Any:
        """The largest level."""
        return reduce(f.maximum, [part.level(x, f) for part in self.parts])

    def leaves(self) -> tuple[Leaf, ...]:
        """Those of all."""
        return tuple(leaf for part in self.parts for leaf in part.leaves())


@dataclass(frozen=True)
class Difference(Shape):
    """Points of one shape that are not inside another."""

    kept: Shape
    removed: Shape

    @property
    def dimension(self) -> int:
        """That of both."""
        return self.kept.dimension

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        """Those of what something is taken away from."""
        return self.kept.bounds

    def level(self, x: Sequence[Any], f: Any = np) -> Any:
        """The larger of the one level and minus the other."""
        return f.maximum(self.kept.level(x, f), -self.removed.level(x, f))

    def leaves(self) -> tuple[Leaf, ...]:
        """Those of both."""
        return (*self.kept.leaves(), *self.removed.leaves())


@dataclass(frozen=True)
class Moved(Leaf):
    """A leaf elsewhere."""

    leaf: Leaf
    motion: Motion

    @property
    def dimension(self) -> int:
        """That of the leaf."""
        return self.leaf.dimension

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        """Around the moved corners of its box."""
        corners = self.motion(np.array(list(product(*zip(*self.leaf.bounds, strict=True)))))
        return tuple(corners.min(axis=0).tolist()), tuple(corners.max(axis=0).tolist())

    def level(self, x: Sequence[Any], f: Any = np) -> Any:
        """The leaf's, where `x` was moved from."""
        return self.leaf.level(self.motion.back(x), f)

    def pieces(self) -> tuple[Piece, ...]:
        """The leaf's, moved."""
        return tuple(MovedPiece(piece, self.motion) for piece in self.leaf.pieces())


def moved(shape: Shape, motion: Motion) -> Shape:
    """A shape elsewhere: its leaves are moved."""
    match shape:
        case Union(parts):
            return Union(tuple(moved(part, motion) for part in parts))
        case Intersection(parts):
            return Intersection(tuple(moved(part, motion) for part in parts))
        case Difference(kept, removed):
            return Difference(moved(kept, motion), moved(removed, motion))
        case Leaf():
            return Moved(shape, motion)
    raise TypeError(f"no shape that can be moved: {type(shape).__name__}")

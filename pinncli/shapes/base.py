"""What a shape is: a level function that is negative inside, bounds, and pieces of its boundary."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Vector = tuple[float, ...]


class Piece(ABC):
    """A part of a boundary as the image of a unit cube, with constant density of measure."""

    @property
    @abstractmethod
    def cube(self) -> int:
        """Dimension of the cube; 0 for a point."""

    @property
    @abstractmethod
    def curve(self) -> bool:
        """Whether the piece is a curve, which the unit interval runs along."""

    @property
    @abstractmethod
    def measure(self) -> float:
        """Length or area; 1 for a point."""

    @property
    def breaks(self) -> Vector:
        """Numbers of the unit interval at which a curve has corners."""
        return ()

    @abstractmethod
    def place(self, unit: Array) -> tuple[Array, Array]:
        """Points (n, d) for `unit` (n, cube), and the outward unit normals (n, d) there.

        Uniform points of the cube become points that are uniform in arc length or area.
        """


class Shape(ABC):
    """A bounded closed set in the space of `dimension` coordinates."""

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Number of space coordinates."""

    @property
    @abstractmethod
    def bounds(self) -> tuple[Vector, Vector]:
        """Lower and upper corner of a box around the shape."""

    @abstractmethod
    def level(self, x: Sequence[Any], f: Any = np) -> Any:
        """Negative inside, zero on the boundary, positive outside; near the boundary, about the distance.

        `x` holds one array (n,) per coordinate, or one formula: then `f` has numpy's functions of them.
        """

    @abstractmethod
    def leaves(self) -> tuple[Leaf, ...]:
        """The simple shapes that this one is made of, each where it lies."""

    def __call__(self, points: Array) -> Array:
        """The level (n,) at `points` (n, d)."""
        return np.asarray(self.level(list(points.T)), dtype=np.float64)


class Leaf(Shape):
    """A shape that is not made of others: its whole boundary is known by pieces."""

    @abstractmethod
    def pieces(self) -> tuple[Piece, ...]:
        """The pieces of the boundary, which cover it once, with outward normals."""

    def leaves(self) -> tuple[Leaf, ...]:
        """The shape itself."""
        return (self,)


@dataclass(frozen=True)
class Motion:
    """x to R x + s: a rotation and a shift."""

    rotation: tuple[Vector, ...]
    shift: Vector

    def __call__(self, points: Array) -> Array:
        """The images (n, d) of points (n, d)."""
        image: Array = self.turn(points) + np.array(self.shift)
        return image

    def turn(self, vectors: Array) -> Array:
        """The images (n, d) of directions (n, d)."""
        image: Array = vectors @ np.array(self.rotation).T
        return image

    def back(self, x: Sequence[Any]) -> list[Any]:
        """The coordinates, as arrays or formulas, of what is moved to `x`: the transpose of R on x - s."""
        away = [a - s for a, s in zip(x, self.shift, strict=True)]
        return [weighted(column, away) for column in zip(*self.rotation, strict=True)]


@dataclass(frozen=True)
class MovedPiece(Piece):
    """A piece elsewhere."""

    piece: Piece
    motion: Motion

    @property
    def cube(self) -> int:
        """That of the piece."""
        return self.piece.cube

    @property
    def curve(self) -> bool:
        """As the piece."""
        return self.piece.curve

    @property
    def measure(self) -> float:
        """That of the piece."""
        return self.piece.measure

    @property
    def breaks(self) -> Vector:
        """Those of the piece."""
        return self.piece.breaks

    def place(self, unit: Array) -> tuple[Array, Array]:
        """The piece's own points, moved."""
        points, normals = self.piece.place(unit)
        return self.motion(points), self.motion.turn(normals)


def weighted(weights: Sequence[float], values: Sequence[Any]) -> Any:
    """Sum of products; of formulas, without terms that vanish."""
    terms = [value if w == 1.0 else value * w for w, value in zip(weights, values, strict=True) if w]
    total = terms[0] if terms else values[0] * 0.0
    for term in terms[1:]:
        total = total + term
    return total


def squared_distance(x: Sequence[Any], centre: Sequence[float]) -> Any:
    """|x - centre|^2."""
    away = [a - c for a, c in zip(x, centre, strict=True)]
    total = away[0] * away[0]
    for a in away[1:]:
        total = total + a * a
    return total

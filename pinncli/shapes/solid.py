"""Boxes and balls in any number of dimensions, and the cylinder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from pinncli.shapes.base import Array, Leaf, Piece, Vector, squared_distance, weighted


@dataclass(frozen=True)
class Face(Piece):
    """A face of a box: coordinate `axis` at its lower end (`sign` -1) or its upper (+1)."""

    low: Vector
    high: Vector
    axis: int
    sign: int

    @property
    def cube(self) -> int:
        """One less than the box."""
        return len(self.low) - 1

    @property
    def curve(self) -> bool:
        """Whether the box is a rectangle."""
        return len(self.low) == 2

    @property
    def measure(self) -> float:
        """Product of the other lengths."""
        sides = zip(self.low, self.high, strict=True)
        return math.prod(b - a for k, (a, b) in enumerate(sides) if k != self.axis)

    def place(self, unit: Array) -> tuple[Array, Array]:
        """The cube stretched over the face."""
        low, high = np.array(self.low), np.array(self.high)
        free = [k for k in range(len(low)) if k != self.axis]
        points = np.tile(low, (len(unit), 1))
        points[:, free] = low[free] + (high[free] - low[free]) * unit
        points[:, self.axis] = (high if self.sign > 0 else low)[self.axis]
        normals = np.zeros_like(points)
        normals[:, self.axis] = self.sign
        return points, normals


@dataclass(frozen=True)
class Box(Leaf):
    """`low[k] <= x[k] <= high[k]`; with one coordinate an interval, with two a rectangle."""

    low: Vector
    high: Vector

    @property
    def dimension(self) -> int:
        """Number of ranges."""
        return len(self.low)

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        """Its own corners."""
        return self.low, self.high

    def level(self, x: Sequence[Any], f: Any = np) -> Any:
        """The largest excess over a range."""
        sides = zip(x, self.low, self.high, strict=True)
        return reduce(f.maximum, [part for a, low, high in sides for part in (-a + low, a - high)])

    def pieces(self) -> tuple[Piece, ...]:
        """Two faces a coordinate."""
        return tuple(Face(self.low, self.high, k, sign) for k in range(len(self.low)) for sign in (-1, 1))


@dataclass(frozen=True)
class Sphere(Piece):
    """The surface of a ball, |x - centre| = radius."""

    centre: Vector
    radius: float

    @property
    def cube(self) -> int:
        """1 for a circle, 2 for a sphere; above, as many as the normal numbers take (`place`)."""
        n = len(self.centre)
        return n - 1 if n <= 3 else n + n % 2

    @property
    def curve(self) -> bool:
        """Whether it is a circle."""
        return len(self.centre) == 2

    @property
    def measure(self) -> float:
        """2 pi^(n/2) r^(n-1) / Gamma(n/2); of the two ends of an interval, 2."""
        n = len(self.centre)
        return float(2.0 * math.pi ** (n / 2) / math.gamma(n / 2) * self.radius ** (n - 1))

    def place(self, unit: Array) -> tuple[Array, Array]:
        """By angle; by height and angle (Archimedes); in more dimensions by normal numbers over their norm.

        The normal numbers are those of Box & Muller 1958: sqrt(-2 log u) (cos, sin)(2 pi v).
        """
        n = len(self.centre)
        if n == 2:
            angle = 2.0 * math.pi * unit[:, 0]
            normals = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        elif n == 3:
            height, angle = 2.0 * unit[:, 0] - 1.0, 2.0 * math.pi * unit[:, 1]
            ring = np.sqrt(1.0 - height**2)
            normals = np.stack([ring * np.cos(angle), ring * np.sin(angle), height], axis=1)
        else:
            size, angle = np.sqrt(-2.0 * np.log(unit[:, ::2])), 2.0 * math.pi * unit[:, 1::2]
            drawn = np.concatenate([size * np.cos(angle), size * np.sin(angle)], axis=1)[:, :n]
            normals = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
        return np.array(self.centre) + self.radius * normals, normals


@dataclass(frozen=True)
class Ball(Leaf):
    """|x - centre| <= radius, in two or more dimensions."""

    centre: Vector
    radius: float

    @property
    def dimension(self) -> int:
        """That of the centre."""
        return len(self.centre)

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        """The cube around it."""
        return tuple(c - self.radius for c in self.centre), tuple(c + self.radius for c in self.centre)

    def level(self, x: Sequence[Any], f: Any = np) -> Any:
        """Distance from the surface."""
        return f.sqrt(squared_distance(x, self.centre)) - self.radius

    def pieces(self) -> tuple[Piece, ...]:
        """The surface."""
        return (Sphere(self.centre, self.radius),)


@dataclass(frozen=True)
class Mantle(Piece):
    """The curved surface of a cylinder about the third coordinate, 0 <= z <= height."""

    radius: float
    height: float

    @property
    def cube(self) -> int:
        """Angle and height."""
        return 2

    @property
    def curve(self) -> bool:
        """A surface."""
        return False

    @property
    def measure(self) -> float:
        """2 pi r h."""
        return 2.0 * math.pi * self.radius * self.height

    def place(self, unit: Array) -> tuple[Array, Array]:
        """By angle and height."""
        angle = 2.0 * math.pi * unit[:, 0]
        normals = np.stack([np.cos(angle), np.sin(angle), np.zeros(len(unit))], axis=1)
        points = self.radius * normals
        points[:, 2] = self.height * unit[:, 1]
        return points, normals


@dataclass(frozen=True)
class Cap(Piece):
    """The flat end of a cylinder about the third coordinate: z = 0 (`sign` -1) or z = height (+1)."""

    radius: float
    height: float
    sign: int

    @property
    def cube(self) -> int:
        """Radius and angle."""
        return 2

    @property
    def curve(self) -> bool:
        """A surface."""
        return False

    @property
    def measure(self) -> float:
        """pi r^2."""
        return math.pi * self.radius**2

    def place(self, unit: Array) -> tuple[Array, Array]:
        """By the root of the radius, which spreads evenly over the area, and the angle."""
        radius, angle = self.radius * np.sqrt(unit[:, 0]), 2.0 * math.pi * unit[:, 1]
        height = np.full(len(unit), self.height if self.sign > 0 else 0.0)
        points = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)
        normals = np.zeros_like(points)
        normals[:, 2] = self.sign
        return points, normals


@dataclass(frozen=True)
class Cylinder(Leaf):
    """About the third coordinate from z = 0 to `height`; others are moved there."""

    radius: float
    height: float

    @property
    def dimension(self) -> int:
        """Three."""
        return 3

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        """The box around it."""
        r = self.radius
        return (-r, -r, 0.0), (r, r, self.height)

    def level(self, x: Sequence[Any], f: Any = np) -> Any:
        """The largest excess over radius and ends."""
        radial = f.sqrt(weighted((1.0, 1.0), [a * a for a in x[:2]])) - self.radius
        return f.maximum(radial, f.maximum(-x[2], x[2] - self.height))

    def pieces(self) -> tuple[Piece, ...]:
        """Mantle and two caps."""
        caps = (Cap(self.radius, self.height, sign) for sign in (-1, 1))
        return (Mantle(self.radius, self.height), *caps)

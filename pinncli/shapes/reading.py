"""Shapes as text: `box - disk([0.3, 0.3], 0.1)`. To add a shape: its class, and a line in SHAPES."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from pinncli.language.calculus import compile_expression
from pinncli.language.diagnostics import LanguageError, nearest
from pinncli.language.functions import NUMPY
from pinncli.language.nodes import Binary, Call, Name, Node, Span, Unary
from pinncli.language.nodes import Vector as Brackets
from pinncli.language.parser import parse_shape
from pinncli.language.scope import Scope
from pinncli.shapes.base import Motion, Shape, Vector
from pinncli.shapes.combined import Difference, Intersection, Union, moved
from pinncli.shapes.plane import Ellipse, Polygon, crossing, signed_area
from pinncli.shapes.solid import Ball, Box, Cylinder

Argument: TypeAlias = "float | Vector | tuple[Vector, ...] | Shape"

MAX_VERTICES = 2000


class ShapeError(ValueError):
    """Numbers that make no shape; `argument` is the one that is wrong, None for all together."""

    def __init__(self, message: str, argument: int | None = None) -> None:
        super().__init__(message)
        self.argument = argument


def read_shape(text: str, names: Mapping[str, Shape], numbers: Mapping[str, float], dimension: int) -> Shape:
    """The shape that `text` describes, in a space of `dimension` coordinates.

    `names` are the shapes that it may refer to, `numbers` the constants. Raises `LanguageError`.
    """
    return _Reader(text, names, numbers, dimension).shape(parse_shape(text))


def polygon(corners: Sequence[Sequence[float]]) -> Polygon:
    """The polygon of these corners in either direction; raises `ShapeError`."""
    vertices = tuple((float(x), float(y)) for x, y in corners)
    if len(vertices) > 1 and vertices[0] == vertices[-1]:
        vertices = vertices[:-1]
    if not 3 <= len(vertices) <= MAX_VERTICES:
        raise ShapeError(f"a polygon has 3 to {MAX_VERTICES} corners, not {len(vertices)}", 0)
    for k, vertex in enumerate(vertices):
        if vertex == vertices[k - 1]:
            raise ShapeError(f"corner {k + 1} is the same as the one before", 0)
    if (met := crossing(vertices)) is not None:
        first, second = (f"{k + 1} to {(k + 1) % len(vertices) + 1}" for k in met)
        raise ShapeError(
            f"the polygon crosses or touches itself: the line from corner {first} meets that from {second}", 0
        )
    return Polygon(vertices if signed_area(vertices) > 0 else vertices[::-1])


def _interval(low: float, high: float) -> Shape:
    if not low < high:
        raise ShapeError(f"an interval goes up, not from {low:g} to {high:g}")
    return Box((low,), (high,))


def _box(low: Vector, high: Vector) -> Shape:
    if len(low) != len(high):
        raise ShapeError(f"corners of {len(low)} and {len(high)} numbers", 1)
    if not all(a < b for a, b in zip(low, high, strict=True)):
        raise ShapeError("the second corner should be above the first in every coordinate", 1)
    return Box(low, high)


def _positive(value: float, what: str, argument: int) -> float:
    if not value > 0:
        raise ShapeError(f"{what} should be positive, not {value:g}", argument)
    return value


def _ball(centre: Vector, radius: float) -> Shape:
    if len(centre) < 2:
        raise ShapeError("a ball has two coordinates or more; on a line it is an interval", 0)
    return Ball(centre, _positive(radius, "the radius", 1))


def _annulus(centre: Vector, inner: float, outer: float) -> Shape:
    if not _positive(inner, "the inner radius", 1) < outer:
        raise ShapeError(f"the outer radius should be larger than the inner {inner:g}, not {outer:g}", 2)
    return Difference(Ball(centre, outer), Ball(centre, inner))


def _ellipse(centre: Vector, axes: Vector) -> Shape:
    for value in axes:
        _positive(value, "a half axis", 1)
    return Ellipse(centre, axes)


def _triangle(a: Vector, b: Vector, c: Vector) -> Shape:
    if abs(signed_area((a, b, c))) <= 1e-12 * max(math.dist(a, b), math.dist(b, c), math.dist(c, a)) ** 2:
        raise ShapeError("the corners lie on a line")
    return polygon((a, b, c))


def _cylinder(start: Vector, end: Vector, radius: float) -> Shape:
    axis = np.subtract(end, start)
    height = float(np.linalg.norm(axis))
    if not height > 0:
        raise ShapeError("the ends of the axis are the same point", 1)
    axis = axis / height
    across = np.eye(3)[int(np.argmin(np.abs(axis)))]
    first = np.cross(across, axis)
    first /= np.linalg.norm(first)
    rotation = np.stack([first, np.cross(axis, first), axis], axis=1)
    cylinder = Cylinder(_positive(radius, "the radius", 2), height)
    return moved(cylinder, Motion(_rows(rotation), start))


def _translate(shape: Shape, shift: Vector) -> Shape:
    _same_space(shape, shift, 1)
    return moved(shape, Motion(_rows(np.eye(len(shift))), shift))


def _rotate(shape: Shape, angle: float, centre: Vector | None = None, axis: Vector | None = None) -> Shape:
    if shape.dimension not in (2, 3):
        raise ShapeError("shapes are rotated in two and three dimensions", 0)
    if shape.dimension == 2 and axis is not None:
        raise ShapeError("in the plane there is no axis to choose", 3)
    if shape.dimension == 3 and axis is None:
        raise ShapeError("in three dimensions write rotate(shape, angle, [centre], [axis])")
    middle = np.zeros(shape.dimension) if centre is None else np.array(centre)
    _same_space(shape, tuple(middle.tolist()), 2)
    c, s = math.cos(angle), math.sin(angle)
    if axis is None:
        rotation = np.array([[c, -s], [s, c]])
    else:
        if len(axis) != 3 or not any(axis):
            raise ShapeError("the axis is a direction of three numbers", 3)
        x, y, z = np.array(axis) / np.linalg.norm(axis)
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        rotation = np.eye(3) + s * cross + (1 - c) * (cross @ cross)  # Rodrigues' formula
    return moved(shape, Motion(_rows(rotation), tuple((middle - rotation @ middle).tolist())))


def _same_space(shape: Shape, vector: Vector, argument: int) -> None:
    if len(vector) != shape.dimension:
        raise ShapeError(f"{len(vector)} numbers for a shape in {shape.dimension} dimensions", argument)


def _rows(matrix: np.ndarray) -> tuple[Vector, ...]:
    return tuple(tuple(row) for row in matrix.tolist())


@dataclass(frozen=True)
class Form:
    """How a shape is written: the kinds of its arguments, how many of them are needed, and what makes it.

    `number`, `point` (as many numbers as there are space coordinates, or as the kind says: `point2`,
    `point3`), `points`, `shape`.
    """

    usage: str
    kinds: tuple[str, ...]
    make: Callable[..., Shape]
    fewest: int

    @classmethod
    def of(cls, usage: str, kinds: str, make: Callable[..., Shape], optional: int = 0) -> Form:
        """Kinds separated by spaces, the last `optional` of which may be left out."""
        words = tuple(kinds.split())
        return cls(usage, words, make, len(words) - optional)


SHAPES: Mapping[str, Form] = {
    "interval": Form.of("interval(low, high)", "number number", _interval),
    "box": Form.of("box([low, ...], [high, ...])", "point point", _box),
    "disk": Form.of("disk([x, y], radius)", "point2 number", _ball),
    "ball": Form.of("ball([x, y, ...], radius)", "point number", _ball),
    "annulus": Form.of("annulus([x, y], inner, outer)", "point2 number number", _annulus),
    "ellipse": Form.of("ellipse([x, y], [a, b])", "point2 point2", _ellipse),
    "triangle": Form.of("triangle([x, y], [x, y], [x, y])", "point2 point2 point2", _triangle),
    "polygon": Form.of("polygon([[x, y], ...])", "points", polygon),
    "cylinder": Form.of("cylinder([x, y, z], [x, y, z], radius)", "point3 point3 number", _cylinder),
    "translate": Form.of("translate(shape, [dx, ...])", "shape point", _translate),
    "rotate": Form.of(
        "rotate(shape, angle, [centre], [axis])", "shape number point point3", _rotate, optional=2
    ),
}
"""Everything that makes a shape."""


@dataclass(frozen=True)
class _Reader:
    text: str
    names: Mapping[str, Shape]
    numbers: Mapping[str, float]
    dimension: int

    def shape(self, node: Node) -> Shape:
        """The shape of a node."""
        match node:
            case Name(name):
                if name in self.names:
                    return self.names[name]
                hint = nearest(name, (*self.names, *SHAPES))
                if name in SHAPES:
                    hint = f"write {SHAPES[name].usage}"
                raise LanguageError(f"no shape '{name}' is named before", node.span, hint)
            case Binary("&"):
                return Intersection((self.shape(node.left), self.shape(node.right)))
            case Binary("+" | "-"):
                return self._sum(node)
            case Call():
                return self._call(node)
            case Unary("-"):
                raise LanguageError("a shape is taken away from another: write box - ...", node.span)
        raise LanguageError("a shape is needed here", node.span, "such as disk([0, 0], 1), or box - hole")

    def _sum(self, node: Node) -> Shape:
        """Unions and differences from left to right, however the parser has grouped a long chain."""
        terms = self._terms(node, "+", root=True)
        total = self.shape(terms[0][1])
        for sign, term in terms[1:]:
            other = self.shape(term)
            total = Union((total, other)) if sign == "+" else Difference(total, other)
        return total

    def _terms(self, node: Node, sign: str, *, root: bool = False) -> list[tuple[str, Node]]:
        if isinstance(node, Unary) and node.op == "-":
            return [("-", node.operand)]
        if isinstance(node, Binary) and node.op in "+-" and (root or not self._in_parentheses(node.span)):
            return [*self._terms(node.left, sign), *self._terms(node.right, node.op)]
        return [(sign, node)]

    def _in_parentheses(self, span: Span) -> bool:
        """Whether the text of a node is one pair of parentheses with what is in it."""
        inner, depth = self.text[slice(*span)], 0
        if not inner.startswith("("):
            return False
        for k, character in enumerate(inner):
            depth += (character == "(") - (character == ")")
            if depth == 0:
                return k == len(inner) - 1
        return False

    def _call(self, node: Call) -> Shape:
        name, span = node.function, (node.span[0], node.span[0] + len(node.function))
        if name not in SHAPES:
            hint = nearest(name, SHAPES) or f"there are {', '.join(SHAPES)}"
            raise LanguageError(f"no shape '{name}'", span, hint)
        form, count = SHAPES[name], len(node.arguments)
        if not form.fewest <= count <= len(form.kinds):
            raise LanguageError(f"'{name}' does not take {count} arguments", node.span, f"write {form.usage}")
        arguments = [
            self._argument(kind, item, form) for kind, item in zip(form.kinds, node.arguments, strict=False)
        ]
        try:
            shape = form.make(*arguments)
        except ShapeError as error:
            place = node if error.argument is None else node.arguments[error.argument]
            raise LanguageError(str(error), place.span) from None
        if shape.dimension != self.dimension:
            message = (
                f"a shape in {shape.dimension} dimensions; the problem has {self.dimension} space"
                f" coordinate{'s' * (self.dimension != 1)}"
            )
            raise LanguageError(message, node.span)
        return shape

    def _argument(self, kind: str, node: Node, form: Form) -> Argument:
        if kind == "shape":
            return self.shape(node)
        if kind == "number":
            return self._number(node, form)
        if not isinstance(node, Brackets):
            raise LanguageError("numbers in brackets are needed here", node.span, f"write {form.usage}")
        if kind == "points":
            return tuple(self._point(item, form, 2) for item in node.items)
        return self._point(node, form, {"point2": 2, "point3": 3}.get(kind))

    def _point(self, node: Node, form: Form, count: int | None) -> Vector:
        if not isinstance(node, Brackets):
            raise LanguageError("numbers in brackets are needed here", node.span, f"write {form.usage}")
        if count is not None and len(node.items) != count:
            raise LanguageError(
                f"{count} numbers are needed here, not {len(node.items)}", node.span, f"write {form.usage}"
            )
        return tuple(self._number(item, form) for item in node.items)

    def _number(self, node: Node, form: Form) -> float:
        if isinstance(node, Brackets):
            raise LanguageError("one number is needed here", node.span, f"write {form.usage}")
        scope = Scope((), (), None, {}, self.numbers)
        with np.errstate(all="ignore"):
            value = float(compile_expression(node, scope).run([], NUMPY)[0])
        if not math.isfinite(value):
            raise LanguageError("this has no finite value", node.span)
        return value

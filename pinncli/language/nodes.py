"""The closed set of nodes that problem text becomes. Nothing else exists in the language.

Every node carries `span`, the half-open range of 0-based character offsets that it covers
in the text it was parsed from, so that any later finding can point at it with a caret.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written: `0.1`, `1e-3`."""

    value: float
    span: Span = field(default=(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """Anything with a name: `u`, `u_xx`, `x`, `alpha`, `pi`."""

    id: str
    span: Span = field(default=(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class Unary:
    """`-a`, `not a`."""

    op: Literal["-", "not"]
    operand: Node
    span: Span = field(default=(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands and what is between them; `&` is the intersection of shapes."""

    op: Literal["+", "-", "*", "/", "^", "<", "<=", ">", ">=", "and", "or", "&"]
    left: Node
    right: Node
    span: Span = field(default=(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A function applied to arguments: `sin(x)`, `d(u, x, x)`, `disk([0, 0], 1)`."""

    function: str
    arguments: tuple[Node, ...]
    span: Span = field(default=(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class At:
    """Evaluation at a point: `u(x=0)`, `d(u, x)(x=1)`."""

    operand: Node
    point: tuple[tuple[str, Node], ...]
    span: Span = field(default=(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class Index:
    """A component of a vector coordinate: `x[3]`."""

    operand: Node
    index: int
    span: Span = field(default=(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class Vector:
    """Components in brackets: `[u, v]`."""

    items: tuple[Node, ...]
    span: Span = field(default=(0, 0), compare=False)


Node = Number | Name | Unary | Binary | Call | At | Index | Vector


@dataclass(frozen=True, slots=True)
class Equation:
    """`left = right`."""

    left: Node
    right: Node
    span: Span = field(default=(0, 0), compare=False)


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below."""
    match node:
        case Number() | Name():
            return ()
        case Unary(_, operand) | Index(operand, _):
            return (operand,)
        case Binary(_, left, right):
            return (left, right)
        case Call(_, arguments):
            return arguments
        case At(operand, point):
            return (operand, *(value for _, value in point))
        case Vector(items):
            return items


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, from left to right, without recursion."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(reversed(children(current)))

"""The closed set of nodes that problem text becomes. Nothing else exists in the language.

Every node carries `span`, the half-open range of 0-based character offsets that it covers
in the text it was parsed from, so that any later finding can point at it with a caret.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Number:
    value: float
    span: Span = field(default=(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    id: str
    span: Span = field(default=(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class Unary:
    op: Literal["-", "not"]
    operand: Node
    span: Span = field(default=(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class Binary:
    op: Literal["+", "-", "*", "/", "^", "<", "<=", ">", ">=", "and", "or", "&"]
    left: Node
    right: Node
    span: Span = field(default=(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class Call:
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
    items: tuple[Node, ...]
    span: Span = field(default=(0, 0), compare=False)


Node = Number | Name | Unary | Binary | Call | At | Index | Vector


@dataclass(frozen=True, slots=True)
class Equation:
    left: Node
    right: Node
    span: Span = field(default=(0, 0), compare=False)

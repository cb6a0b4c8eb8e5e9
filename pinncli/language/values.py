"""The kinds of values an expression can have, and its operators on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Never

from pinncli.language import scalars
from pinncli.language.algebra import Expr, apply
from pinncli.language.diagnostics import LanguageError
from pinncli.language.nodes import Binary, Node
from pinncli.language.scalars import Scalar


@dataclass(frozen=True, slots=True)
class Truth:
    """A truth value: 0, 1 or a condition."""

    condition: Expr


Value = Scalar | Truth | tuple[Scalar, ...]


def as_scalar(value: Value, node: Node) -> Scalar:
    """The value as one number; raises `LanguageError` pointing at the node."""
    if isinstance(value, Scalar):
        return value
    if isinstance(value, Truth):
        raise LanguageError("a number is needed here, and this is a comparison", node.span)
    hint = "sum(v), norm(v), dot(v, w) and v[1] make a number of it"
    raise LanguageError("a number is needed here, and this is a vector", node.span, hint)


def as_vector(value: Value, node: Node) -> tuple[Scalar, ...]:
    """The value as a vector; raises `LanguageError` pointing at the node."""
    if isinstance(value, tuple):
        return value
    raise LanguageError("a vector is needed here", node.span, "a vector is grad(u) or [u, v]")


def as_condition(value: Value, node: Node) -> Expr:
    """The value as a condition; raises `LanguageError` pointing at the node."""
    if isinstance(value, Truth):
        return value.condition
    raise LanguageError("a comparison is needed here", node.span, "such as x < 0.5")


def each(value: Value, function: Callable[[Scalar], Scalar], node: Node) -> Value:
    """The function of a number, or of each component of a vector."""
    if isinstance(value, tuple):
        return tuple(map(function, value))
    return function(as_scalar(value, node))


def _added(function: Callable[[Scalar, Scalar], Scalar], a: Value, b: Value, node: Binary) -> Value:
    if isinstance(a, tuple) and isinstance(b, tuple):
        if len(a) != len(b):
            raise LanguageError(f"vectors of {len(a)} and {len(b)} components", node.span)
        return tuple(map(function, a, b))
    if isinstance(a, tuple):
        number = as_scalar(b, node.right)
        return tuple(function(item, number) for item in a)
    if isinstance(b, tuple):
        number = as_scalar(a, node.left)
        return tuple(function(number, item) for item in b)
    return function(as_scalar(a, node.left), as_scalar(b, node.right))


def _multiplied(a: Value, b: Value, node: Binary) -> Value:
    if isinstance(a, tuple) and isinstance(b, tuple):
        raise LanguageError("a product of two vectors", node.span, "write dot(a, b)")
    if isinstance(a, tuple):
        a, b = b, a
    factor = as_scalar(a, node.left)
    return each(b, lambda item: scalars.times(factor, item), node.right)


def _divided(a: Value, b: Value, node: Binary) -> Value:
    divisor = as_scalar(b, node.right)
    return each(a, lambda item: scalars.over(item, divisor), node.left)


def _raised(a: Value, b: Value, node: Binary) -> Value:
    exponent = as_scalar(b, node.right)
    return each(a, lambda item: scalars.raised(item, exponent), node.left)


def _compared(op: str, swap: bool, a: Value, b: Value, node: Binary) -> Value:
    left, right = as_scalar(a, node.left), as_scalar(b, node.right)
    if not (left.is_real and right.is_real):
        raise LanguageError("complex values cannot be compared", node.span)
    pair = (right.real, left.real) if swap else (left.real, right.real)
    return Truth(apply(op, *pair))


def _joined(op: str, a: Value, b: Value, node: Binary) -> Value:
    return Truth(apply(op, as_condition(a, node.left), as_condition(b, node.right)))


def _intersected(_a: Value, _b: Value, node: Binary) -> Never:
    raise LanguageError("'&' combines shapes", node.span, "write 'and' between comparisons")


BINARY: Mapping[str, Callable[[Value, Value, Binary], Value]] = {
    "+": partial(_added, scalars.plus),
    "-": partial(_added, scalars.minus),
    "*": _multiplied,
    "/": _divided,
    "^": _raised,
    "<": partial(_compared, "less", False),
    "<=": partial(_compared, "less_equal", False),
    ">": partial(_compared, "less", True),
    ">=": partial(_compared, "less_equal", True),
    "and": partial(_joined, "and"),
    "or": partial(_joined, "or"),
    "&": _intersected,
}
"""What each operator does with the values at its sides."""

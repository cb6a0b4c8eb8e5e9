"""What a condition says of the solution on a side of the box: a value, or a slope across it, as a formula."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pinncli.language.algebra import ONE, ZERO, Expr, add, as_float, differentiate, mul, number, replace
from pinncli.language.calculus import difference_parts
from pinncli.language.jets import Jets
from pinncli.language.lookups import lookup_of
from pinncli.language.nodes import Equation
from pinncli.language.partials import Partial

_SLACK = 1e-9
"""Of a coordinate's length: a place so close to an end is the end."""
_KINKED = frozenset(
    {"abs", "sign", "heaviside", "min", "max", "where", "less", "less_equal", "and", "or", "not", "atan2"}
)

Ranges = tuple[tuple[float, float], ...]
"""Ends of every coordinate, in problem order."""


class NoFormulaError(ValueError):
    """The equation does not give values or slopes on a whole side as smooth formulas; says why."""


@dataclass(frozen=True)
class Given:
    """A component's value (`order` 0) or derivative by the coordinate `axis` (1), at one of its ends."""

    component: str
    axis: int
    high: bool
    order: int
    formula: Expr
    """In the other coordinates."""


def given_by(jets: Jets, equation: Equation, label: str, ranges: Ranges) -> tuple[Given, ...]:
    """What an equation that holds on `label` (`interior`, `x-`, ...) gives; raises `NoFormulaError`.

    The equation is solved for its partials: with r(p) = r(0) + M p and a constant regular matrix M
    they are p = -M^-1 r(0), a complex equation giving both parts of one unknown.
    """
    names = jets.scope.coordinates
    normals = {f"{name}{sign}": sign for name in names for sign in "-+"}
    parts = [
        replace(part, lambda s: _normal(jets, s, label, normals)) for part in difference_parts(jets, equation)
    ]
    symbols = sorted({s for part in parts for s in part.free_symbols}, key=str)
    kinds = {jets.inputs[s].kind for s in symbols}
    if "integral" in kinds:
        raise NoFormulaError("it has an integral")
    if kinds - {"coordinate", "partial"}:
        raise NoFormulaError("it has an unknown parameter or data")
    wanted = [s for s in symbols if jets.inputs[s].kind == "partial"]
    if len(wanted) != len(parts):
        raise NoFormulaError("it does not give the value of one unknown")
    places = [_place(jets, s, label, ranges) for s in wanted]
    solved = _solve(parts, wanted)
    found = []
    for (partial, axis, high), formula in zip(places, solved, strict=True):
        end = number(ranges[axis][high])
        symbol = jets.coordinate(names[axis])
        if label == "interior" and symbol in formula.free_symbols:
            raise NoFormulaError(f"its values vary with {names[axis]}, which it holds fixed")
        there = replace(formula, lambda s, x=symbol, e=end: e if s == x else s)  # type: ignore[misc]
        strangers = (n for n in names if not jets.scope.depends(partial.component, n))
        if any(jets.coordinate(n) in there.free_symbols for n in strangers):
            raise NoFormulaError(f"its values vary with what {partial.component} does not depend on")
        _smooth(there)
        found.append(Given(partial.component, axis, high, partial.order, there))
    return tuple(found)


def _normal(jets: Jets, symbol: Expr, label: str, sides: Mapping[str, str]) -> Expr:
    """A side's outward normal in numbers; any other symbol as it is."""
    entry = jets.inputs[symbol]
    if entry.kind != "normal":
        return symbol
    if label not in sides or label[:-1] != entry.name:
        return ZERO
    return ONE if sides[label] == "+" else -ONE


def _place(jets: Jets, symbol: Expr, label: str, ranges: Ranges) -> tuple[Partial, int, bool]:
    """A partial with the end (axis, upper) at which the equation takes it."""
    entry, names = jets.inputs[symbol], jets.scope.coordinates
    assert entry.partial is not None  # noqa: S101  (the caller has seen its kind)
    moved = dict(jets.sites[entry.site])
    if label == "interior":
        if len(moved) != 1:
            raise NoFormulaError("it holds at a point" if moved else "it holds in the interior")
        ((name, value),) = moved.items()
        axis = names.index(name)
        low, high = ranges[axis]
        slack = _SLACK * (high - low)
        where = as_float(value) if value.is_Number else float("nan")
        if not min(abs(where - low), abs(where - high)) <= slack:
            raise NoFormulaError(f"{name} = {value} is not a side of the domain")
        upper = abs(where - high) <= slack
    else:
        if moved:
            raise NoFormulaError("it takes the solution at another place than where it holds")
        axis, upper = names.index(label[:-1]), label[-1] == "+"
    if not jets.scope.depends(entry.partial.component, names[axis]):
        raise NoFormulaError(f"{entry.partial.component} does not depend on {names[axis]}")
    across = tuple(int(k == axis) for k in range(len(names)))
    partial = entry.partial
    if partial.laplacian or (partial.order and partial.orders != across):
        raise NoFormulaError(
            f"it gives {partial.label(names)}, neither a value nor the slope across the side"
        )
    return partial, axis, upper


def _solve(parts: list[Expr], wanted: list[Expr]) -> list[Expr]:
    """-M^-1 r(0) of parts that are r(0) + M wanted."""
    matrix = np.empty((len(parts), len(wanted)))
    for i, part in enumerate(parts):
        for j, symbol in enumerate(wanted):
            slope = differentiate(part, lambda s, p=symbol: ONE if s == p else ZERO)  # type: ignore[misc]
            if not slope.is_Number:
                raise NoFormulaError("the coefficient of the unknown is not a constant")
            matrix[i, j] = as_float(slope)
    if abs(np.linalg.det(matrix)) < 1e-12:
        raise NoFormulaError("the coefficient of the unknown is zero")
    inverse = np.linalg.inv(matrix)
    rest = [replace(part, lambda s: ZERO if s in wanted else s) for part in parts]
    return [add(*(mul(number(-c), r) for c, r in zip(row, rest, strict=True) if c)) for row in inverse]


def _smooth(formula: Expr) -> None:
    stack = [formula]
    while stack:
        part = stack.pop()
        if part.args and not (part.is_Add or part.is_Mul or part.is_Pow):
            name = str(part.func.__name__)
            lookup = lookup_of(name)
            if lookup is not None:
                raise NoFormulaError(f"its values are from the file of '{lookup.name}'")
            if name in _KINKED:
                raise NoFormulaError(f"its values have {name}(...), a kink that the ansatz would keep inside")
        stack += part.args

"""What kind of problem a file states, read off its equations: class, dimension, order, linearity.

A light reading for `pinncli list`, of the parsed TOML alone: neither the model nor sympy is involved, a file
that is wrong elsewhere still has an outline, and a library of a hundred files is read in a blink. Only the
equations on the interior are looked at, for they make the class.

The class follows from the highest derivatives (Evans, Partial Differential Equations, 2010, chapter 7 and
section 2.1): with m the order in time and p the order in space,

    one coordinate                    ordinary
    m = 0, p = 1 in one unknown       hyperbolic (characteristics)       else elliptic
    m = 1, p = 1                      hyperbolic
    m = 1, p odd, or complex          dispersive
    m = 1, p even                     parabolic
    m = 2, p <= 2                     hyperbolic                         else dispersive

Signs and definiteness are not looked at: a file whose class they change (a steady equation of mixed type,
a parabolic equation of a complex unknown) says so by a tag that names the class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pinncli.language.diagnostics import LanguageError
from pinncli.language.nodes import At, Binary, Call, Index, Name, Node, Unary, Vector
from pinncli.language.parser import parse_equation, parse_expression

CLASSES: Mapping[str, str] = {
    "ordinary": "Ordinary differential equations",
    "elliptic": "Elliptic: steady states",
    "parabolic": "Parabolic: diffusion",
    "hyperbolic": "Hyperbolic: transport and waves",
    "dispersive": "Dispersive waves",
    "other": "Others",
}
"""Classes of equations in the order in which they are listed, with their headings."""

_ORDERS = {3: "third order", 4: "fourth order"}
_SPACE_CALLS = {"grad": 1, "div": 1, "dn": 1, "lap": 2}
_LINEAR_CALLS = ("real", "imag", "conj", "integral", "sum")
_MANY_DIMENSIONS = 4


@dataclass(frozen=True, slots=True)
class Outline:
    """A problem's kind. `space` counts dimensions, `orders` are the highest by coordinate."""

    kind: str
    """One of `CLASSES`."""
    space: int
    in_time: bool
    unknowns: int
    orders: Mapping[str, int]
    linear: bool
    traits: tuple[str, ...]
    """What else can be read off, in the words that tags use: `nonlinear`, `system`, `inverse`, `2-d`."""

    @property
    def dimension(self) -> str:
        """`2-d + t`, `3-d`, `t`."""
        space = f"{self.space}-d" if self.space else ""
        return " + ".join(filter(None, (space, "t" if self.in_time else ""))) or "0-d"


def outline(data: Mapping[str, Any]) -> Outline:
    """The outline of a problem file's content as TOML gives it; what has the wrong type counts as absent."""
    coordinates = {name: _coordinate(name, value) for name, value in _table(data, "coordinates").items()}
    space = {name: dim for name, (kind, dim) in coordinates.items() if kind == "space"}
    time = next((name for name, (kind, _) in coordinates.items() if kind == "time"), None)
    unknowns = data.get("unknowns")
    names = [u for u in unknowns if isinstance(u, str)] if isinstance(unknowns, list | dict) else []
    is_complex = any(_is(value, "kind", "complex") for value in _table(data, "unknowns").values())
    term = _interior(data, tuple(coordinates), tuple(space), names)
    dimensions = sum(space.values())
    single = dimensions + (time is not None) == 1
    kind = _class(single, term.orders.get(time or "", 0), term.across, len(names), is_complex)
    if not single:
        kind = next((tag for tag in tags_of(data) if tag in CLASSES), kind)
    traits = {
        "linear": term.degree <= 1,
        "nonlinear": term.degree > 1,
        _ORDERS.get(term.total, ""): term.total in _ORDERS,
        "system": len(names) > 1,
        "complex": is_complex,
        **_tables(data, [k for k, _ in coordinates.values()]),
        f"{dimensions}-d": dimensions > 0,
        "high-dimensional": dimensions >= _MANY_DIMENSIONS,
    }
    found = tuple(trait for trait, there in traits.items() if there)
    orders = {name: term.orders.get(name, 0) for name in coordinates}
    return Outline(kind, dimensions, time is not None, len(names), orders, term.degree <= 1, found)


def tags_of(data: Mapping[str, Any]) -> tuple[str, ...]:
    """The file's own tags, as far as they are text."""
    tags = data.get("tags")
    return tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else ()


def _interior(
    data: Mapping[str, Any], coordinates: Sequence[str], space: Sequence[str], unknowns: Sequence[str]
) -> _Term:
    """All equations on the interior together."""
    names = {name: _Term(1) for name in unknowns}
    for name, text in 2 * list(_table(data, "definitions").items()):  # a second time for what is used before
        if isinstance(text, str):
            names[name] = _Reader(coordinates, space, dict(names)).definition(text)
    reader = _Reader(coordinates, space, names)
    return _joined([reader.equation(text) for text in _equations(data)])


def _class(single: bool, m: int, p: int, unknowns: int, is_complex: bool) -> str:
    """The table above: `m` the order in time, `p` the order in space."""
    if single or (m and not p):
        return "ordinary"
    if m == 0:
        return "other" if p == 0 else "hyperbolic" if p == 1 and unknowns == 1 else "elliptic"
    if m == 1:
        return "hyperbolic" if p == 1 else "dispersive" if p % 2 or is_complex else "parabolic"
    return "other" if m > 2 else "hyperbolic" if p <= 2 else "dispersive"


def _tables(data: Mapping[str, Any], kinds: Sequence[str]) -> dict[str, bool]:
    """What tables there are, in words."""
    conditions = [c for c in _table(data, "conditions").values() if isinstance(c, dict)]
    fields = [u for u in _table(data, "unknowns").values() if isinstance(u, dict) and "of" in u]
    measured = any("data" in c for c in conditions)
    sought = bool(_table(data, "parameters") or fields)
    return {
        "inverse": sought and measured,
        "unknown number": bool(_table(data, "parameters")) and not measured,
        "data": measured,
        "parametric": "parameter" in kinds,
        "geometry": bool(_table(data, "geometry") or _table(data, "shapes")),
        "coefficient file": bool(_table(data, "functions")),
        "integral": any("integral(" in str(c.get("equation", "")) for c in conditions),
        "exact": bool(_table(data, "exact")),
        "reference file": bool(_table(data, "reference_data")),
    }


# ---- equations


@dataclass(frozen=True, slots=True)
class _Term:
    """Degree in the unknowns (0 without them, 2: nonlinear) and the highest orders of derivatives."""

    degree: int = 0
    orders: Mapping[str, int] = field(default_factory=dict)
    """By each coordinate."""
    total: int = 0
    across: int = 0
    """In all space coordinates together."""


@dataclass(frozen=True)
class _Reader:
    """Degree and orders of an equation, from its syntax tree. No recursion through definitions."""

    coordinates: Collection[str]
    space: Collection[str]
    names: Mapping[str, _Term]
    """Unknowns and definitions."""

    def equation(self, text: str) -> _Term:
        """Of both sides together; an empty term where the text is no equation."""
        try:
            equation = parse_equation(text)
        except LanguageError:
            return _Term()
        return self._sum((equation.left, equation.right))

    def definition(self, text: str) -> _Term:
        """Of an expression; an empty term where the text is none."""
        try:
            return self._read(parse_expression(text))
        except LanguageError:
            return _Term()

    def _read(self, node: Node) -> _Term:
        match node:
            case Name(name):
                return self._name(name)
            case Unary(_, operand) | Index(operand, _) | At(operand, _):
                return self._read(operand)
            case Vector(items):
                return self._sum(items)
            case Binary("+" | "-", left, right):
                return self._sum((left, right))
            case Binary("*", left, right):
                return self._product((left, right))
            case Binary("/", left, right):
                over = self._read(right)
                return _multiplied([self._read(left), replace(over, degree=2) if over.degree else over])
            case Binary(_, left, right):  # powers, comparisons
                return self._bent((left, right))
            case Call(function, arguments):
                return self._call(function, arguments)
        return _Term()

    def _name(self, name: str) -> _Term:
        if name in self.names:
            return self.names[name]
        base, _, letters = name.rpartition("_")
        if base in self.names and letters and all(letter in self.coordinates for letter in letters):
            return self._derivative(self.names[base], letters)
        return _Term()

    def _call(self, function: str, arguments: Sequence[Node]) -> _Term:
        if function == "d":
            by = [a.id for a in arguments[1:] if isinstance(a, Name)]
            return self._derivative(self._sum(arguments[:1]), by)
        if function in _SPACE_CALLS:
            term, times = self._sum(arguments), _SPACE_CALLS[function]
            return _joined([self._derivative(term, [name] * times) for name in self.space])
        if function in _LINEAR_CALLS:
            return self._sum(arguments)
        if function == "where":
            terms = [self._read(node) for node in arguments]
            chosen = _joined(terms[1:])
            return replace(_joined(terms), degree=2) if terms and terms[0].degree else chosen
        return self._product(arguments) if function == "dot" else self._bent(arguments)

    def _derivative(self, term: _Term, by: Iterable[str]) -> _Term:
        if not term.degree:
            return term
        steps = Counter(by)
        orders = {name: term.orders.get(name, 0) + steps[name] for name in {*term.orders, *steps}}
        across = term.across + sum(k for name, k in steps.items() if name in self.space)
        return _Term(term.degree, orders, term.total + steps.total(), across)

    def _sum(self, nodes: Sequence[Node]) -> _Term:
        return _joined([self._read(node) for node in nodes])

    def _product(self, nodes: Sequence[Node]) -> _Term:
        return _multiplied([self._read(node) for node in nodes])

    def _bent(self, nodes: Sequence[Node]) -> _Term:
        """A function that is not linear."""
        term = self._sum(nodes)
        return replace(term, degree=2 if term.degree else 0)


def _multiplied(terms: Sequence[_Term]) -> _Term:
    return replace(_joined(terms), degree=min(2, sum(t.degree for t in terms)))


def _joined(terms: Sequence[_Term]) -> _Term:
    """The sum of terms, the highest of each."""
    names = {name for term in terms for name in term.orders}
    return _Term(
        max((t.degree for t in terms), default=0),
        {name: max(t.orders.get(name, 0) for t in terms) for name in names},
        max((t.total for t in terms), default=0),
        max((t.across for t in terms), default=0),
    )


# ---- TOML that nobody has checked


def _table(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _is(value: object, key: str, word: str) -> bool:
    return isinstance(value, dict) and value.get(key) == word


def _coordinate(name: str, value: object) -> tuple[str, int]:
    """Kind and number of dimensions; `t` is time where nothing else is said."""
    table = value if isinstance(value, dict) else {}
    kind, dim = table.get("kind", "time" if name == "t" else "space"), table.get("dim", 1)
    return str(kind), dim if isinstance(dim, int) and 1 <= dim <= 10_000 else 1


def _equations(data: Mapping[str, Any]) -> list[str]:
    """Those on the interior or a part of it: neither at data nor on a side or a named boundary."""
    found = []
    for condition in _table(data, "conditions").values():
        if not isinstance(condition, dict) or "data" in condition:
            continue
        label, text = condition.get("on", "interior"), condition.get("equation")
        if isinstance(text, str) and label == "interior":
            found.append(text)
    return found

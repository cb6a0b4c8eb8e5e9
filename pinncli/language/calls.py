"""Everything that can be called in an expression, and what it does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce

from pinncli.language import algebra, scalars
from pinncli.language.algebra import Expr, add, apply, mul
from pinncli.language.diagnostics import LanguageError
from pinncli.language.functions import FUNCTIONS, TRUTH
from pinncli.language.jets import Jets
from pinncli.language.lookups import Lookup, Table
from pinncli.language.nodes import Call, Index, Name, Node
from pinncli.language.program import Input
from pinncli.language.scalars import Scalar, elementary
from pinncli.language.values import Value, as_condition, as_scalar, as_vector, each

Run = Callable[[Jets, Call, Sequence[Value]], Value]


def differentiated(jets: Jets, value: Value, names: Iterable[str], node: Node) -> Value:
    """The derivative of a number or vector by one coordinate after the other."""
    for name in names:
        value = each(value, lambda a, by=name: a.parts(partial(jets.derivative, by=by)), node)  # type: ignore[misc]
    return value


def _scalars(node: Call, values: Sequence[Value]) -> list[Scalar]:
    return [as_scalar(value, item) for value, item in zip(values, node.arguments, strict=True)]


def _elementary(_jets: Jets, node: Call, values: Sequence[Value]) -> Value:
    if len(values) == 1:
        return each(values[0], partial(elementary, node.function), node.arguments[0])
    return elementary(node.function, *_scalars(node, values))


def _extremum(_jets: Jets, node: Call, values: Sequence[Value]) -> Value:
    return reduce(partial(elementary, node.function), _scalars(node, values))


def _of_scalar(function: Callable[[Scalar], Scalar]) -> Run:
    return lambda _jets, node, values: each(values[0], function, node.arguments[0])


def _sech(a: Scalar) -> Scalar:
    return scalars.over(Scalar(algebra.ONE), elementary("cosh", a))


def _sqrt(a: Scalar) -> Scalar:
    return scalars.raised(a, Scalar(algebra.number(0.5)))


def _where(_jets: Jets, node: Call, values: Sequence[Value]) -> Value:
    condition = as_condition(values[0], node.arguments[0])
    yes, no = as_scalar(values[1], node.arguments[1]), as_scalar(values[2], node.arguments[2])
    return Scalar(apply("where", condition, yes.real, no.real), apply("where", condition, yes.imag, no.imag))


def _derivative(jets: Jets, node: Call, values: Sequence[Value]) -> Value:
    scope = jets.scope
    names = []
    for variable in node.arguments[1:]:
        match variable:
            case Name(name) if name in scope.coordinates:
                names.append(name)
            case Index(Name(name), k) if name in scope.vectors and 1 <= k <= len(scope.vectors[name]):
                names.append(scope.vectors[name][k - 1])
            case Name(name) if name in scope.vectors:
                hint = f"write d(..., {name}[1]), or grad(...) for all of them"
                raise LanguageError(f"'{name}' is a vector of coordinates", variable.span, hint)
            case _:
                hint = f"coordinates: {', '.join(scope.written)}"
                raise LanguageError("a derivative is by a coordinate", variable.span, hint)
    return differentiated(jets, values[0], names, node.arguments[0])


def _space(jets: Jets, node: Call) -> tuple[str, ...]:
    if not jets.scope.space:
        raise LanguageError(f"'{node.function}' needs a space coordinate, and there is none", node.span)
    return jets.scope.space


def _gradient(jets: Jets, node: Call, values: Sequence[Value]) -> Value:
    (scalar,) = _scalars(node, values)
    return tuple(scalar.parts(partial(jets.derivative, by=name)) for name in _space(jets, node))


def _divergence(jets: Jets, node: Call, values: Sequence[Value]) -> Value:
    space = _space(jets, node)
    items = as_vector(values[0], node.arguments[0])
    if len(items) != len(space):
        message = f"'div' of {len(items)} components over {len(space)} space coordinates"
        raise LanguageError(message, node.span)
    slopes = (a.parts(partial(jets.derivative, by=name)) for a, name in zip(items, space, strict=True))
    return _total(slopes)


def _laplacian(jets: Jets, node: Call, values: Sequence[Value]) -> Value:
    _space(jets, node)
    return each(values[0], lambda a: a.parts(jets.laplacian), node.arguments[0])


def _normal_derivative(jets: Jets, node: Call, values: Sequence[Value]) -> Value:
    if not jets.normal:
        raise LanguageError("'dn' needs a boundary, and this is not on one", node.span)
    space = _space(jets, node)
    (scalar,) = _scalars(node, values)

    def along(expr: Expr) -> Expr:
        normal = (jets.symbol(Input("normal", name)) for name in space)
        slopes = (jets.derivative(expr, name) for name in space)
        return add(*map(mul, normal, slopes))

    return scalar.parts(along)


def _dot(_jets: Jets, node: Call, values: Sequence[Value]) -> Value:
    left, right = map(as_vector, values, node.arguments)
    if len(left) != len(right):
        raise LanguageError(f"'dot' of {len(left)} and {len(right)} components", node.span)
    return _total(map(scalars.times, left, right))


def _sum(_jets: Jets, node: Call, values: Sequence[Value]) -> Value:
    return _total(as_vector(values[0], node.arguments[0]))


def _total(items: Iterable[Scalar]) -> Scalar:
    """Their sum as one formula, however many there are."""
    parts = list(items)
    return Scalar(add(*(item.real for item in parts)), add(*(item.imag for item in parts)))


def _norm(_jets: Jets, node: Call, values: Sequence[Value]) -> Value:
    items = as_vector(values[0], node.arguments[0])
    return Scalar(algebra.sqrt(add(*map(scalars.squared_magnitude, items))))


def _lookup(jets: Jets, node: Call, values: Sequence[Value]) -> Value:
    """A function from a file."""
    table = jets.scope.functions[node.function]
    arguments = _scalars(node, values)
    for argument, item in zip(arguments, node.arguments, strict=True):
        if not argument.is_real:
            raise LanguageError(f"'{node.function}' takes real values, and this one is complex", item.span)
    lookup = Lookup(node.function, table.kind, (0,) * len(table.axes))
    return Scalar(apply(lookup.op, *(argument.real for argument in arguments)))


@dataclass(frozen=True, slots=True)
class Form:
    """What can be called: fewest and most arguments, and what it does with their values."""

    fewest: int
    most: int | None
    run: Run


CALLS: Mapping[str, Form] = {
    **{name: Form(row.arity, row.arity, _elementary) for name, row in FUNCTIONS.items() if name not in TRUTH},
    "abs": Form(1, 1, _of_scalar(scalars.magnitude)),
    "conj": Form(1, 1, _of_scalar(scalars.conjugate)),
    "real": Form(1, 1, _of_scalar(lambda a: Scalar(a.real))),
    "imag": Form(1, 1, _of_scalar(lambda a: Scalar(a.imag))),
    "sqrt": Form(1, 1, _of_scalar(_sqrt)),
    "sech": Form(1, 1, _of_scalar(_sech)),
    "min": Form(2, None, _extremum),
    "max": Form(2, None, _extremum),
    "where": Form(3, 3, _where),
    "d": Form(2, None, _derivative),
    "grad": Form(1, 1, _gradient),
    "div": Form(1, 1, _divergence),
    "lap": Form(1, 1, _laplacian),
    "dn": Form(1, 1, _normal_derivative),
    "dot": Form(2, 2, _dot),
    "norm": Form(1, 1, _norm),
    "sum": Form(1, 1, _sum),
}
"""All that can be called besides the functions from files."""


def form_of_table(table: Table) -> Form:
    """How a function from a file is called: with one argument per axis."""
    return Form(len(table.axes), len(table.axes), _lookup)


SYNONYMS: Mapping[str, str] = {
    "ln": "log",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "sgn": "sign",
    "step": "heaviside",
    "laplacian": "lap",
    "gradient": "grad",
    "divergence": "div",
    "diff": "d",
    "conjugate": "conj",
    "re": "real",
    "im": "imag",
    "if": "where",
}
"""Other people's names, for hints."""

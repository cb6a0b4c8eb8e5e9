"""Nodes to formulas: what every name, operator and call of the language means."""

from __future__ import annotations

import math
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter

from pinncli.language import algebra
from pinncli.language.algebra import ONE, ZERO, AlgebraError, Expr, apply
from pinncli.language.calls import CALLS, SYNONYMS, Form, differentiated, form_of_table
from pinncli.language.diagnostics import Finding, LanguageError, nearest
from pinncli.language.formulas import Formula, Functions
from pinncli.language.integration import integration_variables
from pinncli.language.jets import Jets
from pinncli.language.nodes import At, Binary, Call, Index, Name, Node, Number, Unary, Vector, walk
from pinncli.language.program import Input
from pinncli.language.quadrature import MOST_NODES, NODES, REGION_NODES
from pinncli.language.scalars import Scalar
from pinncli.language.scope import Scope
from pinncli.language.values import BINARY, Truth, Value, as_condition, as_scalar, as_vector, each

_CONSTANTS = {"pi": Scalar(algebra.number(math.pi)), "e": Scalar(algebra.E)}


class _Reported(Exception):  # noqa: N818
    """Something below was already added to the findings."""


class Translator:
    """Translates the nodes of one equation or expression; collects everything that is wrong."""

    def __init__(self, jets: Jets, *, unknowns: bool = True) -> None:
        self._jets = jets
        self._scope = jets.scope
        self._unknowns = unknowns
        self._findings: list[Finding] = []
        self._definitions: dict[str, Value | None] = {}
        self._inside = ""
        self._dummies: dict[str, Expr] = {}

    def translate(self, *nodes: Node) -> list[Value]:
        """The values of the nodes; raises `LanguageError` with every finding in them."""
        self._define(nodes)
        values = [self._attempt(node) for node in nodes]
        if self._findings:
            raise LanguageError.of(self._findings)
        return [value for value in values if value is not None]

    def _define(self, nodes: Iterable[Node]) -> None:
        """Translate the definitions that the nodes need, each after those that it needs itself."""
        graph: dict[str, set[str]] = {}
        waiting = {name for node in nodes for name in self._needs(node)}
        while waiting:
            name = waiting.pop()
            graph[name] = self._needs(self._scope.definitions[name])
            waiting |= graph[name] - graph.keys()
        try:
            order = list(TopologicalSorter({k: sorted(graph[k]) for k in sorted(graph)}).static_order())
        except CycleError as error:
            path = " -> ".join(reversed(error.args[1]))
            raise LanguageError(f"definitions go in a circle: {path}", definition=error.args[1][0]) from None
        for self._inside in order:
            self._definitions[self._inside] = self._attempt(self._scope.definitions[self._inside])
        self._inside = ""

    def _needs(self, node: Node) -> set[str]:
        names = {part.id for part in walk(node) if isinstance(part, Name)}
        bases = {split[0] for split in map(self._scope.subscripted, names) if split}
        return (names | bases) & self._scope.definitions.keys()

    def _attempt(self, node: Node) -> Value | None:
        try:
            return self._value(node)
        except _Reported:
            return None
        except AlgebraError as error:
            self._findings.append(Finding(str(error), node.span, "", self._inside))
        except LanguageError as error:
            finding = error.findings[0]
            self._findings.append(Finding(finding.message, finding.span, finding.hint, self._inside))
        return None

    def _values(self, nodes: Iterable[Node]) -> list[Value]:
        """All of them, so that each can report what is wrong with it."""
        values = [self._attempt(node) for node in nodes]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            raise _Reported
        return known

    def _value(self, node: Node) -> Value:
        match node:
            case Number(written):
                return Scalar(algebra.number(written))
            case Name():
                return self._name(node)
            case Unary(op, operand):
                (value,) = self._values([operand])
                if op == "not":
                    return Truth(apply("not", as_condition(value, operand)))
                return each(value, lambda a: a.parts(algebra.neg), operand)
            case Binary(op, left, right):
                a, b = self._values([left, right])
                return BINARY[op](a, b, node)
            case Call():
                return self._call(node)
            case At(operand, point):
                return self._at(operand, point)
            case Index(operand, k):
                (value,) = self._values([operand])
                items = as_vector(value, operand)
                if not 1 <= k <= len(items):
                    message = f"components are numbered from 1 to {len(items)}"
                    raise LanguageError(message, node.span)
                return items[k - 1]
            case Vector(items):
                values = self._values(items)
                return tuple(as_scalar(value, item) for value, item in zip(values, items, strict=True))

    def _name(self, node: Name) -> Value:
        name, scope = node.id, self._scope
        if name in self._dummies:
            return Scalar(self._dummies[name])
        if name in scope.unknowns:
            return self._unknown(node, name)
        if name in scope.coordinates:
            return Scalar(self._jets.coordinate(name))
        if name in scope.vectors:
            return tuple(Scalar(self._jets.coordinate(part)) for part in scope.vectors[name])
        if name in scope.constants:
            return Scalar(algebra.number(scope.constants[name]))
        if name in scope.parameters:
            return Scalar(self._jets.symbol(Input("parameter", name)))
        if name in scope.definitions:
            return self._definition(name)
        if split := scope.subscripted(name):
            base, coordinates = split
            value = self._definition(base) if base in scope.definitions else self._unknown(node, base)
            return differentiated(self._jets, value, coordinates, node)
        if name in scope.columns:
            return Scalar(self._jets.symbol(Input("column", name)))
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        if name == "i" and scope.complex:
            return Scalar(ZERO, ONE)
        raise _unknown_name(node, scope)

    def _unknown(self, node: Node, name: str) -> Scalar:
        if not self._unknowns:
            raise LanguageError(
                f"the unknown '{name}' cannot be used here",
                node.span,
                "only coordinates, constants, parameters and definitions of them can",
            )
        if self._scope.unknowns[name] == "complex":
            return Scalar(self._jets.value(f"{name}_real"), self._jets.value(f"{name}_imag"))
        return Scalar(self._jets.value(name))

    def _definition(self, name: str) -> Value:
        value = self._definitions[name]
        if value is None:
            raise _Reported
        return value

    def _call(self, node: Call) -> Value:
        if node.function == "inside":
            return self._inside_shape(node)
        if node.function == "integral":
            return self._integral(node)
        values = [self._attempt(argument) for argument in node.arguments]
        form = _form(node, self._scope)
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            raise _Reported
        return form.run(self._jets, node, known)

    def _inside_shape(self, node: Call) -> Value:
        """Whether a point is in a named shape, as a formula of the space coordinates."""
        shapes = self._scope.shapes
        if len(node.arguments) != 1 or not isinstance(node.arguments[0], Name):
            raise LanguageError("'inside' takes the name of a shape", node.span, "such as inside(core)")
        name = node.arguments[0].id
        if name not in shapes:
            hint = nearest(name, shapes) if shapes else "shapes are named in [geometry]"
            raise LanguageError(f"no shape '{name}'", node.arguments[0].span, hint)
        point = [Formula(self._jets.coordinate(c)) for c in self._scope.space]
        try:
            level: Formula = shapes[name](point, Functions)
        except NotImplementedError as error:
            raise LanguageError(str(error), node.arguments[0].span, "write a comparison instead") from None
        return Truth(apply("less_equal", level.expr, ZERO))

    def _at(self, operand: Node, point: tuple[tuple[str, Node], ...]) -> Value:
        value, *places = self._values([operand, *(place for _, place in point)])
        moved: dict[str, Expr] = {}
        for (name, node), place in zip(point, places, strict=True):
            if name in self._scope.vectors:
                moved |= self._vector_place(name, place, node)
            elif name in self._scope.coordinates:
                moved[name] = self._place(place, node)
            else:
                hint = nearest(name, self._scope.written)
                raise LanguageError(f"'{name}' is not a coordinate", node.span, hint)
        return each(value, lambda a: a.parts(lambda e: self._jets.evaluated(e, moved)), operand)

    def _integral(self, node: Call) -> Value:
        """An integral over whole coordinates, or over one variable between limits."""
        scope, jets = self._scope, self._jets
        if len(node.arguments) == 2 and isinstance(node.arguments[1], Name):
            name = node.arguments[1].id
            if name in scope.regions and name not in scope.coordinates:
                return self._integral_over(node, name)
        (operand, *_), variables = node.arguments, integration_variables(node, scope)
        limits: list[tuple[Expr, Expr]] = []
        for variable in variables:
            if variable.limits is None:
                limits.append(tuple(map(algebra.number, scope.ranges[variable.name])))
            else:
                low, high = self._values(variable.limits)
                limits.append((self._place(low, variable.limits[0]), self._place(high, variable.limits[1])))
        before = dict(self._dummies)
        for variable in variables:
            self._dummies.pop(variable.name, None)
            if variable.name not in scope.coordinates:
                self._dummies[variable.name] = jets.coordinate(variable.name)
        try:
            (value,) = self._values([operand])
        finally:
            self._dummies = before
        nodes = scope.nodes or NODES[min(len(variables), len(NODES)) - 1]
        if nodes ** len(variables) > MOST_NODES:
            message = (
                f"{nodes} nodes for each of {len(variables)} variables are more than {MOST_NODES} together"
            )
            raise LanguageError(message, node.span, "set sampling.nodes lower")
        symbols = tuple(jets.node() for _ in variables)
        moved, factor = {}, ONE
        for variable, (low, high), symbol in zip(variables, limits, symbols, strict=True):
            length = algebra.sub(high, low)
            moved[variable.name] = algebra.add(low, algebra.mul(length, symbol))
            factor = algebra.mul(factor, length)

        def summed(expr: Expr) -> Expr:
            return jets.integral(algebra.mul(factor, jets.evaluated(expr, moved)), symbols, nodes)

        return each(value, lambda a: a.parts(summed), operand)

    def _integral_over(self, node: Call, region: str) -> Value:
        """An integral over the domain in space, or a part of its boundary, whose normal is that of `dn`."""
        scope, jets, operand = self._scope, self._jets, node.arguments[0]
        try:
            rows = scope.regions[region](scope.nodes or REGION_NODES)
        except ValueError as error:
            raise LanguageError(str(error), node.span) from None
        if len(rows) > MOST_NODES:
            message = f"the rule for {region} has {len(rows)} nodes, more than {MOST_NODES}"
            raise LanguageError(message, node.span, "set sampling.nodes lower")
        beside = len(rows[0][1]) > len(scope.space)
        outside, jets.normal = jets.normal, beside
        try:
            (value,) = self._values([operand])
        finally:
            jets.normal = outside
        symbols = tuple(jets.node() for _ in rows[0][1])
        moved = dict(zip(scope.space, symbols, strict=False))
        normals = {
            jets.symbol(Input("normal", name)): symbol
            for name, symbol in zip(scope.space, symbols[len(scope.space) :], strict=False)
        }

        def summed(expr: Expr) -> Expr:
            along = algebra.replace(expr, lambda s: normals.get(s, s))
            return jets.integral(jets.evaluated(along, moved), symbols, rows)

        return each(value, lambda a: a.parts(summed), operand)

    def _vector_place(self, name: str, value: Value, node: Node) -> dict[str, Expr]:
        """Every component of a vector coordinate at one number, or at its own of a vector."""
        parts = self._scope.vectors[name]
        items = value if isinstance(value, tuple) else (as_scalar(value, node),) * len(parts)
        if len(items) != len(parts):
            raise LanguageError(f"'{name}' has {len(parts)} components, and here are {len(items)}", node.span)
        return {part: self._place(item, node) for part, item in zip(parts, items, strict=True)}

    def _place(self, value: Value, node: Node) -> Expr:
        scalar = as_scalar(value, node)
        kinds = {self._jets.inputs[symbol].kind for symbol in scalar.real.free_symbols}
        if not scalar.is_real or kinds - {"coordinate", "node"}:
            raise LanguageError("a place is given by coordinates and constants only", node.span)
        return scalar.real


def _unknown_name(node: Name, scope: Scope) -> LanguageError:
    """What to say about a name that means nothing."""
    name = node.id
    base, _, rest = name.partition("_")
    if name in scope.functions or name in CALLS or name in ("inside", "integral"):
        return LanguageError(f"'{name}' is a function", node.span, f"write {name}(...)")
    if name == "i":
        hint = "'i' is the imaginary unit only where an unknown is complex"
    elif rest in {"real", "imag"} and scope.unknowns.get(base) == "complex":
        hint = f"write {rest}({base})"
    elif base in scope.unknowns and rest in scope.vectors:
        hint = f"'{rest}' is a vector of coordinates: write d({base}, {rest}[1]), or grad({base})"
    elif base in scope.unknowns and rest in scope.coordinates:
        hint = f"write d({base}, {rest}): subscripts are for coordinates of one letter"
    else:
        derivatives = [f"{u}_{c}" for u in scope.unknowns for c in scope.coordinates if len(c) == 1]
        hint = nearest(name, (*scope.names(), *derivatives))
    return LanguageError(f"unknown name '{name}'", node.span, hint)


def _form(node: Call, scope: Scope) -> Form:
    """What a call does; raises `LanguageError` where it does not exist or has the wrong arguments."""
    name, count = node.function, len(node.arguments)
    span = (node.span[0], node.span[0] + len(name))
    if name in scope.unknowns:
        hint = f"to evaluate it at a point write {name}({scope.written[0]}=0)"
        raise LanguageError(f"the unknown '{name}' is not a function", span, hint)
    table = scope.functions.get(name)
    if table is None and (name in scope.names() or scope.subscripted(name)):
        raise LanguageError(f"'{name}' is not a function", span, "products are written with '*'")
    if table is None and name not in CALLS:
        hint = f"did you mean '{SYNONYMS[name]}'?" if name in SYNONYMS else ""
        hint = hint or nearest(name, (*CALLS, "inside", *scope.functions))
        raise LanguageError(f"unknown function '{name}'", span, hint)
    form = CALLS[name] if table is None else form_of_table(table)
    if count < form.fewest or (form.most is not None and count > form.most):
        wanted = f"{form.fewest}" if form.most == form.fewest else f"{form.fewest} or more"
        plural = "" if wanted == "1" else "s"
        raise LanguageError(f"'{name}' takes {wanted} argument{plural}, not {count}", node.span)
    return form

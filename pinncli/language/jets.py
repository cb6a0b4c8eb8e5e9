"""Symbols for everything a formula depends on, and total derivatives in them.

A derivative of an unknown is a symbol of its own, so differentiating a formula is the chain
rule over its symbols: D_x f = df/dx + sum over partials p of df/dp * D_x p.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sympy

from pinncli.language.algebra import ONE, ZERO, AlgebraError, Expr, add, differentiate, mul, replace
from pinncli.language.partials import MultiIndex, Partial
from pinncli.language.program import Input
from pinncli.language.quadrature import Integral, Rows
from pinncli.language.scope import Scope

Replacements = tuple[tuple[str, Expr], ...]
"""Coordinates with their new values, in problem order."""

MAX_ORDER = 64


class Jets:
    """The symbols of one equation. It grows as they are asked for; each stands for one `Input`."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.normal = scope.normal
        """Whether a normal is known where a formula stands: on a boundary, and in an integral over one."""
        self.inputs: dict[Expr, Input] = {}
        self.sites: list[Replacements] = [()]
        self.origins: list[int] = [0]
        """Per site, the one that it comes from: all nodes of an integral come from one."""
        self.integrals: dict[Expr, Integral] = {}
        self._symbols: dict[Input, Expr] = {}
        self._places: dict[Replacements, int] = {(): 0}

    def symbol(self, entry: Input) -> Expr:
        """The one symbol of an input, named as a person would read it."""
        if entry not in self._symbols:
            name = f"n_{entry.name}" if entry.kind == "normal" else entry.name
            name = f"{name}@{entry.site}" if entry.site else name
            symbol = sympy.Symbol(name)
            while symbol in self.inputs:
                name += "'"
                symbol = sympy.Symbol(name)
            self._symbols[entry], self.inputs[symbol] = symbol, entry
        return self._symbols[entry]

    def coordinate(self, name: str) -> Expr:
        """The symbol of a coordinate."""
        return self.symbol(Input("coordinate", name))

    def partial(self, partial: Partial, site: int = 0) -> Expr:
        """The symbol of a partial at a site."""
        label = partial.label(self.scope.coordinates)
        return self.symbol(Input("partial", label, partial, site))

    def value(self, component: str) -> Expr:
        """The symbol of a component of the solution itself."""
        return self.partial(Partial(component, (0,) * len(self.scope.coordinates)))

    def node(self) -> Expr:
        """A new variable of integration."""
        count = sum(entry.kind == "node" for entry in self.inputs.values())
        return self.symbol(Input("node", f"n{count + 1}"))

    def integral(self, integrand: Expr, variables: tuple[Expr, ...], nodes: int | Rows) -> Expr:
        """The symbol of an integral; 0 for that of 0."""
        if integrand == ZERO:
            return ZERO
        sought = Integral(integrand, variables, nodes)
        for symbol, known in self.integrals.items():
            if known == sought:
                return symbol
        symbol = self.symbol(Input("integral", f"I{len(self.integrals) + 1}"))
        self.integrals[symbol] = sought
        return symbol

    def summed(self, symbol: Expr, change: Callable[[Expr], Expr]) -> Expr:
        """The integral of a symbol with its integrand changed by a linear operation."""
        known = self.integrals[symbol]
        return self.integral(change(known.integrand), known.variables, known.nodes)

    def bound(self, site: int, nodes: Mapping[Expr, Expr]) -> int:
        """The site that results where variables of integration take values."""
        values = [(name, replace(value, lambda s: nodes.get(s, s))) for name, value in self.sites[site]]
        number = self._numbered(tuple(values))
        if number != site and self.origins[number] == number:
            self.origins[number] = self.origins[site]
        return number

    def derivative(self, expr: Expr, by: str) -> Expr:
        """Total derivative by a coordinate; raises `AlgebraError`."""
        return differentiate(expr, lambda symbol: self._symbol_derivative(symbol, by))

    def laplacian(self, expr: Expr) -> Expr:
        """Sum of second derivatives over space; of a component itself, one symbol."""
        space = self.scope.space
        match self.inputs.get(expr):
            case Input("partial", _, Partial() as partial, 0) if partial.order == 0:
                if sum(self.scope.depends(partial.component, name) for name in space) > 1:
                    return self.partial(Partial(partial.component, partial.orders, laplacian=True))
        return add(*(self.derivative(self.derivative(expr, c), c) for c in space))

    def evaluated(self, expr: Expr, point: Mapping[str, Expr]) -> Expr:
        """`expr` with coordinates replaced: in its coefficients, and in where its partials are taken."""
        return replace(expr, lambda symbol: self._symbol_at(symbol, point))

    def _symbol_derivative(self, symbol: Expr, by: str) -> Expr:
        match self.inputs[symbol]:
            case Input("coordinate", name):
                return ONE if name == by else ZERO
            case Input("partial", _, Partial() as partial, site):
                return self._partial_derivative(partial, site, by)
            case Input("integral"):
                return self.summed(symbol, lambda g: self.derivative(g, by))
            case Input("column", name):
                raise AlgebraError(f"'{name}' is a data column: it has no derivatives")
            case Input("normal"):
                raise AlgebraError("an expression with dn(...) cannot be differentiated again")
        return ZERO

    def _partial_derivative(self, partial: Partial, site: int, by: str) -> Expr:
        """Chain rule through the site: each replaced coordinate may depend on `by`."""
        moved = dict(self.sites[site])
        terms = []
        for axis, name in enumerate(self.scope.coordinates):
            rate = self.derivative(moved.get(name, self.coordinate(name)), by)
            if rate != ZERO:
                terms.append(mul(rate, self._raised(partial, axis, site)))
        return add(*terms)

    def _raised(self, partial: Partial, axis: int, site: int) -> Expr:
        """The partial differentiated once more along a coordinate axis."""
        if not self.scope.depends(partial.component, self.scope.coordinates[axis]):
            return ZERO
        if partial.order >= MAX_ORDER:
            raise AlgebraError(f"a derivative of order above {MAX_ORDER}")
        spread = [partial.orders]
        if partial.laplacian:
            space = (name for name in self.scope.space if self.scope.depends(partial.component, name))
            axes = [self.scope.coordinates.index(name) for name in space]
            spread = [_plus(partial.orders, k, 2) for k in axes]
        return add(*(self.partial(Partial(partial.component, _plus(o, axis, 1)), site) for o in spread))

    def _symbol_at(self, symbol: Expr, point: Mapping[str, Expr]) -> Expr:
        match self.inputs[symbol]:
            case Input("coordinate", name):
                return point.get(name, symbol)
            case Input("partial", _, Partial() as partial, site):
                return self.partial(partial, self._site(site, point))
            case Input("integral"):
                return self.summed(symbol, lambda g: self.evaluated(g, point))
            case Input("column", name):
                raise AlgebraError(f"'{name}' is a data column: it is known at its own points only")
            case Input("normal"):
                raise AlgebraError("dn(...) belongs to its own boundary and cannot be taken elsewhere")
        return symbol

    def _site(self, site: int, point: Mapping[str, Expr]) -> int:
        """Number of the site that results from evaluating an expression at `site` at `point`."""
        moved = {name: self.evaluated(value, point) for name, value in self.sites[site]}
        combined = {**point, **moved}
        replacements = tuple(
            (name, combined[name])
            for name in self.scope.coordinates
            if name in combined and combined[name] != self.coordinate(name)
        )
        return self._numbered(replacements)

    def _numbered(self, replacements: Replacements) -> int:
        """The number of a site, a new one where there was none."""
        if replacements not in self._places:
            self._places[replacements] = len(self.sites)
            self.origins.append(len(self.sites))
            self.sites.append(replacements)
        return self._places[replacements]


def _plus(orders: MultiIndex, axis: int, k: int) -> MultiIndex:
    return (*orders[:axis], orders[axis] + k, *orders[axis + 1 :])

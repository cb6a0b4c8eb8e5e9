"""Equations to residuals: which partials they need, their order and linearity, and one program."""

from __future__ import annotations

from collections.abc import Mapping

from pinncli.language import scalars
from pinncli.language.algebra import AlgebraError, Expr, add, is_affine, replace
from pinncli.language.diagnostics import LanguageError
from pinncli.language.jets import Jets
from pinncli.language.lowering import lower
from pinncli.language.nodes import Equation, Node, Span
from pinncli.language.partials import Partial
from pinncli.language.program import Input, Program
from pinncli.language.scalars import Scalar
from pinncli.language.scope import Residual, Scope, Site
from pinncli.language.symbolic import Translator
from pinncli.language.values import Truth, as_scalar

__all__ = [
    "Residual",
    "Scope",
    "Site",
    "compile_definition",
    "compile_equation",
    "compile_expression",
    "difference_parts",
    "substitute",
]


def compile_equation(equation: Equation, scope: Scope) -> Residual:
    """Left minus right of an equation; raises `LanguageError` with everything wrong in it.

    An equation without partials and parameters holds nothing unknown; the caller decides.
    """
    jets = Jets(scope)
    return _residual(_difference(jets, equation), jets, equation.span)


def compile_definition(node: Node, scope: Scope) -> Residual | None:
    """A definition as a field of its own, in the form of a residual; raises `LanguageError`.

    None where it is right but no number: a vector, or a comparison.
    """
    jets = Jets(scope)
    (value,) = Translator(jets).translate(node)
    return _residual(value, jets, node.span) if isinstance(value, Scalar) else None


def _residual(value: Scalar, jets: Jets, span: Span) -> Residual:
    outputs = _parts(value)
    try:
        program, partials, sites, origins = _lowered(outputs, jets)
    except AlgebraError as error:
        raise LanguageError(str(error), span) from None
    searched = frozenset(s for s, entry in jets.inputs.items() if entry.kind in {"partial", "parameter"})
    return Residual(
        programs=program,
        partials=partials,
        sites=sites,
        linear=all(_is_linear(output, searched, jets) for output in outputs),
        orders=_orders([partial for _, partial in partials], jets.scope),
        expressions=outputs,
        origins=origins,
    )


def _is_linear(expr: Expr, searched: frozenset[Expr], jets: Jets) -> bool:
    """Whether a formula is affine in what is searched for, also inside its integrals."""
    integrals = [symbol for symbol in expr.free_symbols if symbol in jets.integrals]
    inner = [jets.integrals[symbol].integrand for symbol in integrals]
    found = searched | {s for s, g in zip(integrals, inner, strict=True) if _has(g, searched, jets)}
    return is_affine(expr, frozenset(found)) and all(_is_linear(g, searched, jets) for g in inner)


def _has(expr: Expr, searched: frozenset[Expr], jets: Jets) -> bool:
    """Whether something searched for is in a formula or its integrals."""
    symbols = expr.free_symbols
    inner = [jets.integrals[symbol].integrand for symbol in symbols if symbol in jets.integrals]
    return not searched.isdisjoint(symbols) or any(_has(g, searched, jets) for g in inner)


def _parts(value: Scalar) -> tuple[Expr, ...]:
    """The real part; real and imaginary part where the value is complex."""
    return (value.real,) if value.is_real else (value.real, value.imag)


def compile_expression(node: Node, scope: Scope) -> Program:
    """A formula of coordinates, constants, parameters and columns, or a comparison of such.

    One output; two, real and imaginary part, where its value is complex. Raises `LanguageError`.
    """
    jets = Jets(scope)
    (value,) = Translator(jets, unknowns=False).translate(node)
    outputs = (value.condition,) if isinstance(value, Truth) else _parts(as_scalar(value, node))
    try:
        return lower(outputs, jets)
    except AlgebraError as error:
        raise LanguageError(str(error), node.span) from None


def substitute(equation: Equation, scope: Scope, solution: Mapping[str, Node]) -> Program:
    """The residual with every unknown replaced by its formula in `solution`.

    A formula stands under the unknown's name; that of a complex one may be complex (`h`) or
    be given by parts (`h_real`, `h_imag`). Raises `LanguageError`.
    """
    jets = Jets(scope)
    difference = _difference(jets, equation)
    components = _components(jets, solution)

    def exact(symbol: Expr) -> Expr:
        match jets.inputs[symbol]:
            case Input("integral"):
                return jets.summed(symbol, lambda g: replace(g, exact))
            case Input("partial", _, Partial() as partial, site):
                if partial.component not in components:
                    raise LanguageError(f"there is no formula for '{partial.component}'", equation.span)
                formula = _derivative(components[partial.component], partial, jets)
                return jets.evaluated(formula, dict(jets.sites[site]))
        return symbol

    try:
        return lower([replace(part, exact) for part in _parts(difference)], jets)
    except AlgebraError as error:
        raise LanguageError(str(error), equation.span) from None


def difference_parts(jets: Jets, equation: Equation) -> tuple[Expr, ...]:
    """Left minus right as formulas in the symbols of `jets`, two where complex; raises `LanguageError`."""
    return _parts(_difference(jets, equation))


def _difference(jets: Jets, equation: Equation) -> Scalar:
    """Left minus right."""
    left, right = Translator(jets).translate(equation.left, equation.right)
    try:
        return scalars.minus(as_scalar(left, equation.left), as_scalar(right, equation.right))
    except AlgebraError as error:
        raise LanguageError(str(error), equation.span) from None


def _lowered(
    outputs: tuple[Expr, ...], jets: Jets
) -> tuple[Program, tuple[tuple[int, Partial], ...], tuple[Site, ...], tuple[int, ...]]:
    """The program, its partials, only the sites that it uses, numbered anew, and where they come from."""
    program = lower(outputs, jets)
    used = sorted({0, *(entry.site for entry in program.inputs)})
    inputs = tuple(
        Input(entry.kind, entry.name, entry.partial, used.index(entry.site)) for entry in program.inputs
    )
    partials = tuple((entry.site, entry.partial) for entry in inputs if entry.partial is not None)
    sites = tuple(Site(tuple((name, lower([value], jets)) for name, value in jets.sites[k])) for k in used)
    origins = tuple(jets.origins[k] for k in used)
    return Program(inputs, program.instructions, program.outputs), partials, sites, origins


def _orders(partials: list[Partial], scope: Scope) -> dict[str, int]:
    orders = dict.fromkeys(scope.coordinates, 0)
    for partial in partials:
        for name, order in zip(scope.coordinates, partial.orders, strict=True):
            spread = (
                2 * scope.depends(partial.component, name)
                if partial.laplacian and name in scope.space
                else order
            )
            orders[name] = max(orders[name], spread)
    return orders


def _components(jets: Jets, solution: Mapping[str, Node]) -> dict[str, Expr]:
    """The formula of each real component."""
    components: dict[str, Expr] = {}
    for name, node in solution.items():
        (value,) = Translator(jets, unknowns=False).translate(node)
        formula = as_scalar(value, node)
        if jets.scope.unknowns.get(name) == "complex":
            components[f"{name}_real"], components[f"{name}_imag"] = formula.real, formula.imag
        elif formula.is_real:
            components[name] = formula.real
        else:
            raise LanguageError(f"'{name}' is real, and its formula is complex", node.span)
    return components


def _derivative(formula: Expr, partial: Partial, jets: Jets) -> Expr:
    """The partial of a formula of the coordinates."""
    if partial.laplacian:
        second = [jets.derivative(jets.derivative(formula, name), name) for name in jets.scope.space]
        return add(*second)
    for name, order in zip(jets.scope.coordinates, partial.orders, strict=True):
        for _ in range(order):
            formula = jets.derivative(formula, name)
    return formula

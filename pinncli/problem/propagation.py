"""What the initial values of an evolution equation do by its linear part.

With field equations F_e = 0 of first order in time and their slopes, frozen at the mean over space,

    sum over c, a of  T_ec,a d_x^a d_t u_c + S_ec,a d_x^a u_c = 0,    T, S = mean of dF_e/d(d_x^a d_t^b u_c),

a wave exp(i k.x) of periodic coordinates changes as u' = M(k) u, M(k) = -T(k)^-1 S(k), where the symbols
T(k) and S(k) have (i k)^a for d_x^a. This is the linear flow of exponential integrators that linearise anew
at every step (Hochbruck & Ostermann 2010, Acta Numerica 19, section 2.4), with constant coefficients: short
waves pass many times over whatever varies, and feel its mean.
"""

from __future__ import annotations

from collections.abc import Sequence

from pinncli.language.algebra import ONE, ZERO, AlgebraError, Expr, differentiate
from pinncli.language.calculus import difference_parts
from pinncli.language.given import NoFormulaError
from pinncli.language.jets import Jets
from pinncli.language.lowering import lower
from pinncli.language.scope import Scope
from pinncli.problem.counting import is_field_equation
from pinncli.problem.domains import is_box
from pinncli.problem.model import Problem
from pinncli.problem.terms import ConditionTerms, LinearPart, LinearTerm


def linear_part(
    problem: Problem, scope: Scope, conditions: Sequence[ConditionTerms], periodic: Sequence[str]
) -> LinearPart:
    """That of the field equations of `conditions`; raises `NoFormulaError` where there is none."""
    if problem.time is None:
        raise NoFormulaError("there is no time")
    if not is_box(problem) or len(problem.parts) > 1 or problem.varied:
        raise NoFormulaError("that is for unknowns of space and time, on a box")
    if not problem.space or set(problem.space) - set(periodic):
        raise NoFormulaError("not every coordinate of space is periodic")
    equations = [terms for terms in conditions if is_field_equation(terms)]
    if any(terms.region.where is not None for terms in equations):
        raise NoFormulaError("an equation holds on a part of the domain only")
    names = tuple(problem.coordinates)
    time = names.index(problem.time)
    found: list[LinearTerm] = []
    count = 0
    for terms in equations:
        jets = Jets(scope)
        for part in difference_parts(jets, terms.equation):
            found += _slopes(jets, part, count, time)
            count += 1
    if count != len(problem.components):
        raise NoFormulaError(f"there are {count} equations for {len(problem.components)} unknown functions")
    return LinearPart(problem.components, tuple(names.index(n) for n in problem.space), time, tuple(found))


def _slopes(jets: Jets, expr: Expr, row: int, time: int) -> list[LinearTerm]:
    """The slopes of one equation in its partials."""
    found = []
    for symbol in sorted(expr.free_symbols, key=str):
        entry = jets.inputs[symbol]
        if entry.kind not in ("partial", "coordinate") or jets.sites[entry.site]:
            raise NoFormulaError("an equation has more than the solution at the point")
        if entry.partial is None:
            continue
        if entry.partial.orders[time] > 1:
            raise NoFormulaError("an equation is of second order in time")
        try:
            slope = differentiate(expr, lambda s, p=symbol: ONE if s == p else ZERO)  # type: ignore[misc]
            program = lower([slope], jets)
        except AlgebraError as reason:
            raise NoFormulaError(str(reason)) from None
        inner = [i.partial for i in program.inputs if i.partial is not None]
        if any(partial.orders[time] for partial in inner):
            raise NoFormulaError("an equation is not linear in its derivatives by time")
        found.append(LinearTerm(row, entry.partial, program))
    return found

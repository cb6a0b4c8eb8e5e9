"""Does the exact solution satisfy the conditions? Substituted, and evaluated at random points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pinncli.errors import Diagnostic
from pinncli.language.calculus import substitute
from pinncli.language.diagnostics import LanguageError
from pinncli.language.nodes import At, Binary, Call, Equation, Node, Number, Unary
from pinncli.language.program import Program
from pinncli.language.scope import Scope
from pinncli.problem.model import Problem
from pinncli.problem.numeric import Array, Points, faces, mask, place, probe, run, surrounded
from pinncli.problem.source import SourceMap
from pinncli.problem.terms import ConditionTerms, Formulation, is_on_boundary

_PROBES = 256
_ROUNDING = 1e-12
_ROUGH = 1e-6
"""Relative to the terms: above this the formula holds only approximately (a warning)."""
_BROKEN = 1e-3
"""Above this it is no solution (an error)."""


def check_exact(formulation: Formulation, source: SourceMap) -> list[Diagnostic]:
    """Findings for every condition that the `[exact]` formulas do not satisfy, with the size."""
    problem = formulation.problem
    if not formulation.exact:
        return []
    findings = _check_finite(formulation, source)
    true = {name: p.exact for name, p in problem.parameters.items() if p.exact is not None}
    if findings or len(true) < len(problem.parameters):
        return findings
    scope = replace(formulation.scope, parameters=(), constants={**formulation.scope.constants, **true})
    for terms in formulation.conditions:
        if terms.data is None:
            finding = _check_condition(terms, formulation, scope, source)
            findings += [finding] if finding is not None else []
    return findings


def _check_finite(formulation: Formulation, source: SourceMap) -> list[Diagnostic]:
    points = probe(formulation.problem, "interior", _PROBES)
    findings = []
    for component, program in formulation.exact.items():
        bad = np.flatnonzero(~np.isfinite(run(program, points)[0]))
        if bad.size:
            name = next(n for n in formulation.problem.unknowns if component in (n, f"{n}_real", f"{n}_imag"))
            message = f"is not a finite number at {place(points, int(bad[0]))}"
            findings.append(source.diagnose(("exact", name), message))
    return findings


def _check_condition(
    terms: ConditionTerms, formulation: Formulation, scope: Scope, source: SourceMap
) -> Diagnostic | None:
    """How far a condition is from holding, compared with the size of its terms over the domain."""
    problem = formulation.problem
    scope = replace(scope, normal=is_on_boundary(terms.region.labels, scope))
    path = ("conditions", terms.name)
    try:
        program = substitute(terms.equation, scope, formulation.exact_nodes)
        error, where = _largest(program, terms, problem)
        if error <= _ROUNDING:
            return None
        scale = _scale(terms, formulation, scope)
    except LanguageError as failure:
        message = f"the exact solution cannot be put in: {failure.message}"
        return source.diagnose(path, message, severity="warning")
    ratio = error / max(scale, error)
    if ratio <= _ROUGH:
        return None
    how = "breaks this" if ratio > _BROKEN else "satisfies this only roughly"
    message = (
        f"the exact solution {how}: off by {error:.3g}, where its terms are of size"
        f" {max(scale, error):.3g}, at {where}"
    )
    return source.diagnose(path, message, severity="error" if ratio > _BROKEN else "warning")


def _largest(program: Program, terms: ConditionTerms, problem: Problem) -> tuple[float, str]:
    """The largest value of a substituted residual on its region, and where."""
    worst, where = 0.0, ""
    for seed, label in enumerate(faces(problem, terms.region.labels)):
        points, near = surrounded(problem, label, _PROBES, seed)
        size = np.where(mask(terms.region.where, points), _size(program, points, near), 0.0)
        row = int(np.argmax(size))
        if size[row] > worst:
            worst, where = float(size[row]), place(points, row)
    return worst, where


def _size(program: Program, points: Points, near: Mapping[tuple[str, str], Array | float]) -> Array:
    """The largest output of a program at each point; 0 where it is not finite."""
    outputs = np.abs(np.stack(run(program, points, None, near)))
    size: Array = np.max(np.where(np.isfinite(outputs), outputs, 0.0), axis=0)
    return size


def _scale(terms: ConditionTerms, formulation: Formulation, scope: Scope) -> float:
    """The sum of the sizes of a condition's terms, at its largest over region and interior.

    The interior counts because `u = 0` at the far end of a decaying solution has no size of its own.
    """
    label = faces(formulation.problem, terms.region.labels)[0]
    total: Array = np.zeros(2 * _PROBES)
    inside = probe(formulation.problem, "interior", _PROBES)
    region, beside = surrounded(formulation.problem, label, _PROBES)
    points = {name: np.concatenate([inside[name], region[name]]) for name in inside}
    near = dict(beside)
    for name in points:  # the normals of the region count in the interior, too
        outward = np.asarray(beside["normal", name])
        near["normal", name] = np.concatenate([outward, outward])
    for term in (*_terms(terms.equation.left), *_terms(terms.equation.right)):
        equation = Equation(_anywhere(term), Number(0.0), term.span)
        program = substitute(equation, scope, formulation.exact_nodes)
        total = total + _size(program, points, near)
    return float(np.max(total))


def _terms(node: Node) -> list[Node]:
    """The summands of an expression, whatever their signs."""
    summands: list[Node] = []
    stack = [node]
    while stack:
        part = stack.pop()
        if isinstance(part, Binary) and part.op in "+-":
            stack += [part.left, part.right]
        elif isinstance(part, Unary) and part.op == "-":
            stack.append(part.operand)
        else:
            summands.append(part)
    return summands


def _anywhere(node: Node) -> Node:
    """The same term with `u(x=0)` read as `u`, to see its size all over the domain."""
    match node:
        case At(operand):
            return _anywhere(operand)
        case Unary():
            return replace(node, operand=_anywhere(node.operand))
        case Binary():
            return replace(node, left=_anywhere(node.left), right=_anywhere(node.right))
        case Call():
            return replace(node, arguments=tuple(_anywhere(item) for item in node.arguments))
        case _:
            return node

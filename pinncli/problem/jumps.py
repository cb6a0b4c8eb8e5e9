"""Coefficients that jump inside a derivative: pieces are differentiated one by one, and the jump is lost.

In d(k*u_x, x) = 0 with k = where(x < 0.5, 1, 10) the flux k*u_x is continuous, which no derivative of the
pieces knows. The cure is the flux as an unknown of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pinncli.errors import Diagnostic
from pinncli.language.calculus import compile_expression
from pinncli.language.diagnostics import LanguageError
from pinncli.language.nodes import Call, Name, Node, Span, walk
from pinncli.language.scope import Scope
from pinncli.problem.model import Problem
from pinncli.problem.numeric import probe, run
from pinncli.problem.source import SourceMap
from pinncli.problem.terms import Formulation

_DERIVATIVES = frozenset({"d", "div", "lap", "grad"})
_JUMPING = frozenset({"where", "heaviside", "sign"})
_LINES, _HALVINGS = 256, 40
"""Segments on which a jump is looked for, and how often each is halved."""
_RELATIVE = 1e-6


def check_jumps(formulation: Formulation, source: SourceMap) -> list[Diagnostic]:
    """A warning for every condition that differentiates a coefficient which jumps, times an unknown."""
    findings = []
    for terms in formulation.conditions:
        text = formulation.problem.conditions[terms.name].equation
        for side in (terms.equation.left, terms.equation.right):
            span = _lost_jump(side, formulation)
            if span is not None:
                path = ("conditions", terms.name)
                message = "a coefficient in here jumps, and its jump is not differentiated"
                hint = "make the flux an unknown of its own: q = -k*u_x and d(q, x) = 0"
                findings.append(
                    source.diagnose(
                        (*path, "equation"),
                        message,
                        text=text,
                        span=span,
                        where=path,
                        hint=hint,
                        severity="warning",
                    )
                )
                break
    return findings


def _lost_jump(node: Node, formulation: Formulation) -> Span | None:
    """Where a derivative is taken of something that has an unknown and a coefficient that jumps."""
    scope = formulation.scope
    for part in walk(node):
        operand: Node | None = None
        if isinstance(part, Call) and part.function in _DERIVATIVES and part.arguments:
            operand = part.arguments[0]
        elif (
            isinstance(part, Name) and (split := scope.subscripted(part.id)) and split[0] in scope.definitions
        ):
            operand = scope.definitions[split[0]]
        if operand is None:
            continue
        parts = list(_spelled_out(operand, scope))
        about = any(
            isinstance(p, Name) and (scope.subscripted(p.id) or (p.id,))[0] in scope.unknowns for p in parts
        )
        if about and any(_jumps(p, formulation.problem, scope) for p in parts if isinstance(p, Call)):
            return part.span
    return None


def _spelled_out(node: Node, scope: Scope) -> Iterator[Node]:
    """All nodes of an expression, and of the definitions that it uses, each of them once."""
    waiting, seen = [node], set()
    while waiting:
        for part in walk(waiting.pop()):
            yield part
            if isinstance(part, Name) and part.id in scope.definitions and part.id not in seen:
                seen.add(part.id)
                waiting.append(scope.definitions[part.id])


def _jumps(call: Call, problem: Problem, scope: Scope) -> bool:
    """Whether a call is a function of the coordinates alone that is not continuous."""
    nearest = call.function in scope.functions and scope.functions[call.function].kind == "nearest"
    if call.function not in _JUMPING and not nearest:
        return False
    try:
        program = compile_expression(call, scope)
    except LanguageError:  # it depends on the solution
        return False
    if any(item.kind != "coordinate" for item in program.inputs) or len(program.outputs) > 1:
        return False
    ends = [probe(problem, "interior", _LINES, seed) for seed in (1, 2)]
    values = [run(program, end)[0] for end in ends]
    size = float(np.max(np.abs(values)))
    for _ in range(_HALVINGS):
        middle = {name: 0.5 * (ends[0][name] + ends[1][name]) for name in ends[0]}
        value = run(program, middle)[0]
        left = np.abs(value - values[0]) >= np.abs(value - values[1])  # the half with the larger change
        ends = [
            {name: np.where(left, ends[0][name], middle[name]) for name in middle},
            {name: np.where(left, middle[name], ends[1][name]) for name in middle},
        ]
        values = [np.where(left, values[0], value), np.where(left, value, values[1])]
    return bool(np.max(np.abs(values[0] - values[1])) > _RELATIVE * size)

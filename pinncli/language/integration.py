"""What an integral in the text is over: whole coordinates, or one variable between limits."""

from __future__ import annotations

from dataclasses import dataclass

from pinncli.language.diagnostics import LanguageError
from pinncli.language.nodes import Call, Name, Node
from pinncli.language.scope import Scope

_FORMS = "write integral(u, x), integral(u, x, y), or integral(u(x=s), s, low, high)"


@dataclass(frozen=True)
class Variable:
    """A variable of integration; without limits, a coordinate over its whole range."""

    name: str
    limits: tuple[Node, Node] | None = None


def integration_variables(node: Call, scope: Scope) -> tuple[Variable, ...]:
    """The variables of `integral(...)`; raises `LanguageError`.

    Where everything after the integrand names a coordinate, these are the variables. Otherwise it is one
    variable and two limits; the variable is a coordinate or any name that means nothing else.
    """
    _, *rest = node.arguments if node.arguments else (None,)
    names = [item.id for item in rest if isinstance(item, Name) and item.id in scope.coordinates]
    if rest and len(names) == len(rest):
        if len(set(names)) < len(names):
            raise LanguageError("a coordinate is integrated over twice", node.span)
        for item, name in zip(rest, names, strict=True):
            if name not in scope.ranges:
                hint = f"give limits: integral(..., {name}, low, high)"
                raise LanguageError(
                    f"the domain is no box, so {name} has no range of its own", item.span, hint
                )
        return tuple(map(Variable, names))
    if len(rest) not in (1, 3) or not isinstance(rest[0], Name):
        raise LanguageError("'integral' needs what to integrate over", node.span, _FORMS)
    variable = rest[0]
    if len(rest) == 1:
        hint = f"give limits: integral(..., {variable.id}, low, high)"
        raise LanguageError(f"'{variable.id}' is no coordinate", variable.span, hint)
    taken = {*scope.names(), *scope.functions} - set(scope.coordinates)
    if variable.id in taken or scope.subscripted(variable.id):
        message = f"'{variable.id}' means something else, and cannot be integrated over"
        raise LanguageError(message, variable.span, "take another letter")
    return (Variable(variable.id, (rest[1], rest[2])),)

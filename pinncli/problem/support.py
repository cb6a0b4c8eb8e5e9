"""What the language can say and this version cannot solve yet: refused by name, never misread."""

from __future__ import annotations

from pinncli.errors import Diagnostic
from pinncli.language.nodes import At, Binary, Call, Equation, Index, Node, Span, Unary, Vector
from pinncli.problem.model import Problem
from pinncli.problem.source import KeyPath, SourceMap

LATER_CALLS = {
    "integral": "integrals",
    "norm": "vector coordinates",
    "sum": "vector coordinates",
}


def unsupported(problem: Problem, source: SourceMap) -> list[Diagnostic]:
    """A finding for every part of the problem that cannot be solved yet."""
    parts: list[tuple[KeyPath, str]] = []
    parts += [(("geometry", name), "shapes other than boxes") for name in problem.geometry]
    parts += [(("functions", name), "coefficients from a file") for name in problem.functions]
    for name, coordinate in problem.coordinates.items():
        if coordinate.dim > 1:
            parts.append((("coordinates", name, "dim"), "vector coordinates (dim > 1)"))
        if coordinate.kind == "parameter":
            parts.append((("coordinates", name, "kind"), "parameter coordinates"))
    for name, unknown in problem.unknowns.items():
        if unknown.of is not None and set(unknown.of) != set(problem.coordinates):
            parts.append((("unknowns", name, "of"), "unknowns of fewer coordinates"))
    if problem.marching is not None and problem.marching.windows > 1:
        parts.append((("marching", "windows"), "time windows"))
    return [source.diagnose(path, f"not solvable yet: {what}") for path, what in parts]


def later_calls(tree: Node | Equation) -> list[tuple[str, Span]]:
    """What a text asks for that cannot be solved yet, with the place in it."""
    found: list[tuple[str, Span]] = []
    stack: list[Node] = [tree.left, tree.right] if isinstance(tree, Equation) else [tree]
    while stack:
        node = stack.pop()
        match node:
            case Call(function, arguments, span):
                if function in LATER_CALLS:
                    found.append((LATER_CALLS[function], span))
                stack += arguments
            case Index(operand, _, span):
                found.append(("vector coordinates", span))
                stack.append(operand)
            case Unary(_, operand):
                stack.append(operand)
            case Binary(_, left, right):
                stack += [left, right]
            case At(operand, point):
                stack += [operand, *(value for _, value in point)]
            case Vector(items):
                stack += items
            case _:
                pass
    return sorted(found, key=lambda item: item[1])

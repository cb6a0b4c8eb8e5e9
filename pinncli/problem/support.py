"""What a problem can say and this version cannot solve yet: refused by name, never misread.

What only a formula can say (integrals) is refused by the language, where it is compiled.
"""

from __future__ import annotations

from pinncli.errors import Diagnostic
from pinncli.problem.model import Problem
from pinncli.problem.source import KeyPath, SourceMap


def unsupported(problem: Problem, source: SourceMap) -> list[Diagnostic]:
    """A finding for every part of the problem that cannot be solved yet."""
    parts: list[tuple[KeyPath, str]] = []
    for name, coordinate in problem.coordinates.items():
        if coordinate.dim > 1:
            parts.append((("coordinates", name, "dim"), "vector coordinates (dim > 1)"))
    for name, unknown in problem.unknowns.items():
        if unknown.of is not None and set(unknown.of) != set(problem.coordinates):
            parts.append((("unknowns", name, "of"), "unknowns of fewer coordinates"))
    return [source.diagnose(path, f"{what} cannot be solved yet") for path, what in parts]

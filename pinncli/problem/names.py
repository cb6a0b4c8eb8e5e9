"""What a problem must obey beyond its schema: names that can be told apart, ranges, bounds."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pinncli.errors import Diagnostic
from pinncli.language.diagnostics import nearest
from pinncli.problem.model import Problem
from pinncli.problem.source import KeyPath, SourceMap, printable

_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_MAX_NAME = 64

RESERVED = frozenset({
    "pi", "e", "and", "or", "not",
    "d", "lap", "grad", "div", "dn", "integral", "norm", "sum", "dot", "conj", "real", "imag",
    "sqrt", "exp", "log", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh",
    "sech", "erf", "abs", "sign", "heaviside", "min", "max", "where",
    "interior", "boundary", "box", "inside",
})  # fmt: skip
"""Words that mean something in every expression or region."""

_OUTPUT_PREFIXES = ("residual_", "reference_", "error_")
_MOST = {
    "coordinates": 20, "unknowns": 100, "constants": 1000, "parameters": 1000,
    "definitions": 200, "conditions": 200, "shapes": 200,
}  # fmt: skip
"""Entries of a table: far more than any problem has, few enough to be checked at once."""
_SECTIONS = ("coordinates", "unknowns", "constants", "parameters", "functions", "definitions")
"""Their names meet in expressions, so no two may be the same."""


def check_names(problem: Problem, source: SourceMap) -> list[Diagnostic]:
    """Everything wrong with names, ranges and bounds of a problem that fits the model."""
    findings: list[Diagnostic] = []
    seen: dict[str, str] = {}
    for section in _SECTIONS:
        for name in getattr(problem, section):
            path = (section, name)
            message = _complaint(name, problem, seen)
            if message:
                findings.append(source.diagnose(path, message, where=(section,)))
            else:
                seen[name] = section
    for section in ("conditions", "shapes", "geometry"):
        for name in getattr(problem, section):
            if not _is_identifier(name) or name in ("interior", "boundary", "box"):
                message = f"'{printable(name, 40)}' cannot be a name: {_WHY}"
                findings.append(source.diagnose((section, name), message, where=(section,)))
    for name in problem.geometry:
        if name in problem.shapes:
            message = f"'{printable(name, 40)}' is already the name of one of the shapes"
            findings.append(source.diagnose(("geometry", name), message, where=("geometry",)))
    findings += _check_ranges(problem, source)
    findings += _check_parameters(problem, source)
    findings += _check_references(problem, source)
    return findings


def check_counts(problem: Problem, source: SourceMap) -> list[Diagnostic]:
    """Findings for tables so large that checking their entries would take minutes."""
    counts = {section: len(getattr(problem, section)) for section in _MOST}
    return [
        source.diagnose((section,), f"at most {_MOST[section]} are allowed, and these are {count}")
        for section, count in counts.items()
        if count > _MOST[section]
    ]


_WHY = f"letters, digits and _ (at most {_MAX_NAME}), and no word of the language"


def _is_identifier(name: str) -> bool:
    return bool(_IDENTIFIER.fullmatch(name)) and len(name) <= _MAX_NAME


def _complaint(name: str, problem: Problem, seen: dict[str, str]) -> str:
    """Why `name` cannot be used, given the names before it; empty where it can."""
    shown = f"'{printable(name, 40)}'"
    imaginary = name == "i" and any(u.kind == "complex" for u in problem.unknowns.values())
    if not _is_identifier(name) or name in RESERVED:
        return f"{shown} cannot be a name: {_WHY}"
    if imaginary:
        return "'i' is the imaginary unit here, since an unknown is complex"
    if name in seen:
        return f"{shown} is already the name of one of the {seen[name]}"
    own = name in problem.unknowns and problem.unknowns[name].kind == "real"
    if problem.components.count(name) > own:
        return f"{shown} is already the name of a part of a complex unknown"
    base, _, letters = name.rpartition("_")
    if base in problem.unknowns and letters and all(c in problem.coordinates for c in letters):
        return f"{shown} reads as a derivative of '{base}'"
    if name.startswith(_OUTPUT_PREFIXES):
        return f"{shown} begins with a word that the output uses for its own fields"
    return ""


def _check_ranges(problem: Problem, source: SourceMap) -> list[Diagnostic]:
    findings = []
    for name, coordinate in problem.coordinates.items():
        low, high = coordinate.range
        path: KeyPath = ("coordinates", name)
        if not low < high:
            findings.append(source.diagnose(path, f"the range should go up, not from {low:g} to {high:g}"))
        elif not high - low > 1e-12 * max(abs(low), abs(high)) or high - low == float("inf"):
            findings.append(source.diagnose(path, f"a range from {low!r} to {high!r} cannot be resolved"))
    for name, coordinate in problem.coordinates.items():
        if coordinate.kind == "time" and coordinate.dim > 1:
            findings.append(source.diagnose(("coordinates", name, "dim"), "time is a single number"))
    times = [name for name, c in problem.coordinates.items() if c.kind == "time"]
    for name in times[1:]:
        message = f"there is one time coordinate, and '{printable(times[0], 40)}' is it"
        findings.append(source.diagnose(("coordinates", name), message))
    if problem.varied and len(problem.varied) == len(problem.coordinates):
        message = "all are parameters: there is no space or time to solve in"
        findings.append(source.diagnose(("coordinates",), message))
    for section in ("coordinates", "unknowns", "conditions"):
        if not getattr(problem, section):
            findings.append(source.diagnose((section,), "there is nothing in it"))
    return findings


def _check_parameters(problem: Problem, source: SourceMap) -> list[Diagnostic]:
    findings = []
    for name, parameter in problem.parameters.items():
        if parameter.bounds is None:
            continue
        low, high = parameter.bounds
        path: KeyPath = ("parameters", name, "bounds")
        if not low < high:
            message = f"the bounds should go up, not from {low:g} to {high:g}"
            findings.append(source.diagnose(path, message))
            continue
        for key, value in (("initial", parameter.initial), ("exact", parameter.exact)):
            if value is not None and not low <= value <= high:
                message = f"{value:g} is outside the bounds {low:g} to {high:g}"
                findings.append(source.diagnose(("parameters", name, key), message))
    return findings


def _check_of(problem: Problem, source: SourceMap) -> list[Diagnostic]:
    """Unknowns of fewer coordinates: of some, each once; and every coordinate has an unknown."""
    findings = []
    for name, unknown in problem.unknowns.items():
        path: KeyPath = ("unknowns", name, "of")
        if unknown.of is not None and not unknown.of:
            hint = "an unknown number belongs in [parameters]"
            findings.append(source.diagnose(path, "names no coordinate", hint=hint))
        elif unknown.of is not None and len(set(unknown.of)) < len(unknown.of):
            findings.append(source.diagnose(path, "names a coordinate twice"))
    for name in problem.coordinates:
        if problem.unknowns and all(u.of is not None and name not in u.of for u in problem.unknowns.values()):
            findings.append(source.diagnose(("coordinates", name), "no unknown depends on it"))
    return findings


def _check_references(problem: Problem, source: SourceMap) -> list[Diagnostic]:
    """Names that settings and tables use for coordinates and unknowns."""
    uses: list[tuple[KeyPath, str, Iterable[str], str]] = []
    uses += [(("exact", name), name, problem.unknowns, "unknown") for name in problem.exact]
    uses += [(("output", "grid", n), n, problem.coordinates, "coordinate") for n in problem.output.grid]
    for name, unknown in problem.unknowns.items():
        uses += [(("unknowns", name, "of"), n, problem.coordinates, "coordinate") for n in unknown.of or ()]
    vectors = problem.output.vectors if problem.output.vectors != "auto" else ()
    drawn = (*problem.components, *problem.definitions)
    uses += [(("output", "vectors", k), n, drawn, "component") for k, v in enumerate(vectors) for n in v]
    findings = [
        source.diagnose(
            path, f"no {kind} '{printable(name, 40)}'", where=path[:-1], hint=nearest(name[:80], known)
        )
        for path, name, known, kind in uses
        if name not in known
    ]
    for k, parts in enumerate(vectors):
        if not len(parts) == len(problem.space) in (2, 3):
            message = f"a vector has a component for each space coordinate, {len(problem.space)} here, 2 or 3"
            findings.append(source.diagnose(("output", "vectors", k), message))
    findings += _check_of(problem, source)
    for name, count in problem.output.grid.items():
        if count < 1:
            findings.append(source.diagnose(("output", "grid", name), f"should be at least 1, not {count}"))
    if problem.exact and (missing := [name for name in problem.unknowns if name not in problem.exact]):
        message = f"no formula for {printable(', '.join(missing))}: all unknowns are needed, or none"
        findings.append(source.diagnose(("exact",), message))
    return findings

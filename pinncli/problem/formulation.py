"""A problem's texts compiled: residual programs, regions, data, exact solution. All errors at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from pinncli.errors import Diagnostic, ProblemError
from pinncli.language.calculus import compile_equation, compile_expression
from pinncli.language.diagnostics import LanguageError, nearest
from pinncli.language.lookups import Table
from pinncli.language.nodes import Binary, Call, Equation, Node, Number, Span, Unary
from pinncli.language.parser import parse_equation, parse_expression, parse_labels
from pinncli.language.program import Instruction, Program
from pinncli.language.quadrature import Rows
from pinncli.language.scope import Scope
from pinncli.problem.ansatz import check_hard, derive_ansatz
from pinncli.problem.data import DataTable, Reference, read_reference, read_table
from pinncli.problem.domains import check_geometry, geometry_of, is_box
from pinncli.problem.model import Condition
from pinncli.problem.named_files import DataError, resolve
from pinncli.problem.periodicity import periodic_coordinates
from pinncli.problem.source import KeyPath, Loaded, printable
from pinncli.problem.tables import read_function
from pinncli.problem.terms import ConditionTerms, Formulation, Region, is_on_boundary
from pinncli.shapes import Geometry
from pinncli.shapes.quadrature import region_rule

__all__ = ["ConditionTerms", "DataTable", "Formulation", "Reference", "Region", "formulate"]

T = TypeVar("T")
K = TypeVar("K")

MAX_FINDINGS = 50
"""After so many, the rest of the texts are not looked at."""


def formulate(loaded: Loaded) -> Formulation:
    """Compile every text of a problem; raises `ProblemError` with every finding."""
    findings: list[Diagnostic] = []
    report = _Reporter(loaded, findings)
    texts = _parse_all(report)
    if not findings:
        findings += check_geometry(loaded.problem, loaded.source)
        formulation = _compile_all(report, texts)
        if formulation is not None and not findings:
            return formulation
    raise ProblemError(sorted(dict.fromkeys(findings), key=lambda d: (d.line, d.column)))


@dataclass(frozen=True)
class _Reporter:
    """Collects what the language says about each text, with its place in the file."""

    loaded: Loaded
    findings: list[Diagnostic]

    def attempt(self, path: KeyPath, text: str, action: Callable[[], T], where: KeyPath) -> T | None:
        """The result of `action`, or None and findings located in `text` at `path`."""
        if len(self.findings) >= MAX_FINDINGS:
            return None
        try:
            return action()
        except LanguageError as error:
            for finding in error.findings:
                place, inner, name = path, text, where
                if finding.definition:
                    place = name = ("definitions", finding.definition)
                    inner = self.loaded.problem.definitions[finding.definition]
                self.add(place, finding.message, inner, finding.span, where=name, hint=finding.hint)
            return None

    def add(
        self, path: KeyPath, message: str, text: str, span: Span, *, where: KeyPath, hint: str = ""
    ) -> None:
        self.findings.append(
            self.loaded.source.diagnose(path, message, text=text, span=span, where=where, hint=hint)
        )


@dataclass(frozen=True)
class _Texts:
    """Every text of the problem, parsed; what could not be parsed is left out."""

    definitions: dict[str, Node]
    equations: dict[str, Equation]
    wheres: dict[KeyPath, Node]
    exact: dict[str, Node]


def _parse_all(report: _Reporter) -> _Texts:
    problem = report.loaded.problem
    texts = _Texts({}, {}, {}, {})

    def parse(store: dict[K, T], name: K, path: KeyPath, text: str, read: Callable[[str], T]) -> None:
        where = path[:2]
        tree = report.attempt(path, text, lambda: read(text), where)
        if tree is None:
            return
        store[name] = tree

    for name, text in problem.definitions.items():
        texts.definitions[name] = Number(1.0)  # stands in for one that cannot be read
        parse(texts.definitions, name, ("definitions", name), text, parse_expression)
    for name, condition in problem.conditions.items():
        path = ("conditions", name)
        parse(texts.equations, name, (*path, "equation"), condition.equation, parse_equation)
        if condition.where is not None:
            parse(texts.wheres, path, (*path, "where"), condition.where, parse_expression)
    for name, unknown in problem.unknowns.items():
        if unknown.where is not None:
            path = ("unknowns", name)
            parse(texts.wheres, path, (*path, "where"), unknown.where, parse_expression)
    for name, text in problem.exact.items():
        parse(texts.exact, name, ("exact", name), text, parse_expression)
    return texts


def _compile_all(report: _Reporter, texts: _Texts) -> Formulation | None:
    problem = report.loaded.problem
    tables = {name: table for name in problem.functions if (table := _function(name, report)) is not None}
    if len(tables) < len(problem.functions):
        return None  # no formula can be judged without them
    geometry = geometry_of(problem)
    scope = Scope(
        coordinates=tuple(problem.coordinates),
        space=problem.space,
        time=problem.time,
        unknowns={name: unknown.kind for name, unknown in problem.unknowns.items()},
        constants=problem.constants,
        parameters=tuple(problem.parameters),
        definitions=texts.definitions,
        functions=tables,
        shapes={name: shape.level for name, shape in geometry.shapes.items()} if geometry else {},
        ranges={n: c.range for n, c in problem.coordinates.items() if c.kind != "space" or is_box(problem)},
        regions=_regions(geometry),
        nodes=problem.sampling.nodes,
        vectors=problem.vectors,
        of={
            c: problem.arguments(c)
            for c in problem.components
            if len(problem.arguments(c)) < len(problem.coordinates)
        },
    )
    definitions = {}
    for name, node in texts.definitions.items():
        path = ("definitions", name)
        equation = Equation(node, Number(0.0), node.span)
        compiled = report.attempt(
            path, problem.definitions[name], partial(compile_equation, equation, scope), path
        )
        if compiled is not None:
            definitions[name] = compiled
    conditions = [
        terms
        for name, equation in texts.equations.items()
        if (terms := _condition(name, equation, texts.wheres, scope, report)) is not None
    ]
    periodic = periodic_coordinates(problem, conditions)
    ansatz = None
    if not report.findings:
        ansatz = derive_ansatz(problem, scope, conditions, tuple(definitions.values()), periodic)
        report.findings.extend(check_hard(problem, ansatz, report.loaded.source))
    return Formulation(
        name=report.loaded.name,
        problem=problem,
        scope=scope,
        conditions=tuple(conditions),
        exact=_exact(report, texts.exact, scope),
        exact_nodes=texts.exact,
        reference=_reference(report),
        definitions=definitions,
        periodic=periodic,
        linear=all(terms.residual.linear for terms in conditions),
        ansatz=ansatz,
        counts=_counts(report, texts.wheres, scope),
    )


def _regions(geometry: Geometry | None) -> dict[str, Callable[[int], Rows]]:
    """What may be integrated over as a whole: the domain, its boundary, and those of shapes in it."""
    if geometry is None:
        return {}
    names = ["interior", "boundary", *(name for name in geometry.shapes if name != "domain")]
    return {name: partial(region_rule, geometry, name) for name in names}


def _condition(
    name: str, equation: Equation, wheres: Mapping[KeyPath, Node], scope: Scope, report: _Reporter
) -> ConditionTerms | None:
    condition = report.loaded.problem.conditions[name]
    path: KeyPath = ("conditions", name)
    labels = _labels(condition, path, report)
    mask = _mask(path, condition.where, wheres, scope, report)
    table = None
    if condition.data is not None:
        table = _table(condition, path, report)
        if table is None:
            return None  # its columns are not known, so its equation cannot be judged
    scope = condition_scope(scope, labels, table)
    residual = report.attempt(
        (*path, "equation"), condition.equation, lambda: compile_equation(equation, scope), path
    )
    if residual is None or not labels:
        return None
    return ConditionTerms(
        name, Region(labels, mask), equation, residual, condition.weight, condition.points, table
    )


def _mask(
    path: KeyPath, text: str | None, wheres: Mapping[KeyPath, Node], scope: Scope, report: _Reporter
) -> Program | None:
    """The `where` of a condition or an unknown; None where there is none, or a finding says what is wrong."""
    if text is None or path not in wheres:
        return None
    node, place = wheres[path], (*path, "where")
    mask = report.attempt(place, text, lambda: compile_expression(node, scope), place)
    if mask is not None and not _is_truth(node):
        message = "should be a comparison, such as 'y > 0.5'"
        report.add(place, message, text, node.span, where=place)
    return mask


def _counts(report: _Reporter, wheres: Mapping[KeyPath, Node], scope: Scope) -> dict[str, Program]:
    """The part of the domain in which each real component counts, of those that have one."""
    found: dict[str, Program] = {}
    for name, unknown in report.loaded.problem.unknowns.items():
        mask = _mask(("unknowns", name), unknown.where, wheres, scope, report)
        if mask is not None:
            parts = [f"{name}_real", f"{name}_imag"] if unknown.kind == "complex" else [name]
            found |= dict.fromkeys(parts, mask)
    return found


def condition_scope(scope: Scope, labels: Sequence[str], table: DataTable | None) -> Scope:
    """What the equation of a condition may use besides: columns of its data, the normal of its sides."""
    known = {*scope.names(), *scope.functions}
    columns = tuple(c for c in (table.columns if table else ()) if c not in known)
    normal = table is None and is_on_boundary(labels, scope)
    return replace(scope, columns=columns, normal=normal)


def _is_truth(node: Node) -> bool:
    if isinstance(node, Unary):
        return node.op == "not"
    if isinstance(node, Call):
        return node.function == "inside"
    return isinstance(node, Binary) and node.op in ("<", "<=", ">", ">=", "and", "or")


def _labels(condition: Condition, path: KeyPath, report: _Reporter) -> tuple[str, ...]:
    """The labels of a condition, `boundary` of a box spelled out; empty, and findings, where wrong."""
    problem, text, place = report.loaded.problem, condition.on, (*path, "on")
    geometry = geometry_of(problem)
    labels = report.attempt(place, text, lambda: parse_labels(text), place) or ()
    owner = {part: name for name, parts in problem.vectors.items() for part in parts}
    sides = [
        f"{c}{sign}" for c in dict.fromkeys(owner.get(n, n) for n in problem.coordinates) for sign in "-+"
    ]
    outer = [f"{c}{sign}" for c in dict.fromkeys(owner.get(n, n) for n in problem.space) for sign in "-+"]
    spelled: list[str] = []

    def wrong(label: str, message: str, hint: str = "") -> tuple[str, ...]:
        span = (max(0, text.find(label)), max(0, text.find(label)) + len(label))
        report.add(place, message, text, span, where=place, hint=hint)
        return ()

    for label in labels:
        known = ["interior", "boundary", *sides, *problem.shape_names]
        if label not in known:
            hint = nearest(label[:80], known) or f"there are {', '.join(known)}"
            return wrong(label, f"no region '{printable(label, 40)}'", hint)
        if label == "boundary" and geometry is None:
            return wrong(label, "there is no space coordinate, so no boundary", f"write {' or '.join(sides)}")
        if label == "interior" and len(labels) > 1:
            return wrong(label, "interior and sides cannot share a condition", "write one condition for each")
        space = label in (*outer, *problem.shape_names)
        if geometry and space and not report.findings and not geometry.parts(label):
            return wrong(label, f"{label} is nowhere on the boundary of the domain, nor inside it")
        spelled += outer if label == "boundary" and geometry and geometry.is_box else [label]
    return tuple(dict.fromkeys(spelled))


def _table(condition: Condition, path: KeyPath, report: _Reporter) -> DataTable | None:
    """The data of a condition; None and a finding where they are wrong."""
    loaded, file, place = report.loaded, condition.data or "", (*path, "data")
    given = [key for key in ("where", "points") if getattr(condition, key) is not None]
    if condition.on != "interior":
        given.append("on")
    for key in given:
        message = f"data already say where the condition holds: leave out '{key}'"
        report.findings.append(loaded.source.diagnose((*path, key), message))
    try:
        return DataTable(read_table(resolve(file, loaded), loaded.problem), file)
    except DataError as error:
        report.findings.append(loaded.source.diagnose(place, f"{printable(file)}: {error}"))
        return None


def _function(name: str, report: _Reporter) -> Table | None:
    """A function from its file; None and a finding where that is wrong."""
    loaded = report.loaded
    function = loaded.problem.functions[name]
    try:
        return read_function(resolve(function.file, loaded), name, function)
    except DataError as error:
        path = ("functions", name, "file")
        report.findings.append(loaded.source.diagnose(path, f"{printable(function.file)}: {error}"))
        return None


def _reference(report: _Reporter) -> Reference | None:
    loaded = report.loaded
    if loaded.problem.reference_data is None:
        return None
    file = loaded.problem.reference_data.file
    try:
        return read_reference(resolve(file, loaded), loaded.problem)
    except DataError as error:
        path = ("reference_data", "file")
        report.findings.append(loaded.source.diagnose(path, f"{printable(file)}: {error}"))
        return None


def _exact(report: _Reporter, nodes: Mapping[str, Node], scope: Scope) -> dict[str, Program]:
    """One program per real component; the true values of parameters count as constants."""
    problem = report.loaded.problem
    true = {name: p.exact for name, p in problem.parameters.items() if p.exact is not None}
    known = replace(scope, parameters=(), constants={**scope.constants, **true})
    programs: dict[str, Program] = {}
    for name, node in nodes.items():
        path = ("exact", name)
        if name not in problem.unknowns:
            continue  # reported with the names
        program = report.attempt(path, problem.exact[name], partial(compile_expression, node, known), path)
        if program is None:
            continue
        varies = problem.unknowns[name].of or tuple(problem.coordinates)
        strangers = [i.name for i in program.inputs if i.kind == "coordinate" and i.name not in varies]
        if strangers:
            text = problem.exact[name]
            mine, others = ", ".join(varies), ", ".join(strangers)
            message = f"{name} is a function of {mine}, and its formula depends on {others}"
            report.add(path, message, text, (0, len(text)), where=path)
        if problem.unknowns[name].kind == "real" and len(program.outputs) > 1:
            message = f"the formula is complex, and {name} is real"
            text = problem.exact[name]
            report.add(path, message, text, (0, len(text)), where=path)
        if problem.unknowns[name].kind == "real":
            programs[name] = replace(program, outputs=program.outputs[:1])
            continue
        imaginary = replace(program, outputs=program.outputs[1:])
        programs[f"{name}_real"] = replace(program, outputs=program.outputs[:1])
        programs[f"{name}_imag"] = imaginary if imaginary.outputs else _ZERO
    return programs


_ZERO = Program((), (Instruction("const"),), (0,))

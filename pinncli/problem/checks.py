"""Everything that is looked at before a problem is solved; nothing here needs torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pinncli.errors import Diagnostic, ProblemError
from pinncli.language.diagnostics import nearest
from pinncli.language.nodes import At, Binary, Call, Equation, Index, Name, Node, Unary, Vector
from pinncli.language.parser import parse_expression
from pinncli.language.scope import Scope
from pinncli.problem.adaptivity import check_adaptivity
from pinncli.problem.corners import check_corners
from pinncli.problem.counting import check_levels, count_conditions
from pinncli.problem.curriculum import check_curriculum
from pinncli.problem.defaults import Choices, choose
from pinncli.problem.directions import check_directions
from pinncli.problem.domains import domain_of
from pinncli.problem.exactness import check_exact
from pinncli.problem.formulation import formulate
from pinncli.problem.jumps import check_jumps
from pinncli.problem.numeric import faces, fixed, mask, probe, random_partials, run, surrounded
from pinncli.problem.plan import Plan, derive_plan
from pinncli.problem.settings import DenseSettings, FeatureSettings, LocalSettings
from pinncli.problem.source import Loaded, SourceMap, computed_from, printable
from pinncli.problem.tables import check_tables
from pinncli.problem.terms import ConditionTerms, Formulation
from pinncli.problem.windows import check_windows

MEMORY_LIMIT = 64 * 2**30
"""Bytes; a problem that needs more is refused unless that is allowed."""
_WHERE_PROBES = 65536
_PLAIN_PROBES = 256
"""Of a region that is taken whole, which has points or has none."""
_THINNEST = 0.02
"""Share of a region that `where` should keep: the samplers find points by rejection."""


@dataclass(frozen=True)
class Report:
    """What the checks found. Without errors there is a formulation, its choices and a plan."""

    diagnostics: tuple[Diagnostic, ...]
    formulation: Formulation | None
    choices: Choices | None
    plan: Plan | None

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The findings that stop a solve."""
        return tuple(d for d in self.diagnostics if d.severity == "error")

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """The findings that do not."""
        return tuple(d for d in self.diagnostics if d.severity == "warning")


def check(loaded: Loaded, allow_large: bool = False) -> Report:
    """Check a problem; never raises for what is wrong with it, but reports it, all at once."""
    try:
        formulation = formulate(loaded)
    except ProblemError as error:
        return Report(error.diagnostics, None, None, None)
    source = loaded.source
    choices = choose(formulation)
    plan = derive_plan(formulation, choices)
    findings = [
        *_check_sizes(plan, source, allow_large),
        *count_conditions(formulation, source),
        *check_levels(formulation, source),
        *_check_regions(formulation, source),
        *check_tables(formulation, source),
        *check_jumps(formulation, source),
        *check_corners(formulation, source),
        *check_exact(formulation, source),
        *_check_use(loaded, formulation),
        *_check_data(formulation, source),
        *_check_reference(formulation, source),
        *_check_features(formulation, source),
        *_check_dense(formulation, source),
        *check_adaptivity(formulation, source),
        *check_directions(formulation, choices, source),
        *check_windows(formulation, source),
        *check_curriculum(formulation, loaded),
    ]
    findings.sort(key=lambda d: (d.line, d.column))
    return Report(tuple(dict.fromkeys(findings)), formulation, choices, plan)


def gibibytes(count: int) -> str:
    """A number of bytes in the unit that suits it."""
    unit, size = next(((u, s) for u, s in (("GiB", 2**30), ("MiB", 2**20)) if count >= s), ("KiB", 1024))
    number = count / size
    return f"{number:.3g} {unit}" if not 1000 <= number < 1e6 else f"{number:,.0f} {unit}"


def _check_sizes(plan: Plan, source: SourceMap, allow_large: bool) -> list[Diagnostic]:
    """Refuse, before anything is allocated, what no machine could hold."""
    if plan.total_memory <= MEMORY_LIMIT or allow_large:
        return []
    part, size = max(plan.memory.items(), key=lambda item: item[1])
    message = (
        f"too large: about {gibibytes(plan.total_memory)} of memory,"
        f" {gibibytes(size)} of it for {_MEMORY_WORDS[part]}"
        f" ({plan.parameters:,} parameters, {plan.points:,} points)"
    )
    path = {"fields": ("output", "grid"), "points": ("sampling",)}.get(part, ("network",))
    hint = f"the limit is {gibibytes(MEMORY_LIMIT)}; --allow-large lifts it"
    return [source.diagnose(path, message, hint=hint)]


def _check_features(formulation: Formulation, source: SourceMap) -> list[Diagnostic]:
    """Patches are along coordinates that exist."""
    settings, coordinates = formulation.problem.network, formulation.problem.coordinates
    if not isinstance(settings, FeatureSettings | LocalSettings):
        return []
    findings = []
    for name in settings.patches or {}:
        if name not in coordinates:
            path, hint = ("network", "patches", name), nearest(name, coordinates)
            findings.append(source.diagnose(path, f"no coordinate '{printable(name, 40)}'", hint=hint))
    if isinstance(settings, LocalSettings) and len(formulation.problem.parts) > 1:
        message = "local features are for unknowns of all coordinates"
        hint = 'take kind = "features" or "mlp" where an unknown has fewer'
        findings.append(source.diagnose(("network", "kind"), message, hint=hint))
    return findings


def _check_dense(formulation: Formulation, source: SourceMap) -> list[Diagnostic]:
    """Settings that only mean something together."""
    settings, coordinates = formulation.problem.network, formulation.problem.coordinates
    if not isinstance(settings, DenseSettings):
        return []
    findings = []
    if settings.initialisation == "siren" and settings.activation != "sine":
        message = "siren starts networks of sines"
        findings.append(
            source.diagnose(("network", "initialisation"), message, hint='add activation = "sine"')
        )
    fourier = settings.fourier or settings.kind == "piratenet"
    if fourier and settings.initialisation == "glorot" and "frequency" in settings.model_fields_set:
        message = "frequency has no effect on Fourier features"
        findings.append(source.diagnose(("network", "frequency"), message, hint="set fourier.scale"))
    for name in settings.fourier.scales if settings.fourier else ():
        if name not in coordinates:
            path, hint = ("network", "fourier", "scales", name), nearest(name, coordinates)
            findings.append(source.diagnose(path, f"no coordinate '{printable(name, 40)}'", hint=hint))
    return findings


_MEMORY_WORDS = {
    "optimiser": "the optimiser",
    "jacobian": "the Jacobian",
    "layers": "the network's layers",
    "points": "the points",
    "fields": "the output fields",
}


def _check_regions(formulation: Formulation, source: SourceMap) -> list[Diagnostic]:
    """A `where` that holds nowhere, and equations that have no value anywhere."""
    findings = []
    for terms in formulation.conditions:
        if terms.data is not None:
            continue
        tried = _WHERE_PROBES if terms.region.where is not None else _PLAIN_PROBES
        for label in faces(formulation.problem, terms.region.labels):
            points = probe(formulation.problem, label, tried)
            kept = int(mask(terms.region.where, points).sum())
            if kept < _THINNEST * tried:
                text = formulation.problem.conditions[terms.name].where or ""
                message = f"{kept or 'none'} of {tried} random points of {label} satisfy this: too few"
                path = ("conditions", terms.name, "where")
                findings.append(source.diagnose(path, message, text=text, span=(0, len(text))))
        findings += _check_places(terms, formulation, source)
        if not _ever_finite(terms, formulation):
            message = "has no finite value at any of the points tried"
            findings.append(source.diagnose(("conditions", terms.name), message))
    points = probe(formulation.problem, "interior", _WHERE_PROBES)
    for name, unknown in formulation.problem.unknowns.items():
        part = formulation.counts.get(name if unknown.kind == "real" else f"{name}_real")
        if part is not None and mask(part, points).sum() < _THINNEST * _WHERE_PROBES:
            message = "too little of the domain satisfies this"
            findings.append(source.diagnose(("unknowns", name, "where"), message))
    return findings


def _check_places(terms: ConditionTerms, formulation: Formulation, source: SourceMap) -> list[Diagnostic]:
    """Evaluation at a point outside the domain: `u(x=2)` where x ends at 1."""
    findings: dict[object, Diagnostic] = {}  # one for all nodes of an integral
    path = ("conditions", terms.name)
    for site, origin in zip(terms.residual.sites, terms.residual.origins, strict=True):
        for name, value in fixed(site).items():
            low, high = formulation.problem.coordinates[name].range
            slack = 1e-9 * (high - low)
            if value is not None and not low - slack <= value <= high + slack:
                message = f"{name} = {value:g} is outside its range {low:g} to {high:g}"
                findings.setdefault((origin, name), source.diagnose(path, message))
        place = fixed(site)
        if not findings and all(place.get(name) is not None for name in formulation.problem.space):
            held = {n: place.get(n) for n in formulation.problem.coordinates}
            ends = {n: c.range[0] for n, c in formulation.problem.coordinates.items()}
            point = [[ends[n] if value is None else value for n, value in held.items()]]
            if not domain_of(formulation.problem).contains(np.array(point)).all():
                words = ", ".join(f"{name} = {place[name]:g}" for name in formulation.problem.space)
                findings["domain", words] = source.diagnose(path, f"{words} is outside the domain")
    return list(findings.values())


def _ever_finite(terms: ConditionTerms, formulation: Formulation) -> bool:
    count, problem = 256, formulation.problem
    for label in faces(problem, terms.region.labels):
        points, near = surrounded(problem, label, count)
        values = random_partials(terms.residual, count)
        for sign in (1.0, -1.0):
            signed = {key: sign * value for key, value in values.items()}
            outputs = run(terms.residual.programs, points, signed, near)
            if all(np.isfinite(out).any() for out in outputs):
                return True
    return False


def _check_use(loaded: Loaded, formulation: Formulation) -> list[Diagnostic]:
    """Names that nothing refers to: a parameter cannot be found then, others may be misspelt."""
    problem, scope, source = loaded.problem, formulation.scope, loaded.source
    used: set[str] = {label for terms in formulation.conditions for label in terms.region.labels}
    for terms in formulation.conditions:
        used |= _names(terms.equation, scope)
    asked = set(used)
    for condition in problem.conditions.values():
        if condition.where is not None:
            asked |= _names(parse_expression(condition.where), scope)
    for node in (*formulation.exact_nodes.values(), *scope.definitions.values()):
        asked |= _names(node, scope)
    for name in problem.definitions:  # what a used definition uses is used by the conditions
        if name in used:
            used |= _names(scope.definitions[name], scope)
    asked |= computed_from(loaded)
    findings = [
        source.diagnose(("parameters", name), "no condition uses it, so it cannot be found")
        for name in problem.parameters
        if name not in used
    ]
    findings += [
        source.diagnose((section, name), "is not used", severity="warning")
        for section in ("constants", "functions", "shapes", "geometry")
        for name in getattr(problem, section)
        if name not in asked and (section, name) not in (("geometry", "domain"), ("shapes", "domain"))
    ]
    return findings


def _names(tree: Node | Equation, scope: Scope) -> set[str]:
    """Every name that a text refers to; `u_x` refers to `u`."""
    found: set[str] = set()
    stack: list[Node] = [tree.left, tree.right] if isinstance(tree, Equation) else [tree]
    while stack:
        match stack.pop():
            case Name(name):
                split = scope.subscripted(name)
                found |= {name, split[0]} if split else {name}
            case Call(function, arguments):
                found.add(function)
                stack += arguments
            case Unary(_, operand):
                stack.append(operand)
            case Binary(_, left, right):
                stack += [left, right]
            case At(operand, point):
                stack += [operand, *(value for _, value in point)]
            case Index(operand):
                stack.append(operand)
            case Vector(items):
                stack += items
    return found


def _check_data(formulation: Formulation, source: SourceMap) -> list[Diagnostic]:
    """A table of measurements whose columns the equation never compares with."""
    findings = []
    for terms in formulation.conditions:
        if terms.data is None or any(item.kind == "column" for item in terms.residual.programs.inputs):
            continue
        columns = [name for name in terms.data.columns if name not in formulation.problem.coordinates]
        message = f"the equation uses no column of the data ({', '.join(columns) or 'only coordinates'})"
        path = ("conditions", terms.name)
        findings.append(source.diagnose(path, message, severity="warning"))
    return findings


def _check_reference(formulation: Formulation, source: SourceMap) -> list[Diagnostic]:
    """A reference that does not cover the domain gives errors over a part of it only."""
    reference = formulation.reference
    if reference is None or not reference.gridded:
        return []
    findings = []
    for name, axis in reference.coordinates.items():
        low, high = formulation.problem.coordinates[name].range
        slack = 1e-6 * (high - low)
        if axis[0] > low + slack or axis[-1] < high - slack:
            message = (
                f"covers {name} from {axis[0]:g} to {axis[-1]:g}, the domain goes from {low:g} to {high:g}"
            )
            findings.append(source.diagnose(("reference_data",), message, severity="warning"))
    return findings

"""Are there enough conditions? Their number against the order of the equations in each coordinate.

The order of a system in a coordinate is the degree of its determinant: the largest sum of orders
over all ways of assigning one equation to each component (Volevich; Agmon, Douglis & Nirenberg
1964). Stokes flow in two dimensions so has order 4, which two velocities at two sides satisfy, and
the pressure asks for none. The count never asks for more than is needed, so that no well-posed
problem is refused; parameter coordinates ask for nothing: every value of them is a problem of its own.
Problems with data are not counted, since data stand in for conditions, nor are unknowns of fewer
coordinates, which any condition may determine. Transport (first order in a space coordinate) needs its
condition where characteristics enter, which may be at other sides: it gets no more than a warning, and
none at all where the solution itself decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from pinncli.errors import Diagnostic
from pinncli.language.partials import Partial
from pinncli.language.program import Program
from pinncli.language.scope import Site
from pinncli.problem.domains import domain_of, is_box
from pinncli.problem.model import Problem
from pinncli.problem.numeric import Array, faces, fixed, mask, probe, random_partials, run, surrounded
from pinncli.problem.periodicity import matched_partials
from pinncli.problem.source import SourceMap
from pinncli.problem.terms import ConditionTerms, Formulation
from pinncli.shapes import Domain

_PROBES = 128
_MAX_COMPONENTS = 12
_STEPS, _BISECTIONS = 256, 30
"""Along a line through a shaped domain, to find where it leaves the domain."""
_ORDINALS = ("zeroth", "first", "second", "third", "fourth", "fifth", "sixth")

Rows = list[dict[str, dict[str, int]]]
"""Per real equation: component -> coordinate -> order."""


def count_conditions(formulation: Formulation, source: SourceMap) -> list[Diagnostic]:
    """Errors for coordinates with fewer conditions than the order of the equations there."""
    problem = formulation.problem
    if any(terms.data is not None for terms in formulation.conditions):
        return []
    equations = [terms for terms in formulation.conditions if is_field_equation(terms)]
    rest = [terms for terms in formulation.conditions if not is_field_equation(terms)]
    if not equations:
        return [source.diagnose(("conditions",), "no equation holds on the interior")]
    systems = _systems(equations, problem)
    if any(len(rows) > len(_whole(problem)) for rows in systems):
        return []  # more equations than unknowns: which of them count is not ours to say
    if _divided(systems, problem):
        return []  # every part of the domain has unknowns of its own, which meet at interfaces
    short = min(systems, key=len)
    if len(short) < len(_whole(problem)):
        plural = "s" if len(short) > 1 else ""
        message = (
            f"{len(short)} equation{plural} on the interior for {len(_whole(problem))} unknown functions"
        )
        path = ("conditions", equations[-1].name)
        return [source.diagnose(path, message, hint="add an equation, or data")]
    if len(_whole(problem)) > _MAX_COMPONENTS:
        return []
    findings = []
    physical = [name for name in problem.coordinates if name not in problem.varied]
    for coordinate in physical:
        order = min(_determinant_order(rows, coordinate, problem) for rows in systems)
        given = _given(rest, coordinate, problem)
        if given >= order:
            continue
        needed = order - _degenerate_sides(equations, coordinate, problem)
        transport = order == 1 and coordinate != problem.time and len(physical) > 1
        if given >= needed or (transport and not formulation.linear):
            continue  # where characteristics enter depends on the solution
        path = ("conditions", _leading(equations, coordinate, problem))
        message = _shortage(coordinate, order, needed, given, len(_whole(problem)))
        hint = _hint(formulation, rest, coordinate, needed)
        severity: Literal["error", "warning"] = "warning" if transport else "error"
        findings.append(source.diagnose(path, message, hint=hint, severity=severity))
    return findings


def _whole(problem: Problem) -> tuple[str, ...]:
    """The components that depend on every coordinate."""
    return tuple(c for c in problem.components if len(problem.arguments(c)) == len(problem.coordinates))


def is_field_equation(terms: ConditionTerms) -> bool:
    """Whether a condition holds throughout the interior, for the solution at the point or at places about it.

    Such places follow the point: u(x=-x), or those of an integral from 0 to t.
    """
    here = any(_follows(terms.residual.sites[site]) for site, _ in terms.residual.partials)
    return terms.region.labels == ("interior",) and terms.data is None and here


def _follows(site: Site) -> bool:
    """Whether the place moves with the point in every coordinate, as the point itself does."""
    return all(any(i.name == name for i in program.inputs) for name, program in site.replacements)


def order_in(partial: Partial, coordinate: str, problem: Problem) -> int:
    """The order of a partial in one coordinate."""
    if partial.laplacian:
        return 2 if coordinate in problem.space and coordinate in problem.arguments(partial.component) else 0
    return partial.orders[tuple(problem.coordinates).index(coordinate)]


def _systems(equations: Sequence[ConditionTerms], problem: Problem) -> list[Rows]:
    """The equations that hold together: several systems where `where` divides the interior."""
    points = probe(problem, "interior", _PROBES)
    holds = np.array([mask(terms.region.where, points) for terms in equations])
    systems = []
    for pattern in sorted({tuple(column) for column in holds.T.tolist()}):
        rows: Rows = []
        for terms in (terms for terms, held in zip(equations, pattern, strict=True) if held):
            rows += [row for row in _rows(terms, problem) if row.keys() & set(_whole(problem))]
        systems.append(rows)
    return systems


def _divided(systems: Sequence[Rows], problem: Problem) -> bool:
    """Whether no part has all components, and each has as many equations as components of its own."""
    present = [{component for row in rows for component in row} for rows in systems]
    fits = all(len(rows) == len(own) for rows, own in zip(systems, present, strict=True))
    everything = set(problem.components)
    return fits and set().union(*present) == everything and all(own != everything for own in present)


def _rows(terms: ConditionTerms, problem: Problem) -> Rows:
    """Which orders of which components each output of a condition depends on.

    What is taken at a place that only follows the point counts with order zero.
    """
    rows: Rows = []
    for output in range(len(terms.residual.programs.outputs)):
        row: dict[str, dict[str, int]] = {}
        for site, partial in _reached(terms.residual.programs, output):
            place = terms.residual.sites[site]
            if not _follows(place):
                continue
            orders = row.setdefault(partial.component, dict.fromkeys(problem.coordinates, 0))
            for c in problem.coordinates if not place.replacements else ():
                orders[c] = max(orders[c], order_in(partial, c, problem))
        rows.append(row)
    return rows


def _reached(program: Program, output: int) -> list[tuple[int, Partial]]:
    """The partial inputs that one output of a program depends on."""
    offset = len(program.inputs)
    needed = {program.outputs[output]}
    for slot in range(offset + len(program.instructions) - 1, offset - 1, -1):
        if slot in needed:
            needed.update(program.instructions[slot - offset].arguments)
    return [
        (item.site, item.partial)
        for slot, item in enumerate(program.inputs)
        if slot in needed and item.partial is not None
    ]


def _determinant_order(rows: Rows, coordinate: str, problem: Problem) -> int:
    """The largest sum of orders over assignments of rows to components; 0 where there is none."""
    components = _whole(problem)
    best: dict[int, int] = {0: 0}  # set of components already assigned, as bits -> best sum so far
    for row in rows:
        step: dict[int, int] = {}
        for taken, total in best.items():
            for k, component in enumerate(components):
                if component in row and not taken >> k & 1:
                    key = taken | 1 << k
                    step[key] = max(step.get(key, 0), total + row[component][coordinate])
        best = step
    return best.get((1 << len(components)) - 1, 0)


def _degenerate_sides(equations: Sequence[ConditionTerms], coordinate: str, problem: Problem) -> int:
    """Sides where the highest derivative's coefficient vanishes: there, no condition is needed."""
    if len(equations) != 1 or len(problem.components) != 1:
        return 0
    residual = equations[0].residual
    order = max((order_in(p, coordinate, problem) for _, p in residual.partials), default=0)
    if order < 2:
        return 0
    values = random_partials(residual, _PROBES)
    raised = {
        key: v + (1.0 if order_in(key[1], coordinate, problem) == order else 0.0) for key, v in values.items()
    }

    def coefficient(label: str) -> float:
        points, near = surrounded(problem, label, _PROBES)
        high = run(residual.programs, points, raised, near)[0]
        low = run(residual.programs, points, values, near)[0]
        return float(np.max(np.abs(high - low)))

    inside, domain = coefficient("interior"), domain_of(problem)
    sides = [f"{coordinate}{sign}" for sign in "-+"]
    return sum(coefficient(side) < 1e-9 * inside for side in sides if domain.share(side) > 0)


def _given(rest: Sequence[ConditionTerms], coordinate: str, problem: Problem) -> int:
    """The fewest conditions on `coordinate` found along any line in its direction."""
    counts = np.zeros(_PROBES, dtype=int)
    shaped = coordinate in problem.space and not is_box(problem)
    if shaped:
        counts = counts + _given_at_ends(rest, coordinate, problem)
    for terms in rest:
        outputs = len(terms.residual.programs.outputs)
        if shaped and terms.region.labels != ("interior",):
            continue
        for label in _touched(terms, coordinate):
            points = probe(problem, label, _PROBES)
            counts += outputs * mask(terms.region.where, points)
    return int(counts.min())


def _given_at_ends(rest: Sequence[ConditionTerms], coordinate: str, problem: Problem) -> Array:
    """The conditions (n,) at both ends together of the lines through random points of a shaped domain."""
    domain = domain_of(problem)
    start = np.stack(list(probe(problem, "interior", _PROBES).values()), axis=1)
    total = np.zeros(_PROBES, dtype=int)
    for forward in (False, True):
        points = _end_of_line(domain, start, domain.names.index(coordinate), forward)
        columns = {name: points[:, k] for k, name in enumerate(domain.names)}
        for terms in rest:
            labels = [label for label in terms.region.labels if domain.is_boundary(label)]
            moved = all(terms.residual.sites[site].replacements for site, _ in terms.residual.partials)
            if labels and not moved:
                on = np.any([domain.on(label, points) for label in labels], axis=0)
                total += len(terms.residual.programs.outputs) * (on & mask(terms.region.where, columns))
    return total


def _end_of_line(domain: Domain, start: Array, axis: int, forward: bool) -> Array:
    """Where lines (n, d) from points inside first leave the domain, going up or down a coordinate."""
    end = (domain.high if forward else domain.low)[axis]
    lines = np.repeat(start[:, None, :], _STEPS, axis=1)
    lines[:, :, axis] += (end - start[:, axis, None]) * (np.arange(1, _STEPS + 1) / _STEPS)
    out = ~domain.contains(lines.reshape(-1, start.shape[1])).reshape(len(start), _STEPS)
    first = np.where(out.any(axis=1), np.argmax(out, axis=1), _STEPS)
    whole = (end - start[:, axis]) / _STEPS
    low, high = start[:, axis] + first * whole, start[:, axis] + (first + 1) * whole
    points = start.copy()
    for _ in range(_BISECTIONS):
        points[:, axis] = 0.5 * (low + high)
        inside = domain.contains(points)
        low, high = np.where(inside, points[:, axis], low), np.where(inside, high, points[:, axis])
    points[:, axis] = np.clip(low, domain.low[axis], domain.high[axis])
    return points


def _touched(terms: ConditionTerms, coordinate: str) -> tuple[str, ...]:
    """The labels under which a condition counts for a coordinate, each once."""
    replaced = [set(fixed(terms.residual.sites[site])) for site, _ in terms.residual.partials]
    names = (coordinate, coordinate.partition("[")[0])  # a side of a vector is one of every component
    sides = tuple(f"{coordinate}{label[-1]}" for label in terms.region.labels if label[:-1] in names)
    if all(coordinate in names for names in replaced):
        elsewhere = any(names != {coordinate} for names in replaced)
        across = bool(terms.region.labels != ("interior",) and not sides)
        return () if elsewhere or across else (sides or ("interior",))[:1]
    return sides


def _leading(equations: Sequence[ConditionTerms], coordinate: str, problem: Problem) -> str:
    """The name of the equation with the highest derivative by a coordinate."""

    def order(terms: ConditionTerms) -> int:
        return max(order_in(partial, coordinate, problem) for _, partial in terms.residual.partials)

    return max(equations, key=order).name


def _shortage(coordinate: str, order: int, needed: int, given: int, components: int) -> str:
    """What a coordinate lacks, in words."""
    if components == 1 and order < len(_ORDINALS):
        what = f"{_ORDINALS[order]} order in {coordinate}"
    else:
        what = f"the system has order {order} in {coordinate}"
    asks = f"which needs {needed} condition{'s' * (needed > 1)}"
    return f"{what}, {asks}; there {'is' if given == 1 else 'are'} {given or 'none'}"


def _hint(formulation: Formulation, rest: Sequence[ConditionTerms], coordinate: str, needed: int) -> str:
    problem = formulation.problem
    unknown = next(iter(problem.unknowns))
    matched = [p for terms in rest for p in matched_partials(terms, coordinate, problem)]
    if matched:
        have = {order_in(p, coordinate, problem) for p in matched}
        order = next((k for k in range(needed) if k not in have), None)
        low, high = problem.coordinates[coordinate].range
        if order is not None:
            term = f"d({unknown}{f', {coordinate}' * order})" if order else unknown
            match = f"{term}({coordinate}={low:g}) = {term}({coordinate}={high:g})"
            return f"a periodic pair needs its derivatives: add '{match}'"
    if coordinate == problem.time:
        have_time = [label for terms in rest for label in _touched(terms, coordinate)]
        example = f"d({unknown}, {coordinate}) = 0" if have_time else f"{unknown} = 0"
        return f"add one with on = \"{coordinate}-\", such as '{example}'"
    touched = {label for terms in rest for label in _touched(terms, coordinate)}
    if coordinate in problem.space and not is_box(problem):
        return _bare_parts(rest, problem)
    bare = [f"{coordinate}{sign}" for sign in "-+" if f"{coordinate}{sign}" not in touched]
    if bare:
        return f"nothing is said on {' and '.join(bare)}"
    return f"add one on {coordinate}- or {coordinate}+"


def _bare_parts(rest: Sequence[ConditionTerms], problem: Problem) -> str:
    """Which parts of a shaped domain's boundary have no condition."""
    domain = domain_of(problem)
    points = np.stack(list(probe(problem, "boundary", 16 * _PROBES).values()), axis=1)
    columns = {name: points[:, k] for k, name in enumerate(domain.names)}
    bare = np.ones(len(points), dtype=bool)
    for terms in rest:
        for label in filter(domain.is_boundary, terms.region.labels):
            bare &= ~(domain.on(label, points) & mask(terms.region.where, columns))
    sides = [f"{name}{sign}" for name in problem.space for sign in "-+"]
    names = [
        n for n in (*sides, *problem.shape_names) if n != "domain" and (domain.on(n, points) & bare).any()
    ]
    return f"nothing is said on {', '.join(names) or 'a part of the boundary'}"


def check_levels(formulation: Formulation, source: SourceMap) -> list[Diagnostic]:
    """A warning for every component that the conditions determine only up to a constant.

    Found by adding a constant to its values: where no condition notices, none fixes the level.
    An error for one that no condition is about at all.
    """
    problem = formulation.problem
    present = {p.component for terms in formulation.conditions for _, p in terms.residual.partials}
    findings = []
    for component in problem.components:
        if component not in present:
            path = ("unknowns", component)
            findings.append(source.diagnose(path, f"no condition is about {component}", where=("unknowns",)))
            continue
        if any(_notices(terms, component, problem) for terms in formulation.conditions):
            continue
        fixable = [n for n in problem.arguments(component) if n not in problem.varied]
        point = ", ".join(f"{n}={problem.coordinates[n].range[0]:g}" for n in fixable)
        findings.append(
            source.diagnose(
                ("unknowns", component),
                f"only derivatives of {component} appear in the conditions: it is known up to a constant",
                where=("unknowns",),
                hint=f"fix its level, for example with '{component}({point}) = 0'",
                severity="warning",
            )
        )
    return findings


def _notices(terms: ConditionTerms, component: str, problem: Problem) -> bool:
    values = random_partials(terms.residual, _PROBES)
    shifted = {
        key: v + (0.37 if key[1].component == component and not key[1].order else 0.0)
        for key, v in values.items()
    }
    label = faces(problem, terms.region.labels)[0]
    points, near = surrounded(problem, label, _PROBES)
    for name in terms.data.columns if terms.data else ():
        near["column", name] = 0.5
    before = run(terms.residual.programs, points, values, near)
    after = run(terms.residual.programs, points, shifted, near)
    return not all(np.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in zip(before, after, strict=True))

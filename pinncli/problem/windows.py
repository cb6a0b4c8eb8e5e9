"""Time windows: the same problem on a piece of the range of time, begun where the piece before ended.

Window k has the range [t_k, t_(k+1)]. What holds on `t-` belongs to the first window and what holds on
`t+` to the last; every later window has the hand-over instead, conditions on its own `t-` that set each
component and its derivatives by time, below the highest in the equations, to those of the window before.
A moment where two windows meet counts to the earlier one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import numpy as np

from pinncli.errors import Diagnostic
from pinncli.language.calculus import compile_equation
from pinncli.language.parser import parse_equation
from pinncli.language.partials import Partial
from pinncli.problem.ansatz import derived_again
from pinncli.problem.counting import count_conditions, is_field_equation, order_in
from pinncli.problem.csv_text import Array
from pinncli.problem.data import Reference
from pinncli.problem.model import Problem
from pinncli.problem.numeric import faces, fixed, mask, probe
from pinncli.problem.source import SourceMap
from pinncli.problem.terms import ConditionTerms, Formulation, Region

_SLACK = 1e-9
"""Of the range: times that differ by less are equal."""
_WHERE_PROBES = 65536
_THINNEST = 0.02
"""Share of a region that `where` should keep in a window that has it at all."""


def edges(problem: Problem) -> tuple[float, ...]:
    """The ends of the windows, t_0 to t_n; of a problem without time, none but one window's."""
    if problem.time is None:
        return (0.0, 1.0)
    low, high = problem.coordinates[problem.time].range
    if problem.marching.cuts is not None:
        return (low, *problem.marching.cuts, high)
    count = problem.marching.windows
    return (*(low + (high - low) * k / count for k in range(count)), high)


def count_windows(problem: Problem) -> int:
    """How many windows there are; 1 for a problem that is not cut."""
    return len(edges(problem)) - 1


def window_of(problem: Problem, times: Array) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """The number of the window that each time (n,) belongs to."""
    return np.searchsorted(np.array(edges(problem)[1:-1]), times, side="left")


def window(formulation: Formulation, k: int) -> Formulation:
    """The formulation of window `k`. Pure; the network that suits the whole suits every window."""
    problem, count = formulation.problem, count_windows(formulation.problem)
    if count == 1 or problem.time is None:
        return formulation
    low, high = edges(problem)[k : k + 2]
    mine = _ranged(problem, low, high)
    parts = [_part(terms, k, problem, mine) for terms in formulation.conditions]
    conditions = [terms for terms in parts if terms is not None]
    if k:
        conditions += handover(formulation)
    part = replace(
        formulation,
        problem=mine,
        conditions=tuple(conditions),
        reference=_between(formulation.reference, problem, low, high),
        periodic=tuple(name for name in formulation.periodic if name != problem.time),
    )
    return derived_again(part)


def until(formulation: Formulation, k: int) -> Formulation:
    """The problem as far as window `k` solves it: range and reference end there."""
    problem = formulation.problem
    if problem.time is None or k == count_windows(problem) - 1:
        return formulation
    low, high = edges(problem)[0], edges(problem)[k + 1]
    reference = _between(formulation.reference, problem, low, high)
    part = _ranged(problem, low, high, edges(problem)[1 : k + 1])
    return replace(formulation, problem=part, reference=reference)


def handover(formulation: Formulation) -> tuple[ConditionTerms, ...]:
    """The conditions on `t-` of every window but the first.

    A component whose highest derivative by time in the field equations is of order k is handed over with
    its derivatives below k: what Cauchy's problem asks for. One without derivatives by time is not. The
    conditions weigh as much and have as many points as the most that was asked for on `t-`.
    """
    problem = formulation.problem
    first = [terms for terms in formulation.conditions if f"{problem.time}-" in terms.region.labels]
    weight = max((terms.weight for terms in first), default=1.0)
    points = max((terms.points for terms in first if terms.points), default=None)
    return tuple(_handed(partial, formulation, weight, points) for partial in _handed_partials(formulation))


def _handed_partials(formulation: Formulation) -> tuple[Partial, ...]:
    problem = formulation.problem
    time = str(problem.time)
    axis = tuple(problem.coordinates).index(time)
    orders = dict.fromkeys(problem.components, 0)
    for terms in filter(is_field_equation, formulation.conditions):
        for _, partial in terms.residual.partials:
            orders[partial.component] = max(orders[partial.component], order_in(partial, time, problem))
    axes = range(len(problem.coordinates))
    return tuple(
        Partial(component, tuple(k * (j == axis) for j in axes))
        for component, order in orders.items()
        for k in range(order)
    )


def _handed(partial: Partial, formulation: Formulation, weight: float, points: int | None) -> ConditionTerms:
    """`d(u, t) = column`, compiled as any equation is; the real or imaginary part of a complex unknown."""
    problem = formulation.problem
    time, order = str(problem.time), partial.order
    name = f"handover_{partial.component}" + (f"_{time * order}" if order else "")
    name = _fresh(name, (*problem.conditions, *formulation.scope.names()))
    term = next(
        read
        for unknown, kind in formulation.scope.unknowns.items()
        for part, read in (
            ((f"{unknown}_real", f"real({unknown})"), (f"{unknown}_imag", f"imag({unknown})"))
            if kind == "complex"
            else ((unknown, unknown),)
        )
        if part == partial.component
    )
    left = f"d({term}, {', '.join([time] * order)})" if order else term
    equation = parse_equation(f"{left} = {name}")
    bare = replace(formulation.scope, constants={}, parameters=(), definitions={}, columns=(name,))
    return ConditionTerms(
        name=name,
        region=Region((f"{time}-",)),
        equation=equation,
        residual=compile_equation(equation, bare),
        weight=weight,
        points=points,
        data=None,
        handover={name: partial},
    )


def _fresh(name: str, taken: Iterable[str]) -> str:
    known = set(taken)
    while name in known:
        name += "_"
    return name


def _ranged(problem: Problem, low: float, high: float, cuts: tuple[float, ...] = ()) -> Problem:
    """The problem on a part of its range of time, itself cut at `cuts`."""
    time = str(problem.time)
    coordinate = problem.coordinates[time].model_copy(update={"range": (low, high)})
    marching = problem.marching.model_copy(update={"windows": 1, "cuts": cuts or None})
    coordinates = {**problem.coordinates, time: coordinate}
    return problem.model_copy(update={"coordinates": coordinates, "marching": marching})


def _part(terms: ConditionTerms, k: int, problem: Problem, mine: Problem) -> ConditionTerms | None:
    """What of a condition holds in window `k`, whose problem is `mine`; None for nothing."""
    time, last = str(problem.time), count_windows(problem) - 1
    if terms.data is not None:
        kept = window_of(problem, terms.data.columns[time]) == k
        columns = {name: values[kept] for name, values in terms.data.columns.items()}
        return replace(terms, data=replace(terms.data, columns=columns)) if kept.any() else None
    moments = _moments(terms, time)
    if moments and not moments & {None, np.inf} and k not in _windows_of(moments, problem):
        return None
    absent = {f"{time}-"} if k else set()
    absent |= {f"{time}+"} if k < last else set()
    labels = [label for label in terms.region.labels if label not in absent]
    if terms.region.where is not None and any(i.name == time for i in terms.region.where.inputs):
        labels = [label for label in labels if _kept(terms, label, mine)]
    return replace(terms, region=replace(terms.region, labels=tuple(labels))) if labels else None


def _kept(terms: ConditionTerms, label: str, problem: Problem) -> int:
    """How many of the points tried `where` keeps."""
    (side, *_) = faces(problem, (label,))
    return int(mask(terms.region.where, probe(problem, side, _WHERE_PROBES)).sum())


def _moments(terms: ConditionTerms, time: str) -> set[float | None]:
    """When a condition evaluates unknowns: fixed times, None for the point's own, infinity for computed."""
    sites = [fixed(terms.residual.sites[site]) for site, _ in terms.residual.partials]
    found: set[float | None] = set()
    for site in sites:
        value = site.get(time)
        found.add(None if time not in site else np.inf if value is None else value)
    return found


def _windows_of(moments: Iterable[float | None], problem: Problem) -> set[int]:
    ends = edges(problem)
    slack = _SLACK * (ends[-1] - ends[0])
    times = np.array([moment for moment in moments if moment is not None])
    return set(window_of(problem, times - slack).tolist())


def _between(reference: Reference | None, problem: Problem, low: float, high: float) -> Reference | None:
    """The part of a reference that lies between two times; None where nothing does."""
    if reference is None or problem.time is None:
        return reference
    times = reference.coordinates[problem.time]
    slack = _SLACK * (high - low)
    kept = np.flatnonzero((times >= low - slack) & (times <= high + slack))
    if not kept.size:
        return None
    axis = tuple(problem.coordinates).index(problem.time)
    if reference.gridded:
        coordinates = {**reference.coordinates, problem.time: times[kept]}
        values = {name: np.take(v, kept, axis) for name, v in reference.values.items()}
    else:
        coordinates = {name: column[kept] for name, column in reference.coordinates.items()}
        values = {name: v[kept] for name, v in reference.values.items()}
    return replace(reference, coordinates=coordinates, values=values)


def check_windows(formulation: Formulation, source: SourceMap) -> list[Diagnostic]:
    """Whether the problem can be solved window by window."""
    problem, marching = formulation.problem, formulation.problem.marching
    if marching.windows == 1 and marching.cuts is None:
        return []
    place = ("marching", "windows" if marching.cuts is None else "cuts")
    if problem.time is None:
        hint = 'kind = "time" marks a coordinate as time'
        return [source.diagnose(place, "there is no time to cut into windows", hint=hint)]
    if marching.windows > 1 and marching.cuts is not None:
        return [source.diagnose(place, "windows and cuts both say where time is cut: leave one out")]
    ends = edges(problem)
    if any(not b - a > _SLACK * (ends[-1] - ends[0]) for a, b in pairwise(ends)):
        message = f"should increase between {ends[0]:g} and {ends[-1]:g}, the range of {problem.time}"
        return [source.diagnose(place, message)]
    if count_windows(problem) == 1:
        return []
    findings = [_divided(terms, source) for terms in formulation.conditions if _is_divided(terms, problem)]
    if problem.parameters:
        name = next(iter(problem.parameters))
        message = f"every window would find a {name} of its own, from its own part of the data"
        findings.append(
            source.diagnose(place, message, hint="solve with one window, or give it as a constant")
        )
    for component in problem.components:
        if problem.time not in problem.arguments(component):
            message = (
                f"every window would find a {component} of its own, which does not depend on {problem.time}"
            )
            findings.append(source.diagnose(place, message, hint="solve with one window"))
    return findings or _check_first(formulation, source)


def _is_divided(terms: ConditionTerms, problem: Problem) -> bool:
    """Whether a condition compares moments that no window has together."""
    moments = _moments(terms, str(problem.time)) if terms.data is None else set()
    if moments <= {None}:
        return False
    return bool(moments & {None, np.inf}) or len(_windows_of(moments, problem)) > 1


def _divided(terms: ConditionTerms, source: SourceMap) -> Diagnostic:
    message = "compares moments of different time windows, and each window has a network of its own"
    return source.diagnose(("conditions", terms.name), message, hint="solve with one window")


def _check_first(formulation: Formulation, source: SourceMap) -> list[Diagnostic]:
    """The first window must be determined by itself; the later ones are by the hand-over."""
    problem = formulation.problem
    known = count_conditions(formulation, source)
    findings = [
        replace(finding, message=f"in the first time window: {finding.message}")
        for finding in count_conditions(window(formulation, 0), source)
        if not known
    ]
    for terms in formulation.conditions:
        if terms.data is not None or terms.region.where is None:
            continue
        for k in range(count_windows(problem)):
            mine = window(formulation, k)
            part = next((t for t in mine.conditions if t.name == terms.name), None)
            counts = [_kept(terms, label, mine.problem) for label in part.region.labels] if part else []
            if any(count < _THINNEST * _WHERE_PROBES for count in counts):
                low, high = edges(problem)[k : k + 2]
                message = f"keeps too little of the time window from {low:g} to {high:g}: cut elsewhere"
                findings.append(source.diagnose(("conditions", terms.name, "where"), message))
    return findings

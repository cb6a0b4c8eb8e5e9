"""Which conditions say that the solution is periodic, found from what they do rather than how they read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pinncli.language.partials import Partial
from pinncli.problem.model import Problem
from pinncli.problem.numeric import fixed, run
from pinncli.problem.terms import ConditionTerms

_TRIES = 8
"""Random values on which a condition must behave as `value here = value there`."""


def periodic_coordinates(problem: Problem, conditions: Sequence[ConditionTerms]) -> tuple[str, ...]:
    """The coordinates in which the conditions make every real component smooth across the ends of the range.

    A component of order k there needs its value and its first k - 1 derivatives matched. Fewer, as in
    u(x=0) = u(x=1) beside u(x=0) = 0, leave a kink that a periodic embedding could never represent.
    """
    periodic = []
    for axis, coordinate in enumerate(problem.coordinates):
        everywhere = {"interior", f"{coordinate}-", f"{coordinate}+"}
        matched = {
            partial
            for terms in conditions
            if set(terms.region.labels) <= everywhere and terms.region.where is None
            for partial in matched_partials(terms, coordinate, problem)
        }
        if _seams(problem, conditions, axis) <= matched:
            periodic.append(coordinate)
    return tuple(periodic)


def _seams(problem: Problem, conditions: Sequence[ConditionTerms], axis: int) -> set[Partial]:
    """What has to match at both ends of a coordinate: every component's derivatives below its order."""
    count = len(problem.coordinates)
    name = tuple(problem.coordinates)[axis]
    orders = {component: 1 for component in problem.components if name in problem.arguments(component)}
    spatial = name in problem.space
    for _, partial in (item for terms in conditions for item in terms.residual.partials):
        if partial.component not in orders:
            continue
        order = 2 * spatial if partial.laplacian else partial.orders[axis]
        orders[partial.component] = max(orders[partial.component], order)
    return {
        Partial(component, tuple(k * (j == axis) for j in range(count)))
        for component, order in orders.items()
        for k in range(order)
    }


def matched_partials(terms: ConditionTerms, coordinate: str, problem: Problem) -> frozenset[Partial]:
    """The partials that a condition makes equal at both ends of a coordinate; empty if it does not."""
    residual = terms.residual
    ends = [_end(terms, site, coordinate, problem) for site, _ in residual.partials]
    low = {p for (_, p), end in zip(residual.partials, ends, strict=True) if end == "-"}
    high = {p for (_, p), end in zip(residual.partials, ends, strict=True) if end == "+"}
    if not low or low != high or None in ends or any(p.laplacian for p in low):
        return frozenset()
    kinds = {item.kind for item in residual.programs.inputs}
    if not kinds <= {"coordinate", "partial"} or terms.data is not None:
        return frozenset()
    random = np.random.default_rng(0)
    points = {name: random.uniform(*c.range, _TRIES) for name, c in problem.coordinates.items()}
    here: dict[Partial, Any] = {p: random.normal(size=_TRIES) for p in sorted(low)}
    equal = {(site, p): here[p] for site, p in residual.partials}
    if any(np.any(np.abs(out) > 1e-9) for out in run(residual.programs, points, equal)):
        return frozenset()
    for changed in low:  # each of them must matter, or it is not matched
        moved = {
            key: value + (1.0 if key[1] == changed and end == "+" else 0.0)
            for (key, value), end in zip(equal.items(), ends, strict=True)
        }
        if all(np.all(np.abs(out) < 1e-9) for out in run(residual.programs, points, moved)):
            return frozenset()
    return frozenset(low)


def _end(terms: ConditionTerms, site: int, coordinate: str, problem: Problem) -> str | None:
    """At which end of `coordinate` a site of a condition lies: "-", "+" or None for elsewhere."""
    low, high = problem.coordinates[coordinate].range
    replaced = fixed(terms.residual.sites[site])
    if set(replaced) - {coordinate}:
        return None
    if not replaced:
        labels = terms.region.labels
        return labels[0][-1] if labels in ((f"{coordinate}-",), (f"{coordinate}+",)) else None
    value = replaced[coordinate]
    slack = 1e-9 * (high - low)
    if value is None:
        return None
    return "-" if abs(value - low) <= slack else "+" if abs(value - high) <= slack else None

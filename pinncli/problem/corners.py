"""Conditions that give the solution's value, compared where they meet."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from pinncli.errors import Diagnostic
from pinncli.problem.domains import domain_of, is_box
from pinncli.problem.model import Problem
from pinncli.problem.numeric import Array, Points, end, faces, mask, place, probe, run
from pinncli.problem.source import SourceMap
from pinncli.problem.terms import ConditionTerms, Formulation

_PROBES = 64
_TOLERANCE = 1e-6


def check_corners(formulation: Formulation, source: SourceMap) -> list[Diagnostic]:
    """A warning, with both values, for every two conditions that disagree where their sides meet."""
    problem = formulation.problem
    givers = [terms for terms in formulation.conditions if _gives_values(terms)]
    findings = []
    for first, second in combinations(givers, 2):
        worst = max(
            (
                found
                for a in faces(problem, first.region.labels)
                for b in faces(problem, second.region.labels)
                if (found := _compare(first, a, second, b, problem)) is not None
            ),
            key=lambda found: found[0],
            default=None,
        )
        if worst is not None:
            message = f"disagrees with '{first.name}' where they meet: {worst[1]}"
            path = ("conditions", second.name)
            findings.append(source.diagnose(path, message, severity="warning"))
    return findings


def _gives_values(terms: ConditionTerms) -> bool:
    """Whether a condition on sides is solved by values alone: as many equations as components."""
    residual = terms.residual
    return (
        terms.region.labels != ("interior",)
        and terms.data is None
        and residual.linear
        and all(not p.order and not residual.sites[site].replacements for site, p in residual.partials)
        and len(residual.partials) == len(residual.programs.outputs)
        and all(item.kind in ("coordinate", "partial") for item in residual.programs.inputs)
    )


def _compare(
    first: ConditionTerms, a: str, second: ConditionTerms, b: str, problem: Problem
) -> tuple[float, str] | None:
    """The largest disagreement where the regions `a` and `b` meet, and what it is in words."""
    points = _meeting(a, b, problem)
    if not len(next(iter(points.values()))):
        return None
    both = mask(first.region.where, points) & mask(second.region.where, points)
    one, two = _values(first, points), _values(second, points)
    worst: tuple[float, str] | None = None
    for component in sorted(set(one) & set(two)):
        with np.errstate(all="ignore"):
            gap = np.where(both, np.abs(one[component] - two[component]), 0.0)
        gap = np.where(np.isfinite(gap), gap, 0.0)
        row = int(np.argmax(gap))
        x, y = float(one[component][row]) + 0.0, float(two[component][row]) + 0.0
        if gap[row] > _TOLERANCE * (1.0 + abs(x) + abs(y)) and (worst is None or gap[row] > worst[0]):
            where = place(points, row)
            worst = float(gap[row]), f"{component} = {y:.4g} here and {x:.4g} there at {where}"
    return worst


def _meeting(a: str, b: str, problem: Problem) -> Points:
    """Points that belong to both regions: random ones, and the corners of a domain in the plane."""
    domain = domain_of(problem)
    names = domain.names
    if a == b:
        return probe(problem, a, _PROBES)
    if b[-1] not in "+-":
        a, b = b, a
    if b[-1] in "+-" and (a[-1] not in "+-" or a[:-1] != b[:-1]):
        points = np.stack(list(probe(problem, a, _PROBES).values()), axis=1)
        points[:, names.index(b[:-1])] = end(problem, b)
        if not (domain.is_boundary(a) and domain.is_boundary(b)):
            kept = domain.contains(points)  # an end of time, where any point of the other region is
            return {name: points[kept, k] for k, name in enumerate(names)}
        if is_box(problem) and a[-1] in "+-":
            return {name: points[:, k] for k, name in enumerate(names)}
    if domain.geometry is None or not (domain.is_boundary(a) and domain.is_boundary(b)):
        return dict.fromkeys(names, np.zeros(0))
    corners = np.concatenate([domain.geometry.corners(a), domain.geometry.corners(b)])
    points = np.stack(list(probe(problem, "interior", max(1, len(corners))).values()), axis=1)[: len(corners)]
    points[:, domain.space] = corners
    kept = domain.on(a, points) & domain.on(b, points)
    return {name: points[kept, k] for k, name in enumerate(names)}


def _values(terms: ConditionTerms, points: Points) -> dict[str, Array]:
    """What a condition makes of each component, by solving its linear equations at every point."""
    residual = terms.residual
    keys: Sequence[Any] = residual.partials
    count = len(next(iter(points.values())))

    def evaluate(which: int | None) -> Array:
        values = {key: np.full(count, float(k == which)) for k, key in enumerate(keys)}
        return np.stack(run(residual.programs, points, values), axis=-1)

    offset = evaluate(None)
    matrix = np.stack([evaluate(k) - offset for k in range(len(keys))], axis=-1)
    with np.errstate(all="ignore"):
        regular = np.abs(np.linalg.det(matrix)) > 1e-12
    matrix[~regular] = np.eye(len(keys))
    solved: Array = np.linalg.solve(matrix, -offset[..., None])[..., 0].astype(np.float64)
    solved[~regular] = np.nan
    return {partial.component: solved[:, k] for k, (_, partial) in enumerate(keys)}

"""Which conditions share their points, and how many points they get: decided once, for plan and solve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pinncli.problem.defaults import Choices
from pinncli.problem.domains import domain_of
from pinncli.problem.model import Problem
from pinncli.problem.terms import ConditionTerms, Formulation, Region

LEAST = 16
"""Points on the smallest part of the boundary."""


@dataclass(frozen=True)
class PointGroup:
    """Conditions at the same points. `counts` has the points of every label; of data, one count of all."""

    terms: tuple[ConditionTerms, ...]
    counts: tuple[int, ...]

    @property
    def region(self) -> Region:
        """Where the points lie."""
        return self.terms[0].region

    @property
    def points(self) -> int:
        """Points in all."""
        return sum(self.counts)


def point_groups(
    formulation: Formulation, choices: Choices, conditions: Sequence[ConditionTerms] | None = None
) -> tuple[PointGroup, ...]:
    """The groups of `conditions`, those trained where left out, in the order of the file."""
    members: dict[tuple[object, ...], list[ConditionTerms]] = {}
    problem = formulation.problem
    for terms in formulation.trained if conditions is None else conditions:
        counts = _counts(terms, choices, problem)
        file = terms.data.file if terms.data else None
        key = (terms.region, file, counts, tuple(sorted(_held(terms))))
        members.setdefault(key, []).append(terms)
    return tuple(PointGroup(tuple(group), _counts(group[0], choices, problem)) for group in members.values())


def _counts(terms: ConditionTerms, choices: Choices, problem: Problem) -> tuple[int, ...]:
    """As many as the data have or were asked for; else by the dimension of the region.

    A part of the boundary has as many as its length or area is worth, where a mean side of the box has
    `choices.boundary`.
    """
    if terms.data is not None:
        return (len(next(iter(terms.data.columns.values()))),)
    domain, held = domain_of(problem), _held(terms)
    interior = terms.region.labels == ("interior",)
    free = len(problem.coordinates) - len(held)
    if not interior:
        sides = [{label[:-1]} if label[-1] in "+-" else {""} for label in terms.region.labels]
        free = len(problem.coordinates) - min(len(side | held) for side in sides)
    if not free:
        return tuple(max(1, domain.is_points(label)) for label in terms.region.labels)
    if terms.points:
        return (terms.points,) * len(terms.region.labels)
    if free == len(problem.coordinates):
        return (choices.interior,)
    if interior:
        return (choices.boundary,)
    shares = [domain.share(label) for label in terms.region.labels]
    return tuple(max(round(choices.boundary * share), min(LEAST, choices.boundary)) for share in shares)


def _held(terms: ConditionTerms) -> set[str]:
    """The coordinates that a condition leaves out, as `x` in u(x=0) = u(x=1) or integral(u, x) = 1."""
    residual = terms.residual
    used = {residual.sites[site] for site, _ in residual.partials}
    programs = [residual.programs, *(program for site in used for _, program in site.replacements)]
    seen = {item.name for program in programs for item in program.inputs if item.kind == "coordinate"}
    replaced = [{name for name, _ in site.replacements} for site in used]
    return set.intersection(*replaced) - seen if replaced else set()

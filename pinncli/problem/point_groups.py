"""Which conditions share their points, and how many points they get: decided once, for plan and solve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pinncli.problem.defaults import Choices
from pinncli.problem.model import Problem
from pinncli.problem.terms import ConditionTerms, Formulation, Region


@dataclass(frozen=True)
class PointGroup:
    """Conditions at the same points. `each` counts them in the interior or on every side; of data, all."""

    terms: tuple[ConditionTerms, ...]
    each: int

    @property
    def region(self) -> Region:
        """Where the points lie."""
        return self.terms[0].region

    @property
    def points(self) -> int:
        """Points in all."""
        return self.each if self.terms[0].data else self.each * len(self.region.labels)


def point_groups(
    formulation: Formulation, choices: Choices, conditions: Sequence[ConditionTerms] | None = None
) -> tuple[PointGroup, ...]:
    """The groups of `conditions`, those trained where left out, in the order of the file."""
    members: dict[tuple[object, ...], list[ConditionTerms]] = {}
    problem = formulation.problem
    for terms in formulation.trained if conditions is None else conditions:
        each = _each(terms, choices, problem)
        file = terms.data.file if terms.data else None
        key = (terms.region, file, each, tuple(sorted(_held(terms))))
        members.setdefault(key, []).append(terms)
    return tuple(PointGroup(tuple(group), _each(group[0], choices, problem)) for group in members.values())


def _each(terms: ConditionTerms, choices: Choices, problem: Problem) -> int:
    """As many as the data have or were asked for; else by the dimension of the region."""
    if terms.data is not None:
        return len(next(iter(terms.data.columns.values())))
    sides = [set() if label == "interior" else {label[:-1]} for label in terms.region.labels]
    free = len(problem.coordinates) - min(len(side | _held(terms)) for side in sides)
    if not free:
        return 1
    return terms.points or (choices.interior if free == len(problem.coordinates) else choices.boundary)


def _held(terms: ConditionTerms) -> set[str]:
    """The coordinates replaced at every evaluation of an unknown, as `x` in u(x=0) = u(x=1)."""
    used = [terms.residual.sites[site].replacements for site, _ in terms.residual.partials]
    return set.intersection(*({name for name, _ in replaced} for replaced in used)) if used else set()

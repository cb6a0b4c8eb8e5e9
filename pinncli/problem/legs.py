"""A solve as a sequence of legs, each begun where the one before arrived: values of a curriculum in every
time window in turn. A problem with neither has one leg, the problem itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pinncli.problem.curriculum import courses, most_steps, with_constants
from pinncli.problem.terms import Formulation
from pinncli.problem.windows import count_windows, window


@dataclass(frozen=True)
class Leg:
    """What is solved at a time: a window of time, with some value of the curriculum's constants."""

    window: int
    constants: Mapping[str, float]
    final: bool
    """Whether the constants have their own values, so that this solves the window."""
    steps: int | None
    """Most steps of each stage, where the curriculum limits them."""
    formulation: Formulation


def legs(formulation: Formulation) -> tuple[Leg, ...]:
    """All legs in order; raises `LanguageError` where a value of the curriculum makes no sense."""
    problem = formulation.problem
    path = courses(problem)
    last = len(path) - 1
    versions = [with_constants(formulation, c) if k < last else formulation for k, c in enumerate(path)]
    return tuple(
        Leg(k, constants, j == last, None if j == last else most_steps(problem), window(versions[j], k))
        for k in range(count_windows(problem))
        for j, constants in enumerate(path)
    )

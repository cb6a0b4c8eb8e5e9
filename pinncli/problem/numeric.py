"""Programs evaluated by numpy at points, for the checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pinncli.language.functions import NUMPY
from pinncli.language.partials import Partial
from pinncli.language.program import Input, Program
from pinncli.language.scope import Residual, Site
from pinncli.problem.domains import domain_of, uniform
from pinncli.problem.model import Problem
from pinncli.shapes.domain import Predicate

Array = np.ndarray[Any, np.dtype[np.float64]]
Points = Mapping[str, Array]


def run(
    program: Program,
    points: Points,
    partials: Mapping[tuple[int, Partial], Array] | None = None,
    others: Mapping[tuple[str, str], Array | float] | None = None,
) -> list[Array]:
    """The outputs of `program`, each of shape (n,), at points given by coordinate.

    `partials` has a value for each (site, partial), `others` for each (kind, name) of parameters,
    normals and columns. Where a formula is not finite, neither is the output.
    """
    count = len(next(iter(points.values())))

    def value(item: Input) -> Array | float:
        if item.kind == "coordinate":
            return points[item.name]
        if item.partial is not None:
            return (partials or {})[item.site, item.partial]
        return (others or {})[item.kind, item.name]

    with np.errstate(all="ignore"):
        outputs = program.run([value(item) for item in program.inputs], NUMPY)
        return [np.broadcast_to(np.asarray(out, dtype=np.float64), (count,)) for out in outputs]


def constant(program: Program) -> float | None:
    """The value of a program that depends on nothing; None for any other."""
    if program.inputs:
        return None
    with np.errstate(all="ignore"):
        return float(program.run([], NUMPY)[0])


def fixed(site: Site) -> dict[str, float | None]:
    """The coordinates that a site replaces, with the value where it is a number."""
    return {name: constant(program) for name, program in site.replacements}


def mask(where: Program | None, points: Points) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which points satisfy `where`, as booleans of shape (n,)."""
    count = len(next(iter(points.values())))
    return np.ones(count, bool) if where is None else run(where, points)[0] > 0.5


def predicate(where: Program | None, names: Sequence[str]) -> Predicate | None:
    """`where` as a function of points (n, d) with the coordinates `names`; None where there is none."""
    if where is None:
        return None
    return lambda points: mask(where, {name: points[:, k] for k, name in enumerate(names)})


def faces(problem: Problem, labels: Sequence[str]) -> tuple[str, ...]:
    """The labels as `probe` takes them: of a side of a vector coordinate, those of three components."""
    found: list[str] = []
    for label in labels:
        parts = problem.vectors.get(label[:-1], ())
        picked = [parts[k] for k in (0, len(parts) // 2, -1)] if parts else [label[:-1]]
        found += [f"{part}{label[-1]}" for part in picked]
    return tuple(dict.fromkeys(found))


def probe(problem: Problem, label: str, count: int, seed: int = 0) -> dict[str, Array]:
    """`count` random points of a region given by its label (`interior`, `x-`, `hole`), by coordinate."""
    return surrounded(problem, label, count, seed)[0]


def surrounded(
    problem: Problem, label: str, count: int, seed: int = 0
) -> tuple[dict[str, Array], dict[tuple[str, str], Array | float]]:
    """The points of `probe`, with the values of parameters and normals that a program needs there."""
    domain = domain_of(problem)
    found = domain.sample(label, count, uniform(seed))
    rows = np.arange(count) % len(found) if domain.is_points(label) else slice(None)
    points = {name: found.points[rows, k] for k, name in enumerate(domain.names)}
    near = parameters(problem)
    for k, name in enumerate(domain.names):
        near["normal", name] = found.normals[rows, k]
    return points, near


def end(problem: Problem, side: str) -> float:
    """Where a side such as `x+` lies on its coordinate."""
    return problem.coordinates[side[:-1]].range[side[-1] == "+"]


def random_partials(residual: Residual, count: int, seed: int = 0) -> dict[tuple[int, Partial], Array]:
    """Random values between 0.1 and 0.9 for everything that a residual asks of the unknowns."""
    random = np.random.default_rng(seed)
    return {key: random.uniform(0.1, 0.9, count) for key in residual.partials}


def parameters(problem: Problem) -> dict[tuple[str, str], Array | float]:
    """Parameters at their initial values."""
    return {("parameter", name): parameter.initial for name, parameter in problem.parameters.items()}


def place(points: Points, row: int) -> str:
    """One point in words: `x = 0.5, t = 1`."""
    return ", ".join(f"{name} = {values[row]:.4g}" for name, values in points.items())

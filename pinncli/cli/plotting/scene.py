"""What a problem says of its fields and a field set does not: vectors, fewer coordinates, measured points."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pinncli.problem.terms import Formulation
    from pinncli.shapes import Geometry

_PLAIN = re.compile(r"\s*(\w+)\s*=\s*(\w+)\s*")


@dataclass(frozen=True)
class Samples:
    """Points where data were given, each coordinate of shape (n,), and what was measured, by component."""

    name: str
    coordinates: Mapping[str, NDArray[Any]]
    values: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Scene:
    """How fields are to be drawn."""

    unknowns: tuple[str, ...] = ()
    """Components of the solution, without definitions."""
    vectors: tuple[tuple[str, ...], ...] = ()
    """Components along x, y (and z) of each vector."""
    fewer: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The coordinates of components that have not all of them."""
    samples: tuple[Samples, ...] = ()
    geometry: Geometry | None = None
    """The domain in space, where it is no plain box or has shapes in it."""


def scene_of(formulation: Formulation) -> Scene:
    """The scene of a problem. What is measured is known where the condition reads `u = column`."""
    from pinncli.problem.domains import geometry_of
    from pinncli.problem.vectors import vectors_of

    problem = formulation.problem
    samples = []
    for terms in formulation.conditions:
        if terms.data is None:
            continue
        columns = terms.data.columns
        points = {name: columns[name] for name in problem.coordinates if name in columns}
        found = _PLAIN.fullmatch(problem.conditions[terms.name].equation)
        sides = set(found.groups()) if found else set()
        values = {u: columns[c] for u in sides for c in sides if u in problem.components and c in columns}
        samples.append(Samples(terms.name, points, values))
    fewer = {name: unknown.of for name, unknown in problem.unknowns.items() if unknown.of is not None}
    geometry = geometry_of(problem) if problem.shape_names else None
    return Scene(problem.components, vectors_of(formulation), fewer, tuple(samples), geometry)

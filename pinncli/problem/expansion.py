"""Vector coordinates written out: `x = { dim = 3, range = [0, 1] }` becomes x[1], x[2] and x[3].

Every layer below the language then knows coordinates of one number each. A name in brackets cannot be
written in a file, so that the components never meet another name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from pinncli.problem.model import Problem
from pinncli.problem.settings import DenseSettings, FeatureSettings

V = TypeVar("V")


def written_out(problem: Problem) -> Problem:
    """The problem with every component a coordinate; settings by coordinate hold for all components."""
    parts = {
        name: tuple(f"{name}[{k}]" for k in range(1, c.dim + 1)) if c.dim > 1 else (name,)
        for name, c in problem.coordinates.items()
    }
    if all(len(names) == 1 for names in parts.values()):
        return problem

    def names(asked: Iterable[str]) -> tuple[str, ...]:
        return tuple(part for name in asked for part in parts.get(name, (name,)))

    def table(asked: Mapping[str, V]) -> dict[str, V]:
        return {part: value for name, value in asked.items() for part in parts.get(name, (name,))}

    coordinates = {
        part: c.model_copy(update={"dim": 1, "long_name": _long_name(c.long_name, name, part)})
        for name, c in problem.coordinates.items()
        for part in parts[name]
    }
    unknowns = {
        name: u if u.of is None else u.model_copy(update={"of": names(u.of)})
        for name, u in problem.unknowns.items()
    }
    network = problem.network
    if isinstance(network, FeatureSettings) and network.patches is not None:
        network = network.model_copy(update={"patches": table(network.patches)})
    if isinstance(network, DenseSettings) and network.fourier is not None:
        fourier = network.fourier.model_copy(update={"scales": table(network.fourier.scales)})
        network = network.model_copy(update={"fourier": fourier})
    output = problem.output.model_copy(update={"grid": table(problem.output.grid)})
    return problem.model_copy(
        update={"coordinates": coordinates, "unknowns": unknowns, "network": network, "output": output}
    )


def _long_name(long_name: str, name: str, part: str) -> str:
    return f"{long_name} {part.removeprefix(name)}" if long_name and part != name else long_name

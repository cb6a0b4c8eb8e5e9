"""One trained network with the formulation that it solves: values, definitions, residuals anywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pinncli.assembly import Assembly
from pinncli.evaluation import Array
from pinncli.handover import Handover
from pinncli.language.partials import Partial
from pinncli.problem.model import Problem
from pinncli.residuals import Condition, Group, Sample, run_on_coordinates

FRESH_INTERIOR, FRESH_SIDE = 20_000, 2_000
"""Fresh points for residuals."""

CHUNK = 4
"""Blocks of points evaluated at a time, so that memory does not grow with the grid."""


@dataclass(frozen=True)
class Piece:
    """theta (p,) together with what it solves: a problem, or one time window of it."""

    assembly: Assembly
    theta: Tensor

    @property
    def problem(self) -> Problem:
        """What is solved, with the range of time of its window."""
        return self.assembly.formulation.problem

    def ending(self) -> Handover:
        """What the next window begins from."""
        a = self.assembly
        return Handover(a.network, a.engine, self.theta[: a.network.size], CHUNK * a.block)

    def components(self, points: Array) -> dict[str, Array]:
        """Every real component (n,) at `points` (n, d)."""
        a = self.assembly
        names = self.problem.components
        wanted = [Partial(name, (0,) * points.shape[1]) for name in names]
        found: dict[str, list[Array]] = {name: [] for name in names}
        with torch.no_grad():
            for chunk in _chunks(points, CHUNK * a.block):
                values = a.engine.partials(
                    a.network, self.theta[: a.network.size], self._tensor(chunk), wanted
                )
                for partial, value in values.items():
                    found[partial.component].append(as_array(value))
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def definitions(self, points: Array) -> dict[str, Array]:
        """Every definition (n,) at `points` (n, d); two fields where it is complex."""
        conditions = [Condition(n, r) for n, r in self.assembly.formulation.definitions.items()]
        if not conditions:
            return {}
        group = Group.of("definitions", self.assembly.coordinates, conditions)
        return {
            _part(n, k, c): v for n, rows in self._rows(group, points).items() for k, c, v in _numbered(rows)
        }

    def residual_maps(self, points: Array) -> dict[str, Array]:
        """The residual (n,) of every condition on the interior, NaN where it does not hold."""
        fields: dict[str, Array] = {}
        for group, region in zip(self.assembly.groups, self.assembly.regions, strict=True):
            moved = all(site.replacements for site in group.sites)
            if region.labels != ("interior",) or region.data is not None or moved:
                continue
            outside = np.zeros(len(points), dtype=bool)
            if region.where is not None:
                kept = run_on_coordinates(region.where, self._tensor(points), self.assembly.coordinates)[0]
                outside = ~as_array(kept).astype(bool)
            for name, rows in self._rows(group, points).items():
                for k, count, values in _numbered(rows):
                    fields[_part(f"residual_{name}", k, count)] = np.where(outside, np.nan, values)
        return fields

    def fresh_magnitudes(self, share: float = 1.0) -> dict[str, Tensor]:
        """Per condition, the size of its residual at fresh points; `share` of the usual number of them."""
        interior, side = (max(1, round(share * count)) for count in (FRESH_INTERIOR, FRESH_SIDE))
        met = self.assembly.met_objective(side).magnitudes(self.theta)
        found = self.magnitudes(self.assembly.fresh(interior, side)) | met
        return {terms.name: found[terms.name] for terms in self.assembly.formulation.conditions}

    def magnitudes(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        """Per condition, the size of its residual (n,) at `samples`, one per group."""
        return self.assembly.objective(samples).magnitudes(self.theta)

    def relative_residual(self) -> float:
        """Root mean square residual at fresh points over that of the untrained network."""
        a = self.assembly
        objective = a.objective(a.fresh(FRESH_INTERIOR // 10, FRESH_SIDE // 10))
        return math.sqrt(objective.value(self.theta) / objective.value(a.initial_theta()))

    def _rows(self, group: Group, points: Array) -> dict[str, list[Array]]:
        found: dict[str, list[list[Array]]] = {}
        for chunk in _chunks(points, CHUNK * self.assembly.block):
            tensor = self._tensor(chunk)
            sample = Sample(tensor, torch.zeros_like(tensor), {})
            objective = self.assembly.objective_of([group], [sample])
            for name, rows in objective.condition_rows(self.theta).items():
                found.setdefault(name, []).append([as_array(row) for row in rows])
        return {n: [np.concatenate(parts) for parts in zip(*p, strict=True)] for n, p in found.items()}

    def _tensor(self, points: Array) -> Tensor:
        return torch.tensor(points, dtype=self.assembly.dtype, device=self.assembly.device)


def as_array(tensor: Tensor) -> Array:
    """The numbers of a tensor, on the CPU."""
    return tensor.detach().cpu().numpy()


def root_mean_square(values: Tensor) -> float:
    """Of (n,)."""
    return float(values.square().mean().sqrt())


def merged(parts: Sequence[tuple[NDArray[np.intp], Mapping[str, Array]]], count: int) -> dict[str, Array]:
    """Fields (n,) put together from parts: indices into them, and what they are there.

    NaN where a part does not have a field. Complete parts give complete fields.
    """
    found: dict[str, Array] = {}
    for kept, fields in parts:
        for name, values in fields.items():
            found.setdefault(name, np.full(count, np.nan, dtype=values.dtype))[kept] = values
    return found


def _part(name: str, k: int, count: int) -> str:
    return name if count == 1 else f"{name}_{('real', 'imag')[k]}"


def _numbered(rows: Sequence[Array]) -> list[tuple[int, int, Array]]:
    return [(k, len(rows), values) for k, values in enumerate(rows)]


def _chunks(points: Array, size: int) -> list[Array]:
    return np.array_split(points, max(1, -(-len(points) // size)))

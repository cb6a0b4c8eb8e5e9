"""A trained network as the solution of its problem: fields, errors, residuals, anywhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pinncli.assembly import Assembly
from pinncli.errors import UsageError
from pinncli.evaluation import (
    Array,
    Errors,
    FieldSet,
    PointSet,
    errors,
    grid_points,
    nodes,
    storage_order,
)
from pinncli.language.functions import NUMPY
from pinncli.language.partials import Partial
from pinncli.language.program import Program
from pinncli.problem.model import Problem
from pinncli.residuals import Condition, Group, Sample, run_on_coordinates

FRESH_INTERIOR, FRESH_SIDE = 20_000, 2_000
"""Fresh points for residuals."""

FRESH_ERRORS, ROUGH_ERRORS = 100_000, 5_000
"""Fresh points for errors against a formula, at the end and during training."""

MAX_GRID_POINTS = 50_000_000
"""Points of one grid: with a dozen fields, about 5 GB."""

CHUNK = 4
"""Blocks of points evaluated at a time, so that memory does not grow with the grid."""


@dataclass(frozen=True)
class Solution:
    """theta (p,) together with the problem that it solves."""

    assembly: Assembly
    theta: Tensor

    @property
    def problem(self) -> Problem:
        """What is solved."""
        return self.assembly.formulation.problem

    @property
    def has_reference(self) -> bool:
        """Whether errors can be stated."""
        return bool(self.assembly.formulation.exact or self.assembly.formulation.reference)

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
                    found[partial.component].append(_numpy(value))
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def reference(self, points: Array) -> dict[str, Array]:
        """The reference (n,) of every component that is known at all of `points` (n, d).

        A formula is known everywhere, a file at its own points only: a value interpolated between
        them would pass its own error off as the solution's.
        """
        formulation = self.assembly.formulation
        found = {
            name: _run(program, points, self.assembly.coordinates)
            for name, program in formulation.exact.items()
        }
        data = formulation.reference
        if data is not None and data.gridded:
            axes = [data.coordinates[name] for name in self.assembly.coordinates]
            places = [nodes(axis, points[:, k]) for k, axis in enumerate(axes)]
            for name, values in data.values.items():
                if all(place is not None for place in places):
                    found.setdefault(name, values[tuple(p for p in places if p is not None)])
        return found

    def errors(self) -> dict[str, Errors]:
        """Per unknown, against the formula at fresh points or the reference's own points."""
        return self._errors(*self.error_points(FRESH_ERRORS))

    def error_on(self, known: tuple[Array, Mapping[str, Array]]) -> float:
        """The largest relative L2 error over unknowns where the reference is `known`."""
        return max(e.rel_l2 for e in self._errors(*known).values())

    def error_points(self, count: int) -> tuple[Array, dict[str, Array]]:
        """`count` points (n, d), fewer where a file has fewer, and the reference's components (n,) there."""
        a = self.assembly
        data = a.formulation.reference
        if data is None:
            points = _numpy(a.fresh_points(count))
            return points, self.reference(points)
        columns = [data.coordinates[name] for name in a.coordinates]
        points = grid_points(columns) if data.gridded else np.stack(columns, axis=1)
        values = {name: v.ravel() for name, v in data.values.items()}
        if count < FRESH_ERRORS and count < len(
            points
        ):  # at random: a stride could keep to one plane of a grid
            kept = np.sort(np.random.default_rng(0).choice(len(points), count, replace=False))
            return points[kept], {name: v[kept] for name, v in values.items()}
        return points, values

    def _errors(self, points: Array, reference: Mapping[str, Array]) -> dict[str, Errors]:
        values = self.components(points)
        found = {}
        for name, unknown in self.problem.unknowns.items():
            parts = [f"{name}_real", f"{name}_imag"] if unknown.kind == "complex" else [name]
            if all(part in reference for part in parts):
                mine = np.stack([values[part] for part in parts], axis=1)
                true = np.stack([reference[part] for part in parts], axis=1)
                found[name] = errors(mine, true)
        return found

    def residuals(self, trained: Sequence[Sample]) -> dict[str, dict[str, float]]:
        """Per condition, rms and max at fresh points, and the rms at the training points if it has any."""
        a = self.assembly
        fresh = a.objective(a.fresh(FRESH_INTERIOR, FRESH_SIDE)).magnitudes(self.theta)
        seen = a.objective(trained).magnitudes(self.theta)
        found = {
            name: {"rms": _rms(values), "max": float(values.max()), "rms_train": _rms(seen[name])}
            for name, values in fresh.items()
        }
        for name, values in a.met_objective(FRESH_SIDE).magnitudes(self.theta).items():
            found[name] = {"rms": _rms(values), "max": float(values.max())}
        return {terms.name: found[terms.name] for terms in a.formulation.conditions}

    def relative_residual(self) -> float:
        """Root mean square residual at fresh points over that of the untrained network."""
        a = self.assembly
        objective = a.objective(a.fresh(FRESH_INTERIOR // 10, FRESH_SIDE // 10))
        return math.sqrt(objective.value(self.theta) / objective.value(a.initial_theta()))

    def on_grid(self, grid: Mapping[str, int], at: Mapping[str, float] | None = None) -> FieldSet:
        """All fields on a uniform grid; a coordinate in `at` is held. Raises UsageError."""
        count = math.prod(n for name, n in grid.items() if name not in (at or {}))
        if count > MAX_GRID_POINTS:
            raise UsageError(
                f"a grid of {count:,} points: take at most {MAX_GRID_POINTS:,}, or hold one with --at"
            )
        axes = {name: self._axis(name, grid, at or {}) for name in self.assembly.coordinates}
        order = storage_order([n for n in axes if n != self.problem.time], self.problem.time)
        points = grid_points([axes[name] for name in order])
        points = points[:, [order.index(name) for name in axes]]
        shape = tuple(len(axes[name]) for name in order)
        fields: dict[str, NDArray[np.floating]] = {
            name: values.reshape(shape) for name, values in self._fields(points).items()
        }
        letters = dict(zip([n for n in axes if n != self.problem.time], "XYZ", strict=False))
        if self.problem.time:
            letters[self.problem.time] = "T"
        return FieldSet(
            title=self.problem.title,
            coordinates={name: axes[name] for name in order},
            fields=fields,
            units=self._units(fields),
            long_names=self._long_names(fields),
            axes=letters,
        )

    def at_points(self, columns: Mapping[str, Array]) -> PointSet:
        """All fields at scattered points, one column (n,) per coordinate."""
        points = np.stack(
            [np.asarray(columns[name], dtype=np.float64) for name in self.assembly.coordinates], axis=1
        )
        fields = self._fields(points)
        return PointSet(
            title=self.problem.title,
            coordinates={name: points[:, k] for k, name in enumerate(self.assembly.coordinates)},
            fields=fields,
            units=self._units(fields),
            long_names=self._long_names(fields),
        )

    def _axis(self, name: str, grid: Mapping[str, int], at: Mapping[str, float]) -> Array:
        low, high = self.problem.coordinates[name].range
        if name not in at:
            return np.linspace(low, high, grid[name])
        if not low <= at[name] <= high:
            raise UsageError(f"--at {name}={at[name]:g}: {name} lies in [{low:g}, {high:g}]")
        return np.array([at[name]])

    def _fields(self, points: Array) -> dict[str, NDArray[np.floating]]:
        values = self.components(points)
        reference = self.reference(points)
        fields: dict[str, NDArray[np.floating]] = dict(values)
        fields |= self._definitions(points)
        for name, true in reference.items():
            fields[f"reference_{name}"] = true
            fields[f"error_{name}"] = values[name] - true
        return fields | self._residual_maps(points)

    def _definitions(self, points: Array) -> dict[str, Array]:
        conditions = [Condition(n, r) for n, r in self.assembly.formulation.definitions.items()]
        if not conditions:
            return {}
        group = Group.of("definitions", self.assembly.coordinates, conditions)
        return {
            _part(n, k, c): v for n, rows in self._rows(group, points).items() for k, c, v in _numbered(rows)
        }

    def _residual_maps(self, points: Array) -> dict[str, Array]:
        fields: dict[str, Array] = {}
        for group, region in zip(self.assembly.groups, self.assembly.regions, strict=True):
            moved = all(site.replacements for site in group.sites)
            if region.labels != ("interior",) or region.data is not None or moved:
                continue
            outside = np.zeros(len(points), dtype=bool)
            if region.where is not None:
                kept = run_on_coordinates(region.where, self._tensor(points), self.assembly.coordinates)[0]
                outside = ~_numpy(kept).astype(bool)
            for name, rows in self._rows(group, points).items():
                for k, count, values in _numbered(rows):
                    fields[_part(f"residual_{name}", k, count)] = np.where(outside, np.nan, values)
        return fields

    def _rows(self, group: Group, points: Array) -> dict[str, list[Array]]:
        found: dict[str, list[list[Array]]] = {}
        for chunk in _chunks(points, CHUNK * self.assembly.block):
            tensor = self._tensor(chunk)
            sample = Sample(tensor, torch.zeros_like(tensor), {})
            objective = self.assembly.objective_of([group], [sample])
            for name, rows in objective.condition_rows(self.theta).items():
                found.setdefault(name, []).append([_numpy(row) for row in rows])
        return {n: [np.concatenate(parts) for parts in zip(*p, strict=True)] for n, p in found.items()}

    def _tensor(self, points: Array) -> Tensor:
        return torch.tensor(points, dtype=self.assembly.dtype, device=self.assembly.device)

    def _unknown_of(self, field: str) -> str:
        """The unknown that a field is of: `h` of `error_h_real`, where `h` is complex."""
        base = field.removeprefix("reference_").removeprefix("error_")
        return base if base in self.problem.unknowns else base.removesuffix("_real").removesuffix("_imag")

    def _units(self, fields: Iterable[str]) -> dict[str, str]:
        units = {name: c.units for name, c in self.problem.coordinates.items()}
        for name in fields:
            unknown = self.problem.unknowns.get(self._unknown_of(name))
            units[name] = unknown.units if unknown and not name.startswith("residual_") else "1"
        return units

    def _long_names(self, fields: Iterable[str]) -> dict[str, str]:
        names = {name: c.long_name or name for name, c in self.problem.coordinates.items()}
        for name in fields:
            unknown = self.problem.unknowns.get(self._unknown_of(name))
            own = (unknown.long_name if unknown else "") or self._unknown_of(name)
            kind = name.partition("_")[0]
            names[name] = {
                "residual": f"residual of {name.removeprefix('residual_')}",
                "reference": f"reference solution {own}",
                "error": f"error of {own}",
            }.get(kind, own)
        return names


def _part(name: str, k: int, count: int) -> str:
    return name if count == 1 else f"{name}_{('real', 'imag')[k]}"


def _numbered(rows: Sequence[Array]) -> list[tuple[int, int, Array]]:
    return [(k, len(rows), values) for k, values in enumerate(rows)]


def _chunks(points: Array, size: int) -> list[Array]:
    return np.array_split(points, max(1, -(-len(points) // size)))


def _numpy(tensor: Tensor) -> Array:
    return tensor.detach().cpu().numpy()


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def _run(program: Program, points: Array, names: Sequence[str]) -> Array:
    with np.errstate(all="ignore"):
        (out,) = program.run([points[:, names.index(i.name)] for i in program.inputs], NUMPY)
    return np.broadcast_to(np.asarray(out, dtype=np.float64), (len(points),)).copy()

"""The solution of a problem, of one trained network or one per time window: fields, errors, residuals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pinncli.assembly import FRESH_DRAW, Assembly
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
from pinncli.geometry import SAMPLERS, draw_points
from pinncli.language.functions import NUMPY
from pinncli.language.program import Program
from pinncli.piece import Piece, merged, root_mean_square
from pinncli.problem.domains import domain_of
from pinncli.problem.model import Problem
from pinncli.problem.numeric import mask
from pinncli.problem.terms import Formulation
from pinncli.problem.windows import window_of

FRESH_ERRORS, ROUGH_ERRORS = 100_000, 5_000
"""Fresh points for errors against a formula, at the end and during training."""

MAX_GRID_POINTS = 50_000_000
"""Points of one grid: with a dozen fields, about 5 GB."""


MOST_HELD = 6
"""Places of held components that a title names."""


@dataclass(frozen=True)
class Solution:
    """`formulation` as far as it is solved, and the networks that solve it: one, or one per time window."""

    formulation: Formulation
    pieces: tuple[Piece, ...]

    @classmethod
    def of(cls, assembly: Assembly, theta: Tensor) -> Solution:
        """The solution by one network."""
        return cls(assembly.formulation, (Piece(assembly, theta),))

    @property
    def problem(self) -> Problem:
        """What is solved."""
        return self.formulation.problem

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Names of the coordinates, in the problem's order."""
        return tuple(self.problem.coordinates)

    @property
    def has_reference(self) -> bool:
        """Whether errors can be stated."""
        return bool(self.formulation.exact or self.formulation.reference)

    def components(self, points: Array) -> dict[str, Array]:
        """Every real component (n,) at `points` (n, d)."""
        return self._by_piece(points, Piece.components)

    def _by_piece(
        self, points: Array, evaluate: Callable[[Piece, Array], dict[str, Array]]
    ) -> dict[str, Array]:
        """What `evaluate` says, every point answered by the network of its window."""
        if len(self.pieces) == 1:
            return evaluate(self.pieces[0], points)
        times = points[:, self.coordinates.index(str(self.problem.time))]
        owner = np.minimum(window_of(self.problem, times), len(self.pieces) - 1)
        parts = []
        for k, piece in enumerate(self.pieces):
            kept = np.flatnonzero(owner == k)
            if kept.size:
                parts.append((kept, evaluate(piece, points[kept])))
        return merged(parts, len(points))

    def reference(self, points: Array) -> dict[str, Array]:
        """The reference (n,) of every component that is known at all of `points` (n, d).

        A formula is known everywhere, a file at its own points only: a value interpolated between
        them would pass its own error off as the solution's.
        """
        formulation = self.formulation
        found = {name: _run(program, points, self.coordinates) for name, program in formulation.exact.items()}
        data = formulation.reference
        if data is not None and data.gridded:
            axes = [data.coordinates[name] for name in self.coordinates]
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
        data = self.formulation.reference
        if data is None:
            points = self.fresh_points(count)
            return points, self.reference(points)
        columns = [data.coordinates[name] for name in self.coordinates]
        points = grid_points(columns) if data.gridded else np.stack(columns, axis=1)
        values = {name: v.ravel() for name, v in data.values.items()}
        inside = domain_of(self.problem).contains(points)
        if not inside.all():  # a grid over a domain with holes
            points, values = points[inside], {name: v[inside] for name, v in values.items()}
        if count < FRESH_ERRORS and count < len(
            points
        ):  # at random: a stride could keep to one plane of a grid
            kept = np.sort(np.random.default_rng(0).choice(len(points), count, replace=False))
            return points[kept], {name: v[kept] for name, v in values.items()}
        return points, values

    def fresh_points(self, count: int) -> Array:
        """Uniform points (n, d) of the domain that training has never seen."""
        seed = self.pieces[0].assembly.seed
        domain = domain_of(self.problem)
        drawn = draw_points(domain, ("interior",), (count,), SAMPLERS["uniform"], seed, FRESH_DRAW + 1)
        return drawn.points.numpy()

    def _errors(self, points: Array, reference: Mapping[str, Array]) -> dict[str, Errors]:
        values = self.components(points)
        found = {}
        for name, unknown in self.problem.unknowns.items():
            parts = [f"{name}_real", f"{name}_imag"] if unknown.kind == "complex" else [name]
            if all(part in reference for part in parts):
                kept = self._counts(parts[0], points)
                mine = np.stack([values[part][kept] for part in parts], axis=1)
                true = np.stack([reference[part][kept] for part in parts], axis=1)
                found[name] = errors(mine, true)
        return found

    def _counts(self, component: str, points: Array) -> NDArray[np.bool_]:
        """Which of `points` (n, d) lie where a component counts."""
        part = self.formulation.counts.get(component)
        return mask(part, {name: points[:, k] for k, name in enumerate(self.coordinates)})

    def residuals(self) -> dict[str, dict[str, float]]:
        """Per condition, root mean square and largest at fresh points, over all windows."""
        whole = self._duration(self.problem)
        found: dict[str, list[Tensor]] = {}
        for piece in self.pieces:
            for name, values in piece.fresh_magnitudes(self._duration(piece.problem) / whole).items():
                found.setdefault(name, []).append(values)
        every = {name: torch.cat(parts) for name, parts in found.items()}
        return {n: {"rms": root_mean_square(v), "max": float(v.max())} for n, v in every.items()}

    def _duration(self, problem: Problem) -> float:
        if self.problem.time is None:
            return 1.0
        low, high = problem.coordinates[self.problem.time].range
        return high - low

    def on_grid(self, grid: Mapping[str, int], at: Mapping[str, float] | None = None) -> FieldSet:
        """All fields on a uniform grid; a coordinate in `at` is held, one of a single point in its middle.

        Components of vector coordinates that are held are no axes: files have fewer than a hundred.
        Raises UsageError.
        """
        count = math.prod(n for name, n in grid.items() if name not in (at or {}))
        if count > MAX_GRID_POINTS:
            raise UsageError(
                f"a grid of {count:,} points: take at most {MAX_GRID_POINTS:,}, or hold one with --at"
            )
        axes = {name: self._axis(name, grid, at or {}) for name in self.coordinates}
        held = self._held(axes)
        space = [name for name in self.problem.space if name not in held]
        order = storage_order(space, self.problem.time, [n for n in self.problem.varied if n not in held])
        varied = grid_points([axes[name] for name in order])
        points = np.stack(
            [varied[:, order.index(n)] if n in order else np.full(len(varied), held[n]) for n in axes], axis=1
        )
        shape = tuple(len(axes[name]) for name in order)
        fields: dict[str, NDArray[np.floating]] = {
            name: values.reshape(shape) for name, values in self._fields_inside(points).items()
        }
        letters = dict(zip(space, "XYZ", strict=False)) | dict.fromkeys(self.problem.varied, "P")
        if self.problem.time:
            letters[self.problem.time] = "T"
        return FieldSet(
            title=", ".join([self.problem.title, *held_in_words(held)]),
            coordinates={name: axes[name] for name in order},
            fields=fields,
            units=self._units(fields),
            long_names=self._long_names(fields),
            axes=letters,
        )

    def at_points(self, columns: Mapping[str, Array]) -> PointSet:
        """All fields at scattered points, one column (n,) per coordinate."""
        points = np.stack([np.asarray(columns[name], dtype=np.float64) for name in self.coordinates], axis=1)
        outside = np.flatnonzero(~domain_of(self.problem).contains(points))
        if outside.size:
            row = int(outside[0])
            place = ", ".join(f"{n} = {v:g}" for n, v in zip(self.coordinates, points[row], strict=True))
            rest = f" ({outside.size} points outside in all)" if outside.size > 1 else ""
            raise UsageError(f"point {row + 1} is outside the domain: {place}{rest}")
        fields = self._fields(points)
        return PointSet(
            title=self.problem.title,
            coordinates={name: points[:, k] for k, name in enumerate(self.coordinates)},
            fields=fields,
            units=self._units(fields),
            long_names=self._long_names(fields),
        )

    def _held(self, axes: Mapping[str, Array]) -> dict[str, float]:
        """The components of vector coordinates with a single point; one stays an axis where all are."""
        parts = {part for names in self.problem.vectors.values() for part in names}
        held = {name: float(axis[0]) for name, axis in axes.items() if name in parts and len(axis) == 1}
        if len(held) == len(axes):
            del held[next(iter(axes))]
        return held

    def _axis(self, name: str, grid: Mapping[str, int], at: Mapping[str, float]) -> Array:
        low, high = self.problem.coordinates[name].range
        if name not in at:
            return np.linspace(low, high, grid[name]) if grid[name] > 1 else np.array([0.5 * (low + high)])
        if not low <= at[name] <= high:
            raise UsageError(f"--at {name}={at[name]:g}: {name} lies in [{low:g}, {high:g}]")
        return np.array([at[name]])

    def _fields(self, points: Array) -> dict[str, NDArray[np.floating]]:
        values = self.components(points)
        reference = self.reference(points)
        fields: dict[str, NDArray[np.floating]] = dict(values)
        fields |= self._by_piece(points, Piece.definitions)
        for name, true in reference.items():
            fields[f"reference_{name}"] = true
            fields[f"error_{name}"] = values[name] - true
        for name in self.formulation.counts:
            out = ~self._counts(name, points)
            for field in {name, f"reference_{name}", f"error_{name}"} & fields.keys():
                fields[field] = np.where(out, np.nan, fields[field])
        return fields | self._by_piece(points, Piece.residual_maps)

    def _fields_inside(self, points: Array) -> dict[str, NDArray[np.floating]]:
        """The fields (n,) at points (n, d), NaN at those outside the domain."""
        inside = np.flatnonzero(domain_of(self.problem).contains(points))
        if len(inside) == len(points):
            return self._fields(points)
        if not len(inside):
            raise UsageError("no point of the grid is in the domain")
        found: dict[str, NDArray[np.floating]] = {}
        for name, values in self._fields(points[inside]).items():
            found[name] = np.full(len(points), np.nan, dtype=values.dtype)
            found[name][inside] = values
        return found

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


def held_in_words(held: Mapping[str, float]) -> list[str]:
    """`x[3] to x[10] = 0.5` for components that follow one another at the same value."""
    runs: list[list[str]] = []
    for name, value in held.items():
        if runs and held[runs[-1][-1]] == value and runs[-1][-1].partition("[")[0] == name.partition("[")[0]:
            runs[-1].append(name)
        else:
            runs.append([name])
    words = [
        f"{names[0]}{f' to {names[-1]}' if len(names) > 1 else ''} = {held[names[0]]:.4g}" for names in runs
    ]
    return words if len(words) <= MOST_HELD else [*words[:MOST_HELD], "..."]


def _run(program: Program, points: Array, names: Sequence[str]) -> Array:
    with np.errstate(all="ignore"):
        (out,) = program.run([points[:, names.index(i.name)] for i in program.inputs], NUMPY)
    return np.broadcast_to(np.asarray(out, dtype=np.float64), (len(points),)).copy()

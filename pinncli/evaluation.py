"""Fields on grids and at points: what a run publishes and what is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FieldSet:
    """Fields on a tensor grid.

    `coordinates` are in the storage order t, z, y, x (the reverse of x, y, z, with t first), parameter
    coordinates before them; every field has the shape (n of every coordinate in that order). `axes`
    gives each coordinate's CF axis, "X", "Y", "Z" or "T", and "P" for a parameter coordinate, which
    CF has no letter for.
    """

    title: str
    coordinates: dict[str, NDArray[np.float64]]
    fields: dict[str, NDArray[np.floating]]
    units: dict[str, str]
    long_names: dict[str, str]
    axes: dict[str, str]

    def held(self, places: Mapping[str, int]) -> FieldSet:
        """The fields with coordinates held at one of their points, and so without these coordinates."""
        index = tuple(places.get(name, slice(None)) for name in self.coordinates)
        values = [f"{name} = {self.coordinates[name][k]:.4g}" for name, k in places.items()]
        return replace(
            self,
            title=f"{self.title}, {', '.join(values)}" if values else self.title,
            coordinates={n: axis for n, axis in self.coordinates.items() if n not in places},
            fields={name: field[index] for name, field in self.fields.items()},
            axes={n: axis for n, axis in self.axes.items() if n not in places},
        )


@dataclass(frozen=True)
class PointSet:
    """Fields at scattered points: every column has the shape (n,)."""

    title: str
    coordinates: dict[str, NDArray[np.float64]]
    fields: dict[str, NDArray[np.floating]]
    units: dict[str, str]
    long_names: dict[str, str]


@dataclass(frozen=True)
class Errors:
    """Distance from a reference: `rel_l2` = |u - reference| / |reference|, `max_abs` the largest."""

    rel_l2: float
    max_abs: float


def errors(values: Array, reference: Array) -> Errors:
    """Errors of `values` (n,) or (n, k); with k real components, of the vector."""
    difference = np.asarray(values, dtype=np.float64) - reference
    norm = float(np.linalg.norm(reference))
    distance = float(np.linalg.norm(difference))
    magnitude = np.abs(difference) if difference.ndim == 1 else np.linalg.norm(difference, axis=1)
    return Errors(distance / norm if norm else distance, float(magnitude.max()))


def grid_points(axes: Sequence[Array]) -> Array:
    """The points (n, d) of a tensor grid, last axis fastest."""
    return np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")], axis=1)


def storage_order(space: Sequence[str], time: str | None, varied: Sequence[str] = ()) -> tuple[str, ...]:
    """The coordinates as files have them: parameters, then t, then z, y, x."""
    return (*varied, *((time,) if time else ()), *reversed(space))


def nodes(axis: Array, x: Array) -> NDArray[np.intp] | None:
    """Where every x (n,) is on an increasing axis (k,); None where some x is no node, to rounding."""
    after = np.clip(np.searchsorted(axis, x), 1, max(1, len(axis) - 1))
    after = np.minimum(after, len(axis) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(x - axis[before] < axis[after] - x, before, after)
    tolerance = 1e-9 * (axis[-1] - axis[0])
    return nearest if bool((np.abs(axis[nearest] - x) <= tolerance).all()) else None

"""Fields on grids and at points: what a run publishes and what is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FieldSet:
    """Fields on a tensor grid.

    `coordinates` are in the storage order t, z, y, x (the reverse of x, y, z, with t first);
    every field has the shape (n of every coordinate in that order). `axes` gives each
    coordinate's CF axis: "X", "Y", "Z" or "T".
    """

    title: str
    coordinates: dict[str, NDArray[np.float64]]
    fields: dict[str, NDArray[np.floating]]
    units: dict[str, str]
    long_names: dict[str, str]
    axes: dict[str, str]


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


def storage_order(space: Sequence[str], time: str | None) -> tuple[str, ...]:
    """The coordinates as files have them: t, then z, y, x."""
    return (*((time,) if time else ()), *reversed(space))


def nodes(axis: Array, x: Array) -> NDArray[np.intp] | None:
    """Where every x (n,) is on an increasing axis (k,); None where some x is no node, to rounding."""
    after = np.clip(np.searchsorted(axis, x), 1, max(1, len(axis) - 1))
    after = np.minimum(after, len(axis) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(x - axis[before] < axis[after] - x, before, after)
    tolerance = 1e-9 * (axis[-1] - axis[0])
    return nearest if bool((np.abs(axis[nearest] - x) <= tolerance).all()) else None

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


def interpolate(axes: Sequence[Array], values: Array, points: Array, width: int = 6) -> Array:
    """Values (n,) at `points` (n, d) of a function given on a tensor grid (n_1, ..., n_d).

    Local Lagrange interpolation of degree `width - 1` along each axis (Fornberg 1996, chapter 3);
    exact at grid points.
    """
    result = np.zeros(len(points))
    starts, weights = zip(*(_stencil(a, points[:, k], width) for k, a in enumerate(axes)), strict=True)
    for offsets in np.ndindex(*(w.shape[1] for w in weights)):
        where = tuple(start + o for start, o in zip(starts, offsets, strict=True))
        factor = np.ones(len(points))
        for w, o in zip(weights, offsets, strict=True):
            factor = factor * w[:, o]
        result += factor * values[where]
    return result


def _stencil(axis: Array, x: Array, width: int) -> tuple[NDArray[np.intp], Array]:
    """First node (n,) and Lagrange weights (n, width) of the nodes around every x (n,)."""
    width = min(width, len(axis))
    start = np.clip(np.searchsorted(axis, x) - width // 2, 0, len(axis) - width)
    nodes = axis[start[:, None] + np.arange(width)]
    weights = np.ones((len(x), width))
    for i in range(width):
        for j in range(width):
            if i != j:
                weights[:, i] *= (x - nodes[:, j]) / (nodes[:, i] - nodes[:, j])
    return start, weights

"""A reference solution with what is known of its errors, as the makers of the library's files return it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from fourier import Array


@dataclass(frozen=True)
class Reference:
    """A solution on a grid: values have the coordinates' order; refinements and checks are relative."""

    title: str
    made_by: str
    coordinates: Mapping[str, Array]
    values: Mapping[str, Array]
    refinements: Mapping[str, float]
    checks: Mapping[str, float] = field(default_factory=dict)
    layout: str = "grid"
    """Or "points": coordinates and values are columns (n,)."""


def difference(a: Array, b: Array) -> float:
    """Relative L2 difference of a from b."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def drift(density: Array) -> float:
    """Largest relative change in time of the integral over x of a periodic density (points, times)."""
    total = density[:-1].sum(axis=0)
    return float(np.abs(total - total[0]).max() / np.abs(density[:-1]).sum(axis=0).max())

"""The domain of a problem: parts of its boundary by name, with sample points and normals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pinncli.cli.plotting.outlines import curves
from pinncli.cli.plotting.style import CYCLE, new_figure
from pinncli.errors import UsageError
from pinncli.problem.domains import uniform
from pinncli.shapes import Domain, Geometry

INSIDE, BESIDE, ARROWS = 600, 400, 12
"""Points of the interior, of a part of the boundary in space, and normals drawn for each part."""


def domain_figure(title: str, geometry: Geometry, labels: Sequence[str]) -> Figure:
    """The parts `labels` of the boundary in colour over random points inside; raises `UsageError`."""
    names = geometry.names
    if len(names) > 3:
        raise UsageError(f"a domain in {len(names)} coordinates of space cannot be drawn")
    domain = Domain(names, geometry.low, geometry.high, geometry)
    figure = new_figure(title, (6.0, 4.8))
    axes: Any = figure.add_subplot(projection="3d" if len(names) == 3 else None)
    inside = _raised(domain.sample("interior", INSIDE, uniform(0)).points)
    axes.scatter(*inside.T, s=2.0, color="0.75", linewidths=0)
    for k, label in enumerate(labels):
        colour = CYCLE[k % len(CYCLE)]
        if len(names) == 2:
            for curve in curves(geometry, label):
                axes.plot(*curve.T, color=colour)
        found = domain.sample(label, ARROWS if len(names) == 2 else BESIDE, uniform(1))
        axes.scatter(*_raised(found.points).T, s=6.0, color=colour, label=label)
        if len(names) == 2:
            axes.quiver(*found.points.T, *found.normals.T, color=colour, width=0.003, scale=25)
    axes.set_xlabel(names[0])
    if len(names) > 1:
        axes.set_ylabel(names[1])
        axes.set_aspect("equal")
    if len(names) == 3:
        axes.set_zlabel(names[2])
    if labels:
        figure.legend(loc="outside right upper")
    return figure


def _raised(points: np.ndarray) -> np.ndarray:
    """Points on a line as points of the plane."""
    return np.pad(points, ((0, 0), (0, 1))) if points.shape[1] == 1 else points

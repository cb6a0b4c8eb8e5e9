"""The boundary of a domain, and of the shapes in it, as lines over a map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from pinncli.shapes import Geometry

COLOUR, WIDTH = "0.2", 0.8
_FINE = 240
"""Points along each axis of a plane through space, on which the level of the domain is looked at."""
_MARGIN = 0.02
"""Of a range: so far beyond it, so that the sides of the box are lines, too."""


def curves(geometry: Geometry, label: str) -> list[NDArray[np.float64]]:
    """The curves of a part of the boundary in the plane, each as many points (n, 2)."""
    found = []
    for part in geometry.parts(label):
        for low, high in np.array([[0.0, 1.0]]) if part.spans is None else part.spans:
            found.append(part.piece.place(np.linspace(low, high, 400)[:, None])[0])
    return found


def draw_outline(ax: Axes, geometry: Geometry, across: str, up: str, held: Mapping[str, float]) -> bool:
    """Lines of the boundary over a map of two coordinates of space; False where these are no such.

    In the plane the curves of the boundary and of every named shape in the domain; on a plane through space,
    where other coordinates are `held`, the zero level of the domain.
    """
    names = geometry.names
    if not {across, up} <= set(names) or not set(names) <= {across, up, *held}:
        return False
    if len(names) == 2:
        order = [names.index(across), names.index(up)]
        for label in ("boundary", *(name for name in geometry.shapes if name != "domain")):
            for curve in curves(geometry, label):
                ax.plot(*curve[:, order].T, color=COLOUR, linewidth=WIDTH, zorder=2.5, clip_on=False)
        return True
    ends = {
        name: (low - _MARGIN * (high - low), high + _MARGIN * (high - low))
        for name, low, high in zip(names, geometry.low, geometry.high, strict=True)
    }
    x, y = (np.linspace(*ends[name], _FINE) for name in (across, up))
    grid = dict(zip((across, up), np.meshgrid(x, y), strict=True))
    columns = [grid[n].ravel() if n in grid else np.full(grid[up].size, held[n]) for n in names]
    level = geometry.domain(np.stack(columns, axis=1)).reshape(_FINE, _FINE)
    if level.min() < 0.0 < level.max():
        ax.contour(x, y, level, levels=[0.0], colors=COLOUR, linewidths=WIDTH)
    return True

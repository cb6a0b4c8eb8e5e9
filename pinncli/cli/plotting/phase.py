"""Phase portraits: the solutions of a system of ordinary differential equations against one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from pinncli.cli.fieldnames import label
from pinncli.cli.plotting.style import CYCLE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pinncli.evaluation import FieldSet


def phase_portrait(fields: FieldSet, components: Sequence[str]) -> Figure:
    """Two unknowns: one against the other. Three: the curve in space beside its three shadows.

    A dot marks the beginning; the reference, where there is one, is dashed.
    """
    if len(components) == 2:
        figure = new_figure(fields.title, (4.6, 4.0))
        _curve(figure.subplots(), fields, components)
        return figure
    figure = new_figure(fields.title, (8.0, 6.4))
    solid: Any = figure.add_subplot(2, 2, 1, projection="3d")
    _curve(solid, fields, components)
    solid.set_zlabel(label(fields, components[2]))
    solid.tick_params(labelsize=7.0, pad=0)
    solid.set_box_aspect(None, zoom=0.85)
    for place, (a, b) in enumerate(((0, 1), (0, 2), (1, 2)), start=2):
        _curve(figure.add_subplot(2, 2, place), fields, (components[a], components[b]))
    return figure


def _curve(ax: Axes, fields: FieldSet, names: Sequence[str]) -> None:
    values: list[Any] = [np.asarray(fields.fields[name], dtype=np.float64) for name in names]
    ax.plot(*values, color=CYCLE[0], linewidth=1.2)
    ax.plot(*(v[:1] for v in values), "o", color=CYCLE[0], markersize=4)
    true = [fields.fields.get(f"reference_{name}") for name in names]
    if all(t is not None for t in true):
        shown: Any = true
        ax.plot(*shown, color="black", linestyle=(0, (2, 3)), linewidth=0.9)
    ax.set_xlabel(label(fields, names[0]), parse_math=False)
    ax.set_ylabel(label(fields, names[1]), parse_math=False)
    ax.locator_params(nbins=5)

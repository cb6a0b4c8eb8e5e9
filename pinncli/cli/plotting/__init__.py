"""Figures: pure functions from data to matplotlib figures, never a window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from pinncli.cli.fieldnames import residual_names
from pinncli.cli.plotting.curves import profiles, residual_curves, solution_curves
from pinncli.cli.plotting.history import history_figures
from pinncli.cli.plotting.maps import residual_maps, solution_maps
from pinncli.cli.plotting.style import STYLE, figure_bytes

if TYPE_CHECKING:
    from pinncli.evaluation import FieldSet

__all__ = ["field_figures", "figure_bytes", "history_figures"]


def field_figures(fields: FieldSet) -> dict[str, Figure]:
    """All figures of a field set by file name stem: solution, slices, residuals.

    Of a family over parameters, the member in the middle, and as `family` profiles of several members;
    with one coordinate besides the parameter, that and the parameter are the axes of a map.
    """
    varied = [name for name in fields.coordinates if fields.axes.get(name) == "P"]
    middle = {name: len(fields.coordinates[name]) // 2 for name in varied}
    rest = len(fields.coordinates) - len(varied)
    if rest == 1 and varied:
        return field_figures_of(fields.held({n: k for n, k in middle.items() if n != varied[0]}))
    figures = field_figures_of(fields.held(middle))
    if varied:
        with mpl.rc_context(STYLE):
            figures["family"] = profiles(fields)
    return figures


def field_figures_of(fields: FieldSet) -> dict[str, Figure]:
    """The figures of one field set, whatever its coordinates are."""
    with mpl.rc_context(STYLE):
        if len(fields.coordinates) == 1:
            figures = {"solution": solution_curves(fields)}
        else:
            figures = {**solution_maps(fields), "slices": profiles(fields)}
        if residual_names(fields):
            draw = residual_curves if len(fields.coordinates) == 1 else residual_maps
            figures["residuals"] = draw(fields)
    return figures

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
    """All figures of a field set by file name stem: solution, slices, residuals."""
    with mpl.rc_context(STYLE):
        if len(fields.coordinates) == 1:
            figures = {"solution": solution_curves(fields)}
        else:
            figures = {**solution_maps(fields), "slices": profiles(fields)}
        if residual_names(fields):
            draw = residual_curves if len(fields.coordinates) == 1 else residual_maps
            figures["residuals"] = draw(fields)
    return figures

"""Figures: pure functions from data to matplotlib figures, never a window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from pinncli.cli.fieldnames import component_names, residual_names
from pinncli.cli.plotting.curves import profiles, residual_curves, solution_curves
from pinncli.cli.plotting.domain import domain_figure
from pinncli.cli.plotting.flows import flat_or_solid, flow_maps
from pinncli.cli.plotting.history import history_figures
from pinncli.cli.plotting.maps import residual_maps, solution_figure, solution_maps
from pinncli.cli.plotting.parts import PHASE, complex_names, in_polar_form, on_own_axes
from pinncli.cli.plotting.phase import phase_portrait
from pinncli.cli.plotting.scene import Scene, scene_of
from pinncli.cli.plotting.style import STYLE, figure_bytes

if TYPE_CHECKING:
    from pinncli.evaluation import FieldSet

__all__ = ["Scene", "domain_figure", "field_figures", "figure_bytes", "history_figures", "scene_of"]


def field_figures(fields: FieldSet, scene: Scene | None = None) -> dict[str, Figure]:
    """All figures of a field set by file name stem: solution, slices, residuals, and what the scene asks for.

    Of a family over parameters, the member in the middle, and as `family` profiles of several members;
    with one coordinate besides the parameter, that and the parameter are the axes of a map.
    """
    scene = Scene() if scene is None else scene
    varied = [name for name in fields.coordinates if fields.axes.get(name) == "P"]
    middle = {name: len(fields.coordinates[name]) // 2 for name in varied}
    rest = len(fields.coordinates) - len(varied)
    if rest == 1 and varied:
        return field_figures_of(fields.held({n: k for n, k in middle.items() if n != varied[0]}), scene)
    figures = field_figures_of(fields.held(middle), scene)
    if varied:
        with mpl.rc_context(STYLE):
            names = [name for name in component_names(fields) if name not in scene.fewer]
            figures["family"] = profiles(fields, names)
    return figures


def field_figures_of(fields: FieldSet, scene: Scene) -> dict[str, Figure]:
    """The figures of one field set, whatever its coordinates are."""
    names = [name for name in component_names(fields) if name not in scene.fewer]
    with mpl.rc_context(STYLE):
        single = len(fields.coordinates) == 1
        figures = _curves(fields, scene, names) if single else _maps(fields, scene, names)
        for name, of in scene.fewer.items():
            if name in fields.fields and set(of) & set(fields.coordinates):
                own = on_own_axes(fields, name, of)
                if len(own.coordinates) == 1:
                    figures[f"field_{name}"] = solution_curves(own, [name], scene.samples)
                else:
                    figures[f"field_{name}"] = solution_figure(own, [name], geometry=scene.geometry)
        if residual_names(fields):
            figures["residuals"] = (
                residual_curves(fields) if single else residual_maps(fields, scene.geometry)
            )
    return figures


def _curves(fields: FieldSet, scene: Scene, names: list[str]) -> dict[str, Figure]:
    """The solution over its one coordinate; the unknowns of a system of two or three against one another."""
    figures = {"solution": solution_curves(fields, names, scene.samples)}
    unknowns = [name for name in names if name in scene.unknowns]
    if len(unknowns) in (2, 3) and "T" in fields.axes.values():
        figures["phase"] = phase_portrait(fields, unknowns)
    return figures


def _maps(fields: FieldSet, scene: Scene, names: list[str]) -> dict[str, Figure]:
    """Maps of the solution, of moduli and phases, of vectors; profiles."""
    figures = solution_maps(fields, names, scene.samples, scene.geometry)
    for base in complex_names(names):
        polar = in_polar_form(fields, base)
        figures[f"polar_{base}"] = solution_figure(
            polar, [f"|{base}|", f"{PHASE}{base}"], geometry=scene.geometry
        )
    for parts in scene.vectors:
        if set(parts) <= set(names) and flat_or_solid(fields, parts):
            figures[f"flow_{''.join(parts)}"] = flow_maps(fields, parts, scene.geometry)
    if names:
        figures["slices"] = profiles(fields, names)
    return figures

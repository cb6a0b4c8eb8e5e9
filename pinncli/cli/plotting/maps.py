"""Maps of two coordinates: the solution beside its reference and error, and the residuals.

A solution and its reference have one colour scale: viridis, or, where the field has both signs, a
diverging map centred on zero. Errors are signed, in another diverging map on their own scale; residuals
are drawn as magnitudes on a logarithmic scale, for they span decades. Outside the domain, where fields
are NaN, nothing is drawn but the boundary, as lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from pinncli.cli.fieldnames import label, residual_names
from pinncli.cli.plotting.data import held_at, spread
from pinncli.cli.plotting.outlines import draw_outline
from pinncli.cli.plotting.parts import PHASE
from pinncli.cli.plotting.scene import Samples
from pinncli.cli.plotting.style import (
    ERROR_COLOURS,
    FIELD_COLOURS,
    PHASE_COLOURS,
    RESIDUAL_COLOURS,
    SIGNED_COLOURS,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from pinncli.evaluation import FieldSet
    from pinncli.shapes import Geometry

_DECADES = 5
"""Decades of a residual map below its largest value."""
_MOST_ROWS = 4
_COARSE = 40
"""Fewer points than this along an axis are drawn smoothly, where all of them are finite."""
_FLAT = 0.45
_LONGEST = 10.0
"""Largest ratio of two lengths that are drawn to scale."""
_MOST_DOTS = 800
_SIGNED = 0.35
"""Least ratio of the largest values of both signs of a field that is drawn as a signed one."""

Scale = tuple[Normalize, str]


@dataclass(frozen=True)
class Section:
    """A plane cut out of a field: its axes, where the other coordinates are held, and a label."""

    across: str
    up: str
    held: dict[str, int]
    label: str


@dataclass(frozen=True)
class Panel:
    """One field on one section, with its scale."""

    field: str
    section: Section
    norm: Normalize
    colours: str
    title: str
    vector: tuple[str, ...] = ()
    """Fields whose direction is drawn over it."""
    samples: bool = False
    """Whether points of data are drawn over it."""


Overlay = Callable[["Axes", "FieldSet", Panel], None]


def sections(fields: FieldSet) -> list[Section]:
    """The planes worth drawing of a field of two to four coordinates.

    Space-time: time across, space up. Plane and time: four times. Space: the three middle
    planes, at the last time where there is one.
    """
    names = list(fields.coordinates)
    time = next((n for n in names if fields.axes.get(n) == "T"), None)
    space = [n for n in reversed(names) if n != time]
    if len(space) == 1 and time is not None:
        return [Section(time, space[0], {}, "")]
    if len(space) == 2 and time is None:
        return [Section(space[0], space[1], {}, "")]
    if len(space) == 2 and time is not None:
        return [
            Section(space[0], space[1], {time: k}, held_at(fields, time, k))
            for k in spread(len(fields.coordinates[time]), 4)
        ]
    last = {} if time is None else {time: len(fields.coordinates[time]) - 1}
    cuts = []
    for across, up in ((0, 1), (0, 2), (1, 2)):
        rest = [n for k, n in enumerate(space) if k not in (across, up)]
        held = last | {n: len(fields.coordinates[n]) // 2 for n in rest}
        text = ", ".join(held_at(fields, n, k) for n, k in held.items())
        cuts.append(Section(space[across], space[up], held, text))
    return cuts


def solution_maps(
    fields: FieldSet,
    components: Sequence[str],
    samples: Sequence[Samples] = (),
    geometry: Geometry | None = None,
) -> dict[str, Figure]:
    """One figure of all components while it stays readable (4 rows), else one each.

    Points of data are drawn over the solution.
    """
    cuts = sections(fields)
    with_reference = any(f"reference_{n}" in fields.fields for n in components)
    if len(components) == 1 or (with_reference and len(components) * len(cuts) <= _MOST_ROWS):
        return {"solution": solution_figure(fields, components, samples, geometry)}
    return {f"solution_{n}": solution_figure(fields, [n], samples, geometry) for n in components}


def solution_figure(
    fields: FieldSet,
    components: Sequence[str],
    samples: Sequence[Samples] = (),
    geometry: Geometry | None = None,
) -> Figure:
    """All of these components in one figure. Phases (`arg h`) are in a cyclic map."""

    def overlay(ax: Axes, shown: FieldSet, panel: Panel) -> None:
        if panel.samples:
            _dots(ax, shown, panel.section, samples)

    return draw(fields, _rows(fields, components, sections(fields)), overlay=overlay, geometry=geometry)


def _rows(fields: FieldSet, components: Sequence[str], cuts: Sequence[Section]) -> list[list[Panel]]:
    """Rows of solution, reference, error; without a reference the sections stand side by side."""
    rows: list[list[Panel]] = []
    for name in components:
        columns = [n for n in (name, f"reference_{name}", f"error_{name}") if n in fields.fields]
        if name.startswith(PHASE):
            scale: Scale = (Normalize(-np.pi, np.pi), PHASE_COLOURS)
        else:
            scale = field_norm(fields, [n for n in columns if not n.startswith("error_")], cuts)
        error = scale
        if f"error_{name}" in columns:
            error = (_symmetric(fields, f"error_{name}", cuts), ERROR_COLOURS)
        block = [
            [
                Panel(
                    n,
                    cut,
                    *(error if n.startswith("error_") else scale),
                    _title(fields, n, cut),
                    samples=n == name,
                )
                for n in columns
            ]
            for cut in cuts
        ]
        rows += block if len(columns) > 1 else [[panel for row in block for panel in row]]
    return rows


def field_norm(fields: FieldSet, names: Sequence[str], cuts: Sequence[Section]) -> Scale:
    """The range of some fields on some sections; centred on zero where they have both signs to speak of."""
    values = _shown(fields, names, cuts)
    low, high = float(values.min()), float(values.max())
    if low < 0 < high and min(-low, high) > _SIGNED * max(-low, high):
        largest = max(-low, high)
        return Normalize(-largest, largest), SIGNED_COLOURS
    return Normalize(low, high), FIELD_COLOURS


def residual_maps(fields: FieldSet, geometry: Geometry | None = None) -> Figure:
    """A row of sections a residual; with one section each, three residuals a row."""
    names = residual_names(fields)
    rows: list[list[Panel]] = []
    for name in names:
        cuts = sections(fields)
        norm = _decades(fields, name, cuts)
        rows.append([Panel(name, cut, norm, RESIDUAL_COLOURS, _title(fields, name, cut)) for cut in cuts])
    if all(len(row) == 1 for row in rows):
        panels = [row[0] for row in rows]
        rows = [panels[k : k + 3] for k in range(0, len(panels), 3)]
    return draw(fields, rows, geometry=geometry)


def _title(fields: FieldSet, name: str, cut: Section) -> str:
    if name.startswith("residual_"):
        text = f"|residual of {name.removeprefix('residual_')}|"
    elif name.startswith(("reference_", "error_")):
        text = name.replace("_", " ", 1)
    else:
        text = label(fields, name)
    return f"{text},  {cut.label}" if cut.label else text


def draw(
    fields: FieldSet,
    rows: Sequence[Sequence[Panel]],
    *,
    overlay: Overlay | None = None,
    geometry: Geometry | None = None,
) -> Figure:
    """Panels on a grid; neighbours of a row, and whole blocks, that share a scale share a colour bar.

    `overlay` draws over each panel, as do the lines of `geometry` where that is no plain box.
    """
    if _is_wide(fields, rows[0][0].section):
        rows = [[panel] for row in rows for panel in row]
    columns = max(len(row) for row in rows)
    across, up = _panel_size(fields, rows[0][0].section)
    figure = new_figure(fields.title, ((across + 0.5) * columns + 0.7, (up + 0.55) * len(rows) + 0.4))
    axes = figure.subplots(len(rows), columns, squeeze=False)
    shared: dict[int, tuple[Any, list[Axes]]] = {}
    for row, panels in enumerate(rows):
        for column, panel in enumerate(panels):
            ax = axes[row, column]
            image = _map(ax, fields, panel, geometry)
            if overlay is not None:
                overlay(ax, fields, panel)
            shared.setdefault(id(panel.norm), (image, []))[1].append(ax)
        for column in range(len(panels), columns):
            axes[row, column].set_axis_off()
    if len({(panel.section.across, panel.section.up) for panels in rows for panel in panels}) == 1:
        for ax in axes.flat:
            ax.label_outer(remove_inner_ticks=False)
    for image, owners in shared.values():
        figure.colorbar(image, ax=owners, shrink=0.95, pad=0.02, aspect=25)
    return figure


def _map(ax: Axes, fields: FieldSet, panel: Panel, geometry: Geometry | None) -> Any:
    cut = panel.section
    x, y = fields.coordinates[cut.across], fields.coordinates[cut.up]
    values = plane(fields, panel.field, cut)
    if isinstance(panel.norm, LogNorm):
        values = np.maximum(np.abs(values), panel.norm.vmin or 0.0)
    smooth = min(values.shape) < _COARSE and bool(np.isfinite(values).all()) and min(values.shape) > 1
    image = ax.pcolormesh(
        x,
        y,
        values,
        norm=panel.norm,
        cmap=panel.colours,
        shading="gouraud" if smooth else "nearest",
        rasterized=True,
    )
    held = {name: float(fields.coordinates[name][k]) for name, k in cut.held.items()}
    known = geometry is not None and draw_outline(ax, geometry, cut.across, cut.up, held)
    _edge(ax, x, y, values, line=not known)
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(y[0], y[-1])
    ax.locator_params(nbins=5)
    if _is_even(fields, cut):
        ax.set_aspect("equal")
    ax.set_title(panel.title, parse_math=False)
    ax.set_xlabel(label(fields, cut.across), parse_math=False)
    ax.set_ylabel(label(fields, cut.up), parse_math=False)
    return image


def _edge(ax: Axes, x: Any, y: Any, values: NDArray[np.float64], *, line: bool) -> None:
    """No frame where something is not finite: outside of a domain; a line around the rest where asked for."""
    inside = np.isfinite(values)
    if inside.all() or not inside.any() or min(values.shape) < 2:
        return
    if line:
        ax.contour(x, y, inside.astype(np.float64), levels=[0.5], colors="0.2", linewidths=0.9)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _dots(ax: Axes, fields: FieldSet, cut: Section, samples: Sequence[Samples]) -> None:
    """The points of data on a section, or near it: within half a step of what it holds."""
    for data in samples:
        if not {cut.across, cut.up} <= set(data.coordinates):
            continue
        near = np.ones(len(data.coordinates[cut.across]), dtype=bool)
        for name, index in cut.held.items():
            axis = fields.coordinates[name]
            step = np.ptp(axis) / max(1, len(axis) - 1)
            if name in data.coordinates:
                near &= np.abs(data.coordinates[name] - axis[index]) <= step / 2
        picked = np.flatnonzero(near)[:: max(1, int(near.sum()) // _MOST_DOTS)]
        ax.plot(
            data.coordinates[cut.across][picked], data.coordinates[cut.up][picked],
            "o", color="black", markersize=1.6, alpha=0.45, markeredgewidth=0,
        )  # fmt: skip


def plane(fields: FieldSet, name: str, cut: Section) -> NDArray[np.float64]:
    """The values of a field on a section, shape (n of `up`, n of `across`)."""
    index = tuple(cut.held.get(n, slice(None)) for n in fields.coordinates)
    values: NDArray[np.float64] = np.asarray(fields.fields[name], dtype=np.float64)[index]
    rest = [n for n in fields.coordinates if n not in cut.held]
    return values if rest == [cut.up, cut.across] else values.T


def _is_even(fields: FieldSet, cut: Section) -> bool:
    """Whether both axes are lengths of like size, so that one scale for both is right."""
    if {"T", "P"} & {fields.axes.get(cut.across), fields.axes.get(cut.up)}:
        return False
    return 1 / _LONGEST <= _ratio(fields, cut) <= _LONGEST


def _is_wide(fields: FieldSet, cut: Section) -> bool:
    """Whether a panel is so flat that it should have the whole width of the figure."""
    return _is_even(fields, cut) and _ratio(fields, cut) < _FLAT


def _ratio(fields: FieldSet, cut: Section) -> float:
    return float(np.ptp(fields.coordinates[cut.up]) / np.ptp(fields.coordinates[cut.across]))


def _panel_size(fields: FieldSet, cut: Section) -> tuple[float, float]:
    if not _is_even(fields, cut):
        return 3.0, 2.3
    ratio = _ratio(fields, cut)
    if _is_wide(fields, cut):
        return (7.0, max(7.0 * ratio, 0.9))
    return (2.8 / max(ratio, 0.8), 2.8 * min(1.0, max(ratio, 0.4)) if ratio < 1 else 2.8)


def _shown(fields: FieldSet, names: Sequence[str], cuts: Sequence[Section]) -> NDArray[np.float64]:
    """All finite values of some fields on some sections, shape (n,); a zero where there are none."""
    values = np.concatenate([np.ravel(plane(fields, name, cut)) for name in names for cut in cuts])
    found: NDArray[np.float64] = values[np.isfinite(values)]
    return found if found.size else np.zeros(1)


def _symmetric(fields: FieldSet, name: str, cuts: Sequence[Section]) -> Normalize:
    largest = float(np.abs(_shown(fields, [name], cuts)).max()) or 1.0
    return Normalize(-largest, largest)


def _decades(fields: FieldSet, name: str, cuts: Sequence[Section]) -> Normalize:
    sizes = np.abs(_shown(fields, [name], cuts))
    largest = float(sizes.max())
    if largest == 0.0:
        return Normalize(0.0, 1.0)
    smallest = max(float(np.percentile(sizes, 1)), largest * 10.0**-_DECADES)
    return LogNorm(min(smallest, largest / 10), largest)

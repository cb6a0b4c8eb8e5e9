"""Maps of two coordinates: the solution beside its reference and error, and the residuals.

Fields are drawn in viridis, with one colour scale for a solution and its reference; errors are
signed, in a diverging map centred on zero, on their own scale; residuals are drawn as magnitudes
on a logarithmic scale, for they span decades.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from pinncli.cli.fieldnames import component_names, label, residual_names
from pinncli.cli.plotting.data import extent, finite, held_at, spread
from pinncli.cli.plotting.style import ERROR_COLOURS, FIELD_COLOURS, RESIDUAL_COLOURS, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from pinncli.evaluation import FieldSet

_DECADES = 5
"""Decades of a residual map below its largest value."""


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
    for across, up, held in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
        middle = {space[held]: len(fields.coordinates[space[held]]) // 2}
        text = ", ".join(held_at(fields, n, k) for n, k in (last | middle).items())
        cuts.append(Section(space[across], space[up], last | middle, text))
    return cuts


def solution_maps(fields: FieldSet) -> dict[str, Figure]:
    """One figure of all components while it stays readable (4 rows), else one each."""
    components, cuts = component_names(fields), sections(fields)
    with_reference = any(f"reference_{n}" in fields.fields for n in components)
    if len(components) == 1 or (with_reference and len(components) * len(cuts) <= 4):
        return {"solution": _solution(fields, components, cuts)}
    return {f"solution_{n}": _solution(fields, [n], cuts) for n in components}


def _solution(fields: FieldSet, components: Sequence[str], cuts: Sequence[Section]) -> Figure:
    """Rows of solution, reference, error; without a reference the sections stand side by side."""
    rows: list[list[Panel]] = []
    for name in components:
        columns = [n for n in (name, f"reference_{name}", f"error_{name}") if n in fields.fields]
        norm = Normalize(*extent(fields, [n for n in columns if not n.startswith("error_")]))
        error = _symmetric(fields, f"error_{name}") if f"error_{name}" in fields.fields else norm
        block = [
            [
                Panel(n, cut, error, ERROR_COLOURS, _title(fields, n, cut))
                if n.startswith("error_")
                else Panel(n, cut, norm, FIELD_COLOURS, _title(fields, n, cut))
                for n in columns
            ]
            for cut in cuts
        ]
        rows += block if len(columns) > 1 else [[panel for row in block for panel in row]]
    return _draw(fields, rows)


def residual_maps(fields: FieldSet) -> Figure:
    """A row of sections a residual; with one section each, three residuals a row."""
    names = residual_names(fields)
    rows: list[list[Panel]] = []
    for name in names:
        norm = _decades(fields, name)
        cuts = sections(fields)
        rows.append([Panel(name, cut, norm, RESIDUAL_COLOURS, _title(fields, name, cut)) for cut in cuts])
    if all(len(row) == 1 for row in rows):
        panels = [row[0] for row in rows]
        rows = [panels[k : k + 3] for k in range(0, len(panels), 3)]
    return _draw(fields, rows)


def _title(fields: FieldSet, name: str, cut: Section) -> str:
    if name.startswith("residual_"):
        text = f"|residual of {name.removeprefix('residual_')}|"
    elif name.startswith(("reference_", "error_")):
        text = name.replace("_", " ", 1)
    else:
        text = label(fields, name)
    return f"{text},  {cut.label}" if cut.label else text


def _draw(fields: FieldSet, rows: Sequence[Sequence[Panel]]) -> Figure:
    """Panels on a grid; neighbours of a row, and whole blocks, that share a scale share a colour bar."""
    columns = max(len(row) for row in rows)
    across, up = _panel_size(fields, rows[0][0].section)
    figure = new_figure(fields.title, ((across + 0.5) * columns + 0.7, (up + 0.55) * len(rows) + 0.4))
    axes = figure.subplots(len(rows), columns, squeeze=False)
    shared: dict[int, tuple[Any, list[Axes]]] = {}
    for row, panels in enumerate(rows):
        for column, panel in enumerate(panels):
            ax = axes[row, column]
            image = _map(ax, fields, panel)
            shared.setdefault(id(panel.norm), (image, []))[1].append(ax)
        for column in range(len(panels), columns):
            axes[row, column].set_axis_off()
    if len({(panel.section.across, panel.section.up) for panels in rows for panel in panels}) == 1:
        for ax in axes.flat:
            ax.label_outer(remove_inner_ticks=False)
    for image, owners in shared.values():
        figure.colorbar(image, ax=owners, shrink=0.95, pad=0.02, aspect=25)
    return figure


def _map(ax: Axes, fields: FieldSet, panel: Panel) -> Any:
    cut = panel.section
    x, y = fields.coordinates[cut.across], fields.coordinates[cut.up]
    values = plane(fields, panel.field, cut)
    if isinstance(panel.norm, LogNorm):
        values = np.maximum(np.abs(values), panel.norm.vmin or 0.0)
    image = ax.pcolormesh(
        x, y, values, norm=panel.norm, cmap=panel.colours, shading="nearest", rasterized=True
    )
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(y[0], y[-1])
    ax.locator_params(nbins=5)
    if _is_even(fields, cut):
        ax.set_aspect("equal")
    ax.set_title(panel.title, parse_math=False)
    ax.set_xlabel(label(fields, cut.across), parse_math=False)
    ax.set_ylabel(label(fields, cut.up), parse_math=False)
    return image


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
    ratio = np.ptp(fields.coordinates[cut.up]) / np.ptp(fields.coordinates[cut.across])
    return bool(1 / 3 <= ratio <= 3)


def _panel_size(fields: FieldSet, cut: Section) -> tuple[float, float]:
    if not _is_even(fields, cut):
        return 3.0, 2.3
    ratio = float(np.ptp(fields.coordinates[cut.up]) / np.ptp(fields.coordinates[cut.across]))
    return (2.8 / max(ratio, 0.8), 2.8 * min(1.0, max(ratio, 0.4)) if ratio < 1 else 2.8)


def _symmetric(fields: FieldSet, name: str) -> Normalize:
    largest = float(np.abs(finite(fields, [name])).max()) or 1.0
    return Normalize(-largest, largest)


def _decades(fields: FieldSet, name: str) -> Normalize:
    sizes = np.abs(finite(fields, [name]))
    largest = float(sizes.max())
    if largest == 0.0:
        return Normalize(0.0, 1.0)
    smallest = max(float(np.percentile(sizes, 1)), largest * 10.0**-_DECADES)
    return LogNorm(min(smallest, largest / 10), largest)

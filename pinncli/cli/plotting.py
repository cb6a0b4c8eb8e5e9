"""Figures of a field set: pure functions from data to matplotlib figures, never a window.

Fields are drawn in viridis, with one colour scale for a solution and its reference; errors are
signed, in a diverging map centred on zero, on their own scale; residuals are drawn as magnitudes
on a logarithmic scale, for they span decades.
"""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from pinncli.cli.fieldnames import component_names, label, residual_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from pinncli.evaluation import FieldSet

STYLE: Any = {
    "font.size": 9.0,
    "font.family": "DejaVu Sans",
    "mathtext.fontset": "dejavusans",
    "axes.titlesize": 9.0,
    "axes.labelsize": 9.0,
    "axes.formatter.limits": (-3, 4),
    "axes.formatter.use_mathtext": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "figure.titlesize": 10.0,
    "lines.linewidth": 1.5,
    "savefig.dpi": 160.0,
    "svg.hashsalt": "pinncli",
}
FIELD_COLOURS = "viridis"
ERROR_COLOURS = "RdBu_r"
RESIDUAL_COLOURS = "magma"
CYCLE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
"""Line colours that remain distinct to colour-blind readers (Okabe & Ito 2008)."""

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


def field_figures(fields: FieldSet) -> dict[str, Figure]:
    """All figures of a field set by file name stem: solution, slices, residuals."""
    with mpl.rc_context(STYLE):
        if len(fields.coordinates) == 1:
            figures = {"solution": _curves(fields)}
        else:
            figures = {**_solutions(fields), "slices": _slices(fields)}
        if residual_names(fields):
            figures["residuals"] = _residuals(fields)
    return figures


def figure_bytes(figure: Figure, kind: str) -> bytes:
    """The figure as a PNG, PDF or SVG file; letters that the font lacks become boxes, silently.

    The bytes depend on the figure alone: no date, no random identifiers.
    """
    metadata = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}[kind]
    target = io.BytesIO()
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(target, format=kind, metadata=metadata, bbox_inches="tight", pad_inches=0.1)
    return target.getvalue()


def new_figure(title: str, size: tuple[float, float]) -> Figure:
    """An empty figure of `size` inches with the problem's title, taken literally."""
    figure = Figure(figsize=size, layout="compressed")
    figure.suptitle(textwrap.shorten(title, 90, placeholder="..."), parse_math=False)
    return figure


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
            Section(space[0], space[1], {time: k}, _at(fields, time, k))
            for k in spread(len(fields.coordinates[time]), 4)
        ]
    last = {} if time is None else {time: len(fields.coordinates[time]) - 1}
    cuts = []
    for across, up, held in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
        middle = {space[held]: len(fields.coordinates[space[held]]) // 2}
        text = ", ".join(_at(fields, n, k) for n, k in (last | middle).items())
        cuts.append(Section(space[across], space[up], last | middle, text))
    return cuts


def spread(count: int, wanted: int) -> list[int]:
    """At most `wanted` distinct indices from the first to the last of `count`."""
    return sorted({round(k) for k in np.linspace(0, count - 1, wanted)})


def _at(fields: FieldSet, name: str, index: int) -> str:
    unit = fields.units.get(name, "1")
    return f"{name} = {fields.coordinates[name][index]:.4g}" + ("" if unit in ("", "1") else f" {unit}")


def _solutions(fields: FieldSet) -> dict[str, Figure]:
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
        norm = Normalize(*_extent(fields, [n for n in columns if not n.startswith("error_")]))
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


def _residuals(fields: FieldSet) -> Figure:
    names = residual_names(fields)
    if len(fields.coordinates) == 1:
        return _residual_curves(fields, names)
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
    if "T" in (fields.axes.get(cut.across), fields.axes.get(cut.up)):
        return False
    ratio = np.ptp(fields.coordinates[cut.up]) / np.ptp(fields.coordinates[cut.across])
    return bool(1 / 3 <= ratio <= 3)


def _panel_size(fields: FieldSet, cut: Section) -> tuple[float, float]:
    if not _is_even(fields, cut):
        return 3.0, 2.3
    ratio = float(np.ptp(fields.coordinates[cut.up]) / np.ptp(fields.coordinates[cut.across]))
    return (2.8 / max(ratio, 0.8), 2.8 * min(1.0, max(ratio, 0.4)) if ratio < 1 else 2.8)


def _finite(fields: FieldSet, names: Sequence[str]) -> NDArray[np.float64]:
    values = np.concatenate([np.ravel(fields.fields[n]) for n in names]).astype(np.float64)
    finite = values[np.isfinite(values)]
    return finite if finite.size else np.zeros(1)


def _extent(fields: FieldSet, names: Sequence[str]) -> tuple[float, float]:
    values = _finite(fields, names)
    return float(values.min()), float(values.max())


def _symmetric(fields: FieldSet, name: str) -> Normalize:
    largest = float(np.abs(_finite(fields, [name])).max()) or 1.0
    return Normalize(-largest, largest)


def _decades(fields: FieldSet, name: str) -> Normalize:
    sizes = np.abs(_finite(fields, [name]))
    largest = float(sizes.max())
    if largest == 0.0:
        return Normalize(0.0, 1.0)
    smallest = max(float(np.percentile(sizes, 1)), largest * 10.0**-_DECADES)
    return LogNorm(min(smallest, largest / 10), largest)


def _slices(fields: FieldSet) -> Figure:
    """Profiles along the first space coordinate, at five times (or five inner values of another one)."""
    names = list(fields.coordinates)
    along, family = names[-1], names[0]
    middle = {n: len(fields.coordinates[n]) // 2 for n in names[1:-1]}
    components = component_names(fields)
    note = ", ".join(_at(fields, n, k) for n, k in middle.items())
    figure = new_figure(fields.title, (6.0, 2.6 * len(components) + 0.5))
    axes = figure.subplots(len(components), 1, squeeze=False, sharex=True)[:, 0]
    picked = spread(len(fields.coordinates[family]), 5 if fields.axes.get(family) == "T" else 7)
    picked = picked if fields.axes.get(family) == "T" else picked[1:-1]
    tints = mpl.colormaps[FIELD_COLOURS](np.linspace(0.0, 0.85, len(picked)))
    for ax, name in zip(axes, components, strict=True):
        for tint, k in zip(tints, picked, strict=True):
            index = (k, *middle.values())
            ax.plot(
                fields.coordinates[along],
                fields.fields[name][index],
                color=tint,
                label=_at(fields, family, k),
            )
            if f"reference_{name}" in fields.fields:
                exact = fields.fields[f"reference_{name}"][index]
                ax.plot(fields.coordinates[along], exact, color="black", linestyle=(0, (2, 3)), linewidth=1.0)
        if f"reference_{name}" in fields.fields:
            ax.plot([], [], color="black", linestyle=(0, (2, 3)), linewidth=1.0, label="reference")
        low, high = _extent(fields, [name])
        if low < high:
            margin = 0.05 * (high - low)
            ax.set_ylim(low - margin, high + margin)
        ax.set_ylabel(label(fields, name), parse_math=False)
        ax.margins(x=0)
    axes[0].set_title(note)
    axes[-1].set_xlabel(label(fields, along), parse_math=False)
    axes[0].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _curves(fields: FieldSet) -> Figure:
    """One coordinate: the solution over its reference, and the error below."""
    (along,) = fields.coordinates
    components = component_names(fields)
    errors = [n for n in components if f"error_{n}" in fields.fields]
    figure = new_figure(fields.title, (6.0, 4.2 if errors else 3.0))
    heights = [2, 1] if errors else [1]
    axes = figure.subplots(len(heights), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    x = fields.coordinates[along]
    for k, name in enumerate(components):
        axes[0].plot(x, fields.fields[name], color=CYCLE[k % len(CYCLE)], label=label(fields, name))
        if f"reference_{name}" in fields.fields:
            exact = fields.fields[f"reference_{name}"]
            text = "reference" if k == 0 else None
            axes[0].plot(x, exact, color="black", linestyle=(0, (2, 3)), linewidth=1.0, label=text)
        if name in errors:
            axes[1].plot(x, fields.fields[f"error_{name}"], color=CYCLE[k % len(CYCLE)], linewidth=1.0)
    if errors:
        axes[1].axhline(0.0, color="0.7", linewidth=0.8, zorder=0)
        axes[1].set_ylabel("error")
    axes[0].legend(loc="best")
    axes[0].margins(x=0)
    axes[-1].set_xlabel(label(fields, along), parse_math=False)
    return figure


def _residual_curves(fields: FieldSet, names: Sequence[str]) -> Figure:
    (along,) = fields.coordinates
    figure = new_figure(fields.title, (6.0, 3.0))
    ax = figure.subplots()
    for k, name in enumerate(names):
        sizes = np.abs(np.asarray(fields.fields[name], dtype=np.float64))
        ax.plot(
            fields.coordinates[along],
            np.where(sizes > 0, sizes, np.nan),
            color=CYCLE[k % len(CYCLE)],
            linewidth=1.0,
            label=name.removeprefix("residual_"),
        )
    ax.set_yscale("log")
    ax.set_ylabel("|residual|")
    ax.set_xlabel(label(fields, along), parse_math=False)
    ax.margins(x=0)
    ax.legend(loc="best")
    return figure

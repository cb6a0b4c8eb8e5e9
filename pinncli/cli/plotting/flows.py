"""Vector fields: the speed as a map, with streamlines in a plane and arrows on planes through space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke

from pinncli.cli.plotting.maps import Panel, Section, draw, field_norm, plane, sections

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pinncli.evaluation import FieldSet
    from pinncli.shapes import Geometry

_ARROWS = 18
_LINES = 150
"""Points along each axis of the even grid that streamlines are drawn on."""


def flow_maps(fields: FieldSet, components: Sequence[str], geometry: Geometry | None = None) -> Figure:
    """The speed |(u, v)| with its direction, beside its reference and the length of the error."""
    name = f"|({', '.join(components)})|"
    made = {name: _length(fields, components)}
    for kind in ("reference_", "error_"):
        of_kind = [kind + part for part in components]
        if all(part in fields.fields for part in of_kind):
            made[kind + name] = _length(fields, of_kind)
    with_speed = replace(fields, fields={**fields.fields, **made})
    cuts = sections(fields)
    norm, colours = field_norm(with_speed, [n for n in made if not n.startswith("error_")], cuts)
    rows = []
    errors = field_norm(with_speed, [f"error_{name}"], cuts) if f"error_{name}" in made else (norm, colours)
    for cut in cuts:
        row = [Panel(name, cut, norm, colours, _title(name, cut), tuple(components))]
        if f"reference_{name}" in made:
            parts = tuple(f"reference_{part}" for part in components)
            row.append(Panel(f"reference_{name}", cut, norm, colours, _title("reference", cut), parts))
        if f"error_{name}" in made:
            row.append(Panel(f"error_{name}", cut, *errors, _title("length of the error", cut)))
        rows.append(row)
    if all(len(row) == 1 for row in rows):
        rows = [[row[0] for row in rows]]
    return draw(with_speed, rows, overlay=_directions, geometry=geometry)


def flat_or_solid(fields: FieldSet, components: Sequence[str]) -> bool:
    """Whether all coordinates of space that the vector has components along are still there."""
    return sum(letter in "XYZ" for letter in fields.axes.values()) == len(components) >= 2


def _length(fields: FieldSet, parts: Sequence[str]) -> Any:
    return np.sqrt(sum(np.asarray(fields.fields[part], dtype=np.float64) ** 2 for part in parts))


def _title(name: str, cut: Section) -> str:
    return f"{name},  {cut.label}" if cut.label else name


def _directions(ax: Axes, fields: FieldSet, panel: Panel) -> None:
    """Streamlines of a vector in the plane; arrows where its plane is one of space's three."""
    if not panel.vector:
        return
    cut = panel.section
    letters = {fields.axes.get(cut.across): 0, fields.axes.get(cut.up): 1}
    order = {"X": 0, "Y": 1, "Z": 2}
    along = [panel.vector[order[letter]] for letter in letters if letter in order]
    if len(along) != 2 or len(letters) != 2:
        return
    x, y = fields.coordinates[cut.across], fields.coordinates[cut.up]
    u, v = (plane(fields, part, cut) for part in along)
    sizes = np.hypot(u, v)
    if not (np.isfinite(sizes) & (sizes > 0)).any():
        return
    if len(panel.vector) == 2:
        _streamlines(ax, x, y, u, v)
        return
    i = np.unique(np.linspace(0, len(x) - 1, _ARROWS).round().astype(int))
    j = np.unique(np.linspace(0, len(y) - 1, _ARROWS).round().astype(int))
    pick = np.ix_(j, i)
    arrows: dict[str, Any] = {"color": "white", "edgecolor": (0, 0, 0, 0.5), "linewidth": 0.4, "width": 0.008}
    ax.quiver(x[i], y[j], u[pick], v[pick], **arrows)


def _streamlines(ax: Axes, x: Any, y: Any, u: Any, v: Any) -> None:
    """On an even grid of moderate size, which they need; NaN stays NaN."""
    xs, ys = (np.linspace(a[0], a[-1], min(_LINES, len(a))) for a in (x, y))
    i, j = (np.abs(a[:, None] - b).argmin(axis=0) for a, b in ((x, xs), (y, ys)))
    pick = np.ix_(j, i)
    drawn = ax.streamplot(
        xs, ys, np.ma.masked_invalid(u[pick]), np.ma.masked_invalid(v[pick]),
        color="white", linewidth=0.7, arrowsize=0.7, density=_density(xs, ys),
    )  # fmt: skip
    drawn.lines.set_path_effects([Stroke(linewidth=1.5, foreground=(0, 0, 0, 0.45)), Normal()])


def _density(x: Any, y: Any) -> tuple[float, float]:
    """Lines across and up, in proportion to the lengths where these are of one kind."""
    ratio = float(np.clip(np.ptp(y) / np.ptp(x), 1 / 3, 3))
    return (1.0 / max(ratio, 0.6), 1.0 * min(1.6, max(ratio, 0.4)))

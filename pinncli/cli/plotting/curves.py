"""Curves over one coordinate: solutions of one coordinate, profiles through those of more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from pinncli.cli.fieldnames import label, residual_names
from pinncli.cli.plotting.data import extent, held_at, spread
from pinncli.cli.plotting.scene import Samples
from pinncli.cli.plotting.style import CYCLE, FIELD_COLOURS, new_figure

if TYPE_CHECKING:
    from pinncli.evaluation import FieldSet


def profiles(fields: FieldSet, components: Sequence[str]) -> Figure:
    """Profiles along the first space coordinate, at five times or parameters (or five inner values of
    another coordinate), the rest in the middle."""
    names = list(fields.coordinates)
    along, family = names[-1], names[0]
    middle = {n: len(fields.coordinates[n]) // 2 for n in names if n not in (along, family)}
    note = ", ".join(held_at(fields, n, k) for n, k in middle.items())
    figure = new_figure(fields.title, (6.0, 2.6 * len(components) + 0.5))
    axes = figure.subplots(len(components), 1, squeeze=False, sharex=True)[:, 0]
    outer = fields.axes.get(family) in ("T", "P")
    picked = spread(len(fields.coordinates[family]), 5 if outer else 7)
    picked = picked if outer else picked[1:-1]
    tints = mpl.colormaps[FIELD_COLOURS](np.linspace(0.0, 0.85, len(picked)))
    for ax, name in zip(axes, components, strict=True):
        for tint, k in zip(tints, picked, strict=True):
            index = (k, *middle.values())
            ax.plot(
                fields.coordinates[along],
                fields.fields[name][index],
                color=tint,
                label=held_at(fields, family, k),
            )
            if f"reference_{name}" in fields.fields:
                exact = fields.fields[f"reference_{name}"][index]
                ax.plot(fields.coordinates[along], exact, color="black", linestyle=(0, (2, 3)), linewidth=1.0)
        if f"reference_{name}" in fields.fields:
            ax.plot([], [], color="black", linestyle=(0, (2, 3)), linewidth=1.0, label="reference")
        low, high = extent(fields, [n for n in (name, f"reference_{name}") if n in fields.fields])
        if low < high:
            margin = 0.05 * (high - low)
            ax.set_ylim(low - margin, high + margin)
        ax.set_ylabel(label(fields, name), parse_math=False)
        ax.margins(x=0)
    axes[0].set_title(note)
    axes[-1].set_xlabel(label(fields, along), parse_math=False)
    axes[0].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def solution_curves(fields: FieldSet, components: Sequence[str], samples: Sequence[Samples] = ()) -> Figure:
    """One coordinate: the solution over its reference and the data, and the error below."""
    (along,) = fields.coordinates
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
        for data in samples:
            if name in data.values and along in data.coordinates:
                style = {"color": CYCLE[k % len(CYCLE)], "markersize": 3, "alpha": 0.6, "markeredgewidth": 0}
                axes[0].plot(data.coordinates[along], data.values[name], "o", label=data.name, **style)
        if name in errors:
            axes[1].plot(x, fields.fields[f"error_{name}"], color=CYCLE[k % len(CYCLE)], linewidth=1.0)
    if errors:
        axes[1].axhline(0.0, color="0.7", linewidth=0.8, zorder=0)
        axes[1].set_ylabel("error")
    axes[0].legend(loc="best")
    axes[0].margins(x=0)
    axes[-1].set_xlabel(label(fields, along), parse_math=False)
    return figure


def residual_curves(fields: FieldSet) -> Figure:
    """One coordinate: the magnitude of every residual on a logarithmic scale."""
    (along,) = fields.coordinates
    figure = new_figure(fields.title, (6.0, 3.0))
    ax = figure.subplots()
    for k, name in enumerate(residual_names(fields)):
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

"""Figures of a training history: losses and error by step, and the traces of unknown parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

from pinncli.cli.plotting.style import CYCLE, STYLE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Records = Sequence[Mapping[str, Any]]
"""Step records as the run's history holds them, oldest first."""

_MOST_POINTS = 4000


def history_figures(title: str, records: Records, exact: Mapping[str, float]) -> dict[str, Figure]:
    """Figures by file name stem: `history`, and `parameters` where the problem has unknown numbers.

    `exact` holds the true values of those parameters whose truth is known.
    """
    if not records:
        return {}
    with mpl.rc_context(STYLE):
        figures = {"history": _history(title, records)}
        if records[-1].get("parameters"):
            figures["parameters"] = _parameters(title, records, exact)
    return figures


def _history(title: str, records: Records) -> Figure:
    errors = _trace(records, "error")
    count = 2 if errors[0] else 1
    figure = new_figure(title, (6.4, 2.7 * count + 0.5))
    axes = figure.subplots(count, 1, squeeze=False, sharex=True)[:, 0]
    for k, name in enumerate(dict.fromkeys(n for r in records for n in r.get("losses") or ())):
        trace = _trace(records, "losses", name)
        axes[0].plot(*trace, color=CYCLE[k % len(CYCLE)], linewidth=1.0, label=name)
    axes[0].plot(*_trace(records, "value"), color="black", linewidth=1.2, label="loss")
    axes[0].set_ylabel("loss")
    axes[0].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    if count == 2:
        axes[1].plot(*errors, color=CYCLE[0])
        axes[1].set_ylabel("relative error")
    for ax in axes:
        ax.set_yscale("log")
        ax.grid(True, which="major", color="0.9", linewidth=0.6)
    _mark_stages(axes, records, named=True)
    axes[-1].set_xlabel("step")
    return figure


def _parameters(title: str, records: Records, exact: Mapping[str, float]) -> Figure:
    names = list(records[-1]["parameters"])
    figure = new_figure(title, (6.4, 1.9 * len(names) + 0.6))
    axes = figure.subplots(len(names), 1, squeeze=False, sharex=True)[:, 0]
    for k, (ax, name) in enumerate(zip(axes, names, strict=True)):
        steps, values = _trace(records, "parameters", name, positive=False)
        ax.plot(steps, values, color=CYCLE[k % len(CYCLE)])
        text = f"{values[-1]:.6g}" if values else "never finite"
        if name in exact:
            ax.axhline(exact[name], color="black", linestyle=(0, (2, 3)), linewidth=1.0)
            text += f"   true value {exact[name]:.6g} (dashed)"
        ax.set_title(f"{name} = {text}", parse_math=False)
        ax.set_ylabel(name, parse_math=False)
    _mark_stages(axes, records, named=False)
    axes[-1].set_xlabel("step")
    return figure


def _trace(
    records: Records, key: str, name: str | None = None, *, positive: bool = True
) -> tuple[list[int], list[float]]:
    """Steps and finite values (above zero, for logarithms), thinned to what can be seen.

    With `name` the value is an entry of the table under `key`; records without it are left out.
    """
    found = [(int(r["step"]), r.get(key) if name is None else (r.get(key) or {}).get(name)) for r in records]
    kept = [(k, v) for k, v in found if v is not None and math.isfinite(v) and (v > 0 or not positive)]
    every = -(-len(kept) // _MOST_POINTS) or 1
    kept = kept[::every] + (kept[-1:] if every > 1 else [])
    return [k for k, _ in kept], [v for _, v in kept]


def _mark_stages(axes: Iterable[Axes], records: Records, named: bool) -> None:
    """A thin line where an optimiser takes over or a new leg begins, with its name at the top if `named`."""
    places = [[record.get(key) for key in ("window", "constants", "stage")] for record in records]
    for record, place, previous in zip(records[1:], places[1:], places, strict=False):
        if place == previous:
            continue
        for k, ax in enumerate(axes):
            ax.axvline(record["step"], color="0.6", linewidth=0.8, zorder=0)
            if named and k == 0:
                ax.annotate(
                    str(record.get("optimiser", "")),
                    (record["step"], 1.0),
                    xycoords=("data", "axes fraction"),
                    xytext=(3, -9),
                    textcoords="offset points",
                    fontsize=7.5,
                    color="0.4",
                )

"""What all figures have in common: fonts, colours, an empty figure, and a figure as a file's bytes."""

from __future__ import annotations

import io
import textwrap
import warnings
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

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
SIGNED_COLOURS = "RdBu_r"
PHASE_COLOURS = "twilight"
ERROR_COLOURS = "PuOr_r"
RESIDUAL_COLOURS = "magma"
CYCLE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
"""Line colours that remain distinct to colour-blind readers (Okabe & Ito 2008)."""


def new_figure(title: str, size: tuple[float, float]) -> Figure:
    """An empty figure of `size` inches with the problem's title, taken literally."""
    figure = Figure(figsize=size, layout="compressed")
    figure.suptitle(textwrap.shorten(title, 90, placeholder="..."), parse_math=False)
    return figure


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

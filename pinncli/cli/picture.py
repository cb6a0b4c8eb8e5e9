"""A compact picture of a solution in the terminal: a colour map, or a curve, in block characters.

A field is drawn with two pixels a character cell (upper half block, foreground over background);
without colours or without Unicode it is drawn in shades of ASCII. Rich reduces the colours to
what the terminal has.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from pinncli.cli.output import clean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pinncli.evaluation import FieldSet

_VIRIDIS = np.array(
    [
        (68, 1, 84), (72, 26, 108), (71, 47, 125), (65, 68, 135), (57, 86, 140), (49, 104, 142),
        (42, 120, 142), (35, 136, 142), (31, 152, 139), (34, 168, 132), (53, 183, 121), (84, 197, 104),
        (122, 209, 81), (165, 219, 54), (210, 226, 27), (253, 231, 37),
    ],
    dtype=np.float64,
)  # fmt: skip
_ASCII = " .:-=+*#%@"
_BRAILLE = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


def picture(
    fields: FieldSet, name: str, width: int, height: int, *, colour: bool = True, unicode: bool = True
) -> RenderableType:
    """One field of a field set, `width` by `height` characters at most, with its range and axes.

    Fields of more than two coordinates are shown at the last time and in the middle of the rest.
    """
    values, axes, where = flat(fields, name)
    size = (min(width, 100), min(height, 40))
    if values.ndim == 1:
        lines = curve(values, *size, unicode=unicode)
    else:
        lines = blocks(values, *size, colour=colour and unicode)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (math.nan, math.nan)
    head = Text(clean(f"{name}  {low:.3g} to {high:.3g}{where}"))
    foot = Text(clean("  ".join(_axis(fields, axis, place) for axis, place in axes)), style="dim")
    return Group(head, *lines, foot)


def flat(fields: FieldSet, name: str) -> tuple[NDArray[np.float64], list[tuple[str, str]], str]:
    """A field as a curve `(n,)` or a map (rows downwards), its axes, and what was held fixed."""
    values = np.asarray(fields.fields[name], dtype=np.float64)
    names = list(fields.coordinates)
    time = [n for n in names if fields.axes.get(n) == "T"]
    fixed = ""
    while len(names) > 2:
        axis = names[0]
        index = len(fields.coordinates[axis]) - 1 if axis in time else len(fields.coordinates[axis]) // 2
        fixed += f"  at {axis} = {fields.coordinates[axis][index]:.4g}"
        values, names = values[index], names[1:]
    if len(names) == 1:
        return values, [(names[0], "across")], fixed
    if names[0] in time:  # time runs to the right, space upwards
        return values.T[::-1], [(names[0], "across"), (names[1], "up")], fixed
    return values[::-1], [(names[1], "across"), (names[0], "up")], fixed


def blocks(values: NDArray[np.float64], width: int, height: int, colour: bool) -> list[Text]:
    """A map as lines of text; NaN stays empty."""
    rows = 2 * height if colour else height
    small = _resize(values, rows, width)
    finite = small[np.isfinite(small)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    unit = (small - low) / (high - low) if high > low else np.where(np.isfinite(small), 0.5, np.nan)
    if not colour:
        return [Text("".join(_shade(v) for v in row)) for row in unit]
    lines = []
    for upper, lower in zip(unit[0::2], unit[1::2], strict=True):
        text = Text()
        for top, bottom in zip(upper, lower, strict=True):
            text.append(*_cell(float(top), float(bottom)))
        lines.append(text)
    return lines


def curve(values: NDArray[np.float64], width: int, height: int, unicode: bool) -> list[Text]:
    """A curve in braille dots (2 by 4 a character), or in asterisks."""
    across, down = (2, 4) if unicode else (1, 1)
    columns, rows = across * width, down * height
    sampled = np.interp(np.linspace(0, 1, columns), np.linspace(0, 1, values.size), values)
    finite = sampled[np.isfinite(sampled)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    cells = np.zeros((height, width), dtype=np.int64)
    previous = None
    for column, value in enumerate(sampled):
        if not math.isfinite(value):
            previous = None
            continue
        row = round((rows - 1) * (1 - (value - low) / (high - low))) if high > low else rows // 2
        for dot in range(*_joined(previous, row)):
            cells[dot // down, column // across] |= _BRAILLE[dot % down][column % across] if unicode else 1
        previous = row
    if unicode:
        return [Text("".join(chr(0x2800 + int(c)) if c else " " for c in row)) for row in cells]
    return [Text("".join("*" if c else " " for c in row)) for row in cells]


def _joined(previous: int | None, row: int) -> tuple[int, int]:
    """The dots of a column, so that steep parts of a curve have no gaps."""
    if previous is None or abs(previous - row) <= 1:
        return row, row + 1
    return (row, previous) if row < previous else (previous + 1, row + 1)


def _resize(values: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    """Nearest entries on a coarser (or finer) raster."""
    i = np.rint(np.linspace(0, values.shape[0] - 1, rows)).astype(int)
    j = np.rint(np.linspace(0, values.shape[1] - 1, columns)).astype(int)
    resized: NDArray[np.float64] = values[np.ix_(i, j)]
    return resized


def _cell(top: float, bottom: float) -> tuple[str, str]:
    if math.isnan(top) and math.isnan(bottom):
        return " ", ""
    if math.isnan(bottom):
        return "▀", _rgb(top)
    if math.isnan(top):
        return "▄", _rgb(bottom)
    return "▀", f"{_rgb(top)} on {_rgb(bottom)}"


def _rgb(unit: float) -> str:
    place = unit * (len(_VIRIDIS) - 1)
    k = min(int(place), len(_VIRIDIS) - 2)
    red, green, blue = (_VIRIDIS[k] + (place - k) * (_VIRIDIS[k + 1] - _VIRIDIS[k])).round().astype(int)
    return f"rgb({red},{green},{blue})"


def _shade(unit: float) -> str:
    return " " if math.isnan(unit) else _ASCII[min(int(unit * len(_ASCII)), len(_ASCII) - 1)]


def _axis(fields: FieldSet, name: str, place: str) -> str:
    points = fields.coordinates[name]
    return f"{name} {place} {points[0]:.4g} to {points[-1]:.4g}"

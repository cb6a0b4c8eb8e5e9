"""Looking at a field set before drawing it: ranges, evenly spread indices, labels of held coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pinncli.evaluation import FieldSet


def spread(count: int, wanted: int) -> list[int]:
    """At most `wanted` distinct indices from the first to the last of `count`."""
    return sorted({round(k) for k in np.linspace(0, count - 1, wanted)})


def held_at(fields: FieldSet, name: str, index: int) -> str:
    """`t = 0.5 s`: a coordinate at one of its points."""
    unit = fields.units.get(name, "1")
    return f"{name} = {fields.coordinates[name][index]:.4g}" + ("" if unit in ("", "1") else f" {unit}")


def finite(fields: FieldSet, names: Sequence[str]) -> NDArray[np.float64]:
    """All finite values of some fields, shape (n,); a zero where there are none."""
    values = np.concatenate([np.ravel(fields.fields[n]) for n in names]).astype(np.float64)
    finite = values[np.isfinite(values)]
    return finite if finite.size else np.zeros(1)


def extent(fields: FieldSet, names: Sequence[str]) -> tuple[float, float]:
    """Smallest and largest finite value of some fields."""
    values = finite(fields, names)
    return float(values.min()), float(values.max())

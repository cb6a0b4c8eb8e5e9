"""Formulas of the coordinates as tensors, or as jets with derivatives that were found symbolically."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from pinncli.derivatives.affine import AffineJet
from pinncli.derivatives.jet import Jet
from pinncli.derivatives.jet_index import JetIndex
from pinncli.language.partials import MultiIndex
from pinncli.language.program import Program
from pinncli.residuals import run_on_coordinates


@dataclass(frozen=True, eq=False)
class Known:
    """Lift G and factor D of m components each, for `networks.Ansatz`.

    `program` has 2 m outputs per derivative, G then D, for each of `indices`. A pass evaluates no more of it
    than its jets carry.
    """

    program: Program
    indices: tuple[MultiIndex, ...]
    coordinates: tuple[str, ...]
    components: int
    lead: Callable[[Any], Any] | None = None
    """What is added to G where that is no formula: propagated initial values."""

    def __call__(self, points: Any) -> tuple[Any, Any]:
        """G and D (n, m) at the coordinates themselves, `points` (n, d), a tensor or a jet."""
        lift, factor = self._formulas(points)
        return (lift if self.lead is None else lift + self.lead(points)), factor

    def _formulas(self, points: Any) -> tuple[Any, Any]:
        """G and D (n, m) at the coordinates themselves, `points` (n, d), a tensor or a jet."""
        m = self.components
        if isinstance(points, Tensor):
            values = torch.stack(self._rows(points, [0]), dim=1)
            return values[:, :m], values[:, m:]
        index: JetIndex = points.index
        terms = [(c, self.indices.index(alpha)) for channel in index.linear for c, alpha in channel]
        value = points.value if isinstance(points, AffineJet) else points.channels[0]
        with torch.no_grad():
            flat = torch.stack(self._rows(value.t(), [row for _, row in terms])).view(len(terms), 2 * m, -1)
            parts = (c * row if c != 1.0 else row for (c, _), row in zip(terms, flat, strict=True))
            channels = torch.stack([sum(islice(parts, len(each))) for each in index.linear])
        return Jet(channels[:, :m], index), Jet(channels[:, m:], index)

    def _rows(self, points: Tensor, rows: Sequence[int]) -> list[Tensor]:
        """G and D (n,) of every component, for each derivative of `rows` in turn."""
        return run_on_coordinates(_part(self, tuple(rows)), points, self.coordinates)


@lru_cache(maxsize=256)
def _part(known: Known, rows: tuple[int, ...]) -> Program:
    """The part of the program that some derivatives need."""
    count = 2 * known.components
    return known.program.only([known.program.outputs[row * count + k] for row in rows for k in range(count)])

"""Derivatives of networks that consist of many small ones, each alive on a cell of the domain.

Points are sorted by cell, every cell's network is given to an engine, and the results are put back
in order. Nothing else has to know: values, gradients and hand-overs are those of one network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from pinncli.derivatives.base import Engine
from pinncli.derivatives.jet import Record
from pinncli.language.partials import Partial


class Cells(Protocol):
    """A network that is another small one on every cell."""

    def cells(self, points: Tensor) -> Tensor:
        """The number (n,) of the cell that each of `points` (n, d) lies in."""
        ...

    def cell(self, number: int) -> Any:
        """The network of one cell; it has `patches`, whose parameters it shares, and can `gather` them."""
        ...


@dataclass(frozen=True)
class Part:
    """The points of a call that lie in one cell: their places (k,) there, and the layers recorded."""

    places: Tensor
    patches: tuple[int, ...]
    tape: list[Record]


@dataclass(frozen=True)
class Cellwise:
    """`inner` on every cell by itself."""

    inner: Engine

    @property
    def records(self) -> bool:
        """Not in the sense of one network; see `recorded_parts`."""
        return False

    def twice_differentiable(self) -> Cellwise:
        """With an inner engine that is."""
        return replace(self, inner=self.inner.twice_differentiable())

    def partials(
        self, network: Any, theta: Tensor, points: Tensor, wanted: Sequence[Partial]
    ) -> dict[Partial, Tensor]:
        """Each of `wanted` at `points` (n, d), as tensors (n,) differentiable in `theta`."""
        found, order = [], []
        for number, places in sorted_by_cell(network, points):
            cell = network.cell(number)
            found.append(self.inner.partials(cell, cell.gather(theta), points[places], wanted))
            order.append(places)
        return _in_order(found, order, wanted)

    def recorded(
        self, network: Any, theta: Tensor, points: Tensor, wanted: Sequence[Partial]
    ) -> tuple[dict[Partial, Tensor], list[Record]]:
        """Not available: every cell has a tape of its own."""
        raise TypeError("cells are recorded one by one")

    def recorded_parts(
        self, network: Any, theta: Tensor, points: Tensor, wanted: Sequence[Partial]
    ) -> tuple[dict[Partial, Tensor], list[Part]]:
        """Like `partials`, with what is recorded in every cell; theta is held constant."""
        found, order, parts = [], [], []
        for number, places in sorted_by_cell(network, points):
            cell = network.cell(number)
            result, tape = self.inner.recorded(cell, cell.gather(theta.detach()), points[places], wanted)
            found.append(result)
            order.append(places)
            parts.append(Part(places, cell.patches, tape))
        return _in_order(found, order, wanted), parts


def sorted_by_cell(network: Cells, points: Tensor) -> list[tuple[int, Tensor]]:
    """Every cell that has points, and their places (k,)."""
    numbers = network.cells(points)
    order = torch.argsort(numbers, stable=True)
    cells, counts = torch.unique_consecutive(numbers[order], return_counts=True)
    places = torch.split(order, counts.tolist())
    return list(zip(cells.tolist(), places, strict=True))


def _in_order(
    found: Sequence[dict[Partial, Tensor]], order: Sequence[Tensor], wanted: Sequence[Partial]
) -> dict[Partial, Tensor]:
    """The results of all cells as the points came."""
    back = torch.argsort(torch.cat(list(order)))
    return {p: torch.cat([each[p] for each in found])[back] for p in wanted}

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
from pinncli.language.partials import Wanted


class Cells(Protocol):
    """A network that is another small one on every cell."""

    @property
    def patchwork(self) -> tuple[int, int]:
        """Number of patches, and of parameters of each: theta lies patch by patch."""
        ...

    def cells(self, points: Tensor) -> Tensor:
        """The number (n,) of the cell that each of `points` (n, d) lies in."""
        ...

    def cell(self, number: int) -> Any:
        """The network of one cell; it has `patches`, whose parameters it shares, and can `gather` them."""
        ...


@dataclass(frozen=True)
class Basis:
    """What a cell's partials are made of at the points `places` (k,) of a call: p = B theta_c + b.

    `parts` have, per partial, its component c, B (k, features) and b (k,); the hidden layers are frozen, so
    that these hold for every theta.
    """

    cell: Any
    places: Tensor
    parts: dict[Wanted, tuple[int, Tensor, Tensor]]

    def partials(self, theta: Tensor) -> dict[Wanted, Tensor]:
        """Every partial (k,), by the theta of the whole network."""
        mine = self.cell.gather(theta).view(self.cell.outputs, -1)
        return {p: torch.addmv(b, matrix, mine[c]) for p, (c, matrix, b) in self.parts.items()}


@dataclass(frozen=True)
class Cellwise:
    """`inner` on every cell by itself."""

    inner: Engine

    @property
    def records(self) -> bool:
        """Not in the sense of one network; see `bases`."""
        return False

    def twice_differentiable(self) -> Cellwise:
        """With an inner engine that is."""
        return replace(self, inner=self.inner.twice_differentiable())

    @property
    def lap_axes(self) -> tuple[int, ...]:
        """Those of the inner engine."""
        return self.inner.lap_axes

    def estimating(self, axes: tuple[int, ...]) -> Cellwise:
        """With an inner engine that does."""
        return replace(self, inner=self.inner.estimating(axes))

    def partials(
        self, network: Any, theta: Tensor, points: Tensor, wanted: Sequence[Wanted]
    ) -> dict[Wanted, Tensor]:
        """Each of `wanted` at `points` (n, d), as tensors (n,) differentiable in `theta`."""
        found, order = [], []
        for number, places in sorted_by_cell(network, points):
            cell = network.cell(number)
            found.append(self.inner.partials(cell, cell.gather(theta), points[places], wanted))
            order.append(places)
        return _in_order(found, order, wanted)

    def recorded(
        self,
        network: Any,  # noqa: ARG002
        theta: Tensor,  # noqa: ARG002
        points: Tensor,  # noqa: ARG002
        wanted: Sequence[Wanted],  # noqa: ARG002
    ) -> tuple[dict[Wanted, Tensor], list[Record]]:
        """Not available: every cell has a tape of its own."""
        raise TypeError("cells have bases instead")

    def patchwork(self, network: Any) -> tuple[int, int]:
        """Number of patches, and of parameters of each."""
        count, share = network.patchwork
        return count, share

    def bases(self, network: Any, points: Tensor, wanted: Sequence[Wanted]) -> list[Basis]:
        """The partials at `points` as linear functions of the output layer, cell by cell."""
        found = []
        for number, places in sorted_by_cell(network, points):
            cell = network.cell(number)
            zero = points.new_zeros(cell.size)
            with torch.enable_grad():
                values, (layer, *_) = self.inner.recorded(cell, zero, points[places], wanted)
                slopes = [
                    torch.autograd.grad(value.sum(), layer.outputs, retain_graph=True)[0]
                    for value in values.values()
                ]
            parts = {}
            for (p, value), slope in zip(values.items(), slopes, strict=True):
                component = int(slope.abs().amax((0, 2)).argmax())
                matrix = torch.einsum("sn,sin->ni", slope[:, component], layer.inputs)
                parts[p] = (component, matrix, value.detach())
            found.append(Basis(cell, places, parts))
        return found


def evaluated(bases: Sequence[Basis], theta: Tensor, wanted: Sequence[Wanted]) -> dict[Wanted, Tensor]:
    """Each of `wanted` (n,) at the points of a call."""
    return _in_order([b.partials(theta) for b in bases], [b.places for b in bases], wanted)


def sorted_by_cell(network: Cells, points: Tensor) -> list[tuple[int, Tensor]]:
    """Every cell that has points, and their places (k,)."""
    numbers = network.cells(points)
    order = torch.argsort(numbers, stable=True)
    cells, counts = torch.unique_consecutive(numbers[order], return_counts=True)
    places = torch.split(order, counts.tolist())
    return list(zip(cells.tolist(), places, strict=True))


def _in_order(
    found: Sequence[dict[Wanted, Tensor]], order: Sequence[Tensor], wanted: Sequence[Wanted]
) -> dict[Wanted, Tensor]:
    """The results of all cells as the points came."""
    back = torch.argsort(torch.cat(list(order)))
    return {p: torch.cat([each[p] for each in found])[back] for p in wanted}

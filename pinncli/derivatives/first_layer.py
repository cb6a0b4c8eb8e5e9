"""A function of affine features, and the linear layer after it, where one follows.

The function's channels are f^(q) (pieces, w, k) times numbers (w,), or sums of such (`JetIndex.sources`).
Where a linear layer follows, the weights take the numbers up, so that channels of one order are one product
and are themselves never written out; a sum over several orders is, since one product of matrices costs more.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pinncli.derivatives.jet_index import JetIndex, Source


def layer(weight: Tensor, factors: Tensor, f: Sequence[Tensor], index: JetIndex) -> Tensor:
    """Channels (pieces, S, o, k) of the layer of weight (o, w), with the parts' `factors` (P, w)."""
    o, w = weight.shape
    pieces, _, k = f[0].shape
    out = weight.new_empty((pieces, index.size * o, k))
    for source in index.sources:
        rows = _rows(source, weight, factors).expand(pieces, -1, w)
        column = _column(source, factors, f, 0)
        torch.bmm(rows, column, out=out[:, source.start * o : source.stop * o])
    return out.view(pieces, index.size, o, k)


def layer_transposed(
    grad: Tensor, weight: Tensor, factors: Tensor, f: Sequence[Tensor], index: JetIndex
) -> tuple[Tensor, Tensor, Tensor]:
    """Cotangents of the features' value (pieces, w, k), of the weight and of the factors."""
    o, w = weight.shape
    g = grad.flatten(1, 2)
    to_value: Tensor | None = None
    to_weight, to_factors = torch.zeros_like(weight), torch.empty_like(factors)
    for source in index.sources:
        mine = g[:, source.start * o : source.stop * o]
        column = _column(source, factors, f, 0)
        to_column = torch.bmm(_rows(source, weight, factors).t().expand(len(g), w, -1), mine)
        to_rows = torch.bmm(mine, column.mT).sum(0).view(-1, o, w)
        if len(source.orders) == 1:
            place = slice(source.part, source.part + len(to_rows))
            to_weight += (to_rows * factors[place].unsqueeze(1)).sum(0)
            torch.sum(to_rows * weight, 1, out=to_factors[place])
        else:
            to_weight += to_rows[0]
            _to_parts(to_factors, source, to_column, f)
        slope = _column(source, factors, f, 1)
        to_value = to_column.mul_(slope) if to_value is None else to_value.addcmul_(to_column, slope)
    assert to_value is not None  # noqa: S101  (there is a value channel)
    return to_value, to_weight, to_factors


def spread(factors: Tensor, f: Sequence[Tensor], index: JetIndex) -> Tensor:
    """Channels (pieces, S, w, k) of the function itself."""
    numbers = factors.unsqueeze(-1)
    rows = []
    for source in index.sources:
        if len(source.orders) == 1:
            count = source.stop - source.start
            rows += [f[source.orders[0]] * number for number in numbers[source.part : source.part + count]]
        else:
            rows.append(_column(source, factors, f, 0))
    return torch.stack(rows, dim=1)


def spread_transposed(
    grad: Tensor, factors: Tensor, f: Sequence[Tensor], index: JetIndex
) -> tuple[Tensor, Tensor]:
    """Cotangents of the features' value (pieces, w, k) and of the factors (P, w)."""
    to_value, to_factors = torch.zeros_like(f[0]), torch.empty_like(factors)
    for source in index.sources:
        for k, g in enumerate(grad[:, source.start : source.stop].unbind(1)):
            for part, order in enumerate(source.orders, start=source.part + k):
                to_value.addcmul_(g * factors[part].unsqueeze(-1), f[order + 1])
            _to_parts(to_factors, source, g, f, k)
    return to_value, to_factors


def _rows(source: Source, weight: Tensor, factors: Tensor) -> Tensor:
    """The weights of the source's channels (channels x o, w)."""
    if len(source.orders) > 1:
        return weight
    count = source.stop - source.start
    return (factors[source.part : source.part + count].unsqueeze(1) * weight).flatten(0, 1)


def _column(source: Source, factors: Tensor, f: Sequence[Tensor], raised: int) -> Tensor:
    """What the weights act on (pieces, w, k), or its derivative by the value of the features."""
    if len(source.orders) == 1:
        return f[source.orders[0] + raised]
    numbers = factors[source.part :].unsqueeze(-1).unbind()
    first, *others = source.orders
    total = f[first + raised] * numbers[0]
    for number, order in zip(numbers[1:], others, strict=False):
        total.addcmul_(f[order + raised], number)
    return total


def _to_parts(
    to_factors: Tensor, source: Source, to_column: Tensor, f: Sequence[Tensor], skipped: int = 0
) -> None:
    """Cotangents of the factors of one channel of a source."""
    for part, order in enumerate(source.orders, start=source.part + skipped):
        to_factors[part] = torch.linalg.vecdot(to_column, f[order]).sum(0)

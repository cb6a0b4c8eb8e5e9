"""The factors of a function of affine features: d_alpha f(h) = f^(|alpha|)(h) prod_i s_i^alpha_i."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import mul

import torch
from torch import Tensor

from pinncli.derivatives.jet_index import JetIndex
from pinncli.language.partials import MultiIndex


def factors(slopes: Tensor, index: JetIndex) -> Tensor:
    """The factor (S, w) of every channel, from slopes (w, d); it multiplies f^(k), k = `index.orders`."""
    columns = slopes.unbind(1)
    found = [_monomial(columns, alpha) for alpha in index.indices]
    if index.lap is not None:
        found.append(slopes[:, list(index.lap_axes)].square().sum(1))
    return torch.stack(found)


def to_slopes(to_factors: Sequence[Tensor], slopes: Tensor, index: JetIndex) -> Tensor:
    """Cotangents (w, d) of the slopes from those (w,) of every channel's factor."""
    columns = slopes.unbind(1)
    result = torch.zeros_like(slopes)
    rows = result.unbind(1)
    for along, alpha in zip(to_factors[1:], index.indices[1:], strict=False):
        for axis, order in enumerate(alpha):
            if sum(alpha) == 1 and order:
                rows[axis].add_(along)
            elif order:
                rest = tuple(m - (j == axis) for j, m in enumerate(alpha))
                rows[axis].addcmul_(along, _monomial(columns, rest), value=float(order))
    if index.lap is not None:
        for axis in index.lap_axes:
            rows[axis].addcmul_(to_factors[index.lap], columns[axis], value=2.0)
    return result


def _monomial(columns: Sequence[Tensor], alpha: MultiIndex) -> Tensor:
    """prod_i s_i^alpha_i (w,)."""
    parts = [column for column, order in zip(columns, alpha, strict=True) for _ in range(order)]
    return reduce(mul, parts) if parts else torch.ones_like(columns[0])

"""The factors of a function of affine features: d_alpha f(h) = f^(|alpha|)(h) prod_i s_i^alpha_i.

A channel is a sum of parts, f^(q) times a factor per feature (`JetIndex.parts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import mul

import torch
from torch import Tensor

from pinncli.derivatives.jet_index import Combined, JetIndex
from pinncli.language.partials import MultiIndex


def factors(slopes: Tensor, index: JetIndex) -> Tensor:
    """The factor of every part (P, w), from slopes (w, d)."""
    columns = slopes.unbind(1)
    return torch.stack([_sum(terms, columns) for _, terms in index.parts])


def to_slopes(to_factors: Sequence[Tensor], slopes: Tensor, index: JetIndex) -> Tensor:
    """Cotangents (w, d) of the slopes from those (w,) of every part's factor."""
    columns = slopes.unbind(1)
    result = torch.zeros_like(slopes)
    rows = result.unbind(1)
    for along, (_, terms) in zip(to_factors[1:], index.parts[1:], strict=True):
        for c, alpha in terms:
            for axis, order in enumerate(alpha):
                if sum(alpha) == 1 and order:
                    rows[axis].add_(along, alpha=c)
                elif order:
                    rest = tuple(m - (j == axis) for j, m in enumerate(alpha))
                    rows[axis].addcmul_(along, _monomial(columns, rest), value=c * order)
    return result


def _sum(terms: Combined, columns: Sequence[Tensor]) -> Tensor:
    """sum_j c_j prod_i s_i^alpha_ji (w,)."""
    (c, alpha), *others = terms
    total = _monomial(columns, alpha)
    total = total if c == 1.0 else c * total
    for c, alpha in others:
        total = total.add(_monomial(columns, alpha), alpha=c)
    return total


def _monomial(columns: Sequence[Tensor], alpha: MultiIndex) -> Tensor:
    """prod_i s_i^alpha_i (w,)."""
    parts = [column for column, order in zip(columns, alpha, strict=True) for _ in range(order)]
    return reduce(mul, parts) if parts else torch.ones_like(columns[0])

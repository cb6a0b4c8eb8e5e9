"""Weights along time: a later chunk counts once the earlier ones are solved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

DONE = 0.99
"""The tolerance moves on when every weight is above this."""


@dataclass(frozen=True)
class Causal:
    """w_i = exp(-eps sum_(k<i) L_k) over chunks of time (Wang, Sankaran & Perdikaris 2022, arXiv 2203.07404).

    Eqs. 2.9 to 2.11; L_k is the weighted mean square of the residuals in chunk k, over all conditions of
    `follows`. Those of `first`, at the beginning of time, are L_0 and are never weighted themselves. eps
    goes through `tolerances`, on to the next when min w > 0.99.
    """

    axis: int
    low: float
    high: float
    """Of the time coordinate, number `axis`."""
    chunks: int
    tolerances: tuple[float, ...]
    every: int
    first: tuple[str, ...]
    follows: tuple[str, ...]
    weights: Mapping[str, float]
    """Of every condition's mean square."""

    def chunk(self, points: Tensor) -> Tensor:
        """Numbers (n,) from 0 of the chunks that `points` (n, d) lie in; a boundary belongs to the later."""
        share = (points[:, self.axis] - self.low) / (self.high - self.low)
        return (share * self.chunks).floor().long().clamp(0, self.chunks - 1)

    def losses(self, points: Mapping[str, Tensor], rows: Mapping[str, Sequence[Tensor]]) -> Tensor:
        """L (chunks + 1,), L_0 first, from each condition's points (n, d) and residuals (n,) unscaled."""
        like = next(iter(points.values()))
        total = like.new_zeros(self.chunks + 1)
        numbers = torch.arange(self.chunks, device=like.device)
        for name, parts in rows.items():
            square = torch.stack(list(parts)).square().sum(dim=0)
            if name in self.first:
                total[0] += self.weights[name] * square.mean()
            elif name in self.follows:
                member = (self.chunk(points[name]) == numbers.unsqueeze(1)).to(square.dtype)
                total[1:] += self.weights[name] * (member @ square) / member.sum(dim=1).clamp_min(1.0)
        return total

    def at(self, losses: Tensor, tolerance: int) -> Tensor:
        """w (chunks,) for `losses` (chunks + 1,) at the tolerance of this number."""
        return torch.exp(-self.tolerances[tolerance] * torch.cumsum(losses, dim=0)[:-1])

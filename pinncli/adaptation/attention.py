"""Weights over the points of a condition, where its residual has been large for long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

STRIP = 1 << 22
"""Distances held at a time."""


@dataclass(frozen=True)
class Attention:
    """Residual-based attention (Anagnostopoulos, Toscano, Stergiopulos & Karniadakis 2024, CMAME 421).

    lambda_i <- decay lambda_i + rate |r_i| / max_k |r_k|, and r_i becomes lambda_i r_i. Two things differ:
    lambda starts at one instead of zero, and is divided by its root mean square over the points of the
    condition, so that attention says where a condition counts and not how much.
    """

    rate: float
    decay: float
    every: int

    def update(self, old: Tensor, size: Tensor) -> Tensor:
        """lambda (n,) after `old`, for |r| = `size` (n,)."""
        largest = size.max()
        share = size / largest if float(largest) > 0.0 else torch.ones_like(size)
        return self.decay * old + self.rate * share

    def factors(self, attention: Tensor) -> Tensor:
        """Factors (n,) on the squares of the residuals, one on average."""
        square = attention.square()
        return square / square.mean()


def nearest(values: Tensor, old: Tensor, new: Tensor, extents: Sequence[float]) -> Tensor:
    """`values` (n,) at points `old` (n, d), as the nearest of them has it for each of `new` (k, d).

    Distances are relative to `extents` (d,). Points that stay keep their value.
    """
    scale = old.new_tensor(extents)
    known, strip = old / scale, max(1, STRIP // len(old))
    found = []
    for part in torch.split(new / scale, strip):
        square = sum(
            (part[:, k, None] - known[None, :, k]).square() for k in range(old.shape[1])
        )  # differences, not products: equal points have distance zero
        assert isinstance(square, Tensor)  # noqa: S101  (there is a coordinate)
        found.append(values[square.argmin(dim=1)])
    return torch.cat(found)

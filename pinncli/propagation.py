"""Sums of exponentials of the coordinates: values and jets of initial values that waves lead on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pinncli.derivatives.affine import AffineJet
from pinncli.derivatives.jet import Jet
from pinncli.derivatives.jet_index import JetIndex
from pinncli.language.partials import MultiIndex

BLOCK = 1 << 22
"""Entries of a block of waves at points."""


@dataclass(frozen=True, eq=False)
class Propagated:
    """A, of m components, as a sum of q exponentials of the coordinates.

    `rates` and `phases` (q, d) are the real and the imaginary part of the exponents by coordinate, `weights`
    (q, m) complex, `start` (d,) is where all exponents are zero.
    """

    start: Tensor
    rates: Tensor
    phases: Tensor
    weights: Tensor

    def __call__(self, points: Any) -> Any:
        """A (n, m) at the coordinates themselves, `points` (n, d), a tensor or a jet."""
        if isinstance(points, Tensor):
            return self._channels(points, self.weights.unsqueeze(0))[0].t()
        index: JetIndex = points.index
        value = points.value if isinstance(points, AffineJet) else points.channels[0]
        with torch.no_grad():
            channels = self._channels(value.t(), self._derived(index))
        return Jet(channels, index)

    def _derived(self, index: JetIndex) -> Tensor:
        """The weights (s, q, m) of every channel."""
        exponents = torch.complex(self.rates, self.phases)
        factors = [
            torch.stack([c * _power(exponents, alpha) for c, alpha in terms]).sum(0) for terms in index.linear
        ]
        return torch.stack(factors).unsqueeze(2) * self.weights

    def _channels(self, points: Tensor, weights: Tensor) -> Tensor:
        """(s, m, n) for weights (s, q, m)."""
        s, q, m = weights.shape
        flat = weights.transpose(0, 1).reshape(q, s * m)
        grows = bool(self.rates.any())
        found = []
        for chunk in torch.split(points - self.start, max(1, BLOCK // q)):
            angles = chunk @ self.phases.t()
            cosines, sines = angles.cos(), angles.sin()
            if grows:
                sizes = (chunk @ self.rates.t()).exp()
                cosines, sines = cosines * sizes, sines * sizes
            found.append(cosines @ flat.real - sines @ flat.imag)
        return torch.cat(found).t().reshape(s, m, -1)


def _power(exponents: Tensor, alpha: MultiIndex) -> Tensor:
    """prod_i of the exponents (q, d) by coordinate to the orders alpha_i (q,)."""
    return torch.stack([exponents[:, k] ** order for k, order in enumerate(alpha)]).prod(0)

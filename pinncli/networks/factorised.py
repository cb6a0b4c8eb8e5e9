"""Random weight factorisation: every neuron's weights times a trained positive factor.

W = diag(exp(s)) V (Wang et al. 2022, arXiv 2210.01274; Wang et al. 2023, arXiv 2308.08468), with s and V
in theta in place of W. A change of variables and nothing else: the network of W, and what is derived for
it, stay as they are; the Jacobian follows by the chain rule,

    d/dV_oi = exp(s_o) d/dW_oi,    d/ds_o = sum_i W_oi d/dW_oi.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from pinncli.networks.dense import Dense


@dataclass(frozen=True)
class Factorised:
    """`network` with factorised weights; s starts normal, V such that W starts as it does in `network`.

    theta is the network's own, with V in the places of W, followed by s of every layer.
    """

    network: Dense
    mean: float
    deviation: float

    @property
    def inputs(self) -> int:
        """Number of coordinates."""
        return self.network.inputs

    @property
    def outputs(self) -> int:
        """Number of components."""
        return self.network.outputs

    @property
    def width(self) -> int:
        """Widest layer."""
        return self.network.width

    @cached_property
    def size(self) -> int:
        """Number of parameters: one more for every neuron."""
        return self.network.size + sum(o for o, _ in self.network.shapes)

    def initialise(self, generator: torch.Generator) -> Tensor:
        """Random theta (size,), float64: the network's own start, factorised."""
        weights = self.network.initialise(generator)
        neurons = self.size - self.network.size
        s = self.mean + self.deviation * torch.randn(neurons, generator=generator, dtype=torch.float64)
        return torch.cat([weights * torch.exp(-self._spread(s)), s])

    def weights(self, theta: Tensor) -> Tensor:
        """What `network` takes for theta (q,), of this one's theta (size,)."""
        inner = self.network.size
        return theta[:inner] * torch.exp(self._spread(theta[inner:]))

    def chain(self, theta: Tensor, columns: Tensor) -> Tensor:
        """Derivatives (size, n) with respect to theta from those with respect to the weights (q, n)."""
        inner = self.network.size
        factors = torch.exp(self._spread(theta[inner:]))
        result = columns.new_empty((self.size, columns.shape[1]))
        weights, start, at = theta[:inner] * factors, 0, inner
        for o, i in self.network.shapes:
            stop = start + o * i
            mine = columns[start:stop].view(o, i, -1)
            torch.bmm(weights[start:stop].view(o, 1, i), mine, out=result[at : at + o].unsqueeze(1))
            start, at = stop + o, at + o
        torch.mul(columns, factors.unsqueeze(1), out=result[:inner])
        return result

    def tangent(self, theta: Tensor, v: Tensor) -> Tensor:
        """The change (q,) of the weights where theta (size,) changes by v."""
        inner = self.network.size
        factors = torch.exp(self._spread(theta[inner:]))
        return factors * (v[:inner] + theta[:inner] * self._spread(v[inner:]))

    def __call__(self, theta: Tensor, points: Any) -> Any:
        """Components (n, outputs) at `points` (n, inputs), a tensor or a jet."""
        return self.network(self.weights(theta), points)

    def _spread(self, s: Tensor) -> Tensor:
        """For every entry of the weights (q,) its neuron's s; zero for what is no weight."""
        parts, at = [], 0
        for o, i in self.network.shapes:
            parts += [s[at : at + o].unsqueeze(1).expand(o, i).flatten(), s.new_zeros(o)]
            at += o
        return torch.cat([*parts, s.new_zeros(self.network.numbers)])

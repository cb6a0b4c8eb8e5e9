"""PirateNet: residual blocks that start as the identity, so that depth is learnt."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor
from torch.nn import functional

from pinncli.networks.dense import ACTIVATIONS, Dense


@dataclass(frozen=True)
class PirateNet(Dense):
    """`depth` residual adaptive blocks (Wang et al. 2024, arXiv 2402.00326, eqs. 4.1-4.8).

    With X the features of the inputs, x(1) = X, and in every block with its own number a,

    U = s(X W1 + b1),  V = s(X W2 + b2),
    f = s(x W1 + b1),  z1 = f U + (1 - f) V,  g = s(z1 W2 + b2),  z2 = g U + (1 - g) V,
    h = s(z2 W3 + b3),  x' = a h + (1 - a) x,

    and a linear output. Every a starts at zero: the network is then a linear combination of the features.
    """

    @cached_property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(outputs, inputs) of U, V, three layers per block and the output."""
        w, e = self.width, self.features.count
        return (*[(w, e)] * 2, *[(w, e), (w, w), (e, w)] * self.depth, (self.outputs, e))

    @property
    def first(self) -> int:
        """U, V and the first layer of the first block see the inputs."""
        return 3

    @property
    def numbers(self) -> int:
        """The a of every block."""
        return self.depth

    def __call__(self, theta: Tensor, points: Any) -> Any:
        """Components (n, outputs) at `points` (n, inputs), a tensor or a jet."""
        activation = ACTIVATIONS[self.activation][0]
        (*hidden, last), shares = self.layers(theta)
        x = self.features(points)
        u, v = (activation(functional.linear(x, *layer)) for layer in hidden[:2])
        difference = u - v
        for block in range(self.depth):
            one, two, three = hidden[3 * block + 2 : 3 * block + 5]
            z = v + activation(functional.linear(x, *one)) * difference
            z = v + activation(functional.linear(z, *two)) * difference
            h = activation(functional.linear(z, *three))
            x = x + (h - x) * shares[block : block + 1]
        return functional.linear(x, *last)

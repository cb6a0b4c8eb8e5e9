"""The modified perceptron: two encoders of the inputs gate every hidden layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor
from torch.nn import functional

from pinncli.networks.dense import ACTIVATIONS, Dense


@dataclass(frozen=True)
class Gated(Dense):
    """Wang, Teng & Perdikaris 2021, eqs. 43-47, with L = `depth` gated layers after H(1).

    U = f(X W1 + b1),  V = f(X W2 + b2),  H(1) = f(X Wz0 + bz0),
    Z(k) = f(H(k) Wzk + bzk),  H(k+1) = (1 - Z(k)) U + Z(k) V,  k = 1..L,  output H(L+1) W + b.
    """

    @cached_property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(outputs, inputs) of U, V, H(1), the gated layers and the output."""
        w = self.width
        return (*[(w, self.features.count)] * 3, *[(w, w)] * self.depth, (self.outputs, w))

    @property
    def first(self) -> int:
        """U, V and H(1) see the inputs."""
        return 3

    def __call__(self, theta: Tensor, points: Any) -> Any:
        """Components (n, outputs) at `points` (n, inputs), a tensor or a jet."""
        activation = ACTIVATIONS[self.activation][0]
        (*hidden, last), _ = self.layers(theta)
        x = self.features(points)
        u, v, h = (activation(functional.linear(x, *layer)) for layer in hidden[:3])
        difference = v - u
        for weight, bias in hidden[3:]:
            h = u + activation(functional.linear(h, weight, bias)) * difference
        return functional.linear(h, *last)

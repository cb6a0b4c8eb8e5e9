"""The multilayer perceptron."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from torch import Tensor
from torch.nn import functional

from pinncli.networks.dense import ACTIVATIONS, Dense


@dataclass(frozen=True)
class MLP(Dense):
    """`depth` hidden layers of `width` neurons, linear output."""

    @cached_property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(outputs, inputs) of every linear layer."""
        sizes = [self.features.count, *[self.width] * self.depth, self.outputs]
        return tuple((o, i) for i, o in pairwise(sizes))

    @property
    def first(self) -> int:
        """One layer sees the inputs."""
        return 1

    def __call__(self, theta: Tensor, points: Any) -> Any:
        """Components (n, outputs) at `points` (n, inputs), a tensor or a jet."""
        activation = ACTIVATIONS[self.activation][0]
        (*hidden, last), _ = self.layers(theta)
        h = self.features(points)
        for weight, bias in hidden:
            h = activation(functional.linear(h, weight, bias))
        return functional.linear(h, *last)

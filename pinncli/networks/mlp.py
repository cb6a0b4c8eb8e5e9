"""The multilayer perceptron."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from pinncli.networks.features import Features

ACTIVATIONS: dict[str, tuple[Callable[[Any], Any], float]] = {
    "tanh": (torch.tanh, 1.0),
    "sine": (torch.sin, 1.0),
    "gelu": (functional.gelu, math.sqrt(2.0)),
    "silu": (functional.silu, math.sqrt(2.0)),
}
"""Function and gain of the initial weights."""


@dataclass(frozen=True)
class MLP:
    """`depth` hidden layers of `width` neurons, linear output.

    Weights start Glorot-normal times the activation's gain (Glorot & Bengio 2010, eq. 16), biases
    at zero. The first layer differs: on features in [-1, 1] its weights w are normal of deviation
    `frequency`, and a bias is -w.c for a centre c uniform in [-1, 1]^k, so that the neurons' fronts
    are spread over the whole domain from the start.
    """

    features: Features
    outputs: int
    width: int
    depth: int
    activation: str
    frequency: float

    @property
    def inputs(self) -> int:
        """Number of coordinates."""
        return len(self.features.low)

    @cached_property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(outputs, inputs) of every linear layer."""
        sizes = [self.features.count, *[self.width] * self.depth, self.outputs]
        return tuple((o, i) for i, o in pairwise(sizes))

    @cached_property
    def size(self) -> int:
        """Number of parameters."""
        return sum(o * i + o for o, i in self.shapes)

    def initialise(self, generator: torch.Generator) -> Tensor:
        """Random theta (size,), float64."""
        gain = ACTIVATIONS[self.activation][1]
        parts = []
        for layer, (o, i) in enumerate(self.shapes):
            weight = torch.randn((o, i), generator=generator, dtype=torch.float64)
            if layer == 0:
                weight *= self.frequency
                centre = torch.rand((o, i), generator=generator, dtype=torch.float64) * 2.0 - 1.0
                bias = -(weight * centre).sum(1)
            else:
                weight *= (gain if layer < self.depth else 1.0) * math.sqrt(2.0 / (i + o))
                bias = weight.new_zeros(o)
            parts += [weight.flatten(), bias]
        return torch.cat(parts)

    def __call__(self, theta: Tensor, points: Any) -> Any:
        """Components (n, outputs) at `points` (n, inputs), a tensor or a jet."""
        activation = ACTIVATIONS[self.activation][0]
        pieces = torch.split(theta, [k for o, i in self.shapes for k in (o * i, o)])
        h = self.features(points)
        for layer, (o, i) in enumerate(self.shapes):
            h = functional.linear(h, pieces[2 * layer].view(o, i), pieces[2 * layer + 1])
            if layer < self.depth:
                h = activation(h)
        return h

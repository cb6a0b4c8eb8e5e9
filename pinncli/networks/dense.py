"""What every network of linear layers shares: where weights lie in theta, and how they start."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from pinncli.networks.features import Inputs

ACTIVATIONS: dict[str, tuple[Callable[[Any], Any], float]] = {
    "tanh": (torch.tanh, 1.0),
    "sine": (torch.sin, 1.0),
    "gelu": (functional.gelu, math.sqrt(2.0)),
    "silu": (functional.silu, math.sqrt(2.0)),
}
"""Function and gain of the initial weights."""


@dataclass(frozen=True)
class Dense(ABC):
    """A network of linear layers: theta holds weight and bias of one after the other, then numbers.

    `initialisation = "glorot"`: weights start Glorot-normal times the activation's gain (Glorot & Bengio
    2010, eq. 16), biases at zero. Layers on the coordinates differ: on inputs in [-1, 1] their weights w
    are normal of deviation `frequency`, and a bias is -w.c for a centre c uniform in [-1, 1]^k, so that
    the neurons' fronts are spread over the whole domain from the start.

    `initialisation = "siren"` (Sitzmann et al. 2020, section 3.2, and their code), for sines, with
    U(a) uniform in [-a, a], i inputs and omega = `frequency`, which the weights contain: layers on the
    inputs U(omega / i), biases a phase U(pi); hidden layers U(sqrt(6 / i)), so that sines of sines keep
    their distribution; the output U(sqrt(6 / i) / omega).
    """

    features: Inputs
    outputs: int
    width: int
    depth: int
    activation: str
    initialisation: str
    frequency: float

    @cached_property
    @abstractmethod
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(outputs, inputs) of every linear layer; those on the inputs come first, the output last."""

    @abstractmethod
    def __call__(self, theta: Tensor, points: Any) -> Any:
        """Components (n, outputs) at `points` (n, inputs), a tensor or a jet."""

    @property
    @abstractmethod
    def first(self) -> int:
        """Number of layers that start as layers on the inputs."""

    @property
    def numbers(self) -> int:
        """Further entries of theta, which start at zero."""
        return 0

    @property
    def inputs(self) -> int:
        """Number of coordinates."""
        return len(self.features.low)

    @cached_property
    def size(self) -> int:
        """Number of parameters."""
        return sum(o * i + o for o, i in self.shapes) + self.numbers

    def initialise(self, generator: torch.Generator) -> Tensor:
        """Random theta (size,), float64."""
        draw = {"glorot": self._glorot, "siren": self._siren}[self.initialisation]
        parts = [part.flatten() for layer in range(len(self.shapes)) for part in draw(layer, generator)]
        return torch.cat([*parts, torch.zeros(self.numbers, dtype=torch.float64)])

    def layers(self, theta: Tensor) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        """Weight (o, i) and bias (o,) of every layer, and the further numbers, as views of theta."""
        pieces = torch.split(theta, [k for o, i in self.shapes for k in (o * i, o)] + [self.numbers])
        weights = [piece.view(shape) for piece, shape in zip(pieces[::2], self.shapes, strict=False)]
        return list(zip(weights, pieces[1::2], strict=True)), pieces[-1]

    def _glorot(self, layer: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        o, i = self.shapes[layer]
        weight = torch.randn((o, i), generator=generator, dtype=torch.float64)
        if layer < self.first and not self.features.lifted:
            weight *= self.frequency
            centre = torch.rand((o, i), generator=generator, dtype=torch.float64) * 2.0 - 1.0
            return weight, -(weight * centre).sum(1)
        gain = ACTIVATIONS[self.activation][1] if layer < len(self.shapes) - 1 else 1.0
        return weight * (gain * math.sqrt(2.0 / (i + o))), weight.new_zeros(o)

    def _siren(self, layer: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        o, i = self.shapes[layer]
        unit = torch.rand((o, i + 1), generator=generator, dtype=torch.float64) * 2.0 - 1.0
        weight, phase = unit[:, :i], unit[:, i]
        if layer < self.first:
            return weight * (self.frequency / i), phase * math.pi
        scale = self.frequency if layer == len(self.shapes) - 1 else 1.0
        return weight * (math.sqrt(6.0 / i) / scale), phase * 0.0

"""Random features: hidden layers frozen at random, only the output layer trained.

With a linear problem the whole of training is then one linear least-squares problem. Known as
extreme learning machine (Huang, Zhu & Siew 2006), its local form as the random feature method
(Chen, Chi, E & Yang 2022) and locELM (Dong & Li 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from pinncli.networks.dense import ACTIVATIONS
from pinncli.networks.features import Features

SHARPNESS = 2.0
"""Slope of a window at its edge, on patches of length 2."""


@dataclass(frozen=True, eq=False)
class Windows:
    """Smooth functions of the inputs, one per patch, that add up to one everywhere.

    A coordinate s in [-1, 1] cut at e_1 < ... < e_{k-1} has k windows that add up to one,

        (1 + tanh_j - 1 - tanh_{j+1}) / 2,    tanh_j = tanh(SHARPNESS k (s - e_j)),

    with 1 for tanh_0 and -1 for tanh_k; a patch is a product of them, one per coordinate that is cut.
    """

    slopes: Tensor
    """(edges, inputs)"""
    shifts: Tensor
    """(edges,)"""
    differences: Tensor
    """(windows, edges)"""
    constants: Tensor
    """(windows,)"""
    factors: tuple[tuple[int, ...], ...]
    """Per coordinate that is cut, the window of every feature (width,)."""

    @classmethod
    def of(
        cls, columns: Sequence[int], patches: Sequence[int], inputs: int, chosen: Sequence[Sequence[int]]
    ) -> Windows:
        """`columns` (c,) are the inputs that are cut, into `patches` (c,); `chosen` (c, width) says where
        each feature lives.
        """
        edges, windows = sum(patches) - len(patches), sum(patches)
        slopes, shifts = _zeros(edges, inputs), _zeros(edges)
        differences, constants = _zeros(windows, edges), _zeros(windows)
        factors, edge, window = [], 0, 0
        for column, count, where in zip(columns, patches, chosen, strict=True):
            for j in range(1, count):
                slopes[edge + j - 1, column] = SHARPNESS * count
                shifts[edge + j - 1] = SHARPNESS * (count - 2 * j)
                differences[window + j - 1, edge + j - 1] = -0.5
                differences[window + j, edge + j - 1] = 0.5
            constants[[window, window + count - 1]] = 0.5
            factors.append(tuple(window + j for j in where))
            edge, window = edge + count - 1, window + count
        return cls(slopes, shifts, differences, constants, tuple(factors))

    def to(self, device: torch.device, dtype: torch.dtype) -> Windows:
        """The same windows elsewhere."""
        slopes, shifts = self.slopes.to(device, dtype), self.shifts.to(device, dtype)
        differences, constants = self.differences.to(device, dtype), self.constants.to(device, dtype)
        return Windows(slopes, shifts, differences, constants, self.factors)

    def __call__(self, inputs: Any) -> Any:
        """The window of every feature (n, width) at `inputs` (n, k), a tensor or a jet."""
        edges = torch.tanh(functional.linear(inputs, self.slopes, self.shifts))
        windows = functional.linear(edges, self.differences, self.constants)
        result = windows[:, self.factors[0]]
        for factor in self.factors[1:]:
            result = result * windows[:, factor]
        return result


@dataclass(frozen=True, eq=False)
class RandomFeatures:
    """theta (outputs (width + 1),) holds the output layer only; it starts at zero.

    A feature is activation(w.z + b), times the window of its patch where there are several. z are the
    inputs, those that are cut measured from the centre of the patch in units of half its length; w and
    b are uniform in [-scale, scale] and never change.
    """

    features: Features
    outputs: int
    activation: str
    weight: Tensor
    """(width, inputs)"""
    bias: Tensor
    """(width,)"""
    windows: Windows | None

    @classmethod
    def of(
        cls,
        *,
        features: Features,
        outputs: int,
        width: int,
        activation: str,
        patches: Sequence[int],
        scale: float,
        seed: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> RandomFeatures:
        """`width` features spread evenly over patches, `patches` (d,) along every coordinate.

        Drawn in float64 on the CPU, from the seed alone. A periodic coordinate cannot be cut.
        """
        generator = torch.Generator().manual_seed(seed)
        shape = (width, features.count + 1)
        drawn = (2.0 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1.0) * scale
        weight, bias = drawn[:, :-1].contiguous(), drawn[:, -1].clone()
        cells = list(product(*map(range, patches)))
        lives = torch.tensor(cells)[torch.arange(width) % len(cells)]
        columns, counts, chosen = [], [], []
        for column, count, where in zip(features.scaled, patches, lives.unbind(1), strict=True):
            if count > 1:
                if column is None:
                    raise ValueError("a periodic coordinate cannot be cut into patches")
                centre = (2.0 * where + 1.0) / count - 1.0
                weight[:, column] *= count
                bias -= weight[:, column] * centre
                columns.append(column)
                counts.append(count)
                chosen.append(where.tolist())
        windows = Windows.of(columns, counts, features.count, chosen) if prod(patches) > 1 else None
        placed = windows.to(device, dtype) if windows else None
        return cls(features, outputs, activation, weight.to(device, dtype), bias.to(device, dtype), placed)

    @property
    def inputs(self) -> int:
        """Number of coordinates."""
        return len(self.features.low)

    @property
    def width(self) -> int:
        """Number of features."""
        return len(self.bias)

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.outputs * (self.width + 1)

    def initialise(self, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Zero (size,), float64: a linear problem needs no better start."""
        return torch.zeros(self.size, dtype=torch.float64)

    def __call__(self, theta: Tensor, points: Any) -> Any:
        """Components (n, outputs) at `points` (n, inputs), a tensor or a jet."""
        inputs = self.features(points)
        h = ACTIVATIONS[self.activation][0](functional.linear(inputs, self.weight, self.bias))
        if self.windows is not None:
            h = h * self.windows(inputs)
        weights = self.outputs * self.width
        return functional.linear(h, theta[:weights].view(self.outputs, self.width), theta[weights:])


def _zeros(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.float64)

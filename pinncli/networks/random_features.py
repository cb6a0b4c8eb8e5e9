"""Random features: hidden layers frozen at random, only the output layer trained.

With a linear problem the whole of training is then one linear least-squares problem. Known as
extreme learning machine (Huang, Zhu & Siew 2006), its local form as the random feature method
(Chen, Chi, E & Yang 2022) and locELM (Dong & Li 2021).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol, Self

import torch
from torch import Tensor
from torch.nn import functional

from pinncli.networks.dense import ACTIVATIONS
from pinncli.networks.features import Features

SHARPNESS = 2.0
"""Slope of a window at its edge, on patches of length 2."""


class Cut(Protocol):
    """Overlapping pieces of one coordinate: smooth functions that add up to one everywhere."""

    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        """The same elsewhere."""
        ...

    def __call__(self, inputs: Any) -> Any:
        """Every window (n, count) at `inputs` (n, k), a tensor or a jet."""
        ...


@dataclass(frozen=True, eq=False)
class IntervalCut:
    """An input s in [-1, 1] cut at e_1 < ... < e_{k-1} has the k windows

        (tanh_j - tanh_{j+1}) / 2,    tanh_j = tanh(SHARPNESS k (s - e_j)),

    with 1 for tanh_0 and -1 for tanh_k.
    """

    slopes: Tensor
    """(edges, inputs)"""
    shifts: Tensor
    """(edges,)"""
    differences: Tensor
    """(windows, edges)"""
    constants: Tensor
    """(windows,)"""

    @classmethod
    def of(cls, column: int, count: int, inputs: int) -> IntervalCut:
        """`count` windows along one of `inputs` columns."""
        j = torch.arange(1, count, dtype=torch.float64)
        slopes, differences, constants = _zeros(count - 1, inputs), _zeros(count, count - 1), _zeros(count)
        slopes[:, column] = SHARPNESS * count
        differences.diagonal().fill_(-0.5)
        differences.diagonal(-1).fill_(0.5)
        constants[[0, -1]] = 0.5
        return cls(slopes, SHARPNESS * (count - 2.0 * j), differences, constants)

    def to(self, device: torch.device, dtype: torch.dtype) -> IntervalCut:
        """The same elsewhere."""
        slopes, shifts = self.slopes.to(device, dtype), self.shifts.to(device, dtype)
        return IntervalCut(
            slopes, shifts, self.differences.to(device, dtype), self.constants.to(device, dtype)
        )

    def __call__(self, inputs: Any) -> Any:
        """Every window (n, count)."""
        edges = torch.tanh(functional.linear(inputs, self.slopes, self.shifts))
        return functional.linear(edges, self.differences, self.constants)


@dataclass(frozen=True, eq=False)
class CircleCut:
    """An angle a cut into k pieces about c_j = 2 pi (j - 1/2)/k has the windows

        b_j / sum_i b_i,    b_j = exp(A (cos(a - c_j) - 1)),    A = SHARPNESS k / (pi sin(pi/k)),

    which near the end of a piece are those of an interval.
    """

    slopes: Tensor
    """(windows, inputs)"""
    shifts: Tensor
    """(windows,)"""
    ones: Tensor
    """(windows, windows)"""

    @classmethod
    def of(cls, column: int, count: int, inputs: int) -> CircleCut:
        """`count` windows along the angle whose cosine and sine are the inputs from `column` on."""
        centres, slopes = _centres(count), _zeros(count, inputs)
        steep = SHARPNESS * count / (math.pi * math.sin(math.pi / count))
        slopes[:, column], slopes[:, column + 1] = steep * centres.cos(), steep * centres.sin()
        return cls(slopes, torch.full_like(centres, -steep), torch.ones((count, count), dtype=torch.float64))

    def to(self, device: torch.device, dtype: torch.dtype) -> CircleCut:
        """The same elsewhere."""
        slopes, shifts = self.slopes.to(device, dtype), self.shifts.to(device, dtype)
        return CircleCut(slopes, shifts, self.ones.to(device, dtype))

    def __call__(self, inputs: Any) -> Any:
        """Every window (n, count)."""
        bumps = torch.exp(functional.linear(inputs, self.slopes, self.shifts))
        return bumps * torch.reciprocal(functional.linear(bumps, self.ones))


@dataclass(frozen=True, eq=False)
class Windows:
    """Smooth functions of the inputs, one per patch, that add up to one everywhere.

    A patch is a product of pieces, one per coordinate that is cut.
    """

    cuts: tuple[Cut, ...]
    chosen: tuple[tuple[int, ...], ...]
    """Per cut, the piece of every feature (width,)."""

    def to(self, device: torch.device, dtype: torch.dtype) -> Windows:
        """The same windows elsewhere."""
        return Windows(tuple(cut.to(device, dtype) for cut in self.cuts), self.chosen)

    def __call__(self, inputs: Any) -> Any:
        """The window of every feature (n, width) at `inputs` (n, k), a tensor or a jet."""
        first, *others = (
            cut(inputs)[:, list(where)] for cut, where in zip(self.cuts, self.chosen, strict=True)
        )
        for other in others:
            first = first * other
        return first


@dataclass(frozen=True, eq=False)
class RandomFeatures:
    """theta (outputs (width + 1),) holds the output layer only; it starts at zero.

    A feature is activation(w.z + b), times the window of its patch where there are several. z are the
    inputs, those that are cut measured from the centre c of the patch in units of half its length (a
    periodic one of angle a by k sin(a - c)/pi, so that it stays periodic); w and b are uniform in
    [-scale, scale] and never change.
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

        Drawn in float64 on the CPU, from the seed alone.
        """
        generator = torch.Generator().manual_seed(seed)
        shape = (width, features.count + 1)
        drawn = (2.0 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1.0) * scale
        weight, bias = drawn[:, :-1].contiguous(), drawn[:, -1].clone()
        cells = list(product(*map(range, patches)))
        lives = torch.tensor(cells)[torch.arange(width) % len(cells)]
        cuts: list[Cut] = []
        chosen = []
        for axis, (count, where) in enumerate(zip(patches, lives.unbind(1), strict=True)):
            if count > 1:
                start = features.starts[axis]
                if features.periodic[axis]:
                    end = start + 2 * features.harmonics
                    _turn(weight[:, start:end], count, where)
                    cuts.append(CircleCut.of(start, count, features.count))
                else:
                    weight[:, start] *= count
                    bias -= weight[:, start] * ((2.0 * where + 1.0) / count - 1.0)
                    cuts.append(IntervalCut.of(start, count, features.count))
                chosen.append(tuple(where.tolist()))
        windows = Windows(tuple(cuts), tuple(chosen)) if cuts else None
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


def _centres(count: int) -> Tensor:
    return (2.0 * torch.arange(count, dtype=torch.float64) + 1.0) * (math.pi / count)


def _turn(weight: Tensor, count: int, where: Tensor) -> None:
    """Of an angle's inputs (width, 2 harmonics), leave the local k sin(a - c)/pi, c the patch's centre."""
    centre = _centres(count)[where]
    local = weight[:, 0] * (count / math.pi)
    weight.zero_()
    weight[:, 0], weight[:, 1] = -local * centre.sin(), local * centre.cos()


def _zeros(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.float64)

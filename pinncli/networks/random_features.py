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
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from pinncli.networks.dense import ACTIVATIONS
from pinncli.networks.features import Features

SHARPNESS = 2.0
"""Slope of a window at its edge, on patches of length 2."""


@dataclass(frozen=True, eq=False)
class Cut:
    """The windows of one coordinate: `constants` + `differences` tanh(`slopes` z + `shifts`)."""

    columns: tuple[int, ...]
    """Inputs z (c,) that the coordinate has."""
    slopes: Tensor
    """(edges, c)"""
    shifts: Tensor
    """(edges,)"""
    differences: Tensor
    """(windows, edges)"""
    constants: Tensor
    """(windows,)"""
    chosen: tuple[int, ...]
    """The window of every feature (width,)."""


def cut_interval(column: int, count: int, chosen: Sequence[int]) -> Cut:
    """`count` windows along an input in [-1, 1]."""
    j = torch.arange(1, count, dtype=torch.float64)
    differences, constants = _zeros(count, count - 1), _zeros(count)
    differences.diagonal().fill_(-0.5)
    differences.diagonal(-1).fill_(0.5)
    constants[[0, -1]] = 0.5
    slopes = torch.full((count - 1, 1), SHARPNESS * count, dtype=torch.float64)
    return Cut((column,), slopes, SHARPNESS * (count - 2.0 * j), differences, constants, tuple(chosen))


def cut_circle(columns: tuple[int, int], count: int, chosen: Sequence[int]) -> Cut:
    """`count` windows along an angle whose cosine and sine are the inputs."""
    centres = _centres(count)
    steep = SHARPNESS * count / (math.pi * math.sin(math.pi / count))
    slopes = steep * torch.stack([centres.cos(), centres.sin()], dim=1)
    shifts = torch.full((count,), -steep * math.cos(math.pi / count), dtype=torch.float64)
    half = torch.full((count,), 0.5, dtype=torch.float64)
    return Cut(columns, slopes, shifts, torch.diag(half), half, tuple(chosen))


@dataclass(frozen=True, eq=False)
class Windows:
    """Smooth functions of the inputs, one per patch, with overlaps.

    A coordinate s in [-1, 1] cut at e_1 < ... < e_{k-1} has k windows that add up to one,

        (1 + tanh_j - 1 - tanh_{j+1}) / 2,    tanh_j = tanh(SHARPNESS k (s - e_j)),

    with 1 for tanh_0 and -1 for tanh_k. A periodic one, an angle a, has bumps about c_j = 2 pi (j - 1/2)/k,

        (1 + tanh(A (cos(a - c_j) - cos(pi/k)))) / 2,    A = SHARPNESS k / (pi sin(pi/k)),

    as steep at their edges. A patch is a product of windows, one per coordinate that is cut.
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
    def of(cls, cuts: Sequence[Cut], inputs: int) -> Windows:
        """The windows of all `cuts`, functions of `inputs` numbers."""
        edges = sum(len(cut.slopes) for cut in cuts)
        windows = sum(len(cut.constants) for cut in cuts)
        slopes, shifts = _zeros(edges, inputs), _zeros(edges)
        differences, constants = _zeros(windows, edges), _zeros(windows)
        factors, edge, window = [], 0, 0
        for cut in cuts:
            here = slice(edge, edge + len(cut.slopes))
            mine = slice(window, window + len(cut.constants))
            slopes[here, list(cut.columns)] = cut.slopes
            shifts[here] = cut.shifts
            differences[mine, here] = cut.differences
            constants[mine] = cut.constants
            factors.append(tuple(window + j for j in cut.chosen))
            edge, window = here.stop, mine.stop
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
        cuts = []
        for axis, (count, where) in enumerate(zip(patches, lives.unbind(1), strict=True)):
            if count > 1:
                start = features.starts[axis]
                if features.periodic[axis]:
                    end = start + 2 * features.harmonics
                    _turn(weight[:, start:end], count, where)
                    cuts.append(cut_circle((start, start + 1), count, where.tolist()))
                else:
                    weight[:, start] *= count
                    bias -= weight[:, start] * ((2.0 * where + 1.0) / count - 1.0)
                    cuts.append(cut_interval(start, count, where.tolist()))
        windows = Windows.of(cuts, features.count) if cuts else None
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

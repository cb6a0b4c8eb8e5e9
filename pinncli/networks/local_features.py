"""Local features: frozen random features on many patches, of which only a few meet at any point.

A coordinate that is cut has knots at equal distances h, one patch about each, and smooth windows that
reach from a knot to its neighbours: between two knots exactly two patches of a cut coordinate are alive,
2^k where k coordinates are cut. The Jacobian of any equation is then sparse, by blocks, and its orthogonal
factorisation costs as many patches, not their cube (`pinncli.optimisers.patch_elimination`). The windows are
those of a partition of unity (Melenk & Babuska 1996; for random features Chen, Chi, E & Yang 2022), here
polynomials.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from pinncli.networks.dense import ACTIVATIONS
from pinncli.networks.features import Features
from pinncli.smoothstep import SMOOTHSTEPS


@dataclass(frozen=True, eq=False)
class Cell:
    """The local features between two neighbouring knots of every cut coordinate: a network of its own.

    `patches` are the numbers of those that are alive, in rising order; theta (size,) is the output layer
    (outputs, width) of their features, patch after patch.
    """

    whole: LocalFeatures
    patches: tuple[int, ...]
    weight: Tensor
    """(width, inputs), with bias (width,): of the features of all patches, on the inputs of the domain."""
    bias: Tensor
    rising: tuple[tuple[bool, ...], ...]
    """Per patch and cut coordinate, whether its window rises or falls here."""
    left: tuple[float, ...]
    """Per cut coordinate, the knot on the left in units of the distance between knots."""

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.whole.outputs * self.width

    @property
    def inputs(self) -> int:
        """Number of coordinates."""
        return self.whole.inputs

    @property
    def outputs(self) -> int:
        """Number of components."""
        return self.whole.outputs

    @property
    def width(self) -> int:
        """Features alive here."""
        return len(self.patches) * self.whole.each

    def initialise(self, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Zero (size,)."""
        return torch.zeros(self.size, dtype=torch.float64)

    def __call__(self, theta: Tensor, points: Any) -> Any:
        """Components (n, outputs) at `points` (n, d) of this cell, a tensor or a jet."""
        whole, step = self.whole, SMOOTHSTEPS[self.whole.smoothness]
        windows = []
        for axis, left in zip(whole.cut, self.left, strict=True):
            start, length = whole.features.low[axis] + left * whole.step(axis), whole.step(axis)
            up = (points[:, axis : axis + 1] - start) * (1.0 / length)
            windows.append((step(-up + 1.0), step(up)))
        h = ACTIVATIONS[whole.activation][0](
            functional.linear(whole.features(points), self.weight, self.bias)
        )
        if windows:
            parts = []
            for k, rising in enumerate(self.rising):
                part = h[:, k * whole.each : (k + 1) * whole.each]
                for pair, up in zip(windows, rising, strict=True):
                    part = part * pair[up]
                parts.append(part)
            h = torch.cat(parts, dim=1)
        return functional.linear(h, theta.view(whole.outputs, self.width))

    def gather(self, theta: Tensor) -> Tensor:
        """This cell's theta (size,) out of the whole."""
        patches = theta.view(-1, self.whole.outputs, self.whole.each)[list(self.patches)]
        return patches.transpose(0, 1).reshape(-1)


@dataclass(frozen=True, eq=False)
class LocalFeatures:
    """theta (patches outputs each,): patch by patch, per component one weight a feature; it starts at zero.

    A feature is activation(w.z + b) times the window of its patch. z are the coordinates, those that are cut
    measured from the patch's knot in units of the distance between knots, the others scaled to [-1, 1] or,
    where periodic, as cosine and sine; w and b are uniform in [-scale, scale] and never change. A periodic
    coordinate that is cut is a ring of patches.
    """

    features: Features
    """Periodic only where a coordinate is periodic and not cut."""
    outputs: int
    activation: str
    counts: tuple[int, ...]
    """Patches along every coordinate."""
    ring: tuple[bool, ...]
    """Whether a coordinate is cut and periodic."""
    each: int
    smoothness: int
    """The windows have so many continuous derivatives."""
    weight: Tensor
    """(patches, each, inputs), on the coordinates of the patch."""
    bias: Tensor
    """(patches, each)"""
    made: dict[int, Cell] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        *,
        features: Features,
        outputs: int,
        width: int,
        activation: str,
        patches: tuple[int, ...],
        scale: float,
        smoothness: int,
        seed: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> LocalFeatures:
        """`width` features on each of the patches, of which there are `patches` (d,) along the coordinates.

        Drawn in float64 on the CPU, from the seed alone.
        """
        cut = tuple(count > 1 for count in patches)
        ring = tuple(p and c for p, c in zip(features.periodic, cut, strict=True))
        plain = tuple(p and not c for p, c in zip(features.periodic, cut, strict=True))
        inputs = Features(features.low, features.high, plain, features.harmonics)
        generator = torch.Generator().manual_seed(seed)
        shape = (math.prod(patches), width, inputs.count + 1)
        drawn = (2.0 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1.0) * scale
        weight, bias = drawn[:, :, :-1].to(device, dtype), drawn[:, :, -1].to(device, dtype)
        return cls(inputs, outputs, activation, patches, ring, width, smoothness, weight, bias)

    @property
    def cut(self) -> tuple[int, ...]:
        """The coordinates that are cut."""
        return tuple(k for k, count in enumerate(self.counts) if count > 1)

    @property
    def patchwork(self) -> tuple[int, int]:
        """Number of patches, and of parameters of each."""
        return math.prod(self.counts), self.outputs * self.each

    @property
    def inputs(self) -> int:
        """Number of coordinates."""
        return len(self.features.low)

    @property
    def width(self) -> int:
        """Features alive at one point."""
        return int(self.each * 2 ** len(self.cut))

    @property
    def size(self) -> int:
        """Number of parameters."""
        return int(math.prod(self.patchwork))

    def initialise(self, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Zero (size,), float64: a linear problem needs no better start."""
        return torch.zeros(self.size, dtype=torch.float64)

    def step(self, axis: int) -> float:
        """Distance between the knots of a coordinate that is cut."""
        length = self.features.high[axis] - self.features.low[axis]
        return length / (self.counts[axis] if self.ring[axis] else self.counts[axis] - 1)

    def intervals(self, axis: int) -> int:
        """Number of intervals between knots."""
        return self.counts[axis] if self.ring[axis] else self.counts[axis] - 1

    def cells(self, points: Tensor) -> Tensor:
        """The number (n,) of the cell that each of `points` (n, d) lies in."""
        number = torch.zeros(len(points), dtype=torch.long, device=points.device)
        for axis in self.cut:
            place = ((points[:, axis] - self.features.low[axis]) / self.step(axis)).floor().long()
            number = number * self.intervals(axis) + place.clamp(0, self.intervals(axis) - 1)
        return number

    def cell(self, number: int) -> Cell:
        """The network of one cell, made once."""
        if number not in self.made:
            self.made[number] = self._cell(number)
        return self.made[number]

    def _cell(self, number: int) -> Cell:
        left = []
        for axis in reversed(self.cut):
            number, place = divmod(number, self.intervals(axis))
            left.append(place)
        left.reverse()
        alive: list[tuple[int, Tensor, Tensor, tuple[bool, ...]]] = []
        for rising in product((False, True), repeat=len(self.cut)):
            knots = dict(zip(self.cut, (k + up for k, up in zip(left, rising, strict=True)), strict=True))
            patch = 0
            for axis, count in enumerate(self.counts):
                patch = patch * count + knots.get(axis, 0) % count
            weight, bias = self.weight[patch].clone(), self.bias[patch].clone()
            for axis, knot in knots.items():
                column, per = self.features.starts[axis], self._per(axis)
                weight[:, column] *= per
                bias -= weight[:, column] * (knot / per - 1.0)
            alive.append((patch, weight, bias, rising))
        alive.sort(key=lambda each: each[0])
        patches, weights, biases, rises = zip(*alive, strict=True)
        return Cell(self, patches, torch.cat(weights), torch.cat(biases), rises, tuple(map(float, left)))

    def _per(self, axis: int) -> float:
        """Knots per unit of the input of a cut coordinate, which goes from -1 to 1."""
        return 0.5 * self.intervals(axis)

    def __call__(self, theta: Tensor, points: Any) -> Any:  # noqa: ARG002
        """Not at once: an engine goes from cell to cell (`pinncli.derivatives.cellwise`)."""
        raise TypeError("local features are evaluated cell by cell")

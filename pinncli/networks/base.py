"""What a network is: a pure function of a flat theta and of points, ignorant of derivatives."""

from __future__ import annotations

from typing import Protocol, TypeVar

import torch
from torch import Tensor

Value = TypeVar("Value")
"""A tensor (n, w), or anything that obeys the same operations: a jet."""


class Network(Protocol):
    """Maps coordinates (n, d) to the components of the solution (n, m).

    Weights are views of the flat `theta` (size,), so that a derivative with respect to one has a
    place in the whole. Only operations of `pinncli.derivatives.jet.RULES` may touch `points`.
    """

    @property
    def size(self) -> int:
        """Number of parameters."""
        ...

    @property
    def inputs(self) -> int:
        """Number of coordinates d."""
        ...

    @property
    def outputs(self) -> int:
        """Number of components m."""
        ...

    @property
    def width(self) -> int:
        """Widest layer, for the choice of blocks and the memory estimate."""
        ...

    def initialise(self, generator: torch.Generator) -> Tensor:
        """A random theta (size,), float64 on the CPU, from the generator alone."""
        ...

    def __call__(self, theta: Tensor, points: Value) -> Value:
        """The components (n, m) at `points` (n, d)."""
        ...

"""Networks side by side: components that depend on fewer coordinates have one of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from pinncli.networks.base import Network


@dataclass(frozen=True)
class Joined:
    """Network k sees the coordinates `columns[k]` alone, so derivatives by the others are zero, exactly.

    theta holds theirs one after the other; `places` has, for every component, its place among their
    outputs one after the other.
    """

    networks: tuple[Network, ...]
    columns: tuple[tuple[int, ...], ...]
    places: tuple[int, ...]
    inputs: int
    """Number of coordinates."""

    @cached_property
    def size(self) -> int:
        """Number of parameters."""
        return sum(self.sizes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of parameters of every network."""
        return tuple(network.size for network in self.networks)

    @property
    def outputs(self) -> int:
        """Number of components."""
        return len(self.places)

    @property
    def width(self) -> int:
        """Widest layer."""
        return max(network.width for network in self.networks)

    def initialise(self, generator: torch.Generator) -> Tensor:
        """Random theta (size,), float64, network by network."""
        return torch.cat([network.initialise(generator) for network in self.networks])

    def split(self, theta: Tensor) -> Sequence[Tensor]:
        """The parts of theta (size,), or of the rows of (size, n), as views."""
        return torch.split(theta, list(self.sizes))

    def __call__(self, theta: Tensor, points: Any) -> Any:
        """Components (n, outputs) at `points` (n, inputs), a tensor or a jet."""
        parts = [
            network(part, points[:, list(columns)])
            for network, part, columns in zip(self.networks, self.split(theta), self.columns, strict=True)
        ]
        return torch.cat(parts, dim=1)[:, list(self.places)]

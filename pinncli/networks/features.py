"""What a network sees of the coordinates: scaled to [-1, 1], periodic ones as cosines and sines."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch


class Inputs(Protocol):
    """What the first layer sees of the coordinates."""

    @property
    def low(self) -> tuple[float, ...]:
        """Lower end of every coordinate."""
        ...

    @property
    def high(self) -> tuple[float, ...]:
        """Upper end of every coordinate."""
        ...

    @property
    def count(self) -> int:
        """Number of features."""
        ...

    @property
    def lifted(self) -> bool:
        """Whether the features already vary all over the domain, as coordinates do not."""
        ...

    def __call__(self, points: Any) -> Any:
        """Features (n, count) of `points` (n, d), a tensor or a jet."""
        ...


@dataclass(frozen=True)
class Features:
    """Input features of the coordinates, in the problem's order.

    A coordinate in `low[k] <= x <= high[k]` becomes 2 (x - low)/(high - low) - 1. A periodic one
    becomes cos and sin of 2 pi j (x - low)/(high - low) for j = 1..harmonics, so that every
    network of these features is periodic with all its derivatives (Dong & Ni 2021, section 2.2).
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    periodic: tuple[bool, ...]
    harmonics: int = 1

    @property
    def count(self) -> int:
        """Number of features."""
        return sum(self.sizes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of features of every coordinate."""
        return tuple(2 * self.harmonics if p else 1 for p in self.periodic)

    @property
    def lifted(self) -> bool:
        """These are coordinates, scaled or bent round."""
        return False

    @property
    def starts(self) -> tuple[int, ...]:
        """Per coordinate, its first feature."""
        return tuple(sum(self.sizes[:k]) for k in range(len(self.sizes)))

    def __call__(self, points: Any) -> Any:
        """Features (n, count) of `points` (n, d)."""
        parts = []
        for axis, (low, high, periodic) in enumerate(zip(self.low, self.high, self.periodic, strict=True)):
            x = points[:, axis : axis + 1]
            if periodic:
                scale = 2.0 * math.pi / (high - low)
                for j in range(1, self.harmonics + 1):
                    angle = (x - low) * (j * scale)
                    parts += [torch.cos(angle), torch.sin(angle)]
            else:
                parts.append((x - 0.5 * (low + high)) * (2.0 / (high - low)))
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

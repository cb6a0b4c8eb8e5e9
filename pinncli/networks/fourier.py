"""Random Fourier features: cosines and sines of random combinations of the inputs, never trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from pinncli.networks.features import Features


@dataclass(frozen=True, eq=False)
class FourierFeatures:
    """cos(B z), sin(B z) of the inputs z (Tancik et al. 2020; Wang, Wang & Perdikaris 2021).

    An entry of B is normal, its deviation the scale of its coordinate. A periodic coordinate's cosines
    and sines are inputs like others, so that what is periodic stays so.
    """

    features: Features
    matrix: Tensor
    """B (count / 2, inputs)"""

    @classmethod
    def of(
        cls,
        features: Features,
        count: int,
        scales: Sequence[float],
        seed: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> FourierFeatures:
        """`count` rows of B, `scales` (d,) along every coordinate; drawn in float64 on the CPU."""
        generator = torch.Generator().manual_seed(seed)
        matrix = torch.randn((count, features.count), generator=generator, dtype=torch.float64)
        each = [s for s, size in zip(scales, features.sizes, strict=True) for _ in range(size)]
        matrix *= torch.tensor(each, dtype=torch.float64)
        return cls(features, matrix.to(device, dtype))

    @property
    def low(self) -> tuple[float, ...]:
        """Lower end of every coordinate."""
        return self.features.low

    @property
    def high(self) -> tuple[float, ...]:
        """Upper end of every coordinate."""
        return self.features.high

    @property
    def count(self) -> int:
        """Number of features: two per row of B."""
        return 2 * len(self.matrix)

    @property
    def lifted(self) -> bool:
        """These are features, not coordinates."""
        return True

    def __call__(self, points: Any) -> Any:
        """Features (n, count) of `points` (n, d), a tensor or a jet."""
        angles = functional.linear(self.features(points), self.matrix)
        return torch.cat([torch.cos(angles), torch.sin(angles)], dim=1)

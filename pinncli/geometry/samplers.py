"""Points in the unit cube: pure functions of (count, dimension, seed)."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

Sampler = Callable[[int, int, int], Tensor]
"""(n, dimension, seed) to points (n, dimension) in the open unit cube, float64 on the CPU."""


def stream_seed(seed: int, draw: int, stream: str) -> int:
    """An independent seed for one purpose (`stream`) of one draw, so that sampling is a pure function."""
    words = np.random.SeedSequence([seed, draw, zlib.crc32(stream.encode())]).generate_state(2)
    return int(words[0]) | (int(words[1] & 0x3FFFFFFF) << 32)


def uniform(n: int, dimension: int, seed: int) -> Tensor:
    """Independent uniform points."""
    return torch.rand((n, dimension), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def latin(n: int, dimension: int, seed: int) -> Tensor:
    """Latin hypercube: one point in each of n slices of every axis (McKay, Beckman & Conover 1979)."""
    generator = torch.Generator().manual_seed(seed)
    slices = [torch.randperm(n, generator=generator) for _ in range(dimension)]
    return (
        torch.stack(slices, dim=1) + torch.rand((n, dimension), generator=generator, dtype=torch.float64)
    ) / n


def sobol(n: int, dimension: int, seed: int) -> Tensor:
    """Scrambled Sobol sequence (Owen 1995; torch's direction numbers are Joe & Kuo's)."""
    engine = torch.quasirandom.SobolEngine(dimension, scramble=True, seed=seed % 2**31)  # type: ignore[no-untyped-call]
    points = engine.draw(n, dtype=torch.float64)
    return points.clamp(2.0**-40, 1.0 - 2.0**-40)


def grid(n: int, dimension: int, seed: int) -> Tensor:
    """Cell centres of the coarsest regular grid of at least n cells, thinned evenly to n, in random order."""
    side = math.ceil(round(n ** (1.0 / dimension), 9))
    axis = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    cells = torch.cartesian_prod(*[axis] * dimension).view(-1, dimension)
    keep = torch.linspace(0, len(cells) - 1, n, dtype=torch.float64).round().long()
    return cells[keep[torch.randperm(n, generator=torch.Generator().manual_seed(seed))]]


SAMPLERS: dict[str, Sampler] = {"uniform": uniform, "latin": latin, "sobol": sobol, "grid": grid}
"""To add a sampler: write one function and one line here."""

"""Boxes: the product of intervals, with its interior and its sides by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pinncli.errors import ProblemError
from pinncli.geometry.samplers import Sampler, stream_seed

Predicate = Callable[[Tensor], Tensor]
"""Points (n, d) to booleans (n,): the part of a region that `where` keeps."""

MAX_ENLARGEMENTS = 8
"""How often more points are proposed, twice as many each time, where `where` keeps too few."""


@dataclass(frozen=True, slots=True)
class Points:
    """Points `(n, d)` and outward unit normals `(n, d)`, zero where a point is not on a side."""

    points: Tensor
    normals: Tensor

    def __len__(self) -> int:
        return self.points.shape[0]

    def __getitem__(self, key: slice | Tensor) -> Points:
        return Points(self.points[key], self.normals[key])


@dataclass(frozen=True)
class Box:
    """`low[k] <= coordinate k <= high[k]`; `boundary` means the sides of the `space` coordinates."""

    names: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    space: tuple[str, ...]

    def sides(self, labels: Sequence[str]) -> tuple[tuple[int, int], ...]:
        """(axis, -1 or +1) of every side that `labels` name, in order; empty for the interior."""
        found: list[tuple[int, int]] = []
        for label in labels:
            if label == "boundary":
                found += [(self.names.index(name), sign) for name in self.space for sign in (-1, 1)]
            elif label != "interior":
                found.append((self.names.index(label[:-1]), 1 if label[-1] == "+" else -1))
        return tuple(dict.fromkeys(found))

    def sample(
        self,
        labels: Sequence[str],
        count: int,
        sampler: Sampler,
        seed: int,
        draw: int,
        where: Predicate | None = None,
    ) -> Points:
        """`count` points in the interior, or `count` on each side named, one where a side is a point.

        The result depends on the arguments alone. Raises ProblemError where `where` keeps nothing.
        """
        sides = self.sides(labels)
        if not sides:
            return self._part(None, count, sampler, seed, draw, where)
        parts = [self._part(side, count, sampler, seed, draw, where) for side in sides]
        return Points(torch.cat([p.points for p in parts]), torch.cat([p.normals for p in parts]))

    def _part(
        self,
        side: tuple[int, int] | None,
        count: int,
        sampler: Sampler,
        seed: int,
        draw: int,
        where: Predicate | None,
    ) -> Points:
        stream = "interior" if side is None else f"{self.names[side[0]]}{side[1]}"
        if side is not None and len(self.names) == 1:
            count = 1
        asked, kept = count, 0
        for attempt in range(MAX_ENLARGEMENTS):  # one larger set each time, since a grid is not independent
            points = self._place(side, asked, sampler, stream_seed(seed, draw, f"{stream}/{attempt}"))
            if where is not None:
                points = points[where(points)]
            kept = len(points)
            if kept >= count:
                points = points[:count]
                normals = torch.zeros_like(points)
                if side is not None:
                    normals[:, side[0]] = float(side[1])
                return Points(points, normals)
            asked *= 2
        region = (
            "the interior" if side is None else f"side {self.names[side[0]]}{'+' if side[1] > 0 else '-'}"
        )
        raise ProblemError(f"`where` keeps almost no point of {region}: {kept} of {asked // 2}")

    def _place(self, side: tuple[int, int] | None, count: int, sampler: Sampler, seed: int) -> Tensor:
        low = torch.tensor(self.low, dtype=torch.float64)
        high = torch.tensor(self.high, dtype=torch.float64)
        free = [k for k in range(len(self.names)) if side is None or k != side[0]]
        points = low.repeat(count, 1)
        if free:
            points[:, free] = low[free] + (high[free] - low[free]) * sampler(count, len(free), seed)
        if side is not None:
            points[:, side[0]] = high[side[0]] if side[1] > 0 else low[side[0]]
        return points

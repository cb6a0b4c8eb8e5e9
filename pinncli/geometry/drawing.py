"""Points in regions of a domain as tensors, by a sampler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pinncli.errors import ProblemError
from pinncli.geometry.samplers import Sampler, stream_seed
from pinncli.shapes import Domain, Points
from pinncli.shapes.base import Array
from pinncli.shapes.domain import Predicate, TooFewError


@dataclass(frozen=True, slots=True)
class Drawn:
    """Points `(n, d)` and outward unit normals `(n, d)`, zero where a point is not on a boundary."""

    points: Tensor
    normals: Tensor

    def __len__(self) -> int:
        return self.points.shape[0]


def draw_points(
    domain: Domain,
    labels: Sequence[str],
    counts: Sequence[int],
    sampler: Sampler,
    seed: int,
    draw: int,
    where: Predicate | None = None,
) -> Drawn:
    """`counts` points of the regions `labels`, one after the other, one where a side is a point.

    The result depends on the arguments alone. Raises ProblemError where `where` keeps almost nothing.
    """

    def unit(n: int, dimension: int, stream: str) -> Array:
        return sampler(n, dimension, stream_seed(seed, draw, stream)).numpy()

    try:
        parts = [domain.sample(label, n, unit, where) for label, n in zip(labels, counts, strict=True)]
    except TooFewError as error:
        raise ProblemError(str(error)) from None
    found = Points.join(parts)
    return Drawn(torch.from_numpy(found.points), torch.from_numpy(found.normals))

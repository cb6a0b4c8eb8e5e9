"""Weights of the conditions: how much each counts in the objective."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pinncli.language.partials import Partial
from pinncli.language.program import Input
from pinncli.language.scope import Residual
from pinncli.residuals import Group, Sample, run_program


def row_scales(groups: Sequence[Group], samples: Sequence[Sample]) -> list[list[float]]:
    """Per group and residual component, sqrt(w_c / n_c): the objective is then half the squared
    norm of the scaled residuals, a weighted sum of mean squares over conditions (fixed weights).
    """
    return [
        [math.sqrt(c.weight / len(sample)) for c in group.conditions for _ in range(c.components)]
        for group, sample in zip(groups, samples, strict=True)
    ]


def natural_scale(
    residual: Residual,
    coordinates: Sequence[str],
    space: Sequence[str],
    extents: Sequence[float],
    sample: Sample,
    parameters: Mapping[str, float],
) -> float:
    """The size of an equation's largest term, for a solution of size one with half a wave across the domain.

    It is the largest of |dr/dp| times the size of partial p, prod_i (pi / L_i)^k_i, over the partials
    and the points of `sample`, with every partial at one in dr/dp. Dividing the residual by it makes
    `u_tt = 4*u_xx` and `u = 0` count alike, whatever the units and the order of the equation.
    `extents` (d,) are the lengths L of `coordinates`; a Laplacian is over those of `space`. The nodes of an
    integral make one term.
    """
    leaves: dict[Input, Tensor] = {}

    def value(i: Input) -> Tensor:
        match i.kind:
            case "coordinate":
                return sample.points[:, coordinates.index(i.name)]
            case "normal":
                return sample.normals[:, coordinates.index(i.name)]
            case "column":
                return sample.columns[i.name]
            case "parameter":
                return sample.points.new_tensor(parameters[i.name])
            case "partial":
                return leaves.setdefault(i, torch.ones_like(sample.points[:, 0]).requires_grad_())
            case "node" | "integral":
                raise ValueError(f"{i.name} is in formulas only")

    scale = 0.0
    lap_size = sum((math.pi / extents[coordinates.index(name)]) ** 2 for name in space)
    with torch.enable_grad():
        outputs = run_program(residual.programs, value, sample.points)
    for out in outputs:
        if out.requires_grad:
            slopes = torch.autograd.grad(
                out.sum(), list(leaves.values()), retain_graph=True, materialize_grads=True
            )
            terms: dict[tuple[int, Partial], Tensor] = {}
            for i, slope in zip(leaves, slopes, strict=True):
                assert i.partial is not None  # noqa: S101  (by construction of Input)
                key = (residual.origins[i.site], i.partial)
                terms[key] = terms.get(key, torch.zeros_like(slope)) + slope.abs()
            for (_, partial), size in terms.items():
                scale = max(scale, float(size.max()) * _size(partial, extents, lap_size))
    return scale if math.isfinite(scale) and scale > 0.0 else 1.0


def _size(partial: Partial, extents: Sequence[float], lap_size: float) -> float:
    if partial.laplacian:
        return lap_size
    return math.prod((math.pi / length) ** k for length, k in zip(extents, partial.orders, strict=True))

"""Weights between conditions, so that none drowns the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pinncli.objective import Objective

LEAST = 1e-6
"""Of the largest size: a condition that is satisfied exactly would get an infinite weight."""


@dataclass(frozen=True)
class Balance:
    """lambda_c from the gradients or the tangent kernel, averaged over updates.

    gradient: lambda_c = sum_k |grad L_k| / |grad L_c|, the weighted gradients then have one length (Wang,
    Sankaran, Wang & Perdikaris 2023, arXiv 2308.08468, eqs. 16 and 17; L_c is condition c's share of the
    value). ntk: lambda_c = trace K / trace K_cc with K_cc = J_c J_c', J_c the Jacobian of the rows of
    condition c (Wang, Yu & Perdikaris 2022, J. Comput. Phys. 449, algorithm 1); the rows contain
    1/sqrt(n_c), so that the number of points does not count. Both are times the condition's `weight`,
    which the quotient would otherwise cancel.
    """

    by: Literal["gradient", "ntk"]
    every: int
    smoothing: float
    """Share of the old average in the new one."""
    weights: Mapping[str, float]
    """Per condition, as the problem has it."""

    def sizes(self, objective: Objective, theta: Tensor) -> Tensor:
        """|grad L_c| or trace K_cc (C,), of the conditions in the order of `weights`."""
        found = gradient_norms(objective, theta) if self.by == "gradient" else objective.traces(theta)
        return torch.tensor([found[name] for name in self.weights], dtype=torch.float64)

    def targets(self, sizes: Tensor) -> Tensor:
        """lambda (C,) for `sizes` (C,) without lambda; ones where no size is positive and finite."""
        emphasis = torch.tensor(list(self.weights.values()), dtype=torch.float64)
        largest = sizes.max()
        if not bool(torch.isfinite(sizes).all()) or not float(largest) > 0.0:
            return torch.ones_like(sizes)
        return emphasis * sizes.sum() / sizes.clamp_min(LEAST * largest)

    def start(self, objective: Objective, theta: Tensor) -> Tensor:
        """The first average: lambda itself."""
        return self.targets(self.sizes(objective, theta))

    def update(self, objective: Objective, theta: Tensor, old: Tensor) -> Tensor:
        """The next average (C,); `objective` has the weights `old` in it, to which sizes are proportional."""
        sizes = self.sizes(objective, theta) / torch.where(old > 0.0, old, torch.ones_like(old))
        return self.smoothing * old + (1.0 - self.smoothing) * self.targets(sizes)


def gradient_norms(objective: Objective, theta: Tensor) -> dict[str, float]:
    """|gradient| of every condition's share of the value, one product J'(r of the condition) each."""
    r = objective.residual(theta)
    counts = objective.row_conditions()
    norms = {}
    for name in dict.fromkeys(owner for owner, _ in counts):
        mask = torch.cat([r.new_full((n,), float(owner == name)) for owner, n in counts])
        norms[name] = float(torch.linalg.vector_norm(objective.vjp(theta, mask * r)))
    return norms

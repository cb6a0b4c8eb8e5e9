"""Weights of the conditions: how much each counts in the objective."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pinncli.residuals import Group, Sample


def row_scales(groups: Sequence[Group], samples: Sequence[Sample]) -> list[list[float]]:
    """Per group and residual component, sqrt(w_c / n_c): the objective is then half the squared
    norm of the scaled residuals, a weighted sum of mean squares over conditions (fixed weights).
    """
    return [
        [math.sqrt(c.weight / len(sample)) for c in group.conditions for _ in range(c.components)]
        for group, sample in zip(groups, samples, strict=True)
    ]

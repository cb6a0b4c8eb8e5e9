"""Unknown numbers of a problem, trained as unconstrained variables."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ParameterMap:
    """Unknown numbers as smooth functions of unconstrained variables s, all starting at s = 0.

    With bounds: value = low + (high - low) / (1 + exp(-(s + s0))); without: initial + scale s,
    scale = max(|initial|, 1).
    """

    names: tuple[str, ...]
    initial: tuple[float, ...]
    bounds: tuple[tuple[float, float] | None, ...]

    def values(self, raw: Tensor) -> dict[str, Tensor]:
        """Values by name; `raw` is (k,) or (k, n), values are then () or (n,)."""
        result: dict[str, Tensor] = {}
        for k, (name, start, bounds) in enumerate(zip(self.names, self.initial, self.bounds, strict=True)):
            if bounds is None:
                result[name] = start + max(abs(start), 1.0) * raw[k]
            else:
                low, high = bounds
                share = min(max((start - low) / (high - low), 1e-3), 1.0 - 1e-3)
                offset = torch.logit(torch.tensor(share, dtype=torch.float64)).item()
                result[name] = low + (high - low) * torch.sigmoid(raw[k] + offset)
        return result

"""Where one time window ends and the next begins: the solution of the one as data of the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pinncli.derivatives import Engine
from pinncli.language.partials import Partial
from pinncli.networks import Network


@dataclass(frozen=True)
class Handover:
    """A trained network, `theta` its weights alone; `block` points are evaluated at a time."""

    network: Network
    engine: Engine
    theta: Tensor
    block: int

    def columns(self, points: Tensor, wanted: Mapping[str, Partial]) -> dict[str, Tensor]:
        """Each of `wanted` (n,) at `points` (n, d): evaluated there and then, nothing is interpolated."""
        partials = list(dict.fromkeys(wanted.values()))
        with torch.no_grad():
            parts = [
                self.engine.partials(self.network, self.theta, chunk, partials)
                for chunk in torch.split(points, self.block)
            ]
        return {name: torch.cat([p[partial].detach() for p in parts]) for name, partial in wanted.items()}

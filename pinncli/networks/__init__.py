"""Networks: written once in ordinary tensor operations, evaluated on tensors or on jets."""

from __future__ import annotations

from collections.abc import Callable

from pinncli.networks.ansatz import Ansatz
from pinncli.networks.base import Network
from pinncli.networks.features import Features
from pinncli.networks.mlp import MLP
from pinncli.networks.random_features import RandomFeatures

NETWORKS: dict[str, Callable[..., Network]] = {"mlp": MLP, "features": RandomFeatures.of}
"""To add a network: write one class beside `mlp.py` and one line here."""

__all__ = ["MLP", "NETWORKS", "Ansatz", "Features", "Network", "RandomFeatures"]

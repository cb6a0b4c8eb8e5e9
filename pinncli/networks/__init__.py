"""Networks: written once in ordinary tensor operations, evaluated on tensors or on jets."""

from __future__ import annotations

from collections.abc import Callable

from pinncli.networks.ansatz import Ansatz
from pinncli.networks.base import Network
from pinncli.networks.factorised import Factorised
from pinncli.networks.features import Features
from pinncli.networks.fourier import FourierFeatures
from pinncli.networks.gated import Gated
from pinncli.networks.joined import Joined
from pinncli.networks.local_features import LocalFeatures
from pinncli.networks.mlp import MLP
from pinncli.networks.piratenet import PirateNet
from pinncli.networks.plain import chained, plain, tangent
from pinncli.networks.random_features import RandomFeatures

NETWORKS: dict[str, Callable[..., Network]] = {
    "mlp": MLP,
    "gated": Gated,
    "piratenet": PirateNet,
    "features": RandomFeatures.of,
    "local": LocalFeatures.of,
}
"""To add a network: write one class beside `mlp.py` and one line here."""

__all__ = [
    "MLP",
    "NETWORKS",
    "Ansatz",
    "Factorised",
    "Features",
    "FourierFeatures",
    "Gated",
    "Joined",
    "LocalFeatures",
    "Network",
    "PirateNet",
    "RandomFeatures",
    "chained",
    "plain",
    "tangent",
]

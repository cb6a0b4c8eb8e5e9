"""Networks whose weights are parts of theta, under those whose weights are computed from it.

The Jacobian is taken of the layers of the plain network; these functions carry it over.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from pinncli.networks.ansatz import Ansatz
from pinncli.networks.base import Network
from pinncli.networks.factorised import Factorised


def plain(network: Network, theta: Tensor) -> tuple[Network, Tensor]:
    """The network whose weights are parts of its theta, and that theta."""
    if isinstance(network, Ansatz):
        inner, weights = plain(network.inner, theta)
        return replace(network, inner=inner), weights
    if isinstance(network, Factorised):
        return network.network, network.weights(theta)
    return network, theta


def chained(network: Network, theta: Tensor, columns: Tensor) -> Tensor:
    """Derivatives (size, n) with respect to `theta` from those with respect to that of the plain network."""
    if isinstance(network, Ansatz):
        return chained(network.inner, theta, columns)
    return network.chain(theta, columns) if isinstance(network, Factorised) else columns


def tangent(network: Network, theta: Tensor, v: Tensor) -> Tensor:
    """The change of the plain network's theta where `theta` changes by v."""
    if isinstance(network, Ansatz):
        return tangent(network.inner, theta, v)
    return network.tangent(theta, v) if isinstance(network, Factorised) else v

"""Networks whose weights are parts of theta, under those whose weights are computed from it.

The Jacobian is taken of the layers of the plain network; these functions carry it over.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pinncli.networks.ansatz import Ansatz
from pinncli.networks.base import Network
from pinncli.networks.factorised import Factorised
from pinncli.networks.joined import Joined


def plain(network: Network, theta: Tensor) -> tuple[Network, Tensor]:
    """The network whose weights are parts of its theta, and that theta."""
    if isinstance(network, Ansatz):
        inner, weights = plain(network.inner, theta)
        return replace(network, inner=inner), weights
    if isinstance(network, Joined):
        parts = [plain(n, part) for n, part in zip(network.networks, network.split(theta), strict=True)]
        if all(mine is own for (mine, _), own in zip(parts, network.networks, strict=True)):
            return network, theta
        return replace(network, networks=tuple(n for n, _ in parts)), torch.cat([w for _, w in parts])
    if isinstance(network, Factorised):
        return network.network, network.weights(theta)
    return network, theta


def chained(network: Network, theta: Tensor, columns: Tensor) -> Tensor:
    """Derivatives (size, n) with respect to `theta` from those with respect to that of the plain network."""
    if isinstance(network, Ansatz):
        return chained(network.inner, theta, columns)
    if isinstance(network, Joined):
        inner = plain(network, theta)[0]
        if inner is network:
            return columns
        assert isinstance(inner, Joined)  # noqa: S101  (what is plain keeps its shape)
        parts = zip(network.networks, network.split(theta), inner.split(columns), strict=True)
        return torch.cat([chained(*part) for part in parts])
    return network.chain(theta, columns) if isinstance(network, Factorised) else columns


def tangent(network: Network, theta: Tensor, v: Tensor) -> Tensor:
    """The change of the plain network's theta where `theta` changes by v."""
    if isinstance(network, Ansatz):
        return tangent(network.inner, theta, v)
    if isinstance(network, Joined):
        parts = zip(network.networks, network.split(theta), network.split(v), strict=True)
        return torch.cat([tangent(*part) for part in parts])
    return network.tangent(theta, v) if isinstance(network, Factorised) else v

"""Integrals in formulas: Gauss-Legendre sums over nodes that stay symbols until programs are made.

An integral over v from a to b is the sum over k of w_k g(n_k), with g(n) = (b - a) f(v = a + (b - a) n)
and Gauss-Legendre nodes n_k and weights w_k on [0, 1] (Abramowitz & Stegun 1964, 25.4.30). The sum is
linear in g, so that a derivative of the integral, or its value at a place, is the sum of the derivatives
or values of g, also where the limits depend on coordinates. Nothing is written out per node until
programs are made.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod

import numpy as np

from pinncli.language.functions import Expr

NODES = (32, 12, 6)
"""Nodes per variable where nothing else is said, by the number of variables; more take the last."""
REGION_NODES = 12
"""The same for integrals over regions, per smooth piece of a boundary and per direction of a strip."""
MOST_NODES = 4096
"""Nodes of one integral, all variables together."""


Rows = tuple[tuple[float, tuple[float, ...]], ...]


@dataclass(frozen=True)
class Integral:
    """The sum of `integrand` over the nodes of `variables`, symbols of which each runs over [0, 1].

    Over a region they are the space coordinates, and the outward normal's components on a boundary.
    """

    integrand: Expr
    variables: tuple[Expr, ...]
    nodes: int | Rows
    """Gauss's nodes per variable, or, over a region, the weights and values of the variables one by one."""

    @property
    def rows(self) -> Rows:
        """(weight, values of the variables) of every node."""
        return rule(self.nodes, len(self.variables)) if isinstance(self.nodes, int) else self.nodes


@lru_cache(maxsize=64)
def rule(nodes: int, variables: int) -> Rows:
    """(weight, nodes) of every point of the product rule on [0, 1]^variables."""
    places, weights = np.polynomial.legendre.leggauss(nodes)
    one = [(float(0.5 * w), float(0.5 * (1.0 + x))) for x, w in zip(places, weights, strict=True)]
    return tuple(
        (prod(weight for weight, _ in chosen), tuple(node for _, node in chosen))
        for chosen in product(one, repeat=variables)
    )

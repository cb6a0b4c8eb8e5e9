"""Smooth steps: the polynomials of least degree from 0 at 0 to 1 at 1 that are flat at both ends.

    S_k(q) = q^(k+1) sum_{j <= k} C(k + j, j) C(2 k + 1, k - j) (-q)^j

has k derivatives zero at both ends, and S_k(q) + S_k(1 - q) = 1. `SMOOTHSTEPS[k]` evaluates S_k of a
tensor, or, like any function of torch, of a type with a rule for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

MOST = 7
"""Largest k."""


def derivatives(smoothness: int, q: Tensor, order: int) -> list[Tensor]:
    """S_k and its derivatives up to `order`, of the shape of q; beyond the middle by symmetry, exactly."""
    k, beyond = smoothness, q > 0.5
    p = torch.where(beyond, 1.0 - q, q)
    coefficients = [0.0] * (k + 1)
    coefficients += [math.comb(k + j, j) * math.comb(2 * k + 1, k - j) * (-1.0) ** j for j in range(k + 1)]
    found = []
    for n in range(order + 1):
        value = torch.zeros_like(p)
        for coefficient in reversed(coefficients):
            value = value * p + coefficient
        mirrored = 1.0 - value if n == 0 else value if n % 2 else -value
        found.append(torch.where(beyond, mirrored, value))
        coefficients = [j * c for j, c in enumerate(coefficients)][1:] or [0.0]
    return found


def _smoothstep(smoothness: int) -> Callable[[Any], Any]:
    def step(q: Any) -> Any:
        if has_torch_function_unary(q):
            return handle_torch_function(step, (q,), q)
        return derivatives(smoothness, q, 0)[0]

    step.__name__ = f"smoothstep{smoothness}"
    return step


SMOOTHSTEPS: Mapping[int, Callable[[Any], Any]] = {k: _smoothstep(k) for k in range(1, MOST + 1)}
DERIVATIVES: Mapping[int, Callable[[Tensor, int], list[Tensor]]] = {
    k: partial(derivatives, k) for k in SMOOTHSTEPS
}

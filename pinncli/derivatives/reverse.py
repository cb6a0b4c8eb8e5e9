"""Nested reverse mode: one `torch.autograd.grad` per derivative order, prefixes shared.

General and slow; the reference that every other engine must agree with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

import torch
from torch import Tensor

from pinncli.derivatives.base import NetworkFunction
from pinncli.derivatives.jet import Record
from pinncli.derivatives.jet_index import unit
from pinncli.language.partials import MultiIndex, Partial, Wanted


@dataclass(frozen=True)
class Reverse:
    """Derivatives by repeated differentiation of the network's output with respect to its input."""

    components: tuple[str, ...]
    lap_axes: tuple[int, ...]
    lap_factor: float = 1.0

    @property
    def records(self) -> bool:
        """A layer appears many times in nested differentiation, so nothing is recorded."""
        return False

    def recorded(
        self, network: NetworkFunction, theta: Tensor, points: Tensor, wanted: Sequence[Wanted]
    ) -> tuple[dict[Wanted, Tensor], list[Record]]:
        """Not available."""
        raise NotImplementedError("nested reverse mode records no layers")

    def twice_differentiable(self) -> Reverse:
        """Nested differentiation always is."""
        return self

    def estimating(self, axes: tuple[int, ...]) -> Reverse:
        """Laplacians from the second derivatives along `axes` alone."""
        return replace(self, lap_axes=axes, lap_factor=self.lap_factor * len(self.lap_axes) / len(axes))

    def partials(
        self, network: NetworkFunction, theta: Tensor, points: Tensor, wanted: Sequence[Wanted]
    ) -> dict[Wanted, Tensor]:
        """Each of `wanted` at `points` (n, d), as tensors (n,) differentiable in `theta`."""
        keep = torch.is_grad_enabled()
        with torch.enable_grad():
            x = points.detach().requires_grad_()
            outputs = network(theta, x)
            known = {(c, (0,) * x.shape[1]): outputs[:, k] for k, c in enumerate(self.components)}
            result = {w: reduce(add, [c * self._partial(p, x, known) for c, p in w.terms]) for w in wanted}
        return result if keep else {p: value.detach() for p, value in result.items()}

    def _partial(self, partial: Partial, x: Tensor, known: dict[tuple[str, MultiIndex], Tensor]) -> Tensor:
        if not partial.laplacian:
            return self._derivative(partial.component, partial.orders, x, known)
        twice = [tuple(2 * k for k in unit(x.shape[1], axis)) for axis in self.lap_axes]
        terms = [self._derivative(partial.component, index, x, known) for index in twice]
        return torch.stack(terms).sum(0) * self.lap_factor

    def _derivative(
        self, component: str, index: MultiIndex, x: Tensor, known: dict[tuple[str, MultiIndex], Tensor]
    ) -> Tensor:
        found = known.get((component, index))
        if found is not None:
            return found
        axis = max(k for k, order in enumerate(index) if order)
        prefix = tuple(order - (k == axis) for k, order in enumerate(index))
        value = self._derivative(component, prefix, x, known)
        (gradient,) = torch.autograd.grad(value.sum(), x, create_graph=True, materialize_grads=True)
        for k in range(x.shape[1]):
            raised = tuple(order + (j == k) for j, order in enumerate(prefix))
            known.setdefault((component, raised), gradient[:, k])
        return known[component, index]

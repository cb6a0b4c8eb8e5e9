"""What a derivative engine is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import Tensor

from pinncli.derivatives.jet import Record
from pinncli.language.partials import Wanted

NetworkFunction = Callable[[Tensor, Any], Any]
"""theta (p,) and points (n, d), a tensor or a jet, to components (n, m) of the same type."""


class Engine(Protocol):
    """Computes partial derivatives of a network's components with respect to the coordinates."""

    def partials(
        self, network: NetworkFunction, theta: Tensor, points: Tensor, wanted: Sequence[Wanted]
    ) -> dict[Wanted, Tensor]:
        """Each of `wanted` at `points` (n, d), as tensors (n,) differentiable in `theta`."""
        ...

    @property
    def records(self) -> bool:
        """Whether `recorded` works, so that Jacobians cost one backward pass per residual."""
        ...

    def recorded(
        self, network: NetworkFunction, theta: Tensor, points: Tensor, wanted: Sequence[Wanted]
    ) -> tuple[dict[Wanted, Tensor], list[Record]]:
        """Like `partials`, with the linear layers recorded; theta is held constant."""
        ...

    def twice_differentiable(self) -> Engine:
        """An engine with the same results that may be differentiated in theta more than once."""
        ...

    @property
    def lap_axes(self) -> tuple[int, ...]:
        """The coordinates that a Laplacian sums over."""
        ...

    def estimating(self, axes: tuple[int, ...]) -> Engine:
        """An engine whose Laplacians are sums over `axes` alone, times the number of all over theirs."""
        ...

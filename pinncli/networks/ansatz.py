"""A network inside an ansatz: what is known of the solution is built in, the network learns the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pinncli.networks.base import Network


@dataclass(frozen=True, eq=False)
class Ansatz:
    """u = G + D N (Lagaris, Likas & Fotiadis 1998, eq. 2), component by component.

    `known` maps points (n, d), a tensor or a jet, to G and D (n, m) of the same type, jets with all
    their derivatives: neither depends on theta, so the layers recorded are the inner network's.
    """

    inner: Network
    known: Callable[[Any], tuple[Any, Any]]

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.inner.size

    @property
    def inputs(self) -> int:
        """Number of coordinates."""
        return self.inner.inputs

    @property
    def outputs(self) -> int:
        """Number of components."""
        return self.inner.outputs

    @property
    def width(self) -> int:
        """Widest layer."""
        return self.inner.width

    def initialise(self, generator: Any) -> Tensor:
        """The inner network's random theta (size,), float64."""
        return self.inner.initialise(generator)

    @property
    def patchwork(self) -> tuple[int, int]:
        """Of local features, the number of patches, and of parameters of each."""
        return self.inner.patchwork  # type: ignore[attr-defined, no-any-return]

    @property
    def patches(self) -> tuple[int, ...]:
        """Of a cell of local features."""
        return self.inner.patches  # type: ignore[attr-defined, no-any-return]

    def cells(self, points: Tensor) -> Tensor:
        """The inner network's cell (n,) of each of `points` (n, d), where it consists of cells."""
        return self.inner.cells(points)  # type: ignore[attr-defined, no-any-return]

    def cell(self, number: int) -> Ansatz:
        """The same ansatz about one cell."""
        return Ansatz(self.inner.cell(number), self.known)  # type: ignore[attr-defined]

    def gather(self, theta: Tensor) -> Tensor:
        """A cell's theta out of the whole."""
        return self.inner.gather(theta)  # type: ignore[attr-defined, no-any-return]

    def __call__(self, theta: Tensor, points: Any) -> Any:
        """Components (n, m) at `points` (n, d), a tensor or a jet."""
        lift, factor = self.known(points)
        return self.inner(theta, points) * factor + lift

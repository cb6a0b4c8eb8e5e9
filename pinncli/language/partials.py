"""Partial derivatives as data: what an equation asks of the network, without sympy or torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

MultiIndex = tuple[int, ...]

MAX_ORDER = 6
"""Highest total order of differentiation that every engine is tested to."""


@dataclass(frozen=True, slots=True, order=True)
class Partial:
    """A derivative of one real component of the solution.

    `component` is an unknown's name (`u`), or `h_real`, `h_imag` for a complex one.
    `orders` has one order per coordinate of the problem, in the problem's order;
    all zero means the value itself. With `laplacian` the orders are all zero and the
    partial is the Laplacian over the space coordinates, kept whole so that an engine
    can carry one channel for it instead of one per direction.
    """

    component: str
    orders: MultiIndex
    laplacian: bool = False

    @property
    def order(self) -> int:
        """Total order of differentiation."""
        return 2 if self.laplacian else sum(self.orders)

    @property
    def terms(self) -> tuple[tuple[float, Partial], ...]:
        """As those of a `Combination`: itself alone."""
        return ((1.0, self),)

    def label(self, coordinates: tuple[str, ...]) -> str:
        """How a person writes it: `u`, `u_xx`, `lap(u)`, `d(u, speed)`."""
        if self.laplacian:
            return f"lap({self.component})"
        if not any(self.orders):
            return self.component
        names = [c for c, k in zip(coordinates, self.orders, strict=True) for _ in range(k)]
        if all(len(n) == 1 for n in names):
            return f"{self.component}_{''.join(names)}"
        return f"d({self.component}, {', '.join(names)})"


@dataclass(frozen=True, slots=True, order=True)
class Combination:
    """The sum of coefficients times partials of one component, two or more, such as u_t - 0.1 u_xx.

    An equation that needs the sum alone asks for it whole, so that an engine can carry one channel for it.
    """

    terms: tuple[tuple[float, Partial], ...]

    @property
    def component(self) -> str:
        """Whose partials they are."""
        return self.terms[0][1].component


Wanted = Partial | Combination
"""What an engine may be asked for."""


def shape_of(wanted: Wanted) -> tuple[tuple[float, MultiIndex, bool], ...]:
    """The same without the component: things of one shape are alike to an engine."""
    return tuple((c, p.orders, p.laplacian) for c, p in wanted.terms)


def in_order(wanted: Iterable[Wanted]) -> tuple[Wanted, ...]:
    """Sorted, partials first."""
    return tuple(sorted(wanted, key=lambda w: (isinstance(w, Combination), w)))


def downward_closure(indices: Iterable[MultiIndex]) -> tuple[MultiIndex, ...]:
    """Every multi-index at or below a given one, sorted by total order, then by value.

    Jet arithmetic needs the closure: the coefficient of `xx` depends on those of `x` and `1`.
    """
    closed: set[MultiIndex] = set()
    for index in indices:
        closed.update(product(*(range(k + 1) for k in index)))
    return tuple(sorted(closed, key=lambda a: (sum(a), tuple(-k for k in a))))

"""Functions from files inside formulas: which table, differentiated how often by which argument.

Sympy sees a function of a name that holds all of it, such as `a:cubic:1,0`; the chain rule needs no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import sympy

from pinncli.language.functions import Expr, symbol
from pinncli.language.splines import DEGREES, Spline


@dataclass(frozen=True, eq=False)
class Table:
    """A function from a file: the names of its arguments, how it is interpolated, and its values."""

    axes: tuple[str, ...]
    kind: str
    spline: Spline


@dataclass(frozen=True)
class Lookup:
    """A table's name and kind, and the orders of differentiation by its arguments."""

    name: str
    kind: str
    orders: tuple[int, ...]

    @property
    def op(self) -> str:
        """The name that formulas and programs have for it."""
        return f"{self.name}:{self.kind}:{','.join(map(str, self.orders))}"


@lru_cache(maxsize=4096)
def lookup_of(op: str) -> Lookup | None:
    """What an op looks up; None for any other op."""
    name, colon, rest = op.partition(":")
    if not colon:
        return None
    kind, _, orders = rest.partition(":")
    return Lookup(name, kind, tuple(map(int, orders.split(","))))


def differentiated(lookup: Lookup, arguments: Sequence[Expr], changes: Sequence[Expr]) -> Expr:
    """The chain rule: the sum over arguments of the derivative by each times its change."""
    total = sympy.S.Zero
    for k, change in enumerate(changes):
        orders = tuple(order + (j == k) for j, order in enumerate(lookup.orders))
        if change and orders[k] <= DEGREES[lookup.kind]:
            total += change * symbol(Lookup(lookup.name, lookup.kind, orders).op)(*arguments)
    return total

"""Formulas that compute as arrays do: code written for numpy gives the formula of what it computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from pinncli.language import algebra
from pinncli.language.algebra import Expr, apply

Operand: TypeAlias = "Formula | float"


@dataclass(frozen=True, slots=True)
class Formula:
    """A guarded formula with operators; numbers may stand on either side."""

    expr: Expr

    def __add__(self, other: Operand) -> Formula:
        return Formula(algebra.add(self.expr, _expr(other)))

    def __sub__(self, other: Operand) -> Formula:
        return Formula(algebra.sub(self.expr, _expr(other)))

    def __mul__(self, other: Operand) -> Formula:
        return Formula(algebra.mul(self.expr, _expr(other)))

    def __neg__(self) -> Formula:
        return Formula(algebra.neg(self.expr))


class Functions:
    """The functions under numpy's names."""

    @staticmethod
    def sqrt(a: Operand) -> Formula:
        """Square root."""
        return Formula(algebra.sqrt(_expr(a)))

    @staticmethod
    def minimum(a: Operand, b: Operand) -> Formula:
        """The smaller."""
        return Formula(apply("min", _expr(a), _expr(b)))

    @staticmethod
    def maximum(a: Operand, b: Operand) -> Formula:
        """The larger."""
        return Formula(apply("max", _expr(a), _expr(b)))

    @staticmethod
    def where(condition: Operand, a: Operand, b: Operand) -> Formula:
        """One or the other."""
        return Formula(apply("where", _expr(condition), _expr(a), _expr(b)))

    @staticmethod
    def less(a: Operand, b: Operand) -> Formula:
        """a < b."""
        return Formula(apply("less", _expr(a), _expr(b)))

    @staticmethod
    def less_equal(a: Operand, b: Operand) -> Formula:
        """a <= b."""
        return Formula(apply("less_equal", _expr(a), _expr(b)))

    @staticmethod
    def logical_and(a: Operand, b: Operand) -> Formula:
        """Both."""
        return Formula(apply("and", _expr(a), _expr(b)))


def _expr(value: Operand) -> Expr:
    return value.expr if isinstance(value, Formula) else algebra.number(float(value))

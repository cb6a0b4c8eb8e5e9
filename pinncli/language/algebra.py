"""Guarded construction of formulas: sympy by its constructors only, and nothing that can run away.

Numbers among themselves are worked out at once in floating point, so that sympy never holds a
numeric expression whose value it might try to compute exactly; every result stays within caps
on its magnitude, size and depth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import sympy

from pinncli.language.functions import FUNCTIONS, symbol
from pinncli.language.lookups import differentiated, lookup_of

Expr: TypeAlias = sympy.Expr
ZERO: Expr = sympy.S.Zero
ONE: Expr = sympy.S.One

MAX_EXPONENT = 64
MAX_SIZE = 20_000
MAX_DEPTH = 100
_EXACT_BELOW = 2**53
_MAX_DENOMINATOR = 1024


class AlgebraError(ValueError):
    """A formula has no value or grows past the caps; the caller knows where in the text."""


def number(value: float) -> Expr:
    """A float as sympy number: exact where it is a small ratio of powers of two, else 53 bits."""
    if not math.isfinite(value):
        raise AlgebraError("this has no finite value")
    if abs(value) < _EXACT_BELOW:
        ratio = Fraction(value)
        if ratio.denominator <= _MAX_DENOMINATOR:
            return sympy.Rational(ratio.numerator, ratio.denominator)
    return sympy.Float(value)


E: Expr = number(math.e)


def as_float(value: Expr) -> float:
    """A sympy number as float; raises `AlgebraError` where no finite float is close to it."""
    try:
        result = float(value)
    except (TypeError, OverflowError, ValueError):
        result = math.nan
    if not math.isfinite(result):
        raise AlgebraError("this has no finite value (is something divided by zero?)")
    if not result and value:
        raise AlgebraError("this is too close to zero for a floating-point number")
    return result


@lru_cache(maxsize=1 << 16)
def measure(expr: Expr) -> tuple[int, int]:
    """(number of terms, depth) of a formula; raises `AlgebraError` outside the caps."""
    if not expr.args:
        if not expr.is_Symbol:
            as_float(expr)
        return 1, 1
    parts = [measure(argument) for argument in expr.args]
    size, depth = 1 + sum(part[0] for part in parts), 1 + max(part[1] for part in parts)
    if size > MAX_SIZE:
        raise AlgebraError(f"this grows to more than {MAX_SIZE} terms")
    if depth > MAX_DEPTH:
        raise AlgebraError(f"this nests deeper than {MAX_DEPTH} levels")
    return size, depth


def guarded(expr: Expr) -> Expr:
    """The same formula, within the caps; ratios of big integers become floats."""
    if expr.is_Rational and max(abs(expr.p), expr.q) > _EXACT_BELOW:
        return sympy.Float(as_float(expr))
    measure(expr)
    return expr


def add(*terms: Expr) -> Expr:
    """Sum."""
    return guarded(sympy.Add(*terms))


def mul(*factors: Expr) -> Expr:
    """Product."""
    return guarded(_product(*factors))


def _product(*factors: Expr) -> Expr:
    """A product that keeps `1e8*(x - y)` as it is: multiplied out it would lose the difference."""
    coefficient, rest = sympy.Mul(*(f for f in factors if not f.is_Number)).as_coeff_Mul()
    coefficient = sympy.Mul(coefficient, *(f for f in factors if f.is_Number))
    if rest.is_Add and coefficient not in (0, 1, -1):
        return sympy.Mul(coefficient, rest, evaluate=False)
    return sympy.Mul(coefficient, rest)


def neg(a: Expr) -> Expr:
    """-a."""
    return mul(sympy.S.NegativeOne, a)


def sub(a: Expr, b: Expr) -> Expr:
    """a - b."""
    return add(a, neg(b))


def div(a: Expr, b: Expr) -> Expr:
    """a / b; raises `AlgebraError` where b is zero."""
    if b.is_zero:
        raise AlgebraError("division by zero")
    return mul(a, sympy.Pow(b, sympy.S.NegativeOne))


def power(base: Expr, exponent: Expr) -> Expr:
    """base ^ exponent, real; numbers are worked out at once, `e^x` is `exp(x)`."""
    if exponent.is_Number and abs(as_float(exponent)) > MAX_EXPONENT:
        raise AlgebraError(f"the exponent is larger than {MAX_EXPONENT}")
    if base.is_Number and exponent.is_Number:
        if base.is_zero and as_float(exponent) < 0:
            raise AlgebraError("division by zero")
        return number(_evaluate(np.power, (base, exponent)))
    if base == E:
        return apply("exp", exponent)
    if base.func == symbol("abs") and exponent.is_Integer and exponent.p % 2 == 0:
        return power(base.args[0], exponent)
    result = guarded(sympy.Pow(base, exponent))
    for factor in sympy.Mul.make_args(result):
        numeric = factor.is_Pow and factor.exp.is_Number
        if numeric and abs(as_float(factor.exp)) > MAX_EXPONENT:
            raise AlgebraError(f"powers of powers make an exponent larger than {MAX_EXPONENT}")
    return result


def sqrt(a: Expr) -> Expr:
    """Square root."""
    return power(a, sympy.S.Half)


def apply(name: str, *arguments: Expr) -> Expr:
    """A function of the table. Numbers are worked out; conditions that are known are decided.

    The functions of files keep their arguments: their values are known where programs are made.
    """
    if name not in FUNCTIONS:
        return guarded(symbol(name)(*arguments))
    if all(argument.is_Number for argument in arguments):
        return number(_evaluate(FUNCTIONS[name].numpy, arguments))
    if name == "where" and (arguments[0].is_Number or arguments[1] == arguments[2]):
        return arguments[2] if arguments[0].is_zero else arguments[1]
    if name in {"and", "or"}:
        for known, other in (arguments, arguments[::-1]):
            if known.is_Number:
                return other if bool(known.is_zero) == (name == "or") else known
    return guarded(symbol(name)(*arguments))


def _evaluate(function: Callable[..., object], arguments: Sequence[Expr]) -> float:
    with np.errstate(all="ignore"):
        value = float(function(*(as_float(argument) for argument in arguments)))  # type: ignore[arg-type]
    if not math.isfinite(value):
        raise AlgebraError("this has no finite value")
    return value


def op_of(expr: Expr) -> str:
    """The table's name for the function at the head of `expr`."""
    return str(expr.func.__name__)


def rebuild(expr: Expr, arguments: Sequence[Expr]) -> Expr:
    """The head of `expr` over new arguments, guarded."""
    if expr.is_Add:
        return add(*arguments)
    if expr.is_Mul:
        return mul(*arguments)
    if expr.is_Pow:
        base, exponent = arguments
        return div(ONE, base) if exponent == -1 else power(base, exponent)
    return apply(op_of(expr), *arguments)


def replace(expr: Expr, new: Callable[[Expr], Expr]) -> Expr:
    """`expr` with every symbol s replaced by new(s), all at once, each part rebuilt once."""
    done: dict[Expr, Expr] = {}

    def visit(part: Expr) -> Expr:
        if part not in done:
            if part.is_Symbol:
                done[part] = new(part)
            elif not part.args:
                done[part] = part
            else:
                old = part.args
                arguments = [visit(argument) for argument in old]
                same = all(a is b for a, b in zip(arguments, old, strict=True))
                done[part] = part if same else rebuild(part, arguments)
        return done[part]

    return visit(expr)


def differentiate(expr: Expr, by: Callable[[Expr], Expr]) -> Expr:
    """The derivative of `expr`, where by(s) is the derivative of each symbol s in it."""
    done: dict[Expr, Expr] = {}

    def visit(part: Expr) -> Expr:
        if part not in done:
            if part.is_Symbol:
                done[part] = by(part)
            elif not part.args:
                done[part] = ZERO
            else:
                done[part] = guarded(_chain_rule(part, [visit(argument) for argument in part.args]))
        return done[part]

    return visit(expr)


def _chain_rule(expr: Expr, changes: Sequence[Expr]) -> Expr:
    """The derivative of `expr` from the derivatives of its arguments."""
    if not any(changes):
        return ZERO
    if expr.is_Add:
        return sympy.Add(*changes)
    if expr.is_Mul:
        factors = expr.args
        return sympy.Add(
            *(_product(change, *factors[:k], *factors[k + 1 :]) for k, change in enumerate(changes) if change)
        )
    if expr.is_Pow:
        return _power_rule(expr, *changes)
    lookup = lookup_of(op_of(expr))
    if lookup is not None:
        return differentiated(lookup, expr.args, changes)
    return FUNCTIONS[op_of(expr)].derivative(*expr.args, *changes)


def _power_rule(expr: Expr, base_change: Expr, exponent_change: Expr) -> Expr:
    base, exponent = expr.args
    total = ZERO
    if base_change:
        total += _product(exponent, sympy.Pow(base, exponent - 1), base_change)
    if exponent_change:
        total += _product(expr, apply("log", base), exponent_change)
    return total


def is_affine(expr: Expr, variables: frozenset[Expr]) -> bool:
    """Whether `expr`, as written, is a constant plus a linear form in `variables`."""
    if expr in variables or variables.isdisjoint(expr.free_symbols):
        return True
    if expr.is_Add:
        return all(is_affine(term, variables) for term in expr.args)
    if expr.is_Mul:
        varying = [factor for factor in expr.args if not variables.isdisjoint(factor.free_symbols)]
        return len(varying) == 1 and is_affine(varying[0], variables)
    return False

"""The functions of the language: one literal row each, with everything numpy needs to run a program.

To add a function, write one row here and one in torch's table (`pinncli/residuals.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import sympy

from pinncli.language.splines import run_numpy

Expr: TypeAlias = sympy.Expr


@dataclass(frozen=True, slots=True)
class Function:
    """One function of real numbers or truth values.

    `derivative` takes the arguments, then their derivatives by some variable, and gives the
    derivative of the function by it: the chain rule, valid almost everywhere.
    """

    arity: int
    derivative: Callable[..., Expr]
    numpy: Callable[..., Any]


@cache
def symbol(name: str) -> Callable[..., Expr]:
    """The function as sympy sees it: a plain name, so that sympy never tries to evaluate it."""
    return sympy.Function(name)  # type: ignore[no-any-return]


_exp, _sin, _cos, _tan = symbol("exp"), symbol("sin"), symbol("cos"), symbol("tan")
_sinh, _cosh, _tanh, _sign = symbol("sinh"), symbol("cosh"), symbol("tanh"), symbol("sign")
_where, _less_equal = symbol("where"), symbol("less_equal")


def _zero(*_: Expr) -> Expr:
    return sympy.S.Zero


def _atan2(y: Expr, x: Expr, dy: Expr, dx: Expr) -> Expr:
    return (x * dy - y * dx) / (x**2 + y**2)


def _erf(x: Expr, dx: Expr) -> Expr:
    return sympy.Float(2 / math.sqrt(math.pi)) * _exp(-(x**2)) * dx


def _heaviside(x: Any) -> Any:
    return np.heaviside(x, 0.5)


FUNCTIONS: Mapping[str, Function] = {
    "exp": Function(1, lambda x, dx: _exp(x) * dx, np.exp),
    "log": Function(1, lambda x, dx: dx / x, np.log),
    "sin": Function(1, lambda x, dx: _cos(x) * dx, np.sin),
    "cos": Function(1, lambda x, dx: -_sin(x) * dx, np.cos),
    "tan": Function(1, lambda x, dx: (1 + _tan(x) ** 2) * dx, np.tan),
    "asin": Function(1, lambda x, dx: dx / sympy.sqrt(1 - x**2), np.arcsin),
    "acos": Function(1, lambda x, dx: -dx / sympy.sqrt(1 - x**2), np.arccos),
    "atan": Function(1, lambda x, dx: dx / (1 + x**2), np.arctan),
    "atan2": Function(2, _atan2, np.arctan2),
    "sinh": Function(1, lambda x, dx: _cosh(x) * dx, np.sinh),
    "cosh": Function(1, lambda x, dx: _sinh(x) * dx, np.cosh),
    "tanh": Function(1, lambda x, dx: (1 - _tanh(x) ** 2) * dx, np.tanh),
    "erf": Function(1, _erf, np.vectorize(math.erf, otypes=[np.float64])),
    "abs": Function(1, lambda x, dx: _sign(x) * dx, np.abs),
    "sign": Function(1, _zero, np.sign),
    "heaviside": Function(1, _zero, _heaviside),
    "min": Function(2, lambda a, b, da, db: _where(_less_equal(a, b), da, db), np.minimum),
    "max": Function(2, lambda a, b, da, db: _where(_less_equal(b, a), da, db), np.maximum),
    "where": Function(3, lambda c, _a, _b, _dc, da, db: _where(c, da, db), np.where),
    "less": Function(2, _zero, np.less),
    "less_equal": Function(2, _zero, np.less_equal),
    "and": Function(2, _zero, np.logical_and),
    "or": Function(2, _zero, np.logical_or),
    "not": Function(1, _zero, np.logical_not),
}
"""Every function under its op's name, with its derivative and numpy's version."""

TRUTH = frozenset({"less", "less_equal", "and", "or", "not"})
"""The functions that give a truth value; they are written as operators, never called."""


def integer_power(x: Any, n: int) -> Any:
    """x to the power n >= 1 by repeated multiplication: valid for negative x, x*x for n = 2."""
    result = None
    while True:
        if n & 1:
            result = x if result is None else result * x
        n >>= 1
        if not n:
            return result
        x = x * x


NUMPY: Mapping[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    "ipow": integer_power,
    "pow": np.power,
    "sqrt": np.sqrt,
    "lookup": run_numpy,
    **{name: function.numpy for name, function in FUNCTIONS.items()},
}
"""How numpy runs each op of a `Program`; some arguments may be Python floats, never all of them."""

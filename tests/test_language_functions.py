"""Every function of the language: numpy's version, its derivative, its behaviour on arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pinncli.language.calculus import Scope, compile_expression
from pinncli.language.calls import CALLS, SYNONYMS
from pinncli.language.functions import FUNCTIONS, NUMPY, TRUTH, integer_power
from pinncli.language.parser import parse_expression

SCOPE = Scope(coordinates=("x", "y"), space=("x", "y"), time=None, unknowns={"u": "real"})
ARITHMETIC = {"add", "sub", "mul", "div", "neg", "ipow", "pow", "sqrt"}

# One formula per callable function of real numbers, smooth at the points below.
FORMULAS = {
    "exp": "exp(x*y)",
    "log": "log(2 + x*y)",
    "sin": "sin(x^2 + y)",
    "cos": "cos(x^2 + y)",
    "tan": "tan(x*y/3)",
    "asin": "asin(x*y/3)",
    "acos": "acos(x*y/3)",
    "atan": "atan(x^2*y)",
    "atan2": "atan2(y^3 + 1, x - 3)",
    "sinh": "sinh(x*y)",
    "cosh": "cosh(x*y)",
    "tanh": "tanh(x*y)",
    "erf": "erf(x + y^2)",
    "abs": "abs(x - 3)*x + abs(y)",
    "sign": "sign(x - 3)*x^2",
    "heaviside": "heaviside(x)*x^2*y",
    "min": "min(x^2, y + 9, x*y^3)",
    "max": "max(x^2, y - 9, x*y^3)",
    "where": "where(x < 9 and not y > 9 or x >= 7, x^3*y, 1)",
    "sqrt": "sqrt(x + y)",
    "sech": "sech(x*y)",
}
X, Y = np.linspace(0.3, 0.9, 7), np.linspace(0.4, 1.1, 7)


def evaluate(text: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    program = compile_expression(parse_expression(text), SCOPE)
    (value,) = program.run([{"x": x, "y": y}[entry.name] for entry in program.inputs], NUMPY)
    return np.broadcast_to(value, x.shape)


def test_every_real_function_has_a_formula_here() -> None:
    vector_or_complex = {"conj", "real", "imag", "d", "grad", "div", "lap", "dn", "dot", "norm", "sum"}
    assert FORMULAS.keys() == CALLS.keys() - vector_or_complex


@pytest.mark.parametrize("text", FORMULAS.values(), ids=FORMULAS)
def test_derivatives_against_finite_differences(text: str) -> None:
    step = 1e-3
    for by, shift in (("x", (step, 0.0)), ("y", (0.0, step))):
        ahead, behind, far, back = (
            evaluate(text, X + k * shift[0], Y + k * shift[1]) for k in (1, -1, 2, -2)
        )
        expected = (8 * (ahead - behind) - (far - back)) / (12 * step)
        np.testing.assert_allclose(evaluate(f"d({text}, {by})", X, Y), expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("text", FORMULAS.values(), ids=FORMULAS)
def test_mixed_derivatives_commute(text: str) -> None:
    one, other = evaluate(f"d({text}, x, y)", X, Y), evaluate(f"d({text}, y, x)", X, Y)
    np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


def test_tables() -> None:
    assert NUMPY.keys() == ARITHMETIC | FUNCTIONS.keys() | {"lookup"}
    assert FUNCTIONS.keys() >= TRUTH
    assert not CALLS.keys() & TRUTH
    assert set(SYNONYMS.values()) <= CALLS.keys()
    assert not SYNONYMS.keys() & CALLS.keys()


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64])
def test_integer_power(n: int) -> None:
    assert integer_power(-1.0625, n) == pytest.approx((-1.0625) ** n, rel=1e-14)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("heaviside(x - x)", 0.5),
        ("heaviside(0)", 0.5),
        ("sign(-2)", -1.0),
        ("erf(0.5)", math.erf(0.5)),
        ("x^3*(-2)^3", -8 * 0.3**3),
        ("(-x)^2", 0.09),
        ("x^-2", 1 / 0.09),
        ("2^x", 2**0.3),
        ("x^0.25", 0.3**0.25),
        ("x^-0.5", 0.3**-0.5),
        ("where(1 < 2, x, 1/x)", 0.3),
        ("where(1 < 2 and x < 9, x, 1)", 0.3),
        ("where(2 < 1 or x < 9, x, 1)", 0.3),
        ("where(not 2 < 1 or x < 9, x, 1)", 0.3),
        ("where(2 < 1 and x < 9, 1, x)", 0.3),
        ("-x - 1", -1.3),
        ("-x/y", -0.3 / 0.4),
        ("1/(x*y)", 1 / 0.12),
        ("exp(-800 + x)", 0.0),
    ],
)
def test_values(text: str, value: float) -> None:
    assert evaluate(text, X, Y)[0] == pytest.approx(value, rel=1e-14, abs=1e-300)

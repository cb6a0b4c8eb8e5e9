"""Arithmetic of real and complex formulas: a complex value is a pair of real formulas, never `I`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pinncli.language import algebra
from pinncli.language.algebra import ONE, ZERO, AlgebraError, Expr, add, apply, div, mul, neg, power, sub


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value with a real and an imaginary part; real where the imaginary part is exactly 0."""

    real: Expr
    imag: Expr = ZERO

    @property
    def is_real(self) -> bool:
        """Whether the imaginary part is exactly 0."""
        return bool(self.imag == ZERO)

    def parts(self, function: Callable[[Expr], Expr]) -> Scalar:
        """A real linear operation (a derivative, an evaluation) on both parts."""
        return Scalar(function(self.real), function(self.imag))


def plus(a: Scalar, b: Scalar) -> Scalar:
    """a + b."""
    return Scalar(add(a.real, b.real), add(a.imag, b.imag))


def minus(a: Scalar, b: Scalar) -> Scalar:
    """a - b."""
    return Scalar(sub(a.real, b.real), sub(a.imag, b.imag))


def times(a: Scalar, b: Scalar) -> Scalar:
    """A product."""
    if a.is_real and b.is_real:
        return Scalar(mul(a.real, b.real))
    if a.is_real or b.is_real:
        factor, pair = (a.real, b) if a.is_real else (b.real, a)
        return Scalar(mul(factor, pair.real), mul(factor, pair.imag))
    return Scalar(
        sub(mul(a.real, b.real), mul(a.imag, b.imag)), add(mul(a.real, b.imag), mul(a.imag, b.real))
    )


def over(a: Scalar, b: Scalar) -> Scalar:
    """a / b."""
    if b.is_real:
        return Scalar(div(a.real, b.real), div(a.imag, b.real))
    above, below = times(a, conjugate(b)), squared_magnitude(b)
    return Scalar(div(above.real, below), div(above.imag, below))


def conjugate(a: Scalar) -> Scalar:
    """Complex conjugate."""
    return Scalar(a.real, neg(a.imag))


def squared_magnitude(a: Scalar) -> Expr:
    """|a|^2 without a root."""
    return add(mul(a.real, a.real), mul(a.imag, a.imag))


def magnitude(a: Scalar) -> Scalar:
    """|a|; its even powers are free of roots."""
    return Scalar(apply("abs", a.real) if a.is_real else algebra.sqrt(squared_magnitude(a)))


def raised(a: Scalar, b: Scalar) -> Scalar:
    """a ^ b: whole powers of complex values by products, others by exp(b log a)."""
    if a.is_real and b.is_real:
        return Scalar(power(a.real, b.real))
    if b.is_real and b.real.is_Integer:
        return _whole_power(a, int(b.real))
    if a.is_real and a.real == algebra.E:
        return elementary("exp", b)
    return elementary("exp", times(b, elementary("log", a)))


def _whole_power(a: Scalar, n: int) -> Scalar:
    if abs(n) > algebra.MAX_EXPONENT:
        raise AlgebraError(f"the exponent is larger than {algebra.MAX_EXPONENT}")
    if n < 0:
        return over(Scalar(ONE), _whole_power(a, -n))
    result, square = Scalar(ONE), a
    while n:
        if n & 1:
            result = times(result, square)
        n >>= 1
        if n:
            square = times(square, square)
    return result


def _exp(x: Expr, y: Expr) -> Scalar:
    return Scalar(mul(apply("exp", x), apply("cos", y)), mul(apply("exp", x), apply("sin", y)))


def _log(x: Expr, y: Expr) -> Scalar:
    squared = add(mul(x, x), mul(y, y))
    return Scalar(div(apply("log", squared), algebra.number(2.0)), apply("atan2", y, x))


def _sin(x: Expr, y: Expr) -> Scalar:
    return Scalar(mul(apply("sin", x), apply("cosh", y)), mul(apply("cos", x), apply("sinh", y)))


def _cos(x: Expr, y: Expr) -> Scalar:
    return Scalar(mul(apply("cos", x), apply("cosh", y)), neg(mul(apply("sin", x), apply("sinh", y))))


def _sinh(x: Expr, y: Expr) -> Scalar:
    return Scalar(mul(apply("sinh", x), apply("cos", y)), mul(apply("cosh", x), apply("sin", y)))


def _cosh(x: Expr, y: Expr) -> Scalar:
    return Scalar(mul(apply("cosh", x), apply("cos", y)), mul(apply("sinh", x), apply("sin", y)))


def _tan(x: Expr, y: Expr) -> Scalar:
    return over(_sin(x, y), _cos(x, y))


def _tanh(x: Expr, y: Expr) -> Scalar:
    return over(_sinh(x, y), _cosh(x, y))


_COMPLEX: dict[str, Callable[[Expr, Expr], Scalar]] = {
    "exp": _exp,
    "log": _log,
    "sin": _sin,
    "cos": _cos,
    "tan": _tan,
    "sinh": _sinh,
    "cosh": _cosh,
    "tanh": _tanh,
}


def elementary(name: str, *arguments: Scalar) -> Scalar:
    """A function of the table; raises `AlgebraError` where it has no complex version."""
    if all(argument.is_real for argument in arguments):
        return Scalar(apply(name, *(argument.real for argument in arguments)))
    if name not in _COMPLEX:
        raise AlgebraError(f"'{name}' takes real values, and this one is complex")
    return _COMPLEX[name](arguments[0].real, arguments[0].imag)

"""Equations as people print them."""

from __future__ import annotations

from typing import Any

import pytest

from pinncli.language.calculus import Scope
from pinncli.language.parser import parse_equation, parse_expression
from pinncli.language.typeset import latex, pretty


def scope(coordinates: str = "x t", unknowns: str = "u") -> Scope:
    names: Any = tuple(coordinates.split())
    return Scope(names, names[:-1], "t", dict.fromkeys(unknowns.split(), "real"), {"alpha": 0.1})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("u_t = alpha*u_xx", "∂u/∂t = α ∂²u/∂x²"),
        ("u_t + 6*u*u_x + u_xxx = 0", "∂u/∂t + 6 u ∂u/∂x + ∂³u/∂x³ = 0"),
        ("i*h_t + 0.5*h_xx + abs(h)^2*h = 0", "i ∂h/∂t + 0.5 ∂²h/∂x² + |h|² h = 0"),
        ("u = exp(-alpha*pi^2*t)*sin(pi*x)", "u = exp(−α π² t) sin(π x)"),
        ("u(x=0) = d(u, x)(x=1, t=0)", "u(x = 0) = (∂u/∂x)(x = 1, t = 0)"),
        ("d((1 + x^2)*u_x, x) = u_xt", "∂((1 + x²) ∂u/∂x)/∂x = ∂²u/∂x∂t"),
        ("a - (b - c) - (-d) = a + (b - c) + -d", "a − (b − c) − (−d) = a + b − c − d"),
        ("-a*b - (-a*b)/c = -(a + b)^2", "−a b − (−a b/c) = −(a + b)²"),
        ("a/(b*c)/2*(x + 1)/(u_x) = (u_x)/2", "a/(b c)/2·(x + 1)/(∂u/∂x) = (∂u/∂x)/2"),
        ("x^2.5 + x^-3 + e^(-x) + x^y^2 = (x^2)^y", "x^2.5 + x⁻³ + e^(−x) + x^(y²) = (x²)^y"),
        ("1e-5*nu_0 + 2*3 + Re1*2.5e20 = u_in", "10⁻⁵ ν₀ + 2·3 + Re₁·2.5×10²⁰ = u_in"),
        ("div(a*grad(u)) - lap(u) = lap(u + 1)*u", "∇·(a ∇u) − ∇²u = ∇²(u + 1) u"),
        ("dn(u) + norm(grad(u)) + sqrt(x) = dot([u, x], grad(u))", "∂u/∂n + ‖∇u‖ + √(x) = [u, x]·∇u"),
        ("real(h) = imag(h)", "Re(h) = Im(h)"),
        ("integral(u, x) = sum(x[3])", "∫ u dx = sum(x₃)"),
        (
            "where(x <= 1 and not (u < 1 or x > 2), u, 0) = 0",
            "where(x ≤ 1 and not (u < 1 or x > 2), u, 0) = 0",
        ),
    ],
)
def test_unicode(text: str, shown: str) -> None:
    assert pretty(parse_equation(text), scope(unknowns="u h")) == shown


def test_ordinary_derivatives() -> None:
    assert pretty(parse_equation("m*u_tt + mu*u_t = 0"), scope("t")) == "m d²u/dt² + μ du/dt = 0"


def test_expressions_and_shapes() -> None:
    assert pretty(parse_expression("u_x*2"), scope()) == "∂u/∂x·2"
    assert pretty(parse_expression("(a + b) & c"), scope()) == "(a + b) ∩ c"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "u_t = alpha*u_tx",
            r"\frac{\partial u}{\partial t} = \alpha \, \frac{\partial ^{2} u}{\partial t \partial x}",
        ),
        ("u = (a + b)/2*3^(x + 1)", r"u = \frac{a + b}{2} \cdot 3^{x + 1}"),
        ("u(x=0) = 1e-5*u_in_1", r"\left. u \right|_{x = 0} = 10^{-5} \, u_{\mathrm{in\_1}}"),
        ("abs(u)*exp(-x) = sqrt(Re)", r"\left|u\right| \, \exp\left(-x\right) = \sqrt{\mathrm{Re}}"),
        (
            "x1 <= 2.5e20 and real(u) < 1 = 0",
            r"x_{1} \le 2.5 \times 10^{20} \text{ and } \operatorname{Re}\left(u\right) < 1 = 0",
        ),
        ("erf(x[2]) = integral(u, x)", r"\operatorname{erf}\left(x_{2}\right) = \int u \, \mathrm{d}x"),
    ],
)
def test_latex(text: str, shown: str) -> None:
    assert latex(parse_equation(text), scope()) == shown

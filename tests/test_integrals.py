"""Integrals: values and derivatives against calculus, the plan, the checks, short solves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pinncli.assembly import assemble
from pinncli.language.calculus import Residual, Scope, compile_equation, substitute
from pinncli.language.diagnostics import LanguageError
from pinncli.language.functions import NUMPY
from pinncli.language.parser import parse_equation, parse_expression
from pinncli.language.typeset import latex, pretty
from pinncli.problem.checks import Report, check
from pinncli.problem.defaults import choose
from pinncli.problem.loading import load_problem, load_text
from pinncli.problem.plan import derive_plan
from pinncli.problem.point_groups import point_groups

SCOPE = Scope(("x", "t"), ("x",), "t", {"u": "real"}, ranges={"x": (0.0, 2.0), "t": (0.0, 1.0)})
X, T = np.array([0.3, 1.1, 2.0]), np.array([0.2, 0.9, 0.0])


def value(text: str, u: str = "x^2*t") -> np.ndarray:
    """An expression at (X, T), with a formula for u."""
    program = substitute(parse_equation(f"{text} = 0"), SCOPE, {"u": parse_expression(u)})
    points = {"x": X, "t": T}
    (out,) = program.run([points[item.name] for item in program.inputs], NUMPY)
    return np.broadcast_to(out, X.shape)


def compiled(text: str, scope: Scope = SCOPE) -> Residual:
    return compile_equation(parse_equation(text), scope)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("integral(u, x)", 8 / 3 * T),
        ("integral(u, x, t)", 4 / 3 + 0 * T),
        ("integral(u, x, 0, x)", X**3 * T / 3),
        ("integral(u, x, x, 2)", (8 - X**3) * T / 3),
        ("integral(u^2, x)", 32 / 5 * T**2),
        ("integral(exp(s - t)*u(t=s), s, 0, t)", X**2 * (T - 1 + np.exp(-T))),
        ("integral(sin(s), s, 0, x)", 1 - np.cos(X)),
        ("integral(u, x)(t=0.5)", 4 / 3 + 0 * T),
        ("integral(integral(u(x=s, t=r), s, 0, r), r, 0, t)", T**5 / 15),
        ("integral(integral(u, x), t)", 4 / 3 + 0 * T),
        ("integral(3, x)", 6 + 0 * T),
        ("integral(u - u, x)", 0 * T),
    ],
)
def test_values(text: str, expected: np.ndarray) -> None:
    np.testing.assert_allclose(value(text), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("d(integral(u, x), t)", 8 / 3 + 0 * T),
        ("d(integral(u, x, 0, x), x)", X**2 * T),
        ("d(integral(u, x, 0, x), x, x)", 2 * X * T),
        ("d(integral(exp(s - t)*u(t=s), s, 0, t), t)", X**2 * (1 - np.exp(-T))),
        ("d(integral(u(x=s, t=0.5), s, t, x), t)", -(T**2) / 2),
        ("integral(u_xx, x, 0, x)", 2 * X * T),
    ],
)
def test_derivatives_obey_leibniz(text: str, expected: np.ndarray) -> None:
    np.testing.assert_allclose(value(text), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("text", "linear"),
    [
        ("integral(u, x) = 1", True),
        ("u_t = x*integral(t*u_x, x) + integral(u(t=s), s, 0, t)", True),
        ("integral(u^2, x) = 1", False),
        ("integral(u, x)^2 = 1", False),
        ("u*integral(u, x) = 1", False),
        ("u*integral(x, x) = 1", True),
    ],
)
def test_linearity(text: str, linear: bool) -> None:
    assert compiled(text).linear is linear


def test_nodes_are_sites_with_one_origin_and_no_terms_are_written_out_twice() -> None:
    residual = compiled("u_t = integral(u, x) + integral(u*u_x, x)")
    assert len(residual.sites) == 33
    assert len(set(residual.origins)) == 2
    many = Scope(
        ("x", "y"), ("x", "y"), None, {"u": "real"}, ranges={"x": (0.0, 1.0), "y": (0.0, 1.0)}, nodes=40
    )
    assert len(compiled("integral(u*exp(u)/(1 + u^2), x, y) = 1", many).sites) == 1601
    with pytest.raises(LanguageError, match="more than 4096 together"):
        compiled(
            "integral(u, x, y) = 1",
            Scope(("x", "y"), ("x", "y"), None, {"u": "real"}, ranges=many.ranges, nodes=65),
        )


def test_the_number_of_nodes_is_a_setting() -> None:
    loaded = load_problem("volterra", ["sampling.nodes=5"])
    formulation = check(loaded).formulation
    assert formulation is not None
    assert len(formulation.conditions[0].residual.sites) == 6


def test_print() -> None:
    equation = parse_equation("u = integral(u(t=s), s, 0, t)")
    assert pretty(equation, SCOPE) == "u = ∫[0, t] u(t = s) ds"
    assert r"\int_{0}^{t}" in latex(equation, SCOPE)


def report(text: str) -> Report:
    return check(load_text(text, "p", "p.toml", Path()))


MASS = """
title = "A density that spreads between walls"
unknowns = ["p"]
[coordinates]
x = [0, 1]
t = [0, 1]
[conditions]
spread = { equation = "p_t = p_xx" }
begin = { on = "t-", equation = "p = 1 + cos(pi*x)" }
walls = { on = "x-, x+", equation = "p_x = 0" }
mass = { equation = "integral(p, x) = 1" }
total = { equation = "integral(p, x, t) = 1" }
[exact]
p = "1 + exp(-pi^2*t)*cos(pi*x)"
"""


def test_a_condition_is_sampled_over_what_it_leaves_free() -> None:
    found = report(MASS)
    assert found.diagnostics == ()
    assert found.formulation is not None and found.choices is not None
    points = {g.terms[0].name: g.points for g in point_groups(found.formulation, found.choices)}
    assert points["mass"] == found.choices.boundary
    assert points["total"] == 1
    plan = derive_plan(found.formulation, found.choices)
    mass = next(s for s in plan.point_sets if s.conditions == ("mass",))
    assert [(site.moved, site.nodes) for site in mass.sites] == [(("x = …",), 32)]


def test_a_wrong_integral_is_found() -> None:
    (finding,) = report(MASS.replace("integral(p, x) = 1", "integral(p, x) = 2")).errors
    assert "the exact solution breaks this: off by 1" in finding.message


def test_an_integral_beyond_the_domain_is_told_once() -> None:
    text = MASS[: MASS.index("[exact]")].replace("integral(p, x) = 1", "integral(p, x, 0, 2) = 1")
    (finding,) = report(text).errors
    assert "x = 1." in finding.message and "outside its range" in finding.message


def test_a_domain_that_is_no_box_needs_limits() -> None:
    with pytest.raises(LanguageError, match="the domain is no box"):
        compiled("integral(u, x) = 1", Scope(("x",), ("x",), None, {"u": "real"}))


def test_windows_refuse_integrals_over_time() -> None:
    text = MASS + "[marching]\nwindows = 2\n"
    findings = [d.message for d in report(text).errors]
    assert findings == [
        "compares moments of different time windows, and each window has a network of its own"
    ]


def test_the_scale_of_an_integral_is_that_of_all_nodes() -> None:
    formulation = check(load_problem("fokker_planck")).formulation
    assert formulation is not None
    assembly = assemble(formulation, choose(formulation, decided=None), 0, torch.device("cpu"), torch.float64)
    weights = {c.name: c.weight for group in assembly.groups for c in group.conditions}
    assert weights["mass"] == pytest.approx(1 / 5.0**2)  # the domain is 5 long


def test_a_first_kind_equation_holds_on_the_interior() -> None:
    text = """
    title = "First kind"
    unknowns = ["u"]
    coordinates = { t = [0, 1] }
    [conditions]
    abel = { equation = "integral((1 + t - s)*u(t=s), s, 0, t) = t + t^2/2" }
    [exact]
    u = "1"
    """
    found = report(text)
    assert found.diagnostics == ()
    assert found.formulation is not None and found.choices is not None
    assert point_groups(found.formulation, found.choices)[0].points == found.choices.interior

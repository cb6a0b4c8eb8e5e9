"""Derivatives that programs need only together."""

from __future__ import annotations

import numpy as np
import pytest

from pinncli.language.calculus import compile_equation
from pinncli.language.combining import coefficients, combinations, without
from pinncli.language.functions import NUMPY
from pinncli.language.parser import parse_equation
from pinncli.language.partials import Combination, Partial
from pinncli.language.program import Program
from pinncli.language.scope import Scope

SCOPE = Scope(
    coordinates=("x", "t"),
    space=("x",),
    time="t",
    unknowns={"u": "real"},
    constants={"c": 0.5},
    parameters=("nu",),
)


def program(text: str) -> Program:
    return compile_equation(parse_equation(text), SCOPE).programs


# each row: an equation, and the coefficients of those of its inputs that have one
KNOWN = {
    "u_t + u*u_x = 0.1*u_xx": {"u_t": 1.0, "u_xx": -0.1},
    "3*(u_t - c*(u_xx - 2*u))/6 = u^2": {"u_t": 0.5, "u_xx": -0.25},
    "u_xx/c - u_t/x = 0": {"u_xx": 2.0},
    "u_t + nu*u_xx + exp(u_x) = -u": {"u": 1.0, "u_t": 1.0},
    "u_xx = x*u_xx + u_t": {"u_t": -1.0},
    "abs(u_xx) = min(u_t, 2*u_x)": {},
    "-(u_tt - 4*u_xx) = sin(x)": {"u_tt": -1.0, "u_xx": 4.0},
}


@pytest.mark.parametrize("text", KNOWN)
def test_constant_coefficients_are_found_and_no_others(text: str) -> None:
    made = program(text)
    found = dict(zip((i.name for i in made.inputs), coefficients(made), strict=True))
    partials = {i.name for i in made.inputs if i.kind == "partial"}
    mine = {name: column[0] for name, column in found.items() if column is not None and name in partials}
    assert mine == pytest.approx(KNOWN[text], rel=1e-15)


@pytest.mark.parametrize("text", KNOWN)
def test_what_is_left_out_is_zero(text: str) -> None:
    made = program(text)
    names = [*KNOWN[text]][1:]  # one stays, or nothing may be left
    short = without(made, {i for i in made.inputs if i.name in names})
    assert not {i.name for i in short.inputs} & set(names)
    random = np.random.default_rng(0)
    values = {i: 0.0 if i.name in names else random.uniform(0.5, 1.5) for i in made.inputs}
    (whole,) = made.run([values[i] for i in made.inputs], NUMPY)
    (part,) = short.run([values[i] for i in short.inputs], NUMPY)
    assert part == pytest.approx(whole, rel=1e-14)


def test_an_output_is_never_left_empty() -> None:
    made = program("u_t = u_xx")
    with pytest.raises(ValueError, match="without anything"):
        without(made, set(made.inputs))


def test_only_coefficients_in_proportion_in_every_output_make_a_sum() -> None:
    u_t, u_xx, v_t = Partial("u", (0, 1)), Partial("u", (2, 0)), Partial("v", (0, 1))
    columns = {(0, u_t): (1.0, -2.0), (0, u_xx): (0.5, -1.0), (0, v_t): (1.0, -2.0), (1, u_t): (1.0, -2.0)}
    whole = Combination(((1.0, u_t), (0.5, u_xx)))
    assert combinations(columns) == {(0, u_t): whole, (0, u_xx): None}
    assert combinations({**columns, (0, u_xx): (0.5, 1.0)}) == {}
    assert combinations({**columns, (0, u_xx): None}) == {}
    assert combinations({**columns, (0, u_xx): (0.0, 0.0)}) == {}

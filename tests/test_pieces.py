"""Inequalities, pieces, derivative data and bounded unknown numbers, each in a file as a user writes it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from pinncli.cli.main import run
from pinncli.problem.checks import check
from pinncli.problem.loading import load_text
from pinncli.runs.store import Run
from pinncli.solver import load_solution

TAIL = """
[network]
width = 10
depth = 2
[sampling]
interior = 60
[[stages]]
optimiser = { kind = "lm" }
steps = 40
"""
SLOPES = (
    """
title = "A stiffness from measured slopes"
unknowns = ["u"]
coordinates = { x = [0, 1] }
[parameters.k]
initial = 5.0
bounds = [1, 20]
[conditions]
bow = { equation = "u_xx = -k*u" }
ends = { on = "x-, x+", equation = "u = 0" }
slopes = { data = "slopes.csv", equation = "u_x = ux_measured" }
"""
    + TAIL
)
MATERIALS = (
    """
title = "Heat through two materials"
unknowns = ["u", "q"]
coordinates = { x = [0, 1] }
[definitions]
k = "where(x < 0.5, 1, 10)"
[conditions]
fourier = { equation = "q = -k*u_x" }
balance = { equation = "q_x = 0" }
left = { on = "x-", equation = "u = 0" }
right = { on = "x+", equation = "u = 1" }
[exact]
u = "where(x < 0.5, x/0.55, 0.5/0.55 + (x - 0.5)/5.5)"
q = "-1/0.55"
"""
    + TAIL
)


def solved(text: str, folder: Path) -> Run:
    """The run of a problem."""
    (folder / "p.toml").write_text(text)
    assert check(load_text(text, "p", "p.toml", folder)).diagnostics == ()
    assert run(["solve", str(folder / "p.toml"), "--out", str(folder / "run"), "--quiet"]) == 0
    return Run.open(folder / "run")


def test_derivatives_are_measured_and_a_number_stays_in_its_bounds(tmp_path: Path) -> None:
    rows = [f"{k / 20},{math.pi * math.cos(math.pi * k / 20)}" for k in range(21)]
    (tmp_path / "slopes.csv").write_text("x,ux_measured\n" + "\n".join(rows) + "\n")
    done = solved(SLOPES, tmp_path)
    record = list(done.history())[-1]
    assert record["parameters"]["k"] == pytest.approx(math.pi**2, rel=1e-3)
    assert all(1 < r["parameters"]["k"] < 20 for r in done.history() if r.get("parameters"))


def test_a_flux_of_its_own_is_the_way_through_a_jump(tmp_path: Path) -> None:
    solution = load_solution(solved(MATERIALS, tmp_path), "cpu")
    assert solution.error_on(solution.error_points(1000)) < 5e-2


WALL = """
title = "A wall of two layers"
unknowns = ["u"]
coordinates = { x = [0, 1] }
[definitions]
k = "where(x < 0.5, 1, 10)"
bent = "where(x < 0.5, 1, 2*x)"
flux = "-k*u_x"
[conditions]
heat = { equation = "EQUATION" }
ends = { on = "x-, x+", equation = "u = x" }
"""


@pytest.mark.parametrize(
    ("equation", "marked"),
    [
        ("d(k*u_x, x) = 0", "d(k*u_x, x)"),
        ("2 + div(heaviside(x - 0.3)*grad(u)) = 0", "div(heaviside(x - 0.3)*grad(u))"),
        ("flux_x = 0", "flux_x"),
        ("d(bent*u_x, x) = 0", ""),
        ("k*u_xx = 0", ""),
        ("d(where(u < 0.5, 1, 10)*u_x, x) = 0", ""),
        ("d(u_x, x) = d(where(x < 0.5, 1, 2), x)", ""),
    ],
)
def test_a_jump_that_no_derivative_sees_is_told(equation: str, marked: str, tmp_path: Path) -> None:
    findings = check(load_text(WALL.replace("EQUATION", equation), "p", "p.toml", tmp_path)).warnings
    found = [d for d in findings if "jumps" in d.message]
    assert len(found) == bool(marked)
    if found:
        line, caret = str(found[0]).splitlines()[1:3]
        assert line[caret.index("^") : caret.rindex("^") + 1] == marked

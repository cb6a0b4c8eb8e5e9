"""Functions from files: splines against scipy's, derivatives in formulas, files read with care, a solve."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from scipy.interpolate import RectBivariateSpline, interp1d, make_interp_spline

from pinncli.cli.main import run
from pinncli.errors import ProblemError
from pinncli.language.lookups import Table
from pinncli.language.splines import derivative, interpolate, run_numpy
from pinncli.problem.checks import check
from pinncli.problem.loading import load_text
from pinncli.residuals import TORCH
from pinncli.runs.store import Run
from pinncli.solver import load_solution

RANDOM = np.random.default_rng(0)
X, Y = np.sort(RANDOM.uniform(0, 1, 9)), np.sort(RANDOM.uniform(0, 2, 7))
VALUES = RANDOM.normal(size=(9, 7))
INSIDE_X, INSIDE_Y = np.linspace(X[0], X[-1], 50), np.linspace(Y[0], Y[-1], 50)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_cubic_splines_are_scipys(order: int) -> None:
    mine = derivative(interpolate([X], VALUES[:, 0], "cubic"), (order,))
    theirs = make_interp_spline(X, VALUES[:, 0], 3)(INSIDE_X, order)
    np.testing.assert_allclose(run_numpy(mine, INSIDE_X), theirs, atol=1e-10 * np.abs(theirs).max())


@pytest.mark.parametrize("orders", [(0, 0), (1, 0), (0, 2), (1, 1)])
def test_products_of_cubic_splines_are_scipys(orders: tuple[int, int]) -> None:
    mine = derivative(interpolate([X, Y], VALUES, "cubic"), orders)
    theirs = RectBivariateSpline(X, Y, VALUES, s=0)(INSIDE_X, INSIDE_Y, *orders, grid=False)
    np.testing.assert_allclose(run_numpy(mine, INSIDE_X, INSIDE_Y), theirs, atol=1e-10 * np.abs(theirs).max())


@pytest.mark.parametrize("kind", ["linear", "nearest"])
def test_linear_and_nearest_are_scipys(kind: str) -> None:
    mine = run_numpy(interpolate([X], VALUES[:, 0], kind), INSIDE_X)
    np.testing.assert_allclose(mine, interp1d(X, VALUES[:, 0], kind=kind)(INSIDE_X), atol=1e-12)


@pytest.mark.parametrize("kind", ["cubic", "linear", "nearest"])
def test_torch_and_numpy_agree_also_outside(kind: str) -> None:
    spline = interpolate([X, Y], VALUES, kind)
    x, y = RANDOM.uniform(-1, 2, 200), RANDOM.uniform(-1, 3, 200)
    tensors = torch.tensor(np.stack([x, y], axis=1))
    found = TORCH["lookup"](spline, tensors[:, 0], tensors[:, 1])
    np.testing.assert_allclose(found.numpy(), run_numpy(spline, x, y), atol=1e-13)
    edge = run_numpy(spline, np.clip(x, X[0], X[-1]), np.clip(y, Y[0], Y[-1]))
    np.testing.assert_array_equal(run_numpy(spline, x, y), edge)
    assert TORCH["lookup"](spline, tensors[:, 0], 0.7).shape == (200,)


def test_torch_differentiates_by_the_argument() -> None:
    spline = interpolate([X], VALUES[:, 0], "cubic")
    x = torch.tensor(INSIDE_X, requires_grad=True)
    (slope,) = torch.autograd.grad(TORCH["lookup"](spline, x).sum(), x)
    np.testing.assert_allclose(slope[1:-1], run_numpy(derivative(spline, (1,)), INSIDE_X)[1:-1], atol=1e-9)


PROBLEM = '''
title = "Flow through ground of measured permeability"
unknowns = ["u"]
[coordinates]
x = [0, 1]
y = [0, 1]
[functions.a]
file = "a.h5"
axes = ["x", "y"]
[definitions]
load = """2*pi^2*a(x, y)*sin(pi*x)*sin(pi*y)
    - pi*(d(a(x, y), x)*cos(pi*x)*sin(pi*y) + d(a(x, y), y)*sin(pi*x)*cos(pi*y))"""
[conditions]
flow = { equation = "-div(a(x, y)*grad(u)) = load" }
edges = { on = "boundary", equation = "u = 0" }
[exact]
u = "sin(pi*x)*sin(pi*y)"
[network]
width = 10
depth = 2
[sampling]
interior = 300
boundary = 30
[output]
grid = { x = 5, y = 5 }
[[stages]]
optimiser = { kind = "lm" }
steps = 25
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a permeability in it."""
    x, y = np.linspace(0, 1, 12), np.linspace(0, 1, 9)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["y"] = x, y
        file["a"] = np.exp(np.sin(3 * x)[:, None] * y[None, :])
    return tmp_path


def findings(text: str, folder: Path) -> list[str]:
    try:
        return [str(d) for d in check(load_text(text, "p", "p.toml", folder)).diagnostics]
    except ProblemError as error:
        return [str(d) for d in error.diagnostics]


def test_a_coefficient_from_a_file_is_solved_with_and_the_run_needs_nothing_else(folder: Path) -> None:
    assert findings(PROBLEM, folder) == []
    (folder / "p.toml").write_text(PROBLEM)
    assert run(["solve", str(folder / "p.toml"), "--out", str(folder / "run"), "--quiet"]) == 0
    shutil.move(folder / "run", folder / "elsewhere")
    (folder / "a.h5").unlink()
    solution = load_solution(Run.open(folder / "elsewhere"), "cpu")
    assert solution.error_on(solution.error_points(1000)) < 2e-2
    assert run(["eval", str(folder / "elsewhere"), "--at", "x=0.5"]) == 0


def test_a_wrong_sign_of_the_derivative_would_be_found(folder: Path) -> None:
    (finding,) = findings(PROBLEM.replace("- pi*(d(a", "+ pi*(d(a"), folder)
    assert "the exact solution breaks this" in finding


@pytest.mark.parametrize("kind", ["linear", "nearest"])
def test_other_interpolations_are_solved_with(folder: Path, kind: str) -> None:
    text = PROBLEM.replace('file = "a.h5"', f'file = "a.h5"\ninterpolation = "{kind}"')
    assert (
        findings(
            text.replace("-div(a(x, y)*grad(u)) =", "-a(x, y)*lap(u) - dot(grad(a(x, y)), grad(u)) ="), folder
        )
        == []
    )


def test_arguments_may_be_expressions_and_solutions(folder: Path) -> None:
    text = PROBLEM[: PROBLEM.index("[exact]")].replace("a(x, y)*grad(u)", "a(x^2*y, min(u, 1))*grad(u)")
    assert findings(text, folder) == []


def test_a_table_of_one_argument_may_be_csv(folder: Path) -> None:
    (folder / "a.csv").write_text("s,conductivity\n0,1\n0.5,2\n1,2.5\n2,3\n")
    text = PROBLEM[: PROBLEM.index("[exact]")].replace("a.h5", "a.csv").replace('["x", "y"]', '["s"]')
    text = text.replace("a(x, y)", "a(x + y)")
    assert findings(text, folder) == []
    found = check(load_text(text, "p", "p.toml", folder)).formulation
    assert found is not None
    table = found.scope.functions["a"]
    assert isinstance(table, Table)
    np.testing.assert_allclose(run_numpy(table.spline, np.array([0.0, 0.5, 2.0])), [1, 2, 3], atol=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("grad(u)) =", "grad(u)) + a(x + y, y) =", "'a' is asked for at 1."),
        ("grad(u)) =", "grad(u)) + a =", "'a' is a function"),
        ("grad(u)) =", "grad(u)) + a(x) =", "'a' takes 2 arguments, not 1"),
        ('["x", "y"]', '["x", "z"]', "nothing in it is called 'z', an axis of a"),
        ('["x", "y"]', '["y", "x"]', "'a' has shape (12, 9), the axes y, x span (9, 12)"),
        ("a.h5", "b.h5", "b.h5: no such file"),
        ('sin(pi*y)"\n[network]', 'sin(pi*y) + a(x - 1, y)"\n[network]', "'a' is asked for at -"),
        ("a(x, y)", "(1 + x)", "functions.a: warning: is not used"),
    ],
)
def test_mistakes_are_told(folder: Path, old: str, new: str, message: str) -> None:
    changed = PROBLEM.replace(old, new)
    if "(1 + x)" in new:
        changed = changed[: changed.index("[exact]")]
    assert any(message in finding for finding in findings(changed, folder)), findings(changed, folder)


def test_the_caret_is_at_the_call(folder: Path) -> None:
    text = PROBLEM[: PROBLEM.index("[exact]")] + "[network]\nwidth = 10\n"
    (finding,) = findings(text.replace("div(a(x, y)*grad(u))", "div(a(2*x, y)*grad(u))"), folder)
    assert "-div(a(2*x, y)*grad(u))" in finding
    line, caret = finding.splitlines()[1:3]
    assert caret.index("^") == line.index("a(2*x, y)") and caret.count("^") == len("a(2*x, y)")


@pytest.mark.parametrize(
    ("x", "shape", "message"),
    [
        ([0.0, 0.5, 0.5, 1.0], (4,), "axis 's' should increase; at row 3 it does not"),
        ([0.0, 0.5, 1.0], (3,), 'cubic needs 4; write interpolation = "linear"'),
        ([0.0, 0.5, 0.7, 1.0], (3,), "'a' has shape (3,), the axes s span (4,)"),
        ([[0.0, 1.0], [2.0, 3.0]], (4,), "axis 's' has 2 axes itself"),
    ],
)
def test_wrong_files_are_told(tmp_path: Path, x: list[float], shape: tuple[int, ...], message: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["s"], file["a"] = np.array(x), np.ones(shape)
    text = PROBLEM[: PROBLEM.index("[exact]")].replace('["x", "y"]', '["s"]').replace("a(x, y)", "a(x)")
    assert message in findings(text, tmp_path)[0]

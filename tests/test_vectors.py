"""Vector coordinates: their language, checks, faces, fields and a brief solve."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pinncli.assembly import assemble
from pinncli.cli.commands.evaluate import on_grid
from pinncli.errors import ProblemError
from pinncli.geometry import SAMPLERS, draw_points
from pinncli.language.calculus import compile_equation, compile_expression
from pinncli.language.diagnostics import LanguageError
from pinncli.language.functions import NUMPY
from pinncli.language.parser import parse_equation, parse_expression
from pinncli.language.partials import Partial
from pinncli.language.scope import Scope
from pinncli.optimisers import OPTIMISERS
from pinncli.problem.checks import check
from pinncli.problem.defaults import choose
from pinncli.problem.domains import domain_of, geometry_of
from pinncli.problem.formulation import formulate
from pinncli.problem.loading import Loaded, load_text
from pinncli.runs.fields import fields_bytes, read_fields
from pinncli.solution import Solution, held_in_words
from pinncli.training import Setup, Stage, start, train

NAMES = ("x[1]", "x[2]", "x[3]", "t")
SCOPE = Scope(NAMES, NAMES[:3], "t", {"u": "real"}, {"c": 2.0}, vectors={"x": NAMES[:3]})
TEXT = """
title = "Heat in a cube"
unknowns = ["u"]
[coordinates]
x = { dim = 3, range = [0, 1] }
t = [0, 0.5]
[network]
width = 8
depth = 1
[sampling]
interior = 200
boundary = 60
[conditions]
heat = { equation = "u_t = lap(u) - 2*dim" }
start = { on = "t-", equation = "u = norm(x)^2" }
sides = { on = "boundary", equation = "u = norm(x)^2" }
[constants]
dim = 3
[exact]
u = "sum(x^2)"
"""


def load(text: str) -> Loaded:
    return load_text(text, "p", "p.toml", Path())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x[1] + 10*x[3]", lambda x: x[0] + 10 * x[2]),
        ("sum(x)", lambda x: x.sum(0)),
        ("sum(cos(pi*x))", lambda x: np.cos(np.pi * x).sum(0)),
        ("sum((x - 1/2)^2)", lambda x: ((x - 0.5) ** 2).sum(0)),
        ("sum(1 - x)", lambda x: (1 - x).sum(0)),
        ("norm(x)", lambda x: np.linalg.norm(x, axis=0)),
        ("dot(x, exp(-x))", lambda x: (x * np.exp(-x)).sum(0)),
        ("sum(abs(x - c))", lambda x: np.abs(x - 2).sum(0)),
        ("dot(x, [1, 2, 3]) + sum(grad(x[1]*x[2]))", lambda x: x[0] + 2 * x[1] + 3 * x[2] + x[0] + x[1]),
        ("lap(norm(x)^4)", lambda x: 20 * (x**2).sum(0)),
        ("div(x)", lambda x: 3.0 + 0 * x[0]),
        ("d(x[1]*x[2]^2, x[2])", lambda x: 2 * x[0] * x[1]),
        ("(x[1] + x[2]*t)(x=t)", lambda x: x[3] + x[3] ** 2),
        ("(x[1] + x[2])(x=-x)", lambda x: -x[0] - x[1]),
    ],
)
def test_expressions_mean_what_they_say(text: str, value: Any) -> None:
    points = np.random.default_rng(1).uniform(0.1, 2, (4, 5))
    program = compile_expression(parse_expression(text), SCOPE)
    (out,) = program.run([points[NAMES.index(i.name)] for i in program.inputs], NUMPY)
    expected = value(points if "t" in text and "dot" not in text else points[:3])
    assert np.allclose(out, expected, rtol=1e-13)


def test_partials_of_unknowns() -> None:
    residual = compile_equation(parse_equation("u_t + dot(x, grad(u)) + d(u, x[2], t) = lap(u)"), SCOPE)
    assert {p.label(NAMES) for _, p in residual.partials} == {
        "u_t", "d(u, x[1])", "d(u, x[2])", "d(u, x[3])", "d(u, x[2], t)", "lap(u)",
    }  # fmt: skip
    assert (0, Partial("u", (0, 0, 0, 0), laplacian=True)) in residual.partials
    assert residual.orders == {"x[1]": 2, "x[2]": 2, "x[3]": 2, "t": 1}


@pytest.mark.parametrize(
    ("text", "message", "span", "hint"),
    [
        ("u = x[4]", "components are numbered from 1 to 3", (4, 8), ""),
        ("u = x[0]", "components are numbered from 1 to 3", (4, 8), ""),
        ("u = x", "this is a vector", (4, 5), "sum(v)"),
        ("u_x = 0", "unknown name 'u_x'", (0, 3), "grad(u)"),
        ("d(u, x) = 0", "'x' is a vector of coordinates", (5, 6), "grad"),
        ("d(u, x[9]) = 0", "components are numbered from 1 to 3", (5, 9), ""),
        ("u(x=[1, 2]) = 0", "'x' has 3 components, and here are 2", (4, 10), ""),
        ("u = sum(t)", "a vector is needed", (8, 9), ""),
        ("u = sum(x*x)", "product of two vectors", (8, 11), "dot"),
    ],
)
def test_what_is_wrong_is_said_with_a_caret(
    text: str, message: str, span: tuple[int, int], hint: str
) -> None:
    with pytest.raises(LanguageError) as raised:
        compile_equation(parse_equation(text), SCOPE)
    assert message in raised.value.message
    assert raised.value.span == span
    assert hint in raised.value.hint


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("t = [0, 0.5]", "t = { dim = 2, range = [0, 1] }", "coordinates.t.dim: time is a single number"),
        ("dim = 3, range", "dim = 300, range", "dim"),
        ('"boundary"', '"x[1]-"', "conditions.sides.on"),
        ('"boundary"', '"y-"', "there are interior, boundary, x-, x+, t-, t+"),
        ('on = "boundary"', 'on = "x-"', "second order in x[1], which needs 2 conditions; there is 1"),
        ("sum(x^2)", "sum(x^3)", "the exact solution breaks this"),
        ("depth = 1", 'depth = 1\nhard = ["sides"]', "it holds on sides of a vector coordinate"),
    ],
)
def test_checks_speak_of_vectors(old: str, new: str, message: str) -> None:
    assert old in TEXT
    try:
        found = check(load(TEXT.replace(old, new))).diagnostics
    except ProblemError as error:
        found = error.diagnostics
    assert any(message in str(d) for d in found), found


def test_neumann_data_on_faces_are_checked_with_their_own_normals() -> None:
    text = TEXT.replace('"u = norm(x)^2" }\n[con', '"dn(u) = 1 + sum(0*x)" }\n[con')
    text = text.replace(
        'sides = { on = "boundary"', 'low = { on = "x-", equation = "dn(u) = 0" }\nsides = { on = "x+"'
    )
    assert not check(load(text.replace("1 + sum(0*x)", "2"))).diagnostics
    assert any("breaks this" in d.message for d in check(load(text)).diagnostics)


def test_points_are_spread_over_all_faces() -> None:
    domain = domain_of(load(TEXT).problem)
    drawn = draw_points(domain, ("x-", "x+"), (300, 300), SAMPLERS["sobol"], 0, 0)
    assert len(drawn) == 600
    for at, end, sign in ((0, 0.0, -1.0), (300, 1.0, 1.0)):
        points, normals = drawn.points[at : at + 300], drawn.normals[at : at + 300]
        rows, axes = torch.nonzero(normals, as_tuple=True)
        assert torch.equal(rows, torch.arange(300))
        assert torch.equal(torch.bincount(axes, minlength=4), torch.tensor([100, 100, 100, 0]))
        assert (points[rows, axes] == end).all()
        assert (normals[rows, axes] == sign).all()
        for axis in range(3):
            mine = points[normals[:, axis] != 0]
            quarters = torch.bincount((mine[:, (axis + 1) % 3] * 4).long(), minlength=4)
            assert quarters.min() >= 18  # of 25
            assert mine[:, 3].min() >= 0 and mine[:, 3].max() <= 0.5


def test_faces_lie_on_their_side() -> None:
    geometry = geometry_of(load(TEXT).problem)
    assert geometry is not None
    points = np.array([[0.0, 0.5, 0.5], [0.5, 0.5, 1.0], [0.2, 0.3, 0.4]])
    assert geometry.on("x-", points).tolist() == [True, False, False]
    assert geometry.on("x+", points).tolist() == [False, True, False]


def test_a_hundred_dimensions_are_checked_at_once() -> None:
    begin = time.process_time()
    text = TEXT.replace("dim = 3", "dim = 100")
    report = check(load(text))
    assert not report.diagnostics
    assert report.plan is not None and report.choices is not None
    assert {site.width for s in report.plan.point_sets for site in s.sites} == {1, 103}
    assert report.plan.points == 200 + 3 * 60
    assert report.plan.total_memory < 2**30
    grid = report.choices.grid
    assert [name for name, n in grid.items() if n > 1] == ["x[1]", "x[2]", "t"]
    assert time.process_time() - begin < 60  # expansion that grows with the square would take minutes


def test_fields_are_on_a_plane_and_hold_the_rest(tmp_path: Path) -> None:
    formulation = formulate(load(TEXT.replace("dim = 3", "dim = 40").replace("[0, 0.5]", "[0, 1]")))
    assembly = assemble(formulation, choose(formulation), 0, torch.device("cpu"), torch.float64)
    solution = Solution.of(assembly, assembly.initial_theta())
    fields = on_grid(solution, "x[1]=4,x[2]=3,t=2", None)
    assert list(fields.coordinates) == ["t", "x[2]", "x[1]"]
    assert fields.fields["u"].shape == (2, 3, 4)
    assert fields.axes == {"x[1]": "X", "x[2]": "Y", "t": "T"}
    assert fields.title.endswith(", x[3] to x[40] = 0.5")
    x1, x2 = np.meshgrid(fields.coordinates["x[1]"], fields.coordinates["x[2]"])
    assert np.allclose(fields.fields["reference_u"][1], x1**2 + x2**2 + 38 / 4)
    point = np.full((1, 41), 0.5)
    point[0, [0, 1, 40]] = 1.0, 0.5, 1.0
    assert np.allclose(fields.fields["u"][1, 1, 3], solution.components(point)["u"])
    (tmp_path / "f.h5").write_bytes(fields_bytes(fields))
    again = read_fields(tmp_path / "f.h5")
    assert np.array_equal(again.fields["u"], fields.fields["u"])
    held = on_grid(solution, None, "x=0.25,t=1")
    assert {name: len(axis) for name, axis in held.coordinates.items()} == {"t": 1}
    line = on_grid(solution, "x=1,x[7]=5", "t=1")
    assert list(line.coordinates) == ["t", "x[7]"]


def test_held_components_in_words() -> None:
    held = {"x[2]": 0.5, "x[3]": 0.5, "x[4]": 1.0, "y[1]": 1.0}
    assert held_in_words(held) == ["x[2] to x[3] = 0.5", "x[4] = 1", "y[1] = 1"]


def test_a_cube_is_heated_briefly() -> None:
    formulation = formulate(load(TEXT))
    assembly = assemble(formulation, choose(formulation), 0, torch.device("cpu"), torch.float64)
    stage = Stage(OPTIMISERS["lm"](damping=1e-2), "lm", 12, 0, 12, 1e-2, 12)
    setup = Setup([stage], assembly.objective, assembly.draw, lambda _: None, assembly.values)
    last = [state for _, state in train(setup, start(setup, assembly.initial_theta()))][-1]
    solution = Solution.of(assembly, last.theta)
    assert solution.error_on(solution.error_points(2000)) < 3e-2

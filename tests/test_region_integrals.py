"""Integrals over shapes and their boundaries: rules that converge, in formulas, checks and a solve."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pinncli.cli.main import run
from pinncli.problem.checks import check
from pinncli.problem.loading import load_text
from pinncli.shapes import Geometry, read_shape
from pinncli.shapes.quadrature import region_rule

Array = NDArray[np.float64]
ELLIPSE = 4 * 1.21105602756846
"""Circumference for half axes 1 and 1/2: 4 a E(e), DLMF 19.30.5."""

# text, area, length of the boundary
CASES: dict[str, tuple[str, float, float]] = {
    "disk": ("disk([0.3, -0.2], 0.7)", math.pi * 0.49, 1.4 * math.pi),
    "annulus": ("annulus([0.1, 0], 0.4, 1)", math.pi * 0.84, 2.8 * math.pi),
    "polygon": ("polygon([[0, 0], [1, 0], [1, 1], [0.5, 0.5], [0, 1]])", 0.75, 3 + math.sqrt(2)),
    "ellipse": ("rotate(ellipse([0, 0], [1, 0.5]), 0.7)", math.pi / 2, ELLIPSE),
    "holes": ("box - disk([0.3, 0.3], 0.5) - disk([-1, -1], 0.3)", 16 - math.pi * 0.34, 16 + 1.6 * math.pi),
    "L": ("box([-1, -1], [1, 1]) - box([0, 0], [1, 1])", 3.0, 8.0),
    "half a disk": ("disk([0, 0], 1) & box([-1, 0], [1, 1])", math.pi / 2, 2 + math.pi),
    "two": ("disk([-1, 0], 0.5) + disk([1, 0.2], 0.4)", math.pi * 0.41, 1.8 * math.pi),
    "box": ("box", 16.0, 16.0),
}


def geometry_of(text: str, dimension: int = 2, **others: str) -> Geometry:
    box = "interval(-2, 2)" if dimension == 1 else "box([-2, -2], [2, 2])"
    shapes = {"box": read_shape(box, {}, {}, dimension)}
    for name, shape in {**others, "domain": text}.items():
        shapes[name] = read_shape(shape, shapes, {}, dimension)
    own = {name: shape for name, shape in shapes.items() if name != "box"}
    return Geometry(tuple("xy"[:dimension]), (-2.0,) * dimension, (2.0,) * dimension, own)


def rule(geometry: Geometry, label: str, nodes: int) -> tuple[Array, Array]:
    weights, places = zip(*region_rule(geometry, label, nodes), strict=True)
    return np.array(weights), np.array(places)


@pytest.mark.parametrize("name", CASES)
def test_rules_are_inside_and_converge_faster_than_powers(name: str) -> None:
    """Area and length; and Gauss's theorem for grad exp(x + 2 y), whose divergence is 5 exp(x + 2 y)."""
    text, area, length = CASES[name]
    geometry = geometry_of(text)
    errors = []
    for nodes in (4, 8, 16):
        weights, points = rule(geometry, "interior", nodes)
        along, beside = rule(geometry, "boundary", nodes)
        assert geometry.inside(points).all() and (weights > 0).all()
        assert np.abs(geometry.domain(beside[:, :2])).max() < 1e-9
        assert np.linalg.norm(beside[:, 2:], axis=1) == pytest.approx(1.0)
        assert along.sum() == pytest.approx(length, rel=1e-12)
        inside = np.sum(weights * 5 * np.exp(points @ [1, 2]))
        flux = np.sum(along * np.exp(beside[:, :2] @ [1, 2]) * (beside[:, 2:] @ [1, 2]))
        errors.append(max(abs(weights.sum() / area - 1), abs(inside / flux - 1)))
    assert errors[1] < errors[0] / 30 and errors[2] < max(errors[1] / 3000, 1e-14)
    assert errors[2] < 1e-8


def test_parts_of_a_boundary_and_interfaces_have_their_own_normals() -> None:
    """A hole's points into it, out of the domain; that of a shape inside the domain out of the shape."""
    geometry = geometry_of("box - hole", hole="disk([1, 0], 0.5)", core="disk([-1, 0], 0.5)")
    for label, centre, sign in (("hole", 1.0, -1.0), ("core", -1.0, 1.0)):
        weights, places = rule(geometry, label, 8)
        assert weights.sum() == pytest.approx(math.pi)
        assert places[:, 2:] == pytest.approx(sign * 2 * (places[:, :2] - [centre, 0]))


def test_on_a_line_there_are_intervals_and_their_ends() -> None:
    geometry = geometry_of("interval(-1, 0.5) + interval(1, 1.5)", 1)
    weights, points = rule(geometry, "interior", 5)
    assert np.sum(weights * points[:, 0] ** 8) == pytest.approx((0.5**9 + 1 + 1.5**9 - 1) / 9)
    weights, places = rule(geometry, "boundary", 5)
    assert sorted(zip(places[:, 0], places[:, 1], strict=True)) == [(-1, -1), (0.5, 1), (1, -1), (1.5, 1)]
    assert (weights == 1).all()


RING = """
title = "Ring"
unknowns = ["u"]
[coordinates]
x = [-1, 1]
y = [-1, 1]
[geometry]
hole = "disk([0, 0], 0.5)"
domain = "disk([0, 0], 1) - hole"
[conditions]
poisson = { equation = "lap(u) = 4" }
rims = { on = "boundary", equation = "dn(u) = where(x^2 + y^2 > 0.5, 2, -1)" }
fixed = { equation = "u(x=1, y=0) = 1" }
CONDITION
[exact]
u = "x^2 + y^2"
"""


def messages(condition: str) -> list[str]:
    report = check(load_text(RING.replace("CONDITION", condition), "p", "p.toml", Path()))
    return [d.message for d in report.diagnostics]


@pytest.mark.parametrize(
    "equation",
    [
        "integral(u, interior) = pi/2*(1 - 0.5^4)",
        "integral(u, boundary) = 2*pi + pi/4",
        "integral(u, hole) = pi/4",
        "integral(dn(u), hole) = -pi",
        "integral(dn(u), boundary) = integral(lap(u), interior)",
        "integral(1, interior) - 3/4*pi + u(x=1, y=0) = 1",
        "integral((u - x^2)*y^2, interior) = pi/8*(1 - 0.5^6)",
        "u + integral(x*u + d(u, x), interior) = x^2 + y^2",
    ],
)
def test_integrals_over_regions_are_held_against_the_exact_solution(equation: str) -> None:
    assert messages(f'level = {{ equation = "{equation}" }}') == []
    (wrong,) = messages(f'level = {{ equation = "{equation} + 0.01" }}')
    assert "the exact solution" in wrong and "off by 0.01" in wrong


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (
            'a = { equation = "integral(dn(u), interior) = 1" }',
            "'dn' needs a boundary, and this is not on one",
        ),
        ('a = { equation = "integral(u, holes) = 1" }', "'holes' is no coordinate"),
        ('a = { equation = "integral(u, x) = 1" }', "the domain is no box, so x has no range of its own"),
        (
            'a = { equation = "integral(u, interior) = 1" }\n[sampling]\nnodes = 60',
            "the rule for interior has 14400 nodes, more than 4096",
        ),
    ],
)
def test_what_cannot_be_integrated_is_said(condition: str, message: str) -> None:
    assert message in messages(condition)


def test_a_region_in_space_is_refused() -> None:
    text = """
title = "Ball"
unknowns = ["u"]
coordinates = { x = [-1, 1], y = [-1, 1], z = [-1, 1] }
geometry = { domain = "ball([0, 0, 0], 1)" }
[conditions]
a = { equation = "integral(u, interior) = 1" }
"""
    report = check(load_text(text, "p", "p.toml", Path()))
    assert report.errors[0].message == "integrals over regions are for one and two space coordinates"


def test_a_neumann_problem_is_fixed_by_its_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    level = 'level = { equation = "integral(u, interior) = pi/2*(1 - 0.5^4)" }'
    text = RING.replace('fixed = { equation = "u(x=1, y=0) = 1" }', "")
    Path("ring.toml").write_text(text.replace("CONDITION", level), "utf-8")
    network = 'network={kind="features", width=80, patches={}, scale=1.0}'
    settings = ["--set", network, "--set", "sampling.interior=400", "--set", "sampling.nodes=6"]
    assert run(["solve", "ring.toml", "--out", "r", "--quiet", "--json", *settings]) == 0
    assert json.loads(capsys.readouterr().out)["errors"]["u"]["rel_l2"] < 1e-4

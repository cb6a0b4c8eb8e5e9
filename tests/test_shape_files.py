"""Shapes from files: outlines and surfaces read with care, noticed when they change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinncli.cli.main import run
from pinncli.problem.bundle import bundle
from pinncli.problem.checks import check
from pinncli.problem.domains import domain_of, geometry_of, uniform
from pinncli.problem.loading import load_problem, load_text
from pinncli.problem.source import Loaded

PROBLEM = """
title = "A plate"
unknowns = ["u"]
[coordinates]
x = [-2, 2]
y = [-2, 2]
[shapes.plate]
file = "plate.csv"
[geometry]
domain = "plate"
[conditions]
laplace = { equation = "lap(u) = 0" }
rim = { on = "plate", equation = "u = x" }
[exact]
u = "x"
"""
SQUARE = "x,y\n0,0\n1,0\n1,1\n0,1\n"


def loaded(folder: Path, rows: str, text: str = PROBLEM) -> Loaded:
    (folder / "plate.csv").write_text(rows, "utf-8")
    return load_text(text, "plate", "plate.toml", folder)


@pytest.mark.parametrize(
    "rows",
    [
        SQUARE,
        "x,y\n0,0\n1,0\n1,1\n0,1\n0,0\n",
        "y,x\n0,0\n1,0\n1,1\n0,1\n",
        "# clockwise\nx, y\n\n0,1\n1,1\n1,0\n0,0\n",
    ],
)
def test_an_outline_may_be_closed_and_run_either_way(tmp_path: Path, rows: str) -> None:
    problem = loaded(tmp_path, rows)
    assert not check(problem).diagnostics
    geometry = geometry_of(problem.problem)
    assert geometry is not None and geometry.measure("plate") == pytest.approx(4.0, rel=1e-12)
    assert geometry.share == pytest.approx(1 / 16, abs=5e-3)
    found = domain_of(problem.problem).sample("plate", 100, uniform(0))
    assert np.allclose(found.normals, np.sign(np.round(found.points - 0.5, 9)) * (np.abs(found.normals) > 0))


def test_numbers_are_scaled_and_shapes_combined(tmp_path: Path) -> None:
    text = PROBLEM.replace('file = "plate.csv"', 'file = "plate.csv"\nscale = 2').replace(
        'domain = "plate"',
        'hole = "disk([1, 1], 0.5)"\nturned = "rotate(plate, pi/2)"\n'
        'domain = "(plate - hole) + (turned & plate)"',
    )
    text = text.replace('on = "plate"', 'on = "plate, hole"')
    problem = loaded(tmp_path, SQUARE, text)
    assert not check(problem).diagnostics
    geometry = geometry_of(problem.problem)
    assert geometry is not None and geometry.measure("boundary") == pytest.approx(8 + np.pi, rel=1e-9)
    assert geometry.shapes["turned"].bounds == (pytest.approx((-2, 0)), pytest.approx((0, 2)))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("x,y\n0,0\n1,0\n", "a polygon has 3 to 2000 corners, not 2"),
        ("x,y\n0,0\n1,1\n1,0\n0,1\n", "the polygon crosses or touches itself"),
        ("x,y\n0,0\n1,nan\n1,0\n", "row 2, column 'y': nan is not a finite number"),
        ("x,y\n0,0\n1,0\n1,0\n0,1\n", "corner 3 is the same as the one before"),
        ("x,z\n0,0\n1,0\n1,1\n", "no column for the coordinate 'y'"),
        ("x,y,z\n0,0,0\n1,0,0\n1,1,0\n", "3 columns, where x and y are enough"),
        ("0,0\n1,0\n1,1\n", "the first row should name the columns, not hold numbers"),
        ("x,y\n0,0\n3,0\n1,1\n", "beyond its range"),
        ("x,y\n", "there are no rows"),
    ],
)
def test_what_makes_no_outline_is_refused(tmp_path: Path, rows: str, message: str) -> None:
    report = check(loaded(tmp_path, rows))
    assert message in report.errors[0].message and report.errors[0].line in (8, 10)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('file = "plate.csv"', 'file = "plate.dxf"', "plate.dxf: no such file"),
        ('file = "plate.csv"', 'file = "plate.toml"', "shapes are read from files that end in .csv"),
        ('file = "plate.csv"', 'file = "plate.csv"\nunits = "m"', "unknown key 'units'"),
        ('file = "plate.csv"', 'file = "plate.csv"\ncontent = "x"', "unknown key 'content'"),
        ('domain = "plate"', 'plate = "box"', "'plate' is already the name of one of the shapes"),
        ("y = [-2, 2]", "y = [-2, 2]\nz = [0, 1]", "an outline is for two space coordinates"),
    ],
)
def test_mistakes_have_a_place_and_the_exit_code_of_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, message: str
) -> None:
    assert old in PROBLEM
    (tmp_path / "plate.csv").write_text(SQUARE, "utf-8")
    (tmp_path / "plate.toml").write_text(PROBLEM.replace(old, new), "utf-8")
    assert run(["check", str(tmp_path / "plate.toml")]) == 65
    said = capsys.readouterr().err
    assert message in said and "plate.toml:" in said


def test_a_run_keeps_the_file_and_notices_that_it_changed(tmp_path: Path) -> None:
    first = bundle(loaded(tmp_path, SQUARE))
    assert first.files == {"plate.csv": SQUARE.encode()}
    assert bundle(loaded(tmp_path, SQUARE.replace("1,1", "1,1.5"))).digest != first.digest


def test_shapes_of_the_library_are_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    geometry = geometry_of(load_problem("island").problem)
    assert geometry is not None and len(geometry.parts("coast")) == 1


@settings(max_examples=25, deadline=None)
@given(
    radii=st.lists(st.floats(0.2, 1.8), min_size=3, max_size=12),
    turn=st.floats(0, 6.28),
    backwards=st.booleans(),
)
def test_points_of_any_star_lie_on_it_and_their_normals_point_out(
    tmp_path_factory: pytest.TempPathFactory, radii: list[float], turn: float, backwards: bool
) -> None:
    """The divergence theorem for v = x holds to the accuracy of even points on the outline."""
    angles = turn + 2 * np.pi * np.arange(len(radii)) / len(radii)
    corners = np.array(radii)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rows = "x,y\n" + "".join(f"{x!r},{y!r}\n" for x, y in corners[:: -1 if backwards else 1].tolist())
    problem = loaded(tmp_path_factory.mktemp("star"), rows).problem
    geometry, domain = geometry_of(problem), domain_of(problem)
    assert geometry is not None
    edges = np.roll(corners, -1, axis=0) - corners
    length = np.linalg.norm(edges, axis=1).sum()
    assert geometry.measure("plate") == pytest.approx(length, rel=1e-6)
    even = domain.sample("plate", 4000, lambda n, k, _: ((np.arange(n) + 0.5) / n)[:, None].repeat(k, 1))
    assert geometry.contains(even.points).all()
    assert np.abs(geometry.domain(even.points)).max() < 1e-9
    assert geometry.inside(even.points - 1e-6 * even.normals).mean() > 0.99
    area = 0.5 * abs(np.sum(corners[:, 0] * edges[:, 1] - corners[:, 1] * edges[:, 0]))
    flux = length * np.mean(np.sum(even.points * even.normals, axis=1))
    assert flux == pytest.approx(2 * area, abs=1e-2)
    inside = domain.sample("interior", 300, uniform(1)).points
    assert (geometry.domain(inside) < 0).all()

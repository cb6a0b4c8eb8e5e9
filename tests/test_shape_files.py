"""Shapes from files: outlines and surfaces read with care, noticed when they change."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pinncli.cli.main import run
from pinncli.problem.bundle import bundle
from pinncli.problem.checks import check
from pinncli.problem.domains import domain_of, geometry_of, uniform
from pinncli.problem.loading import load_problem, load_text
from pinncli.problem.source import Loaded
from pinncli.shapes.surface import Surface

Array = NDArray[np.float64]

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


# ---- surfaces

SOLID = """
title = "A solid"
unknowns = ["u"]
[coordinates]
x = [-2, 2]
y = [-2, 2]
z = [-2, 2]
[shapes.solid]
file = "solid.stl"
[geometry]
domain = "solid"
[conditions]
laplace = { equation = "lap(u) = 0" }
faces = { on = "solid", where = "z < 0", equation = "u = x*y + z" }
top = { on = "solid", where = "z > 0", equation = "u = x*y + z" }
[exact]
u = "x*y + z"
"""


def octahedron(radii: tuple[float, ...] = (1.0,) * 6) -> Array:
    """Triangles (8, 3, 3) between points on the six half axes, counterclockwise as seen from outside."""
    x, nx, y, ny, z, nz = (
        r * s * np.eye(3)[k // 2] for k, (r, s) in enumerate(zip(radii, [1, -1] * 3, strict=True))
    )
    upper = [(x, y, z), (y, nx, z), (nx, ny, z), (ny, x, z)]
    return np.array([*upper, *((b, a, nz) for a, b, _ in upper)])


def ring(count: int = 12) -> Array:
    """Triangles of a square tube bent to a ring: a solid with a hole."""
    angles = 2 * np.pi * np.arange(count) / count
    square = np.array([[0.6, -0.3], [1.2, -0.3], [1.2, 0.3], [0.6, 0.3]])
    height = np.broadcast_to(square[:, 1], (count, 4))
    across, up = (np.outer(f(angles), square[:, 0]) for f in (np.cos, np.sin))
    points = np.stack([across, up, height], axis=-1)
    faces = []
    for i in range(count):
        for j in range(4):
            a, b = points[i, j], points[(i + 1) % count, j]
            c, d = points[(i + 1) % count, (j + 1) % 4], points[i, (j + 1) % 4]
            faces += [(a, b, c), (a, c, d)]
    return np.array(faces)


def winding(triangles: Array, points: Array) -> Array:
    """Winding numbers (n,): sums of solid angles (Van Oosterom & Strackee 1983, equation 8) over 4 pi."""
    a, b, c = (triangles[None, :, k] - points[:, None] for k in range(3))
    la, lb, lc = (np.linalg.norm(v, axis=2) for v in (a, b, c))
    above = np.sum(a * np.cross(b, c), axis=2)
    below = la * lb * lc + np.sum(a * b, 2) * lc + np.sum(b * c, 2) * la + np.sum(c * a, 2) * lb
    return np.sum(2 * np.arctan2(above, below), axis=1) / (4 * np.pi)


def stl(triangles: Array) -> bytes:
    record = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("rest", "<u2")])
    records = np.zeros(len(triangles), record)
    records["corners"] = triangles
    return b"".ljust(80) + np.uint32(len(triangles)).tobytes() + records.tobytes()


def solid(folder: Path, content: bytes, text: str = SOLID) -> Loaded:
    (folder / "solid.stl").write_bytes(content)
    return load_text(text, "solid", "solid.toml", folder)


def test_a_surface_encloses_what_its_solid_angles_say() -> None:
    """Against winding numbers, also in a ring, at points on the planes of faces and beyond corners."""
    for triangles in (octahedron(), ring(), octahedron((1.9, 0.2, 0.3, 1.5, 0.1, 1.0))):
        surface = Surface(triangles)
        points = uniform(0)(3000, 3, "points") * 4 - 2
        number = winding(triangles, points)
        assert np.array_equal(surface(points) < 0, number > 0.5)
        assert np.abs(number - np.round(number)).max() < 1e-9
        close = surface.pieces()[0].place(uniform(1)(2000, 2, "close"))[0] + 0.02 * (
            uniform(2)(2000, 3, "away") - 0.5
        )
        assert np.array_equal(surface(close) < 0, winding(triangles, close) > 0.5)
        corners = triangles.reshape(-1, 3) * (1 + 1e-6)
        assert np.abs(surface(triangles.reshape(-1, 3))).max() < 1e-15
        assert np.array_equal(surface(corners) < 0, winding(triangles, corners) > 0.5)


def test_distances_near_a_surface_are_exact() -> None:
    surface, points = Surface(octahedron()), uniform(0)(4000, 3, "points") * 1.6 - 0.8
    plane = (np.abs(points).sum(axis=1) - 1) / np.sqrt(3)
    inside = np.flatnonzero(plane < 0)
    near = inside[plane[inside] > -0.05]
    level = surface(points)
    assert level[near] == pytest.approx(plane[near], abs=1e-14)
    assert (level[inside] >= plane[inside] - 1e-14).all() and (level[inside] < 0).all()


@settings(max_examples=10, deadline=None)
@given(
    radii=st.tuples(*[st.floats(0.3, 1.9)] * 6),
    scale=st.sampled_from([1.0, 0.5]),
    inwards=st.booleans(),
)
def test_any_surface_has_its_area_its_volume_and_normals_that_point_out(
    tmp_path_factory: pytest.TempPathFactory, radii: tuple[float, ...], scale: float, inwards: bool
) -> None:
    triangles = octahedron(radii).astype(np.float32).astype(np.float64)
    text = SOLID.replace('"solid.stl"', f'"solid.stl"\nscale = {scale}')
    content = stl(triangles[:, ::-1] if inwards else triangles)
    problem = solid(tmp_path_factory.mktemp("solid"), content, text).problem
    geometry, domain = geometry_of(problem), domain_of(problem)
    assert geometry is not None
    shape = geometry.shapes["solid"]
    assert isinstance(shape, Surface)
    a, b, c = (scale * triangles).transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    assert geometry.measure("solid") == pytest.approx(area, rel=1e-9)
    assert shape.volume == pytest.approx(np.sum(a * np.cross(b, c)) / 6, rel=1e-9)
    found = domain.sample("solid", 1500, uniform(1))
    assert geometry.contains(found.points).all()
    assert np.linalg.norm(found.normals, axis=1) == pytest.approx(1.0)
    assert geometry.inside(found.points - 1e-6 * found.normals).mean() > 0.99
    assert not geometry.contains(found.points + 1e-6 * found.normals).mean() > 0.01
    flux = np.sum(found.points * found.normals, axis=1)
    assert abs(area * flux.mean() - 3 * shape.volume) < 5 * area * np.std(flux) / np.sqrt(1500) + 1e-9
    assert (geometry.domain(domain.sample("interior", 200, uniform(2)).points) < 0).all()


def test_points_are_uniform_over_triangles() -> None:
    """Means and covariances of two thin triangles are those of even density."""
    triangles = np.array([[[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 0, 1], [3, 0, 1], [0, 1, 1]]], dtype=float)
    points, _ = Surface(triangles).pieces()[0].place(uniform(0)(200_000, 2, "points"))
    upper = points[:, 2] > 0.5
    assert upper.mean() == pytest.approx(0.75, abs=5e-3)
    for part, corners in ((points[~upper], triangles[0]), (points[upper], triangles[1])):
        assert part.mean(axis=0) == pytest.approx(corners.mean(axis=0), abs=1e-2)
        away = corners - corners.mean(axis=0)
        assert np.cov(part.T) == pytest.approx(away.T @ away / 12, abs=1e-2)


def test_a_solid_is_checked_drawn_and_its_fluxes_are_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not check(solid(tmp_path, stl(octahedron()))).diagnostics
    (wrong,) = check(
        solid(
            tmp_path, stl(octahedron()), SOLID.replace('z > 0", equation = "u', 'z > 0", equation = "dn(u)')
        )
    ).diagnostics
    assert "the exact solution breaks this" in wrong.message
    (tmp_path / "solid.toml").write_text(SOLID, "utf-8")
    assert run(["show", str(tmp_path / "solid.toml"), "--plot", str(tmp_path / "solid.png")]) == 0
    assert "from solid.stl" in capsys.readouterr().out
    assert (tmp_path / "solid.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an STL file"),
        (b"solid nothing\nendsolid nothing\n", "not an STL file"),
        (b"\x80" * 500, "not an STL file"),
        (stl(octahedron()[:-1]), "the surface is not closed"),
        (stl(np.concatenate([octahedron()[:-1], octahedron()[-1:, ::-1]])), "opposite directions"),
        (stl(octahedron() * np.nan), "not an STL file"),
    ],
)
def test_what_makes_no_solid_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    report = check(solid(tmp_path, content))
    assert "solid.stl: " in report.errors[0].message and message in report.errors[0].message


def test_what_a_surface_needs_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = SOLID.replace('where = "z < 0"', 'where = "inside(solid)"')
    assert (
        "a surface from a file has no formula"
        in check(solid(tmp_path, stl(octahedron()), text)).errors[0].message
    )
    flat = PROBLEM.replace("plate.csv", "solid.stl")
    assert "is for three space coordinates" in check(solid(tmp_path, b"", flat)).errors[0].message
    monkeypatch.setitem(sys.modules, "trimesh", None)
    (only,) = check(solid(tmp_path, stl(octahedron((1.5,) * 6)))).errors
    assert only.message == "solid.stl: reading STL needs trimesh: pip install 'pinncli[stl]'"

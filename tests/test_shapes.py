"""Shapes: what is inside, the measure and the normals of their boundaries, points on them, their texts."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinncli.language.diagnostics import LanguageError
from pinncli.problem.domains import uniform
from pinncli.shapes import SHAPES, Domain, Geometry, read_shape
from pinncli.shapes.base import Array
from pinncli.shapes.domain import allotted
from pinncli.shapes.plane import crossing

HALF = 2.0
COUNT = 40_000

# text, space coordinates, volume, measure of the boundary (None: not in closed form)
CASES: dict[str, tuple[str, int, float | None, float | None]] = {
    "interval": ("interval(-0.3, 1.2)", 1, 1.5, 2.0),
    "two intervals": ("interval(-1, 0.5) + interval(1, 1.5)", 1, 2.0, 4.0),
    "box": ("box([-0.5, 0], [1, 0.4])", 2, 0.6, 3.8),
    "box of 3": ("box([-1, -1, 0], [1, 1, 0.5])", 3, 2.0, 12.0),
    "box of 4": ("box([-1, -1, -1, -1], [1, 1, 1, 0])", 4, 8.0, 8.0 + 8.0 + 6 * 4.0),
    "disk": ("disk([0.3, -0.2], 0.7)", 2, math.pi * 0.49, 1.4 * math.pi),
    "ball": ("ball([0.1, 0.2, -0.3], 1.1)", 3, 4 / 3 * math.pi * 1.331, 4 * math.pi * 1.21),
    "ball of 4": ("ball([0, 0, 0.2, 0], 1.5)", 4, math.pi**2 / 2 * 1.5**4, 2 * math.pi**2 * 1.5**3),
    "ball of 5": ("ball([0, 0, 0, 0, 0], 1.5)", 5, 8 * math.pi**2 / 15 * 1.5**5, 8 * math.pi**2 / 3 * 1.5**4),
    "annulus": ("annulus([0.1, 0], 0.4, 1)", 2, math.pi * 0.84, 2.8 * math.pi),
    # circumference: 4 a E(e), DLMF 19.30.5, with E(3/4) = 1.21105602756846 for half axes 1 and 1/2
    "ellipse": ("ellipse([0.2, 0.1], [1, 0.5])", 2, math.pi / 2, 4 * 1.21105602756846),
    "triangle": ("triangle([0, 0], [0, 1], [1, 0])", 2, 0.5, 2 + math.sqrt(2)),
    "polygon": ("polygon([[0, 0], [1, 0], [1, 1], [0.5, 0.5], [0, 1]])", 2, 0.75, 3 + math.sqrt(2)),
    "cylinder": ("cylinder([0, 0, -0.5], [0, 0, 1], 0.8)", 3, math.pi * 0.96, math.pi * (2.4 + 1.28)),
    "tilted cylinder": ("cylinder([-0.5, 0, -0.5], [0.5, 1, 0], 0.5)", 3, math.pi * 0.375, math.pi * 2),
    "translated": ("translate(disk([0, 0], 0.5), [0.6, -1])", 2, math.pi / 4, math.pi),
    "rotated": ("rotate(ellipse([0, 0], [1, 0.5]), 0.7, [0.3, 0.3])", 2, math.pi / 2, 4 * 1.21105602756846),
    "rotated box": ("rotate(box([-1, -0.5, -1], [1, 0.5, 1]), 0.4, [0, 0, 0], [1, 1, 0])", 3, 4.0, 16.0),
    "L": ("box([-1, -1], [1, 1]) - box([0, 0], [1, 1])", 2, 3.0, 8.0),
    "touching": ("box([-1, -1], [0, 1]) + box([0, -1], [1, 1])", 2, 4.0, 8.0),
    "half of a disk": ("disk([0, 0], 1) & box([-1, 0], [1, 1])", 2, math.pi / 2, 2 + math.pi),
    "beside": ("box([-1, -1], [0, 1]) - box([0, -1], [1, 1])", 2, 2.0, 6.0),
    "many": ("box([-1, -1], [1, 1]) - disk([0, 0], 0.1)" + "".join(
        f" - disk([{x / 10}, {y}], 0.04)" for x in range(-9, 9) for y in (0.5, -0.5)
    ), 2, 4 - 0.01 * math.pi - 36 * 0.0016 * math.pi, 8 + 0.2 * math.pi + 36 * 0.08 * math.pi),
    "lens": ("disk([-0.5, 0], 1) & disk([0.5, 0], 1)", 2, None, 2 * 2 * math.pi / 3),
    "pierced": ("ball([0, 0, 0], 1) - cylinder([0, 0, -2], [0, 0, 2], 0.5)", 3, None, None),
}  # fmt: skip


def geometry_of(text: str, dimension: int, **others: str) -> Geometry:
    names = tuple("xyzab"[:dimension])
    box = "interval(-2, 2)" if dimension == 1 else f"box({[-2] * dimension}, {[2] * dimension})"
    shapes = {"box": read_shape(box, {}, {}, dimension)}
    for name, shape in {**others, "domain": text}.items():
        shapes[name] = read_shape(shape, shapes, {}, dimension)
    own = {name: shape for name, shape in shapes.items() if name != "box"}
    return Geometry(names, (-HALF,) * dimension, (HALF,) * dimension, own)


def boundary(geometry: Geometry, label: str = "boundary", count: int = COUNT) -> tuple[Array, Array]:
    domain = Domain(geometry.names, geometry.low, geometry.high, geometry)
    found = domain.sample(label, count, uniform(3))
    return found.points, found.normals


@pytest.mark.parametrize("name", CASES)
def test_boundaries_are_right(name: str) -> None:
    """Measure, normals of unit length and outward, points on the boundary, uniform: for every shape."""
    text, d, volume, measure = CASES[name]
    geometry = geometry_of(text, d)
    points, normals = boundary(geometry)
    assert np.abs(geometry.domain(points)).max() < 1e-8
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1.0, abs=1e-12)
    assert geometry.contains(points).all()
    assert geometry.inside(points - 1e-5 * normals).mean() > 0.999  # but for points so close to corners
    assert not geometry.contains(points + 1e-5 * normals).mean() > 0.001
    whole = geometry.measure("boundary")
    if measure is not None:
        rejected = any(part.spans is None and 0 < part.share < 1 for part in geometry.parts("boundary"))
        assert whole == pytest.approx(measure, rel=0.02 if rejected else 1e-9)
    # divergence theorem for v = x, and for v = grad of a polynomial that sees every coordinate
    grid = uniform(0)(400_000, d, "volume") * 2 * HALF - HALF
    inside = geometry.inside(grid)
    box = (2 * HALF) ** d
    flux = np.sum(points * normals, axis=1)
    filled = box * inside.mean() if volume is None else volume
    assert abs(box * inside.mean() - filled) < 5 * box * math.sqrt(inside.mean() / len(grid))
    spread = np.std(flux) * whole / math.sqrt(len(points))
    rounded = 0.04 if volume is None else 1e-9
    assert abs(whole * flux.mean() - d * filled) < 5 * spread + rounded * filled
    weights = np.arange(1, d + 1)
    curved = np.sum(points**2 * weights * normals, axis=1)
    source = np.sum(2 * grid * weights, axis=1)[inside]
    spread = math.hypot(
        np.std(curved) * whole / math.sqrt(len(points)),
        (np.std(source) + np.abs(source).mean()) * filled / math.sqrt(max(1, inside.sum())),
    )
    assert abs(whole * curved.mean() - box * source.sum() / len(grid)) < 5 * spread + rounded * filled


@pytest.mark.parametrize(
    ("name", "angle"),
    [
        ("disk", 2),
        ("ellipse", 2),
        ("rotated", 2),
        ("triangle", 2),
        ("cylinder", 3),
        ("ball", 3),
        ("ball of 4", 4),
    ],
)
def test_points_are_uniform_on_curved_boundaries(name: str, angle: int) -> None:
    """The share of points in a half space is that of the boundary, found by thinly spread other points."""
    text, d, *_ = CASES[name]
    geometry = geometry_of(text, d)
    assert angle == d
    points, _ = boundary(geometry)
    # a shell |level| < h has a volume 2 h per measure where the level is a distance: take the gradient's size
    grid = uniform(5)(2_000_000, d, "shell") * 2 * HALF - HALF
    level, h = geometry.domain(grid), 0.02
    near = np.abs(level) < h
    grid = grid[near]
    slope = np.zeros(len(grid))
    for k in range(d):
        step = 1e-5 * (np.arange(d) == k)
        slope += ((geometry.domain(grid + step) - geometry.domain(grid - step)) / 2e-5) ** 2
    density = np.sqrt(slope)
    for direction in uniform(7)(6, d, "directions") - 0.5:
        cut = np.median(points @ direction)
        expected = density[grid @ direction < cut].sum() / density.sum()
        assert np.mean(points @ direction < cut) == pytest.approx(expected, abs=0.03)


def test_a_low_discrepancy_sequence_stays_one_along_a_curve_in_pieces() -> None:
    geometry = geometry_of("disk([0, 0], 1) & box([-1, 0], [1, 1])", 2)
    domain = Domain(geometry.names, geometry.low, geometry.high, geometry)
    even = domain.sample("boundary", 200, lambda n, k, _: ((np.arange(n) + 0.5) / n)[:, None].repeat(k, 1))
    arc = even.points[even.points[:, 1] > 1e-9]
    gaps = np.diff(np.sort(np.arctan2(arc[:, 1], arc[:, 0])))
    assert gaps == pytest.approx(math.pi / len(arc), rel=1e-6)
    assert len(arc) == pytest.approx(200 * math.pi / (2 + math.pi), abs=1)


def test_a_hole_has_its_normals_turned_and_an_interface_its_own() -> None:
    geometry = geometry_of(
        "box([-1, -1], [1, 1]) - hole", 2, hole="disk([0.3, 0], 0.2)", core="disk([-0.5, 0], 0.3)"
    )
    points, normals = boundary(geometry, "hole", 500)
    assert normals == pytest.approx((np.array([0.3, 0.0]) - points) / 0.2, abs=1e-9)
    points, normals = boundary(geometry, "core", 500)
    assert normals == pytest.approx((points - np.array([-0.5, 0.0])) / 0.3, abs=1e-9)
    assert geometry.measure("boundary") == pytest.approx(8 + 0.4 * math.pi, rel=1e-9)


def test_a_shape_counts_as_far_as_it_is_in_the_domain() -> None:
    geometry = geometry_of("box([-1, -1], [1, 1])", 2, core="disk([1, 0], 0.5)", off="disk([-1.6, 0], 0.3)")
    assert geometry.measure("core") == pytest.approx(0.5 * math.pi, rel=1e-8)
    points, _ = boundary(geometry, "core", 500)
    assert points[:, 0].max() <= 1 + 1e-8
    assert geometry.parts("off") == ()


def test_where_a_part_is_taken_away_nothing_is_left_not_even_its_rim() -> None:
    geometry = geometry_of("box([-1, -1], [1, 1]) - box([0, 0], [1, 1])", 2)
    points = np.array([[1, 0.5], [0.5, 1], [1, 1], [0, 0.5], [0, 0], [1, 0], [-1, -1], [1, -1], [0.5, 0.5]])
    assert geometry.contains(points).tolist() == [False, False, False, *[True] * 5, False]


def test_sides_are_what_is_left_of_the_box() -> None:
    geometry = geometry_of("box - box([0, 0], [2, 2])", 2)
    lengths = {side: geometry.measure(side) for side in ("x-", "x+", "y-", "y+")}
    assert lengths == pytest.approx({"x-": 4, "x+": 2, "y-": 4, "y+": 2}, rel=1e-9)
    assert geometry_of("disk([0, 0], 1)", 2).parts("x+") == ()


@given(
    corners=st.lists(st.tuples(st.floats(0.3, 1.8), st.floats(0.2, 1)), min_size=3, max_size=9),
    angle=st.floats(0, 6),
    shift=st.tuples(st.floats(-0.1, 0.1), st.floats(-0.1, 0.1)),
    reverse=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_polygons_of_any_corners(
    corners: list[tuple[float, float]], angle: float, shift: tuple[float, float], reverse: bool
) -> None:
    """Corners at rising angles make a polygon that does not cross itself, convex or not."""
    turns = np.cumsum([step for _, step in corners])
    turns *= 2 * math.pi / turns[-1]
    radii = np.array([radius for radius, _ in corners])
    places = np.stack([radii * np.cos(turns), radii * np.sin(turns)], axis=1)
    if np.max(np.diff([0.0, *turns])) > 3.0:
        return  # the origin is outside then, and lines may cross
    rows = places[::-1] if reverse else places
    text = "[" + ", ".join(f"[{x!r}, {y!r}]" for x, y in rows.tolist()) + "]"
    geometry = geometry_of(f"translate(rotate(polygon({text}), {angle!r}), [{shift[0]!r}, {shift[1]!r}])", 2)
    after = np.roll(places, -1, axis=0)
    area = 0.5 * np.sum(places[:, 0] * after[:, 1] - places[:, 1] * after[:, 0])
    length = np.linalg.norm(after - places, axis=1).sum()
    assert geometry.measure("boundary") == pytest.approx(length, rel=1e-6)
    domain = Domain(geometry.names, geometry.low, geometry.high, geometry)
    count = 20_000
    found = domain.sample("boundary", count, lambda n, k, _: ((np.arange(n) + 0.5) / n)[:, None].repeat(k, 1))
    flux = np.sum(found.points * found.normals, axis=1).mean() * length
    assert flux == pytest.approx(2 * area, abs=20 * length * length / count)


@given(
    x=st.floats(-2, 2), y=st.floats(-2, 2), name=st.sampled_from([n for n, c in CASES.items() if c[1] == 2])
)
@settings(max_examples=100, deadline=None)
def test_levels_are_no_more_than_distances(x: float, y: float, name: str) -> None:
    """So a level of zero means the boundary, and a tolerance on levels is one on distances, roughly."""
    geometry = geometry_of(CASES[name][0], 2)
    points = np.array([[x, y], [x + 0.01, y], [x, y + 0.01]])
    level = geometry.domain(points)
    assert np.abs(np.diff(level[[1, 0, 2]])).max() <= 0.01 + 1e-12


@pytest.mark.parametrize(
    ("text", "message", "marked"),
    [
        ("disk([0, 0], -1)", "the radius should be positive, not -1", "-1"),
        ("disk([0, 0])", "'disk' does not take 1 arguments", "disk([0, 0])"),
        ("disk([0, 0, 0], 1)", "2 numbers are needed here, not 3", "[0, 0, 0]"),
        ("disk(0, 1)", "numbers in brackets are needed here", "0"),
        ("disk([0, 0], [1])", "one number is needed here", "[1]"),
        ("disc([0, 0], 1)", "no shape 'disc'", "disc"),
        ("box - hole", "no shape 'hole' is named before", "hole"),
        ("box - disk", "no shape 'disk' is named before", "disk"),
        ("2*box", "a shape is needed here", "2*box"),
        ("-box", "a shape is taken away from another: write box - ...", "-box"),
        ("ball([0, 0, 0], 1)", "a shape in 3 dimensions; the problem has 2 space coordinates", None),
        ("interval(1, 0)", "an interval goes up, not from 1 to 0", None),
        ("box([0, 0], [1, 0])", "the second corner should be above the first in every coordinate", "[1, 0]"),
        ("annulus([0, 0], 1, 0.5)", "the outer radius should be larger than the inner 1, not 0.5", "0.5"),
        ("ellipse([0, 0], [1, 0])", "a half axis should be positive, not 0", "[1, 0]"),
        ("triangle([0, 0], [1, 1], [2, 2])", "the corners lie on a line", None),
        ("polygon([[0, 0], [1, 1]])", "a polygon has 3 to 2000 corners, not 2", "[[0, 0], [1, 1]]"),
        (
            "polygon([[0, 0], [1, 1], [1, 0], [0, 1]])",
            "the polygon crosses or touches itself: the line from corner 1 to 2 meets that from 3 to 4",
            None,
        ),
        ("polygon([[0, 0], [1, 0], [1, 0], [0, 1]])", "corner 3 is the same as the one before", None),
        ("translate(box, [1])", "1 numbers for a shape in 2 dimensions", "[1]"),
        ("rotate(box, 1, [0, 0], [0, 0, 1])", "in the plane there is no axis to choose", "[0, 0, 1]"),
        ("disk([a, 0], 1)", "unknown name 'a'", "a"),
        ("disk([log(-1), 0], 1)", "this has no finite value", "log(-1)"),
        ("cylinder([0, 0, 0], [0, 0, 0], 1)", "the ends of the axis are the same point", "[0, 0, 0]"),
    ],
)  # fmt: skip
def test_mistakes_are_explained_with_their_place(text: str, message: str, marked: str | None) -> None:
    names = {"box": read_shape("box([0, 0], [1, 1])", {}, {}, 2)}
    with pytest.raises(LanguageError) as caught:
        read_shape(text, names, {}, 2)
    assert caught.value.message == message
    if marked is not None:
        start, end = caught.value.span
        assert text[start:end] == marked


def test_every_shape_of_the_language_is_tested() -> None:
    written = " ".join(case[0] for case in CASES.values())
    assert not [name for name in SHAPES if f"{name}(" not in written]


def test_signs_and_parentheses_mean_what_they_say() -> None:
    a, b, c = "interval(-1, 1)", "interval(0, 2)", "interval(0.5, 1.5)"

    def length(text: str) -> float:
        return float(np.mean(geometry_of(text, 1).inside(np.linspace(-2, 2, 40_001)[:, None])) * 4)

    assert length(f"{a} - {b} + {c}") == pytest.approx(2.0, abs=1e-3)
    assert length(f"{a} - ({b} + {c})") == pytest.approx(1.0, abs=1e-3)
    assert length(f"{a} + ({b} - {c})") == pytest.approx(2.5, abs=1e-3)
    assert length(f"{a} + {b} - {c}") == pytest.approx(2.0, abs=1e-3)
    assert length(f"{a} - {b} & {c}") == pytest.approx(1.5, abs=1e-3)  # & binds tighter
    pieces = " - ".join(f"interval({k / 20}, {k / 20 + 0.01})" for k in range(20))
    assert length(f"interval(-2, 2) - {pieces}") == pytest.approx(3.8, abs=5e-3)  # a long chain is balanced
    sums = " + ".join(f"interval({k / 20}, {k / 20 + 0.01})" for k in range(20))
    assert length(f"interval(-2, 2) - ({sums})") == pytest.approx(3.8, abs=5e-3)


@given(count=st.integers(0, 500), weights=st.lists(st.floats(0.01, 10), min_size=1, max_size=8))
def test_points_are_allotted_by_weight_to_the_last(count: int, weights: list[float]) -> None:
    shares = allotted(count, weights)
    assert sum(shares) == count
    assert all(abs(s - count * w / sum(weights)) < 1 for s, w in zip(shares, weights, strict=True))


def test_crossings_are_found_between_any_two_edges() -> None:
    assert crossing(((0, 0), (2, 0), (2, 2), (1, -1), (0, 2))) is not None
    assert crossing(((0, 0), (2, 0), (2, 2), (1, 0), (0, 2))) is not None  # touches
    assert crossing(((0, 0), (2, 0), (1, 0), (1, 1))) is not None  # runs back over itself
    assert crossing(((0, 0), (2, 0), (2, 2), (0, 2))) is None


def test_a_polygon_is_the_same_by_edges_and_by_tables() -> None:
    """Formulas take its edges one by one, numbers all at once; corners and level edges among the points."""
    shape = read_shape("polygon([[0, 0], [1, 0], [1, 1], [0.5, 0.5], [0, 1], [-0.5, 0.5]])", {}, {}, 2)
    grid = np.mgrid[-1:1.5:0.25, -1:1.5:0.25].reshape(2, -1).T
    points = np.concatenate([uniform(0)(2000, 2, "points") * 3 - 1, grid])
    formulas = SimpleNamespace(**{name: getattr(np, name) for name in dir(np) if not name.startswith("_")})
    assert shape(points) == pytest.approx(shape.level(list(points.T), formulas), abs=1e-14)

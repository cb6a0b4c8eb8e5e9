"""The kind of a problem, read off its equations."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pinncli.problem.library import list_problems, shipped_folder
from pinncli.problem.loading import load_problem
from pinncli.problem.outline import CLASSES, outline


def data(equations: list[str], coordinates: str = "xt", **more: Any) -> dict[str, Any]:
    return {
        "coordinates": {name: [0, 1] for name in coordinates},
        "unknowns": ["u"],
        "conditions": {f"c{k}": {"equation": text} for k, text in enumerate(equations)},
        **more,
    }


@pytest.mark.parametrize(
    ("equation", "coordinates", "kind", "linear"),
    [
        ("u_tt + sin(t)*u = 0", "t", "ordinary", True),
        ("u_xx = u^2", "x", "ordinary", False),
        ("u_t = -u", "xt", "ordinary", True),
        ("lap(u) = sin(x)*y", "xy", "elliptic", True),
        ("div((1 + u^2)*grad(u)) = 0", "xy", "elliptic", False),
        ("lap(lap(u)) = 1", "xy", "elliptic", True),
        ("norm(grad(u)) = 1", "xy", "hyperbolic", False),
        ("u_t + 3*u_x = 0", "xt", "hyperbolic", True),
        ("u_t + u*u_x = 0", "xt", "hyperbolic", False),
        ("u_t = d(exp(x)*d(u, x), x)", "xt", "parabolic", True),
        ("u_t + u*u_x = 0.1*lap(u)", "xyt", "parabolic", False),
        ("u_t + u_xxxx + u_xx = -u*u_x", "xt", "parabolic", False),
        ("u_tt = 4*u_xx", "xt", "hyperbolic", True),
        ("u_tt - lap(u) + sin(u) = 0", "xyt", "hyperbolic", False),
        ("u_tt + u_xxxx = 0", "xt", "dispersive", True),
        ("u_t + 6*u*u_x + u_xxx = 0", "xt", "dispersive", False),
        ("u = x", "xt", "other", True),
        ("u_t/u = 1", "xt", "ordinary", False),
        ("u_t = where(x > 0, 1, 2)*u_xx", "xt", "parabolic", True),
        ("u_t = max(u, 0)*u_xx", "xt", "parabolic", False),
        ("u_t - 2*u_xx(x=0) = 0", "xt", "parabolic", True),
    ],
)
def test_class_and_linearity(equation: str, coordinates: str, kind: str, linear: bool) -> None:
    found = outline(data([equation], coordinates))
    assert (found.kind, found.linear) == (kind, linear)
    assert ("linear" in found.traits) is linear


def test_complex_waves_disperse_and_the_tag_decides() -> None:
    unknowns = {"u": {"kind": "complex"}}
    assert outline(data(["i*u_t + u_xx = 0"], unknowns=unknowns)).kind == "dispersive"
    assert (
        outline(data(["u_t = u + (1 + i)*u_xx"], unknowns=unknowns, tags=["parabolic"])).kind == "parabolic"
    )


def test_one_coordinate_is_an_ordinary_equation_whatever_the_tags_say() -> None:
    assert outline(data(["u_xx = 1"], "x", tags=["elliptic"])).kind == "ordinary"


def test_definitions_are_read_through_in_any_order() -> None:
    definitions = {"flux": "k*slope", "slope": "u_x", "k": "1 + u^2"}
    found = outline(data(["u_t = flux_x"], definitions=definitions))
    assert (found.kind, found.linear, dict(found.orders)) == ("parabolic", False, {"x": 2, "t": 1})


def test_dimensions_and_traits() -> None:
    coordinates = {"x": {"dim": 9}, "y": [0, 1], "t": [0, 1], "nu": {"range": [0, 1], "kind": "parameter"}}
    found = outline(
        {
            "coordinates": coordinates,
            "unknowns": {"u": {}, "a": {"of": ["x"]}},
            "conditions": {
                "pde": {"equation": "u_t = a*lap(u)"},
                "seen": {"equation": "u = w", "data": "d.csv"},
            },
        }
    )
    assert (found.space, found.dimension) == (10, "10-d + t")
    assert {"nonlinear", "system", "inverse", "data", "parametric", "10-d", "high-dimensional"} <= set(
        found.traits
    )
    assert outline({"parameters": {"lam": {}}}).traits == ("linear", "unknown number")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"coordinates": 3, "unknowns": 4, "conditions": 5, "tags": 6, "definitions": 7},
        {"coordinates": {"x": 1}, "unknowns": [1], "conditions": {"a": {"equation": 3, "on": []}, "b": 4}},
        data(["u_t = = 3"], definitions={"a": "a + b", "b": "a*(", "c": 3}),
        data(["lap(lap(" * 30 + "u" + "))" * 30 + " = d() + d(u) + dot(u)"], "xy"),
    ],
)
def test_a_wrong_file_has_an_outline_nevertheless(wrong: dict[str, Any]) -> None:
    assert outline(wrong).kind in CLASSES


def test_deep_quotients_are_read_once() -> None:
    began = time.process_time()
    assert not outline(data(["u_t = " + "1/(" * 30 + "u" + ")" * 30])).linear
    assert not outline(data(["u_t = " + "where(" * 30 + "u" + ",1,2)" * 30])).linear
    assert time.process_time() - began < 5


def test_definitions_that_multiply_are_read_quickly() -> None:
    definitions = {f"a{k}": " * ".join([f"a{k - 1}"] * 50) if k else "u_x" for k in range(100)}
    began = time.process_time()
    assert not outline(data(["u_t = a99"], definitions=definitions)).linear
    assert time.process_time() - began < 5


@pytest.mark.parametrize("path", sorted(shipped_folder().glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_problems_do_not_claim_a_linearity_that_they_lack(path: Path) -> None:
    """Unknown numbers make a linear equation a nonlinear problem, which its tags may say."""
    content = tomllib.loads(path.read_text("utf-8"))
    tags, found = content.get("tags", ()), outline(content)
    assert "linear" not in tags or found.linear
    assert "nonlinear" not in tags or not found.linear or "parameters" in content


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("allen_cahn", "parabolic"), ("burgers1d", "parabolic"), ("damped_oscillator", "ordinary"),
        ("euler_beam", "ordinary"), ("heat4d", "parabolic"), ("helmholtz2d", "elliptic"),
        ("kdv", "dispersive"),
        ("kovasznay", "elliptic"), ("kuramoto_sivashinsky", "parabolic"), ("poisson10d", "elliptic"),
        ("schrodinger", "dispersive"), ("wave1d", "hyperbolic"),
    ],
)  # fmt: skip
def test_the_class_of_well_known_equations_needs_no_tag(name: str, kind: str) -> None:
    content = tomllib.loads((shipped_folder() / f"{name}.toml").read_text("utf-8"))
    assert outline({**content, "tags": []}).kind == kind


def test_orders_agree_with_the_calculus() -> None:
    from pinncli.problem.formulation import formulate

    for entry in list_problems():
        if entry.origin == "shipped" and entry.outline is not None:
            formulation = formulate(load_problem(entry.name))
            interior = [
                t for t in formulation.conditions
                if t.data is None and formulation.problem.conditions[t.name].on == "interior"
            ]  # fmt: skip
            for name, order in entry.outline.orders.items():
                if name not in formulation.scope.coordinates:  # a vector, whose components these are
                    continue
                assert order == max(t.residual.orders.get(name, 0) for t in interior), (entry.name, name)

"""Problems on domains that are no boxes: checked, solved, evaluated, and refused where they make no sense."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from pinncli.cli.main import run
from pinncli.errors import ProblemError
from pinncli.problem.checks import check
from pinncli.problem.loading import load_text
from pinncli.problem.numeric import probe

RING = """
title = "Ring"
unknowns = ["u"]
[coordinates]
x = [-1, 1]
y = [-1, 1]
[constants]
r = 0.5
[geometry]
hole = "disk([0, 0], r)"
domain = "disk([0, 0], 1) - hole"
[conditions]
laplace = { equation = "lap(u) = 0" }
outer = { on = "boundary", where = "x^2 + y^2 > 0.8", equation = "u = 1" }
inner = { on = "hole", equation = "dn(u) = -2/r/log(4)" }
[exact]
u = "1 + log(x^2 + y^2)/log(4)"
"""

TWO_MATERIALS = """
title = "A rod in another"
unknowns = ["u", "v"]
[coordinates]
x = [-1, 1]
y = [-1, 1]
[geometry]
core = "disk([0, 0], 0.5)"
[definitions]
w = "where(inside(core), u, v)"
[conditions]
within = { where = "inside(core)", equation = "lap(u) = -4" }
without = { where = "not inside(core)", equation = "lap(v) = 0" }
value = { on = "core", equation = "u = v" }
flux = { on = "core", equation = "dn(u) = 2*dn(v)" }
far = { on = "boundary", equation = "v = log(x^2 + y^2)/4 - log(0.25)/4*2" }
"""


def messages(text: str) -> list[str]:
    try:
        report = check(load_text(text, "p", "p.toml", Path()))
    except ProblemError as error:
        return [d.message for d in error.diagnostics]
    return [d.message for d in report.diagnostics]


def test_the_exact_solution_is_held_against_fluxes_through_curved_boundaries() -> None:
    assert messages(RING) == []
    (wrong,) = messages(RING.replace("dn(u) = -2/r", "dn(u) = 2/r"))  # the normal of a hole points into it
    assert "the exact solution breaks this: off by 5.77" in wrong


def test_two_materials_with_an_interface() -> None:
    assert messages(TWO_MATERIALS) == []


def test_unknowns_that_count_in_a_part_of_the_domain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Errors are taken there, and published fields are missing elsewhere, where v has a pole."""
    text = TWO_MATERIALS.replace(
        'unknowns = ["u", "v"]',
        '[unknowns]\nu = { where = "inside(core)" }\nv = { where = "not inside(core)" }',
    )
    text = text.replace("v = log(x^2 + y^2)/4 - log(0.25)/4*2", "v = -log(4*(x^2 + y^2))/8")
    text += '[exact]\nu = "0.25 - x^2 - y^2"\nv = "-log(4*(x^2 + y^2))/8"\n'
    assert messages(text) == []
    wrong = text.replace('where = "inside(core)" }\nv', 'where = "x > 2" }\nv')
    assert messages(wrong) == ["too little of the domain satisfies this"]
    assert messages(text.replace('where = "inside(core)" }\nv', 'where = "x" }\nv')) == [
        "should be a comparison, such as 'y > 0.5'"
    ]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.toml").write_text(text, "utf-8")
    settings = ["--set", 'network={kind="features", width=150, patches={}, scale=1.0}']
    words = ["solve", "two.toml", "--out", "r", "--quiet", "--json", *settings]
    assert run([*words, "--set", "output.grid={x=20, y=20}"]) == 0
    errors = json.loads(capsys.readouterr().out)["errors"]
    assert errors["u"]["rel_l2"] < 1e-2 and errors["v"]["rel_l2"] < 1e-2
    with h5py.File(tmp_path / "r" / "fields.h5") as file:
        inside = np.hypot(*np.meshgrid(file["x"][()], file["y"][()])) <= 0.5
        assert np.array_equal(np.isfinite(file["u"][()]), inside)
        for name in ("v", "reference_v", "error_v"):
            assert np.array_equal(np.isfinite(file[name][()]), ~inside)
        assert np.isfinite(file["w"][()]).all()
    assert run(["eval", "r", "--grid", "x=20,y=20", "--out", "e.h5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["errors"]["v"]["rel_l2"] < 1e-2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('on = "hole"', 'on = "holes"', "no region 'holes'"),
        ('on = "hole"', 'on = "x-"', "x- is nowhere on the boundary of the domain, nor inside it"),
        ("x^2 + y^2 > 0.8", "inside(disk)", "no shape 'disk'"),
        ("x^2 + y^2 > 0.8", "inside(r, r)", "'inside' takes the name of a shape"),
        ("x^2 + y^2 > 0.8", "x > 2", "none of 65536 random points of boundary satisfy this: too few"),
        (
            'inner = { on = "hole", equation = "dn(u) = -2/r/log(4)" }',
            "",
            "second order in x, which needs 2 conditions; there is 1",
        ),
        ("lap(u) = 0", "u(x=0, y=0) + lap(u) = 0", "x = 0, y = 0 is outside the domain"),
    ],
)
def test_what_makes_no_sense_is_refused(old: str, new: str, message: str) -> None:
    assert old in RING
    assert message in messages(RING.replace(old, new, 1))


def test_sides_that_are_cut_away_need_no_condition_and_a_side_without_one_is_named() -> None:
    text = RING.replace('domain = "disk([0, 0], 1) - hole"', 'domain = "box - hole"')
    text = text.replace('"boundary", where = "x^2 + y^2 > 0.8"', '"x-, x+, y-"').partition("[exact]")[0]
    report = check(load_text(text, "p", "p.toml", Path()))
    (finding,) = report.errors
    assert (finding.message, finding.hint) == (
        "second order in y, which needs 2 conditions; there is 1",
        "nothing is said on y+",
    )


def test_conditions_that_disagree_at_a_corner_or_at_the_beginning_are_found() -> None:
    text = """
title = "Heat"
unknowns = ["u"]
[coordinates]
x = [0, 1]
y = [0, 1]
t = [0, 1]
[geometry]
hole = "disk([0, 0], 0.5)"
domain = "box - hole"
[conditions]
heat = { equation = "u_t = lap(u)" }
initial = { on = "t-", equation = "u = 1" }
rim = { on = "hole", equation = "u = t" }
sides = { on = "x-, y-, x+, y+", equation = "u = 1 + t" }
"""
    found = messages(text)
    assert any(
        m.startswith("disagrees with 'initial' where they meet: u = 0 here and 1 there") for m in found
    )
    assert any(m.startswith("disagrees with 'rim' where they meet") for m in found)
    assert not messages(text.replace("u = t", "u = 1 + t"))


def test_probes_of_the_interior_stay_inside() -> None:
    problem = load_text(RING, "p", "p.toml", Path()).problem
    points = probe(problem, "interior", 5000)
    radius = np.hypot(points["x"], points["y"])
    assert 0.5 < radius.min() < 0.51 and 0.99 < radius.max() < 1


def test_a_ring_is_solved_evaluated_and_written_with_a_mask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ring.toml").write_text(RING, "utf-8")
    settings = ["--set", 'network={kind="features", width=150, patches={}, scale=2.0}']
    words = ["solve", "ring.toml", "--out", "r", "--quiet", "--json", *settings]
    assert run([*words, "--set", "output.grid={x=21, y=21}"]) == 0
    assert json.loads(capsys.readouterr().out)["errors"]["u"]["rel_l2"] < 1e-2
    with h5py.File(tmp_path / "r" / "fields.h5") as file:
        radius = np.hypot(*np.meshgrid(file["x"][()], file["y"][()]))
        inside = (radius >= 0.5 - 1e-6) & (radius <= 1 + 1e-6)
        assert np.array_equal(file["domain_mask"][()] == 1, inside)
        assert np.isnan(file["u"].attrs["_FillValue"])
        for name in ("u", "reference_u", "error_u", "residual_laplace"):
            assert np.array_equal(np.isfinite(file[name][()]), inside)
    (tmp_path / "points.csv").write_text("x,y\n0.6,0\n0,0\n", "utf-8")
    assert run(["eval", "r", "--points", "points.csv"]) == 65
    assert "points.csv: row 2: x = 0, y = 0 is outside the domain" in capsys.readouterr().err
    assert run(["plot", "r"]) == 0


def test_conditions_by_construction_are_for_boxes() -> None:
    (found,) = messages(RING.replace("[exact]", '[network]\nhard = ["outer"]\n[exact]'))
    assert found.startswith("'outer' cannot be met by construction: that is for boxes")

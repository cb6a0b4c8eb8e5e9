"""Parameter coordinates: a family of solutions, whose members are neither space nor time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from pinncli.cli.main import run
from pinncli.cli.plotting import field_figures
from pinncli.errors import ProblemError, UsageError
from pinncli.evaluation import FieldSet
from pinncli.problem.checks import Report, check
from pinncli.problem.loading import load_text
from pinncli.runs.exports import export
from pinncli.runs.fields import fields_bytes, read_fields
from pinncli.runs.store import Run
from pinncli.solver import load_solution

DECAY = """
title = "Decay at every rate"
unknowns = ["u"]
[coordinates]
t = [0, 1]
k = { range = [0.5, 2], kind = "parameter" }
[conditions]
decay = { equation = "u_t = -k*u" }
start = { on = "t-", equation = "u = 1" }
[exact]
u = "exp(-k*t)"
[network]
width = 8
depth = 2
[sampling]
interior = 150
boundary = 20
[output]
grid = { t = 5, k = 4 }
[[stages]]
optimiser = { kind = "lm" }
steps = 25
"""


def report(text: str) -> Report:
    return check(load_text(text, "decay", "decay.toml", Path()))


@pytest.fixture(scope="module")
def decay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `DECAY`."""
    folder = tmp_path_factory.mktemp("family")
    (folder / "decay.toml").write_text(DECAY)
    assert run(["solve", str(folder / "decay.toml"), "--out", str(folder / "run"), "--quiet"]) == 0
    return folder / "run"


def test_a_family_asks_for_no_conditions_at_its_ends() -> None:
    found = report(DECAY)
    assert found.diagnostics == ()
    assert found.formulation is not None
    assert found.formulation.problem.varied == ("k",)
    assert found.formulation.problem.space == ()


def test_a_member_is_still_checked() -> None:
    (finding,) = report(DECAY.replace('start = { on = "t-", equation = "u = 1" }', "")).errors
    assert "first order in t, which needs 1 condition" in finding.message


def test_a_sensitivity_is_a_derivative_like_any_other() -> None:
    text = DECAY.replace('"u_t = -k*u"', '"u_t = -k*u + 0*d(u, k)"').replace(
        "[exact]", '[definitions]\ns = "u_k"\n[exact]'
    )
    assert report(text).diagnostics == ()


def test_the_laplacian_and_the_boundary_are_of_space_alone() -> None:
    text = """
    title = "Family of membranes"
    unknowns = ["u"]
    [coordinates]
    x = [0, 1]
    y = [0, 1]
    k = { range = [1, 2], kind = "parameter" }
    [conditions]
    load = { equation = "-lap(u) = 2*k*pi^2*sin(pi*x)*sin(pi*y)" }
    edges = { on = "boundary", equation = "u + 0*dn(u) = 0" }
    [exact]
    u = "k*sin(pi*x)*sin(pi*y)"
    """
    found = report(text)
    assert found.diagnostics == ()
    assert found.formulation is not None
    edges = found.formulation.conditions[1]
    assert edges.region.labels == ("x-", "x+", "y-", "y+")


def test_a_wrong_exact_member_is_found() -> None:
    (finding,) = report(DECAY.replace('u = "exp(-k*t)"', 'u = "exp(-t)"')).errors
    assert "the exact solution breaks this" in finding.message


def test_something_must_be_left_to_solve_in() -> None:
    with pytest.raises(ProblemError, match="there is no space or time to solve in"):
        report(DECAY.replace("t = [0, 1]", 't = { range = [0, 1], kind = "parameter" }'))


def test_the_whole_family_is_solved_and_a_member_evaluated(
    decay: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = Run.open(decay)
    solution = load_solution(opened, "cpu")
    assert solution.error_on(solution.error_points(1000)) < 1e-3
    fields = opened.fields()
    assert list(fields.coordinates) == ["k", "t"]
    assert fields.axes == {"k": "P", "t": "T"}
    assert fields.fields["u"].shape == (4, 5)
    assert run(["eval", str(decay), "--at", "k=0.7", "--out", str(decay / "member.csv")]) == 0
    table = np.genfromtxt(decay / "member.csv", delimiter=",", names=True)
    np.testing.assert_allclose(table["k"], 0.7)
    np.testing.assert_allclose(table["u"], np.exp(-0.7 * table["t"]), atol=2e-3)
    assert run(["eval", str(decay), "--at", "k=3"]) == 2
    assert "k lies in [0.5, 2]" in capsys.readouterr().err


def test_figures_of_a_family_and_of_a_member(decay: Path) -> None:
    assert run(["plot", str(decay), "--out", str(decay / "family"), "--format", "svg"]) == 0
    assert {path.stem for path in (decay / "family").iterdir()} == {
        "history",
        "solution",
        "slices",
        "residuals",
    }
    assert run(["plot", str(decay), "--out", str(decay / "member"), "--format", "svg", "--at", "k=1"]) == 0
    assert {path.stem for path in (decay / "member").iterdir()} == {"history", "solution", "residuals"}
    assert run(["plot", str(decay), "--at", "k=1,t=1"]) == 2


def field_set(**sizes: int) -> FieldSet:
    letters = {"k": "P", "m": "P", "t": "T", "y": "Y", "x": "X"}
    coordinates = {name: np.linspace(0.0, 1.0, n) for name, n in sizes.items()}
    values = np.random.default_rng(0).normal(size=tuple(sizes.values()))
    return FieldSet("title", coordinates, {"u": values}, {}, {}, {name: letters[name] for name in sizes})


def test_the_file_has_the_parameter_as_an_axis_of_its_own(tmp_path: Path) -> None:
    given = field_set(k=3, t=4, y=5, x=6)
    path = tmp_path / "fields.h5"
    path.write_bytes(fields_bytes(given))
    found = read_fields(path)
    assert found.axes == given.axes
    np.testing.assert_array_equal(found.fields["u"], given.fields["u"])
    with h5py.File(path) as file:
        assert "axis" not in file["k"].attrs and "VTKHDF" not in file
        assert file["u"].chunks == (1, 1, 5, 6)
        assert [dim[0].name for dim in file["u"].dims] == ["/k", "/t", "/y", "/x"]


def test_vtk_takes_a_member_and_refuses_the_family_with_a_cure(tmp_path: Path) -> None:
    path = tmp_path / "a.vtkhdf"
    with pytest.raises(UsageError, match=r"hold it, as in 'pinncli eval RUN --at k=0 --out a.vtkhdf'"):
        export(field_set(k=3, y=5, x=6), path, "vtkhdf")
    member = field_set(k=1, t=2, y=5, x=6)
    export(member, path, "vtkhdf")
    with h5py.File(path) as file:
        stored: Any = file["VTKHDF/PointData/u"]
        np.testing.assert_array_equal(stored[()], member.fields["u"][0])


@pytest.mark.parametrize(
    "sizes", [{"k": 5, "t": 4, "x": 6}, {"k": 3, "m": 4, "x": 6}, {"k": 3, "y": 4, "x": 6}]
)
def test_every_family_is_drawn(sizes: dict[str, int]) -> None:
    figures = field_figures(field_set(**sizes))
    assert {"solution", "slices"} <= figures.keys()
    assert ("family" in figures) == ("m" not in sizes)


def test_windows_are_handed_over_for_all_members(tmp_path: Path) -> None:
    text = DECAY + "[marching]\nwindows = 2\n"
    (tmp_path / "decay.toml").write_text(text)
    assert run(["solve", str(tmp_path / "decay.toml"), "--out", str(tmp_path / "run"), "--quiet"]) == 0
    solution = load_solution(Run.open(tmp_path / "run"), "cpu")
    assert solution.error_on(solution.error_points(1000)) < 5e-3

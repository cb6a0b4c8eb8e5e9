"""Errors, interpolation, grids, and the fields of a solution whose network is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pinncli.assembly import assemble
from pinncli.errors import UsageError
from pinncli.evaluation import Errors, errors, grid_points, nodes, storage_order
from pinncli.geometry import SAMPLERS, draw_points
from pinncli.marching import finished, trained_residuals
from pinncli.problem.defaults import choose
from pinncli.problem.formulation import formulate
from pinncli.problem.loading import load_problem, load_text
from pinncli.residuals import Sample
from pinncli.solution import Solution

SMALL = ("network={width=5,depth=2}", "sampling.interior=60", "sampling.boundary=8")

# --- errors ----------------------------------------------------------------------------------------


def figures(found: Errors) -> tuple[float, float]:
    return found.rel_l2, found.max_abs


def test_errors_are_relative_to_the_reference() -> None:
    found = errors(np.array([1.0, 2.0, 7.0]), np.array([1.0, 2.0, 2.0]))
    assert figures(found) == pytest.approx((5 / 3, 5.0))


def test_errors_of_components_are_those_of_the_vector() -> None:
    values, reference = np.array([[3.0, 4.0], [1.0, 0.0]]), np.array([[0.0, 0.0], [1.0, 0.0]])
    assert figures(errors(values, reference)) == pytest.approx((5.0, 5.0))


def test_errors_of_a_vanishing_reference_are_absolute() -> None:
    assert figures(errors(np.array([3.0, 4.0]), np.zeros(2))) == pytest.approx((5.0, 4.0))


def test_errors_of_float32_values_are_taken_in_float64() -> None:
    reference = np.array([1.0 + 1e-9, 2.0])
    assert errors(np.array([1.0, 2.0], dtype=np.float32), reference).max_abs == pytest.approx(1e-9, rel=1e-6)


# --- nodes -----------------------------------------------------------------------------------------


@given(places=st.lists(st.integers(0, 40), min_size=1, max_size=20), seed=st.integers(0, 100))
def test_nodes_are_found_on_any_axis(places: list[int], seed: int) -> None:
    axis = np.cumsum(np.random.default_rng(seed).uniform(0.01, 1.0, 41)) - 3.0
    found = nodes(axis, axis[places] * (1.0 + 1e-14))
    assert found is not None
    assert found.tolist() == places


def test_what_is_between_the_nodes_is_not_found() -> None:
    axis = np.linspace(0.0, 1.0, 11)
    assert nodes(axis, np.array([0.1, 0.15])) is None
    assert nodes(axis, np.array([0.5, 1.0 + 1e-6])) is None
    assert nodes(axis, np.array([-1e-6])) is None


# --- grids -----------------------------------------------------------------------------------------


def test_grid_points_have_the_last_axis_fastest() -> None:
    points = grid_points([np.array([0.0, 1.0]), np.array([10.0, 20.0, 30.0])])
    assert points.tolist() == [[0, 10], [0, 20], [0, 30], [1, 10], [1, 20], [1, 30]]


def test_files_store_time_first_and_x_last() -> None:
    assert storage_order(("x",), "t") == ("t", "x")
    assert storage_order(("x", "y", "z"), "t") == ("t", "z", "y", "x")
    assert storage_order(("x", "y"), None) == ("y", "x")
    assert storage_order((), "t") == ("t",)


# --- solutions -------------------------------------------------------------------------------------


def solution(name: str, *more: str, seed: int = 0) -> Solution:
    formulation = formulate(load_problem(name, [*SMALL, *more]))
    assembly = assemble(formulation, choose(formulation), seed, torch.device("cpu"), torch.float64)
    return Solution.of(assembly, assembly.initial_theta())


def test_fields_on_a_grid_are_the_values_at_its_points() -> None:
    s = solution("heat1d")
    fields = s.on_grid({"x": 5, "t": 3})
    assert list(fields.coordinates) == ["t", "x"]
    assert fields.axes == {"x": "X", "t": "T"}
    assert all(values.shape == (3, 5) for values in fields.fields.values())
    t, x = fields.coordinates["t"], fields.coordinates["x"]
    for k in range(3):
        row = s.at_points({"x": x, "t": np.full(5, t[k])})
        for name, values in row.fields.items():
            np.testing.assert_allclose(fields.fields[name][k], values, rtol=1e-13, atol=1e-14)
    exact = np.exp(-0.1 * np.pi**2 * t)[:, None] * np.sin(np.pi * x)[None, :]
    np.testing.assert_allclose(fields.fields["reference_u"], exact, atol=1e-14)
    np.testing.assert_allclose(fields.fields["error_u"], fields.fields["u"] - exact, atol=1e-14)


def test_the_residual_map_is_the_equation_applied_to_the_network() -> None:
    s = solution("heat1d")
    h, x, t = 1e-4, np.array([0.3, 0.7]), np.array([0.2, 0.9])

    def u(dx: float, dt: float) -> np.ndarray:
        return s.components(np.stack([x + dx, t + dt], axis=1))["u"]

    u_t = (u(0, h) - u(0, -h)) / (2 * h)
    u_xx = (u(h, 0) - 2 * u(0, 0) + u(-h, 0)) / h**2
    found = s.at_points({"x": x, "t": t}).fields
    assert [name for name in found if name.startswith("residual")] == ["residual_heat"]  # the interior's only
    np.testing.assert_allclose(found["residual_heat"], u_t - 0.1 * u_xx, atol=1e-6)


def test_definitions_are_fields() -> None:
    s = solution("kovasznay")
    h, x, y = 1e-5, np.array([0.1, 0.6]), np.array([-0.2, 1.1])

    def at(dx: float, dy: float) -> dict[str, np.ndarray]:
        return s.components(np.stack([x + dx, y + dy], axis=1))

    expected = (at(h, 0)["v"] - at(-h, 0)["v"]) / (2 * h) - (at(0, h)["u"] - at(0, -h)["u"]) / (2 * h)
    fields = s.at_points({"x": x, "y": y}).fields
    np.testing.assert_allclose(fields["vorticity"], expected, atol=1e-8)
    assert {"u", "v", "p", "reference_p", "error_v", "residual_continuity"} <= set(fields)


def test_a_plane_grid_is_stored_y_first() -> None:
    fields = solution("kovasznay").on_grid({"x": 4, "y": 3})
    assert list(fields.coordinates) == ["y", "x"]
    assert fields.axes == {"x": "X", "y": "Y"}
    x, y = np.meshgrid(fields.coordinates["x"], fields.coordinates["y"])
    k = 20 - np.sqrt(400 + 4 * np.pi**2)
    np.testing.assert_allclose(
        fields.fields["reference_u"], 1 - np.exp(k * x) * np.cos(2 * np.pi * y), atol=1e-12
    )


def test_a_complex_unknown_has_two_fields_and_one_error() -> None:
    s = solution("schrodinger")
    fields = s.on_grid({"x": 5, "t": 4}).fields
    assert {"h_real", "h_imag", "residual_schrodinger_real", "residual_schrodinger_imag"} <= set(fields)
    points, known = s.error_points(400)
    values = s.components(points)
    distance = sum(np.sum((values[n] - known[n]) ** 2) for n in ("h_real", "h_imag"))
    norm = sum(np.sum(known[n] ** 2) for n in ("h_real", "h_imag"))
    assert s.error_on((points, known)) == pytest.approx(np.sqrt(distance / norm), rel=1e-12)
    assert set(s.errors()) == {"h"}


def test_a_coordinate_may_be_held() -> None:
    s = solution("heat1d")
    fields = s.on_grid({"x": 5, "t": 3}, at={"t": 0.25})
    assert fields.coordinates["t"].tolist() == [0.25]
    assert fields.fields["u"].shape == (1, 5)
    with pytest.raises(UsageError, match=r"t=2: t lies in \[0, 1\]"):
        s.on_grid({"x": 5, "t": 3}, at={"t": 2.0})


def test_errors_are_against_the_formula_at_fresh_points() -> None:
    s = solution("heat1d")
    points, known = s.error_points(5000)
    assert points.shape == (5000, 2)
    assert not {tuple(p) for p in points.tolist()} & {
        tuple(p) for p in s.pieces[0].assembly.draw(0, None)[0].points.tolist()
    }
    np.testing.assert_allclose(
        known["u"], np.exp(-0.1 * np.pi**2 * points[:, 1]) * np.sin(np.pi * points[:, 0]), atol=1e-14
    )
    assert s.error_on((points, known)) == pytest.approx(s.errors()["u"].rel_l2, rel=0.05)


def test_some_points_of_a_gridded_reference_cover_all_of_it() -> None:
    s = solution("allen_cahn")
    everything, values = s.error_points(10**9)
    points, known = s.error_points(len(everything) // len(np.unique(everything[:, 1])))
    for axis in (0, 1):  # a stride would keep to one time
        ends = everything[:, axis].min(), everything[:, axis].max()
        assert (points[:, axis].min(), points[:, axis].max()) == pytest.approx(ends, abs=0.05 * np.ptp(ends))
    where = {tuple(p): v for p, v in zip(everything.tolist(), values["u"], strict=True)}
    assert [where[tuple(p)] for p in points.tolist()] == known["u"].tolist()


def test_an_equation_that_also_looks_elsewhere_has_a_residual_map() -> None:
    text = """
    title = "Heat lost by what the wall feels"
    unknowns = ["u"]
    coordinates = { x = [0, 1] }
    [conditions]
    heat = { equation = "u(x=0) + d(u, x)(x=1) = u_xx" }
    ends = { equation = "u(x=0) = u(x=1)" }
    """
    formulation = formulate(load_text(text, "p", "p.toml", Path()))
    made = assemble(formulation, choose(formulation), 0, torch.device("cpu"), torch.float64)
    fields = Solution.of(made, made.initial_theta()).on_grid({"x": 5}).fields
    assert "residual_heat" in fields
    assert "residual_ends" not in fields


def test_residuals_are_reported_at_fresh_and_at_training_points() -> None:
    s = solution("heat1d")
    (piece,) = s.pieces
    trained = piece.assembly.draw(0, None)
    seen = trained_residuals([finished(piece, trained, "complete")])
    found = {name: figures | {"rms_train": seen[name]} for name, figures in s.residuals().items()}
    assert set(found) == {"heat", "initial", "walls"}
    rows = piece.assembly.objective(trained).condition_rows(piece.theta)
    for name, figures in found.items():
        assert figures["rms_train"] == pytest.approx(float(rows[name][0].square().mean().sqrt()), rel=1e-12)
        assert figures["rms"] == pytest.approx(figures["rms_train"], rel=0.6)
        assert 0 < figures["rms"] != figures["rms_train"]
        assert figures["rms"] <= figures["max"]
    assert piece.relative_residual() == pytest.approx(1.0)


PARTIAL = """
title = "A source in a part of the domain"
unknowns = ["u"]
[coordinates]
x = [0, 1]
y = [0, 1]
[conditions]
inner = { on = "interior", where = "y > 0.5", equation = "lap(u) = 1" }
outer = { on = "interior", where = "y <= 0.5", equation = "lap(u) = 0" }
edges = { on = "boundary", equation = "u = 0" }
"""


def test_a_residual_map_is_blank_where_the_condition_does_not_hold() -> None:
    loaded = load_text("\n".join([*SMALL, PARTIAL]), "partial", "partial", Path())
    formulation = formulate(loaded)
    assembly = assemble(formulation, choose(formulation), 0, torch.device("cpu"), torch.float64)
    fields = Solution.of(assembly, assembly.initial_theta()).on_grid({"x": 4, "y": 6})
    upper = np.broadcast_to(fields.coordinates["y"][:, None] > 0.5, (6, 4))
    np.testing.assert_array_equal(np.isnan(fields.fields["residual_inner"]), ~upper)
    np.testing.assert_array_equal(np.isnan(fields.fields["residual_outer"]), upper)
    assert bool((assembly.draw(0, None)[0].points[:, 1] > 0.5).all())


# --- assembly --------------------------------------------------------------------------------------


def test_everything_follows_from_the_seed() -> None:
    first, again, other = (solution("burgers1d", seed=k).pieces[0].assembly for k in (3, 3, 4))
    assert torch.equal(first.initial_theta(), again.initial_theta())
    assert not torch.equal(first.initial_theta(), other.initial_theta())
    for a, b, c in zip(first.draw(2, None), again.draw(2, None), other.draw(2, None), strict=True):
        assert torch.equal(a.points, b.points)
        assert not torch.equal(a.points, c.points)


def test_draws_differ_and_fresh_points_are_never_trained_on() -> None:
    assembly = solution("burgers1d").pieces[0].assembly
    draws = [assembly.draw(k, None)[0].points for k in range(3)] + [assembly.fresh(60, 8)[0].points]
    seen = [{tuple(p) for p in points.tolist()} for points in draws]
    assert not any(a & b for k, a in enumerate(seen) for b in seen[:k])


def test_redrawing_by_residual_follows_its_density_and_repeats() -> None:
    n, power, floor = 400, 2.0, 0.5
    rule = f"sampling.resample={{every=1, power={power}, floor={floor}}}"
    assembly = solution("burgers1d", rule, f"sampling.interior={n}").pieces[0].assembly
    theta = 2.0 * assembly.initial_theta()
    plain = assembly.objective(assembly.draw(0, None))
    drawn = assembly.draw(1, theta)
    assert [len(a) for a in drawn] == [len(a) for a in plain.samples]
    assert len({tuple(p) for p in drawn[0].points.tolist()}) == n
    again = assembly.draw(1, theta)
    assert all(torch.equal(a.points, b.points) for a, b in zip(drawn, again, strict=True))

    def sizes(sample: Sample) -> np.ndarray:
        others = assembly.draw(0, None)[1:]
        return assembly.objective([sample, *others]).magnitudes(theta)["burgers"].numpy()

    # numpy draws from the same candidates with the same density, one by one without replacement
    candidates = draw_points(assembly.domain, ("interior",), (4 * n,), SAMPLERS[assembly.method], 0, 1)
    found = sizes(Sample(candidates.points, candidates.normals, {}))
    density = found**power / np.mean(found**power) + floor
    rng = np.random.default_rng(0)
    means = [rng.choice(found, n, replace=False, p=density / density.sum()).mean() for _ in range(40)]
    assert sizes(drawn[0]).mean() == pytest.approx(np.mean(means), abs=4 * np.std(means))
    assert np.mean(means) > found.mean() + 8 * np.std(means)  # so that uniform points would not pass


def test_data_stay_where_they_were_measured() -> None:
    assembly = solution("burgers_inverse").pieces[0].assembly
    first, second, fresh = assembly.draw(0, None), assembly.draw(1, None), assembly.fresh(50, 5)
    assert torch.equal(first[1].points, second[1].points)
    assert torch.equal(first[1].columns["u_measured"], fresh[1].columns["u_measured"])
    assert not torch.equal(first[0].points, second[0].points)

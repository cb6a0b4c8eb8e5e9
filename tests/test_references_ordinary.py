"""References of ordinary differential equations, and measurements for inverse problems with few numbers."""

from __future__ import annotations

import csv
import tomllib
from pathlib import Path

import h5py
import numpy as np
import pytest

from pinncli.problem.loading import load_problem

PROBLEMS = Path(__file__).parents[1] / "problems"
REFERENCES = PROBLEMS / "references"
STORED = {
    "van_der_pol": ("u",),
    "lorenz": ("x", "y", "z"),
    "lorenz_inverse": ("x", "y", "z"),
    "pendulum_dae": ("x", "y", "tension"),
}
MEASURED = {"reaction_rates": ["a", "b"], "wave_speed": ["u"], "lorenz_inverse": ["x", "y", "z"]}


def stored(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Times and the solution (components, times) of a reference file."""
    with h5py.File(REFERENCES / f"{name}.h5", "r") as file:
        return file["t"][()], np.stack([file[component][()] for component in STORED[name]])


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def slope(t: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Central differences of sixth order (components, times - 6)."""
    weights = np.array([-1, 9, -45, 0, 45, -9, 1]) / 60
    count = len(t) - 6
    return sum(w * y[:, k : k + count] for k, w in enumerate(weights)) / (t[1] - t[0])


@pytest.mark.parametrize("name", STORED)
def test_reference_file_has_the_stated_layout(name: str):
    path = REFERENCES / f"{name}.h5"
    assert path.stat().st_size < 50_000
    with h5py.File(path, "r") as file:
        assert file.attrs["layout"] == "grid"
        assert file.attrs["title"]
        assert (REFERENCES / file.attrs["made_by"].split(":")[0]).is_file()
        assert 0 < file.attrs["accuracy"] < 1e-12
        assert set(file) == {"t", *STORED[name]}
        for component in STORED[name]:
            assert file[component].shape == file["t"].shape
            assert np.isfinite(file[component][()]).all()


@pytest.mark.parametrize("name", STORED)
def test_reference_covers_its_problem_and_begins_where_it_says(name: str):
    t, y = stored(name)
    formulated = load_problem(name).problem
    assert [t[0], t[-1]] == pytest.approx(formulated.coordinates["t"].range)
    begins = {
        "van_der_pol": [2],
        "pendulum_dae": [np.sqrt(3) / 2, -0.5, 9.81 / 2],
        "lorenz": [-8, 7, 27],
        "lorenz_inverse": [-8, 7, 27],
    }
    assert y[:, 0] == pytest.approx(begins[name], abs=1e-12)


@pytest.mark.parametrize(("name", "rho"), [("lorenz", 28), ("lorenz_inverse", 15)])
def test_lorenz_satisfies_its_equations(name: str, rho: float):
    """By differences, which share nothing with the solver; they limit the agreement."""
    t, (x, y, z) = stored(name)
    right = np.stack([10 * (y - x), x * (rho - z) - y, x * y - 8 / 3 * z])[:, 3:-3]
    assert difference(slope(t, np.stack([x, y, z])), right) < 1e-5


def test_van_der_pol_satisfies_its_equation_and_has_the_known_period():
    """The period for mu = 5 is 11.612 (Hairer & Wanner; Strogatz 1994, section 7.5)."""
    t, u = stored("van_der_pol")
    u_t = slope(t, u)
    u_tt = slope(t[3:-3], u_t)
    within, velocity = u[:, 6:-6], u_t[:, 3:-3]
    assert difference(u_tt, 5 * (1 - within**2) * velocity - within) < 1e-3
    falls = np.flatnonzero((u[0, :-1] > 0) & (u[0, 1:] <= 0))
    crossings = [t[i] + (t[1] - t[0]) * u[0, i] / (u[0, i] - u[0, i + 1]) for i in falls]
    assert np.diff(crossings) == pytest.approx([11.612], abs=2e-3)


def test_pendulum_keeps_its_length_and_energy_and_obeys_newton():
    t, (x, y, tension) = stored("pendulum_dae")
    assert np.abs(x**2 + y**2 - 1).max() < 1e-14
    speeds = slope(t, np.stack([x, y]))
    energy = 0.5 * (speeds**2).sum(axis=0) + 9.81 * y[3:-3]
    assert np.abs(energy + 9.81 / 2).max() < 1e-7
    within = np.stack([x, y, tension])[:, 6:-6]
    newton = np.stack([-within[2] * within[0], -within[2] * within[1] - 9.81])
    assert difference(slope(t[3:-3], speeds), newton) < 1e-7


def test_pendulum_by_elliptic_functions(program):
    ordinary = program("ordinary")
    t, cartesian = stored("pendulum_dae")
    closed = ordinary.pendulum_cartesian(ordinary.pendulum_closed(t))
    assert difference(np.stack(list(closed.values())), cartesian) < 1e-13


@pytest.mark.parametrize("name", ["van_der_pol", "lorenz"])
def test_reference_by_an_implicit_method(program, name: str):
    ordinary = program("ordinary")
    t, y = stored(name)
    again = ordinary.solve(getattr(ordinary, name)(), t[::20], 1e-9, "Radau")[: len(y)]
    assert difference(again, y[:, ::20]) < 1e-6


@pytest.mark.parametrize("name", MEASURED)
def test_measurements_are_the_solution_with_the_stated_noise(program, name: str):
    experiment = program("measurements").EXPERIMENTS[name]()
    with (REFERENCES / f"{name}.csv").open() as file:
        rows = list(csv.DictReader(file))
    table, noise = experiment.draw()
    assert list(rows[0]) == [*experiment.points, *(f"{unknown}_measured" for unknown in MEASURED[name])]
    assert np.abs(np.array([[float(v) for v in row.values()] for row in rows]) - table).max() < 1.1e-6
    assert noise.std() == pytest.approx(experiment.noise, rel=0.1)


@pytest.mark.parametrize("name", MEASURED)
def test_measurements_determine_the_numbers_as_well_as_the_problem_asks(program, name: str):
    """The least-squares estimate from these very measurements meets the stated accuracy."""
    experiment = program("measurements").EXPERIMENTS[name]()
    problem = tomllib.loads((PROBLEMS / f"{name}.toml").read_text("utf-8"))
    exact = {key: load_problem(name).problem.parameters[key].exact for key in problem["parameters"]}
    assert exact == pytest.approx(dict(experiment.truth))
    deviations, shifts = experiment.identifiability(experiment.draw()[1])
    assert deviations.max() < problem["accuracy"]
    assert np.abs(shifts).max() < problem["accuracy"]

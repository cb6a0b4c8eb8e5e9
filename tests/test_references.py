"""The shipped problems are complete, and their reference files are what they say: computed anew, coarsely."""

from __future__ import annotations

import csv
import tomllib
from pathlib import Path

import h5py
import numpy as np
import pytest

PROBLEMS = Path(__file__).parents[1] / "problems"
REFERENCES = PROBLEMS / "references"
FILES = sorted(PROBLEMS.glob("*.toml"))
NAMES = {
    *("heat1d", "wave1d", "burgers1d", "poisson2d", "allen_cahn", "kdv", "schrodinger", "kovasznay"),
    *("damped_oscillator", "euler_beam", "burgers_inverse"),
    *("poisson_inverse", "heat_inverse"),
    *("helmholtz2d", "poisson5d", "poisson10d", "poisson100d", "heat4d", "heat_ball5d"),
    "kuramoto_sivashinsky",
    *("poisson3d_spheres", "channel_long"),
    *("poisson_holes", "poisson_lshape", "grad_shafranov", "island", "bracket"),
    "poisson_boltzmann",
    *("poisson_neumann", "poisson3d", "elasticity", "stokes", "minimal_surface", "biharmonic_plate"),
    *("heat_family", "volterra", "fokker_planck", "source_from_integral"),
    *("obstacle", "particle_in_box"),
    *("van_der_pol", "lorenz", "pendulum_dae", "bvp_dirichlet", "bvp_neumann", "bvp_robin", "bvp_periodic"),
    *("bvp_multiscale", "diffusion", "advection", "advection_fast", "advection_fastest", "burgers1d_viscous"),
    *("sine_gordon_kink", "sine_gordon_breather", "porous_medium", "convection_diffusion", "black_scholes"),
    *("logistic", "reaction_rates", "wave_speed", "lorenz_inverse"),
    *("helmholtz2d_66", "eikonal", "heat2d_multiscale", "heat2d_long", "wave2d", "wave2d_long", "burgers2d"),
    *("ginzburg_landau", "gray_scott", "cavity", "cavity_ghia", "taylor_green", "beltrami"),
    *("backward_step", "cylinder"),
    *("poisson2d_multiscale", "heat2d_disks", "darcy", "two_materials", "heat2d_varying"),
}
STORED = {
    "burgers1d": ("u",),
    "burgers1d_viscous": ("u",),
    "allen_cahn": ("u",),
    "kdv": ("u",),
    "kuramoto_sivashinsky": ("u",),
    "schrodinger": ("h_real", "h_imag"),
}
"""Files on a grid of x and t; those of t alone are the affair of `test_references_ordinary.py`."""


def stored(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """x, t, the solution (complex where it is) and the accuracy of a reference file."""
    with h5py.File(REFERENCES / f"{name}.h5", "r") as file:
        values = [file[component][()] for component in STORED[name]]
        solution = values[0] if len(values) == 1 else values[0] + 1j * values[1]
        return file["x"][()], file["t"][()], solution, float(file.attrs["accuracy"])


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def integral(density: np.ndarray) -> np.ndarray:
    """Over x, of a density (points, times) that is periodic: the mean is spectrally accurate."""
    return density[:-1].mean(axis=0)


# ---- the problem files


def test_the_library_is_complete():
    assert {path.stem for path in FILES} >= NAMES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_problem_says_what_it_is(path: Path):
    problem = tomllib.loads(path.read_text("utf-8"))
    assert problem["title"]
    assert len(problem["description"].split()) > 20
    assert "\n" not in problem["description"]
    assert any(year.isdigit() for year in problem["reference"].replace(".", " ").replace(",", " ").split())
    assert problem["tags"]
    most = {"hard": 1, "singular": 5e-2}
    assert 0 < problem["accuracy"] <= max(most.get(tag, 1e-2) for tag in problem["tags"])
    assert ("exact" in problem) != ("reference_data" in problem)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_problem_is_listed(path: Path):
    table = (PROBLEMS / "README.md").read_text("utf-8")
    accuracy = f"{tomllib.loads(path.read_text('utf-8'))['accuracy']:.0e}".replace("e-0", "e-")
    row = next(line for line in table.splitlines() if line.startswith(f"| `{path.stem}` |"))
    assert row.endswith(f"| {accuracy} |")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_reference_is_a_hundred_times_better_than_the_accuracy(path: Path):
    problem = tomllib.loads(path.read_text("utf-8"))
    if "reference_data" not in problem:
        return
    with h5py.File(path.parent / problem["reference_data"]["file"], "r") as file:
        assert file.attrs["accuracy"] <= problem["accuracy"] / 100


# ---- the reference files


@pytest.mark.parametrize("name", STORED)
def test_reference_file_has_the_stated_layout(name: str):
    path = REFERENCES / f"{name}.h5"
    assert path.stat().st_size < 400_000
    with h5py.File(path, "r") as file:
        assert file.attrs["layout"] == "grid"
        assert file.attrs["title"]
        assert (REFERENCES / file.attrs["made_by"].split(":")[0]).is_file()
        assert 0 < file.attrs["accuracy"] < 1e-7
        assert set(file) == {"x", "t", *STORED[name]}
        for component in STORED[name]:
            assert file[component].shape == (file["x"].size, file["t"].size)
            assert file[component].dtype == np.float64
            assert np.isfinite(file[component][()]).all()


def test_written_files_have_the_same_bytes_again(program):
    regenerate = program("regenerate")
    axis = np.linspace(0, 1, 5)
    reference = regenerate.Reference(
        "title", "maker", {"x": axis, "t": axis}, {"u": np.outer(axis, axis)}, {"steps": 1e-9}
    )
    assert regenerate.file_bytes(reference) == regenerate.file_bytes(reference)


# ---- Burgers


def test_burgers_by_gauss_hermite(program):
    cole_hopf = program("cole_hopf")
    x, t, u, _ = stored("burgers1d")
    again = cole_hopf.burgers_grid(x, t[::10], 0.01 / np.pi, cole_hopf.gauss_hermite(120))
    assert difference(again, u[:, ::10]) < 1e-14


def test_burgers_by_etdrk4(program):
    etdrk4 = program("etdrk4")
    _, t, u, _ = stored("burgers1d")
    again = etdrk4.solve(etdrk4.burgers(0.01 / np.pi), 2048, t, steps=20)
    assert difference(again, u) < 1e-9


def test_viscous_burgers_by_etdrk4(program):
    etdrk4 = program("etdrk4")
    _, t, u, _ = stored("burgers1d_viscous")
    assert difference(etdrk4.solve(etdrk4.burgers(0.01), 512, t, steps=20), u) < 1e-9


def test_burgers_is_odd_and_steepest_where_it_is_known(program):
    """Basdevant et al. 1986, table 2: the slope at the origin is -152.00516 at pi t = 1.6037."""
    cole_hopf = program("cole_hopf")
    _, _, u, _ = stored("burgers1d")
    assert np.abs(u + u[::-1]).max() < 1e-14
    h = 1e-5
    times = np.linspace(0.5, 0.52, 401)
    slope = cole_hopf.burgers(np.full_like(times, h), times, 0.01 / np.pi) / h
    assert slope.min() == pytest.approx(-152.00516, rel=1e-5)
    assert np.pi * times[slope.argmin()] == pytest.approx(1.6037, abs=2e-4)


# ---- Allen-Cahn


def test_allen_cahn_again_with_fewer_modes(program):
    etdrk4 = program("etdrk4")
    _, t, u, _ = stored("allen_cahn")
    again = etdrk4.solve(etdrk4.allen_cahn(), 1024, t, steps=10)
    assert difference(again, u) < 1e-6
    assert difference(again[:, 10:], u[:, 10:]) < 1e-8


def test_allen_cahn_is_even_and_loses_energy():
    _, _, u, _ = stored("allen_cahn")
    assert np.abs(u - u[::-1]).max() < 1e-13
    slope = np.fft.irfft(1j * np.pi * np.arange(129) * np.fft.rfft(u[:-1], axis=0).T, 256).T
    energy = (0.5e-4 * slope**2 + 1.25 * (u[:-1] ** 2 - 1) ** 2).mean(axis=0)
    assert (np.diff(energy[1:]) < 0).all()


# ---- Korteweg-de Vries


def test_kdv_again_with_fewer_modes(program):
    etdrk4 = program("etdrk4")
    _, t, u, _ = stored("kdv")
    assert difference(etdrk4.solve(etdrk4.kdv(), 256, t, steps=100), u) < 1e-8


def test_kdv_conserves_mass_momentum_and_energy():
    _, _, u, _ = stored("kdv")
    slope = np.fft.irfft(1j * np.pi * np.arange(129) * np.fft.rfft(u[:-1], axis=0).T, 256).T
    energy = (u[:-1] ** 3 / 3 - 0.022**2 * slope**2).mean(axis=0)
    assert np.abs(integral(u)).max() < 1e-12
    assert np.abs(integral(u**2) - 0.5).max() < 1e-10
    assert np.ptp(energy) < 1e-8


# ---- Kuramoto-Sivashinsky


def test_kuramoto_sivashinsky_again_with_fewer_modes(program):
    etdrk4 = program("etdrk4")
    _, t, u, _ = stored("kuramoto_sivashinsky")
    assert difference(etdrk4.solve(etdrk4.kuramoto_sivashinsky(), 256, t, steps=10), u) < 2e-6


def test_kuramoto_sivashinsky_begins_as_stated_and_balances_its_energy():
    """The problem's interval is not that of the transform, which a wrong shift would show.

    Multiplied by u and integrated: (u^2)'/2 = b (u_x)^2 - c (u_xx)^2 in the mean, b and c as in the file.
    """
    x, t, u, _ = stored("kuramoto_sivashinsky")
    assert np.abs(u[:, 0] - np.cos(x) * (1 + np.sin(x))).max() < 1e-12
    assert np.abs(integral(u)).max() < 1e-12
    waves, coefficients = np.arange(129)[:, None], np.fft.rfft(u[:-1], axis=0)
    first = np.fft.irfft(1j * waves * coefficients, 256, axis=0)
    second = np.fft.irfft(-(waves**2) * coefficients, 256, axis=0)
    balance = (100 / 16**2 * first**2 - 100 / 16**4 * second**2).mean(axis=0)
    half = 0.5 * (u[:-1] ** 2).mean(axis=0)
    h = t[1] - t[0]  # the change over two intervals, by Simpson's rule
    assert np.allclose(
        half[2:] - half[:-2], h / 3 * (balance[2:] + 4 * balance[1:-1] + balance[:-2]), atol=2e-5
    )


def test_kuramoto_sivashinsky_satisfies_its_equation():
    """Spectral derivatives in x, fourth-order differences in t, which limit the agreement."""
    _, t, u, _ = stored("kuramoto_sivashinsky")
    u, h, waves = u[:-1], t[1] - t[0], np.arange(129)[:, None]
    u_x, u_xx, u_xxxx = (
        np.fft.irfft((1j * waves) ** n * np.fft.rfft(u, axis=0), 256, axis=0) for n in (1, 2, 4)
    )
    right = -100 / 16 * u * u_x - 100 / 16**2 * u_xx - 100 / 16**4 * u_xxxx
    u_t = (u[:, :-4] - 8 * u[:, 1:-3] + 8 * u[:, 3:-1] - u[:, 4:]) / (12 * h)
    assert difference(u_t, right[:, 2:-2]) < 5e-3


# ---- Schrodinger


def test_schrodinger_again_with_fewer_modes(program):
    split_step = program("split_step")
    _, t, h, _ = stored("schrodinger")
    assert difference(split_step.solve(1024, t, steps=20), h) < 2e-6


def test_schrodinger_by_etdrk4(program):
    etdrk4 = program("etdrk4")
    _, t, h, _ = stored("schrodinger")
    assert difference(etdrk4.solve(etdrk4.schrodinger(), 2048, t, steps=20), h) < 2e-6


def test_schrodinger_is_even_conserves_mass_and_breathes():
    """On the whole line 2 sech(x) is the breather of Satsuma & Yajima 1974, 4 high at t = pi/4."""
    x, t, h, _ = stored("schrodinger")
    assert np.abs(h - h[::-1]).max() < 1e-9
    mass = integral(np.abs(h) ** 2)  # to 1e-5 on this grid, which does not resolve the kink
    assert mass == pytest.approx(8 * np.tanh(5) / 10, rel=1e-5)
    decay, phase = np.cosh(x)[:, None], np.exp(4j * t)
    line = np.cosh(4 * x)[:, None] + 4 * np.cosh(2 * x)[:, None] + 3 * np.cos(4 * t)
    breather = 4 * np.exp(0.5j * t) * (np.cosh(3 * x)[:, None] + 3 * phase * decay) / line
    assert difference(h, breather) < 2e-2  # the walls at x = -5, 5 are felt, a little
    assert np.abs(h[128, 40]) == pytest.approx(4, rel=2e-2)


@pytest.mark.parametrize("real", [True, False])
def test_projection_keeps_a_resolved_wave_and_removes_the_rest(program, real):
    fourier = program("fourier")
    transform = fourier.Transform(16, 2.0, real)
    kept = lambda x: np.cos(np.pi * x) + np.sin(1.5 * np.pi * x)  # noqa: E731
    wave = fourier.project(lambda x: kept(x) + np.cos(10 * np.pi * x), transform, fine=256)
    assert np.allclose(transform.inverse(wave), kept(transform.grid), atol=1e-14)


def test_etdrk4_is_of_fourth_order(program):
    etdrk4 = program("etdrk4")
    t = np.linspace(0, 0.2, 3)
    solutions = [etdrk4.solve(etdrk4.kdv(), 128, t, steps, intervals=64) for steps in (10, 20, 160)]
    coarse, fine = (difference(u, solutions[2]) for u in solutions[:2])
    assert 3.5 < np.log2(coarse / fine) < 4.6


# ---- the inverse problem


def test_samples_are_the_solution_with_the_stated_noise(program):
    cole_hopf = program("cole_hopf")
    with (REFERENCES / "burgers_inverse.csv").open() as file:
        rows = list(csv.DictReader(file))
    x, t, measured = (np.array([float(row[name]) for row in rows]) for name in ("x", "t", "u_measured"))
    assert len(rows) == 2000
    assert np.abs(x).max() <= 1
    assert t.min() >= 0
    assert t.max() <= 1
    u = cole_hopf.burgers(x, t, 0.01 / np.pi)
    assert (measured - u).std() == pytest.approx(0.005 * u.std(), rel=0.05)


@pytest.mark.parametrize("name", ["poisson_inverse", "heat_inverse"])
def test_field_samples_are_the_exact_solution_with_the_stated_noise(program, name):
    samples = program("field_data").SAMPLES[name]
    with (REFERENCES / f"{name}.csv").open() as file:
        rows = list(csv.DictReader(file))
    columns = {key: np.array([float(row[key]) for row in rows]) for key in rows[0]}
    assert len(rows) == samples.count == 2500
    for key, (low, high) in samples.ranges.items():
        assert low <= columns[key].min() < columns[key].max() <= high
    u = np.sin(np.pi * columns["x"]) * np.sin(np.pi * columns["y"]) * np.exp(-columns.get("t", 0.0))
    assert (columns["u_measured"] - u).std() == pytest.approx(0.01 * u.std(), rel=0.05)
    table, _ = samples.draw()
    assert np.allclose(table, np.stack(list(columns.values()), axis=1), atol=1e-6)


def test_samples_determine_both_parameters_to_one_per_cent(program):
    inverse_data = program("inverse_data")
    deviations, shifts = inverse_data.identifiability(*inverse_data.draw())
    assert deviations == pytest.approx([0.0004, 0.0032], rel=0.1)
    assert np.abs(shifts).max() < 0.005

"""The programs for a cube with cavities and for unsteady flow, held to what is known."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

REFERENCES = Path(__file__).parents[1] / "problems" / "references"


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def test_the_form_on_a_cube_less_a_ball_by_hand(program):
    """For u = z: the integral of 1 + k^2 z^2, over the ball of z^2 + r^2/5 times its volume."""
    cavities = program("cavities")
    ball, breaks, squares = (0.4, 0.3, 0.75, 0.2), (0.0, 0.5, 1.0), (64.0, 100.0)
    holed, whole = (cavities.Cavities(balls, breaks, squares, (6, 7, 5)) for balls in ((ball,), ()))
    c = whole.load(lambda x, y, z: z + 0 * x * y)  # z itself, since the modes are orthonormal
    volume = 4 / 3 * np.pi * 0.2**3 * (1 - cavities.GHOST)
    exact = 1 + 64 * 0.125 / 3 + 100 * 0.875 / 3 - volume * (1 + 100 * (0.75**2 + 0.2**2 / 5))
    assert float((c * holed.apply(c)).sum()) == pytest.approx(exact, rel=1e-10)
    one = holed.load(lambda x, y, z: np.ones(np.broadcast(x, y, z).shape))
    assert float((one * c).sum()) == pytest.approx(0.5 - volume * 0.75, rel=1e-10)


def test_waves_in_a_whole_cube(program):
    cavities = program("cavities")
    cube = cavities.Cavities((), (0.0, 0.5, 1.0), (64.0, 64.0), (14, 18, 12))
    points = np.random.default_rng(0).random((200, 3))
    factor = 6 * np.pi**2 + 64

    def source(x, y, z):
        return factor * np.cos(np.pi * x) * np.cos(2 * np.pi * y) * np.cos(np.pi * z)

    found, steps = cube.solve(source)
    assert steps == 1  # its own modes
    assert np.abs(cube.at(found, points) * factor - source(*points.T)).max() < 1e-9


def test_poisson3d_spheres_again_with_lower_degrees(program):
    cavities = program("cavities")
    with h5py.File(REFERENCES / "poisson3d_spheres.h5") as file:
        assert 0 < file.attrs["accuracy"] < 1e-4
        points = np.stack([file[name][()] for name in "xyz"], axis=1)
        u = file["u"][()]
    for *centre, radius in cavities.BALLS:
        assert (np.linalg.norm(points - centre, axis=1) >= radius).all()
    coarse = cavities.Cavities(cavities.BALLS, (0.0, 0.5, 1.0), (64.0, 100.0), (12, 30, 10))
    assert difference(coarse.at(coarse.solve(cavities.source, 1e-3)[0], points), u) < 2e-2


def test_a_pulsating_stream_is_exact_in_space_and_converges_in_time(program):
    """u = g(t) sin(pi y), v = p = 0 with f = (g' + nu pi^2 g) sin(pi y): free outflow, no convection."""
    unsteady, elements = program("unsteady"), program("spectral_elements")
    mesh = elements.Mesh(elements.rectangles([0.0, 0.6, 1.0], [0.0, 0.4, 1.0]), 9)
    points = np.array([[0.0, 0.5], [0.3, 0.2], [1.0, 0.7]])
    nu, times = 0.05, [0.0, 0.5, 1.0]

    def given(x, y, t):
        inlet = x < 1e-12
        return (
            inlet | (y < 1e-12) | (y > 1 - 1e-12),
            np.where(inlet, np.sin(np.pi * y) * t**3, 0.0),
            np.zeros_like(x),
        )

    def force(x, y, t):
        return (3 * t**2 + nu * np.pi**2 * t**3) * np.sin(np.pi * y) + 0 * x, np.zeros_like(x)

    errors = []
    for steps in (4, 8, 16):
        flow = unsteady.solve(mesh, nu, given, force, times, steps, points)
        errors.append(np.abs(flow[:, -1, 0] - np.sin(np.pi * points[:, 1])).max())
        assert np.abs(flow[:, -1, 1:]).max() < 1e-2
    assert errors[-1] < 1e-4
    assert errors[1] / errors[2] > 5, errors  # third order, 8, less what the first steps leave


def test_fluid_at_rest_is_set_in_motion_as_a_whole(program):
    unsteady, elements = program("unsteady"), program("spectral_elements")
    mesh = elements.Mesh(elements.rectangles([0.0, 0.7, 2.0], [0.0, 1.0]), 4)
    points = np.array([[0.0, 0.5], [0.5, 0.2], [2.0, 0.7]])
    p = unsteady.potential(mesh, lambda y: 3.0 + 0 * y, 2.0, points)
    assert np.allclose(p, 3.0 * (2.0 - points[:, 0]), atol=1e-12)


def test_the_long_channel_starts_at_rest_and_is_pumped(program):
    unsteady = program("unsteady")
    with h5py.File(REFERENCES / "channel_long.h5") as file:
        y, t, u, v, p = (file[name][()] for name in "ytuvp")
    assert np.abs(u[..., 0]).max() == np.abs(v[..., 0]).max() == 0
    inlet = np.sin(np.pi * y)[:, None] * np.array([unsteady.pulses(time) for time in t])
    assert np.abs(u[0] - inlet).max() < 1e-6
    flux = np.trapezoid(u, y, axis=1)  # the same through every section
    assert np.abs(flux - flux[0]).max() < 3e-2 * np.abs(flux).max()
    assert np.abs(p[-1, 1:-1]).max() < 1  # free outlet: p = u_x / Re

"""The reference files of problems in two dimensions of space, and the programs that make them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

REFERENCES = Path(__file__).parents[1] / "problems" / "references"
EVOLVING = {
    "wave2d": ("u",),
    "burgers2d": ("u", "v"),
    "ginzburg_landau": ("A_real", "A_imag"),
    "gray_scott": ("u", "v"),
    "heat2d_long": ("u",),
    "heat2d_disks": ("u",),
    "heat2d_varying": ("u",),
    "channel_long": ("u", "v", "p"),
}
STEADY = {
    "biharmonic_plate": ("w",),
    "cavity_ghia": ("psi",),
    "darcy": ("u",),
    "poisson2d_multiscale": ("ee", "eo", "oe", "oo"),
}
POINTS = dict.fromkeys(("cavity", "backward_step", "cylinder"), ("u", "v", "p")) | {"heat2d_disks": ("u",)}
STORED = {**EVOLVING, **STEADY, **POINTS}


def stored(name: str) -> tuple[list[np.ndarray], np.ndarray]:
    """The coordinates and the components (components, ...) of a file."""
    with h5py.File(REFERENCES / f"{name}.h5", "r") as file:
        coordinates = [file[axis][()] for axis in ("x", "y", "t") if axis in file]
        return coordinates, np.stack([file[component][()] for component in STORED[name]])


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


@pytest.mark.parametrize("name", STORED)
def test_the_file_has_the_stated_layout(name: str):
    path = REFERENCES / f"{name}.h5"
    coordinates, values = stored(name)
    assert path.stat().st_size < 400_000
    with h5py.File(path, "r") as file:
        assert file.attrs["layout"] == ("points" if name in POINTS else "grid")
        assert (REFERENCES / file.attrs["made_by"].split(":")[0]).is_file()
        assert 0 < file.attrs["accuracy"] < 1e-3
    shape = (len(coordinates[0]),) if name in POINTS else tuple(map(len, coordinates))
    assert values.shape[1:] == shape
    assert len(coordinates) == (3 if name in EVOLVING else 2)
    assert np.isfinite(values).all()


# ---- ETDRK4 on a rectangle


def test_a_plane_wave_of_ginzburg_and_landau(program):
    """A = R exp(i(kx - wt)) with R^2 = 1 - k^2, w = alpha k^2 + beta R^2."""
    plane = program("plane")
    k, alpha, beta = np.pi / 5, 0.7, -1.3
    system = plane.ginzburg_landau(16, alpha, beta)
    radius = np.sqrt(1 - k**2)
    wave = plane.System(
        system.plane,
        system.linear,
        system.nonlinear,
        lambda x, y: (radius * np.exp(1j * k * x) + 0 * y)[None],
    )
    t = np.linspace(0, 1, 3)
    found = plane.solve(wave, t, 50, (8, 8))[0]
    x = np.linspace(-5, 5, 9)[:, None, None]
    exact = radius * np.exp(1j * (k * x - (alpha * k**2 + beta * radius**2) * t)) + 0 * found
    assert np.abs(found - exact).max() < 1e-8


def test_sine_series_decay_as_they_should(program):
    plane = program("plane")
    square = plane.Plane((0.0, 0.0), (1.0, 2.0), (16, 32), "sine")
    system = plane.System(
        square,
        lambda k, m: -0.1 * (k**2 + m**2)[None],
        lambda v, t: np.full((1, 15, 31), 0.0) * v,
        lambda x, y: (np.sin(2 * np.pi * x) * np.sin(np.pi * y / 2))[None],
    )
    found = plane.solve(system, np.array([0.0, 1.0]), 2, (8, 8))[0]
    assert np.abs(found[..., 1] - np.exp(-0.1 * 4.25 * np.pi**2) * found[..., 0]).max() < 1e-14
    assert np.abs(found[2, :, 0] - np.sin(np.pi * np.linspace(0, 2, 9) / 2)).max() < 1e-14


@pytest.mark.parametrize(
    ("name", "points", "times", "steps", "within"),
    [("burgers2d", 80, 4, 10, 1e-5), ("ginzburg_landau", 40, 6, 10, 1e-4), ("gray_scott", 128, 2, 20, 2e-2)],
)
def test_evolutions_again_with_fewer_points(program, name, points, times, steps, within):
    plane = program("plane")
    (x, _, t), values = stored(name)
    maker = {"burgers2d": "burgers"}.get(name, name)
    n = len(x) - 1
    again = plane.solve(getattr(plane, maker)(points), t[:times], steps, (n, n))
    if np.iscomplexobj(again):
        again = np.stack([again[0].real, again[0].imag])
    assert difference(again, values[..., :times]) < within


def test_the_long_heat_again_with_fewer_points(program):
    plane = program("plane")
    (x, y, t), (u,) = stored("heat2d_long")
    again = plane.solve(plane.heat_long((24, 80)), t[:5], 100, (8, 40))[0]
    assert difference(again, u[:9, :, :5]) < 1e-3
    start = np.sin(4 * np.pi * x)[:, None] * np.sin(3 * np.pi * y)
    assert np.abs(u[..., 0] - start).max() < 1e-7  # the whole square, unfolded
    assert np.abs(u[..., -1] - u[..., -5]).max() < 1e-6  # of period 8 in the end


def test_the_vortices_stay_where_they_were_put():
    """By symmetry: A is zero where cos(pi x/5) and sin(pi y/5) both are."""
    (x, y, _), values = stored("ginzburg_landau")
    size = np.hypot(*values)
    i, j = [np.abs(x - c).argmin() for c in (-2.5, 2.5)], [np.abs(y - c).argmin() for c in (0.0, 5.0)]
    assert size[np.ix_(i, j)].max() < 1e-9
    assert size[..., -1].max() > 0.9


# ---- Legendre-Galerkin


def test_the_clamped_plate(program):
    """Symmetric; clamped at the edges; Timoshenko's deflection of the middle, 0.00126532 q L^4/D."""
    galerkin = program("galerkin")
    (axis, _), (w,) = stored("biharmonic_plate")
    assert difference(galerkin.plate(20, axis), w) < 1e-6
    assert difference(w.T, w) < 1e-12
    assert difference(w[::-1], w) < 1e-12
    assert w[40, 40] / 16 == pytest.approx(0.00126532, rel=1e-5)
    h = axis[1] - axis[0]
    assert np.abs(w[1]).max() < 0.2 * h**2 and np.abs(w[0]).max() < 1e-14


def test_the_waves_pass_the_lens(program):
    """From the stated start; a coarse solution again; in an even medium a mode swings as it should."""
    galerkin = program("galerkin")
    (axis, _, t), (u,) = stored("wave2d")
    assert np.abs(u[..., 0] - galerkin.pulse(axis[:, None], axis)).max() < 1e-9
    again = galerkin.waves(28, galerkin.lens, galerkin.pulse, axis, t[:11])
    assert difference(again, u[..., :11]) < 1e-2
    mode = galerkin.waves(
        14, lambda x, y: 2 + 0 * (x + y), lambda x, y: np.cos(np.pi * (x + 1)) + 0 * y, axis, t
    )
    exact = np.cos(np.pi * (axis[:, None, None] + 1)) * np.cos(2 * np.pi * t) + 0 * mode
    assert np.abs(mode - exact).max() < 1e-5


# ---- spectral elements


def test_spectral_elements_on_kovasznay_flow(program):
    elements = program("spectral_elements")
    k = 20 - np.sqrt(400 + 4 * np.pi**2)

    def exact(x, y):
        u, v = (
            1 - np.exp(k * x) * np.cos(2 * np.pi * y),
            k / 2 / np.pi * np.exp(k * x) * np.sin(2 * np.pi * y),
        )
        return u, v, (1 - np.exp(2 * k * x)) / 2

    def given(x, y):
        edge = (np.abs(x - 0.25) > 0.75 - 1e-9) | (np.abs(y - 0.5) > 1 - 1e-9)
        return edge, *exact(x, y)[:2]

    mesh = elements.Mesh(elements.rectangles([-0.5, 0.2, 1], [-0.5, 0.2, 0.9, 1.5]), 8)
    flow = elements.solve(mesh, 1 / 40, given, level=(-0.5, -0.5))
    points = np.random.default_rng(0).uniform([-0.5, -0.5], [1, 1.5], (50, 2))
    found, true = flow.at(points), np.stack(exact(*points.T), axis=1)
    found[:, 2] += true[0, 2] - found[0, 2]
    assert np.abs(found - true).max() < 1e-4
    assert flow.updates[-1] < 1e-11 < flow.updates[-2] < 1e-4  # Newton's method converged, quadratically


def test_spectral_elements_curve(program):
    """The block around the cylinder has the area of the square less the disk."""
    elements, flows = program("spectral_elements"), program("flows")
    maps = [flows.around(side, a, a + 1, 0.0, 1.0) for side in range(4) for a in (-1.0, 0.0)]
    area = elements.Mesh(maps, 8).quadrature[0].sum()
    assert area == pytest.approx(4 * flows.HALF**2 - np.pi * flows.RADIUS**2, rel=1e-8)


def test_the_cavities(program):
    """Coarse flows again; the eddy's strength of Botella & Peyret 1998, -0.1034 as in Ghia et al. 1982."""
    flows, elements = program("flows"), program("spectral_elements")
    (x, y), values = stored("cavity")
    again = flows.driven(4, 1, lambda x: 4 * x * (1 - x)).at(np.stack([x, y], axis=1)[::7])
    assert difference(again[:, :2], values[:2, ::7].T) < 5e-3
    lid = y > 1 - 1e-9
    assert np.abs(values[0, lid] - 4 * x[lid] * (1 - x[lid])).max() < 1e-9
    (axis, _), (psi,) = stored("cavity_ghia")
    flow = flows.driven(4, 2, np.ones_like)
    coarse = elements.evaluate(flow.mesh, flows.grid(axis, axis)[::9], [(4, flow.stream()[:, None])])
    assert difference(coarse[:, 0], psi.ravel()[::9]) < 1e-2
    assert psi.min() == pytest.approx(-0.1034, abs=2e-4)


def test_the_flow_around_the_cylinder():
    """What comes in goes out and the walls stand still."""
    (x, y), (u, v, _) = stored("cylinder")
    inflow = x < 1e-9
    assert np.abs(u[inflow] - 1.2 * y[inflow] * (0.41 - y[inflow]) / 0.41**2).max() < 1e-9
    for edge in (0.0, 2.2):
        at = np.abs(x - edge) < 1e-9
        assert np.trapezoid(u[at], y[at]) == pytest.approx(0.2 * 0.41, rel=2e-3)
    still = (y < 1e-9) | (y > 0.41 - 1e-9)
    assert np.abs(u[still]).max() < 1e-12 and np.abs(v[still]).max() < 1e-12


def test_the_flow_over_the_step():
    """Fluid flows back behind the step, and what comes in goes out."""
    (x, y), (u, _, _) = stored("backward_step")
    assert u[(np.abs(x - 2.5) < 1e-9) & (np.abs(y - 1.5) < 1e-9)] < 0
    for edge in (0.0, 4.0):
        at = np.abs(x - edge) < 1e-9
        assert np.trapezoid(u[at], y[at]) == pytest.approx(2 / 3, rel=5e-3)


# ---- diffusion by spectral elements


def test_diffusion_through_two_layers_with_fluxes_given(program):
    """u = 0 at x = 0, a dn(u) = 3 - 2u at x = 1, a = 1, 10: a u_x = q, u = q x, then q/2 + q (x - 1/2)/10."""
    diffusion, elements = program("diffusion"), program("spectral_elements")
    mesh = elements.Mesh(elements.rectangles([0, 0.5, 1], [0, 1]), 4)
    right = diffusion.Robin(lambda x, y: x > 1 - 1e-9, lambda x, y: 2 + 0 * x, 3.0)
    problem = diffusion.assemble(
        mesh,
        lambda x, y: np.where(x < 0.5, 1.0, 10.0),
        lambda x, y: 0 * x,
        [right],
        lambda x, y: x < 1e-9,
    )
    x, q = mesh.velocity[0][:, 0], 3 / (1 + 2 * 0.55)
    exact = np.where(x < 0.5, q * x, q / 2 + q * (x - 0.5) / 10)
    assert np.abs(problem.steady() - exact).max() < 1e-12


def test_diffusion_in_time_is_of_fourth_order(program):
    """u = v(t) sin(pi x) sin(pi y), v' = -2 pi^2 a v + sin(pi t), a = 0.1."""
    diffusion, elements = program("diffusion"), program("spectral_elements")
    mesh = elements.Mesh(elements.rectangles([0, 0.5, 1], [0, 0.5, 1]), 10)

    def sides(x, y):
        return (np.minimum(x, y) < 1e-9) | (np.maximum(x, y) > 1 - 1e-9)

    def mode(x, y):
        return np.sin(np.pi * x) * np.sin(np.pi * y)

    problem = diffusion.assemble(mesh, lambda x, y: 0.1 + 0 * x, mode, (), sides)
    t, c = np.array([0.0, 0.5, 1.0]), 0.2 * np.pi**2
    exact = (np.pi * np.exp(-c * t) + c * np.sin(np.pi * t) - np.pi * np.cos(np.pi * t)) / (c**2 + np.pi**2)

    def miss(steps: int) -> float:
        found = problem.evolve(
            t, lambda a, b: np.linspace(a, b, steps + 1)[1:], lambda s: float(np.sin(np.pi * s))
        )
        return float(np.abs(found - mode(*mesh.velocity[0].T)[:, None] * exact).max())

    assert miss(8) < 1e-5
    assert miss(4) / miss(8) == pytest.approx(16, rel=0.2)


def test_the_plate_with_disks_again(program):
    """Its area and the lengths of its rims; with coarser elements and steps."""
    conduction, diffusion = program("conduction"), program("diffusion")
    mesh = conduction.plate(8, (0.0, 1.0))
    assert mesh.quadrature[0].sum() == pytest.approx(96 - np.pi * (2.75 + 1.5 * 0.16), rel=1e-6)
    own, weights, _ = diffusion.edges(mesh)
    for large, length in ((True, 5.5 * np.pi), (False, 1.2 * np.pi)):
        here = conduction.rims(large)(*np.moveaxis(mesh.velocity[0][own], 2, 0)).all(axis=1)
        assert weights[here].sum() == pytest.approx(length, rel=1e-5)
    (x, y, t), (u,) = stored("heat2d_disks")
    times, places = conduction.scattered(60, 250)
    assert np.array_equal(places.reshape(-1, 2), np.stack([x, y], axis=1))
    again = conduction.disks(4, (0.0, 0.3, 1.0), (1e-3, 0.05), times[:4], places[:4, :50])
    assert difference(again, u.reshape(60, 250)[:4, :50]) < 1e-2
    assert t.reshape(60, 250)[:, 0] == pytest.approx(times)


def test_the_blocks_and_the_random_ground_again(program):
    """With coarser elements; the unknowns of neighbouring blocks have one value where these meet."""
    conduction = program("conduction")
    (x, y), values = stored("poisson2d_multiscale")
    whole = np.where(values != 0, values, np.nan)
    assert np.nanmax(np.nanmax(whole, axis=0) - np.nanmin(whole, axis=0)) == 0
    again = conduction.conduct(3, 3, conduction.grid(x[::5], y[::5])).reshape(21, 21)
    assert difference(again, np.nanmax(whole, axis=0)[::5, ::5]) < 1e-2
    (x, _), (u,) = stored("darcy")
    problem = conduction.unit_square("darcy", 4, 6, conduction.one)
    found = conduction.elements.evaluate(
        problem.mesh, conduction.grid(x[::8], x[::8]), [(6, problem.steady()[:, None])]
    )
    assert difference(found.reshape(9, 9), u[::8, ::8]) < 1e-3


@pytest.mark.parametrize("name", ["darcy", "heat2d_varying"])
def test_random_coefficients_are_what_their_program_makes(program, name):
    axis, table = program("random_fields").FIELDS[name].table()
    with h5py.File(REFERENCES / f"{name}_coefficient.h5", "r") as file:
        assert np.abs(file["a"][()] - table).max() < 1e-8
        assert np.array_equal(file["x"][()], axis) and np.array_equal(file["y"][()], axis)
    assert table.min() > 0.1 and table.max() / table.min() > 10

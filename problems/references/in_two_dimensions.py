"""The reference files of problems in two dimensions of space: what is computed, how finely, and checks."""

from __future__ import annotations

from collections.abc import Callable

import cavities
import flows
import galerkin
import harmonic
import numpy as np
import plane
import screened
import unsteady
from fourier import Array
from reference import Reference, difference


def biharmonic_plate() -> Reference:
    """Legendre-Galerkin."""
    axis = np.linspace(-1, 1, 81)
    w = galerkin.plate(48, axis)
    return Reference(
        title="Clamped plate, lap lap w = 1 on [-1, 1]^2, w = dn(w) = 0",
        made_by="galerkin.py: Legendre-Galerkin, degree 48",
        coordinates={"x": axis, "y": axis},
        values={"w": w},
        refinements={"degree 36": difference(galerkin.plate(36, axis), w)},
        checks={"Timoshenko's value in the middle": abs(w[40, 40] / 16 / 0.0012653 - 1)},
    )


def wave2d() -> Reference:
    """Legendre-Galerkin, exact in time."""
    axis, t = np.linspace(-1, 1, 41), np.linspace(0, 2, 21)

    def solution(degree: int) -> Array:
        return galerkin.waves(degree, galerkin.lens, galerkin.pulse, axis, t)

    u = solution(56)
    return Reference(
        title="u_tt = c^2 lap u on [-1, 1]^2, c = 1 - 0.5 exp(-10 ((x - 0.5)^2 + (y - 0.2)^2)), dn(u) = 0, "
        "u(t = 0) = exp(-15 (x^2 + y^2)), u_t(t = 0) = 0",
        made_by="galerkin.py: Legendre-Galerkin, degree 56, modes in time",
        coordinates={"x": axis, "y": axis, "t": t},
        values={"u": u},
        refinements={"degree 48": difference(solution(48), u)},
        checks={"start": difference(u[..., 0], galerkin.pulse(axis[:, None], axis[None, :]))},
    )


def evolution(
    title: str,
    system: Callable[[int], plane.System],
    points: tuple[int, int],
    times: Array,
    steps: int,
    intervals: int,
    named: Callable[[Array], dict[str, Array]],
) -> Reference:
    """ETDRK4 on a periodic square; `points` are those of the solution and of its refinement."""
    u = plane.solve(system(points[0]), times, steps, (intervals, intervals))

    def change(n: int, k: int) -> float:
        return difference(plane.solve(system(n), times, k, (intervals, intervals)), u)

    lower, upper = system(8).plane.lower, system(8).plane.upper
    x, y = (np.linspace(a, b, intervals + 1) for a, b in zip(lower, upper, strict=True))
    return Reference(
        title=title,
        made_by=f"plane.py: Fourier ETDRK4, {points[0]}^2 points, {steps * (len(times) - 1)} steps",
        coordinates={"x": x, "y": y, "t": times},
        values=named(u),
        refinements={
            f"{points[1]}^2 points": change(points[1], steps),
            "half the steps": change(points[0], steps // 2),
        },
    )


def burgers2d() -> Reference:
    """Fourier ETDRK4."""
    return evolution(
        "u_t + u u_x + v u_y = 0.05 lap u, v_t + u v_x + v v_y = 0.05 lap v on [-1, 1]^2, periodic, "
        "u(t = 0) = 0.5 + sin(pi x) cos(pi y), v(t = 0) = cos(pi (x + y))",
        plane.burgers,
        (160, 240),
        np.linspace(0, 0.5, 11),
        40,
        40,
        lambda w: {"u": w[0], "v": w[1]},
    )


def ginzburg_landau() -> Reference:
    """Fourier ETDRK4."""
    return evolution(
        "A_t = A + (1 + i) lap A - (1 - i) |A|^2 A on [-5, 5]^2, periodic, "
        "A(t = 0) = cos(pi x/5) + i sin(pi y/5)",
        plane.ginzburg_landau,
        (80, 120),
        np.linspace(0, 3, 13),
        80,
        40,
        lambda a: {"A_real": a[0].real, "A_imag": a[0].imag},
    )


def gray_scott() -> Reference:
    """Fourier ETDRK4, written to nine decimals."""
    return evolution(
        "u_t = 1e-5 lap u + 0.04 (1 - u) - u v^2, v_t = 5e-6 lap v - 0.1 v + u v^2 on [-1, 1]^2, "
        "periodic, two spots",
        plane.gray_scott,
        (320, 448),
        np.linspace(0, 200, 6),
        160,
        64,
        lambda w: {"u": np.round(w[0], 9), "v": np.round(w[1], 9)},
    )


def heat2d_long() -> Reference:
    """Sine-series ETDRK4 on a quarter of the square, continued by symmetry; written to eight decimals."""
    t = np.linspace(0, 100, 51)

    def solution(points: tuple[int, int], steps: int) -> Array:
        quarter = plane.solve(plane.heat_long(points), t, steps, (8, 40))[0]
        half = np.concatenate([quarter, -quarter[-2::-1]])  # odd about x = 1/4
        return np.concatenate([half, half[1:]])  # of period 1/2

    points, steps = (64, 240), 400
    u = solution(points, steps)
    return Reference(
        title="u_t = 0.001 lap u + 5 sin(u^2) (1 + 2 sin(pi t/4)) sin(4 pi x) sin(2 pi y) on [0, 1]^2, "
        "u = 0 on the sides, u(t = 0) = sin(4 pi x) sin(3 pi y)",
        made_by=f"plane.py: sine-series ETDRK4, 256 x 240 points, {steps * (len(t) - 1)} steps",
        coordinates={"x": np.linspace(0, 1, 33), "y": np.linspace(0, 1, 41), "t": t},
        values={"u": np.round(u, 8)},
        refinements={
            "half as many points again": difference(solution((96, 360), steps), u),
            "half the steps": difference(solution(points, steps // 2), u),
        },
    )


MAKERS: dict[str, Callable[[], Reference]] = {
    "biharmonic_plate": biharmonic_plate,
    "wave2d": wave2d,
    "burgers2d": burgers2d,
    "ginzburg_landau": ginzburg_landau,
    "gray_scott": gray_scott,
    "heat2d_long": heat2d_long,
    **harmonic.MAKERS,
    **screened.MAKERS,
    **flows.MAKERS,
    **unsteady.MAKERS,
    **cavities.MAKERS,
}

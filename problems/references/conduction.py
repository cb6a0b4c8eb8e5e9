"""The reference files of conduction and diffusion by spectral elements: meshes, coefficients, refinements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import diffusion
import h5py
import numpy as np
import random_fields
import spectral_elements as elements
from diffusion import Robin
from flows import grid
from fourier import Array
from reference import Reference, difference

# ---- a plate with seventeen disks

DISKS = (
    (0.0, 0.0, 1.0, (0.0, 1.6, 0.0, 1.4)),
    (0.0, 6.0, 1.0, (0.0, 1.6, 4.6, 7.4)),
    (4.0, 3.0, 1.0, (2.4, 5.6, 1.4, 4.6)),
    (4.0, 9.0, 1.0, (2.4, 5.6, 7.4, 10.6)),
    (3.2, 0.0, 0.4, (2.4, 4.0, 0.0, 0.8)),
    (3.2, 6.0, 0.4, (2.4, 4.0, 5.2, 6.8)),
)
"""Centre and radius in the quarter x, y > 0, and the rectangle of curved elements around each."""
BREAKS = (0.0, 1.6, 2.4, 4.0, 5.6, 8.0), (0.0, 0.8, 1.4, 3.0, 4.6, 5.2, 6.0, 6.8, 7.4, 9.0, 10.6, 12.0)


def ray(
    disk: tuple[float, float, float], start: Array, end: Array, inner: float, outer: float
) -> elements.Map:
    """A curved element from a disk towards the line `start` to `end`, `inner` to `outer` of the way."""
    centre, radius = np.array(disk[:2]), disk[2]

    def curved(r: Array, s: Array) -> tuple[Array, Array]:
        share = (s + 1)[..., None] / 2
        far = start + (end - start) * share - centre
        near = radius * far / np.linalg.norm(far, axis=-1, keepdims=True)
        along = inner + (outer - inner) * (r + 1)[..., None] / 2
        points = centre + near + (far - near) * along
        return points[..., 0], points[..., 1]

    return curved


def plate(degree: int, layers: Sequence[float]) -> elements.Mesh:
    """A quarter of the plate; `layers` are the shares of the way from a disk at which elements end."""
    x, y = BREAKS
    maps: list[elements.Map] = []
    for i in range(len(x) - 1):
        for j in range(len(y) - 1):
            middle = (x[i] + x[i + 1]) / 2, (y[j] + y[j + 1]) / 2
            if not any(a < middle[0] < b and c < middle[1] < d for *_, (a, b, c, d) in DISKS):
                maps += elements.rectangles(x[i : i + 2], y[j : j + 2])
    for u, v, radius, (a, b, c, d) in DISKS:
        across, along = [e for e in x if a <= e <= b], [e for e in y if c <= e <= d]
        sides = [[(e, c) for e in across], [(e, d) for e in across]]
        sides += [[(a, e) for e in along], [(b, e) for e in along]]
        for side in sides:
            if (side[0][0], side[-1][0]) == (u, u) or (side[0][1], side[-1][1]) == (v, v):
                continue  # a line of symmetry through the disk
            maps += [
                ray((u, v, radius), np.array(p), np.array(q), *layers[k : k + 2])
                for p, q in pairwise(side)
                for k in range(len(layers) - 1)
            ]
    return elements.Mesh(maps, degree)


def one(x: Array, y: Array) -> Array:
    """A coefficient that is 1 everywhere."""
    return np.ones_like(x + y)


def nothing(x: Array, y: Array) -> Array:
    """A source that is 0 everywhere."""
    return np.zeros_like(x + y)


def rims(large: bool) -> Callable[[Array, Array], Array]:
    """A mask of points on the circles of one size."""

    def on(x: Array, y: Array) -> Array:
        found = np.zeros(x.shape, dtype=bool)
        for u, v, radius, _ in DISKS:
            if (radius == 1.0) == large:
                found |= np.abs(np.hypot(x - u, y - v) - radius) < 1e-9
        return found

    return on


def growing(first: float, most: float) -> Callable[[float, float], Array]:
    """Steps that begin with `first` after time 0 and double every eight, until they are `most` long."""

    def ends(start: float, end: float) -> Array:
        steps: list[float] = []
        while start == 0.0 and sum(steps) < end / 2 and (size := first * 2 ** (len(steps) // 8)) < most:
            steps.append(size)
        rest = end - start - sum(steps)
        count = int(np.ceil(rest / most - 1e-9))
        return start + np.cumsum([*steps, *[rest / count] * count])

    return ends


def scattered(times: int, count: int) -> tuple[Array, Array]:
    """Times (times,), the middles of equal pieces of [0, 3], and random places (times, count, 2) at each."""
    drawn = np.round(np.random.default_rng(0).uniform((0, 0), (8, 12), (2 * times * count, 2)), 4)
    outside = np.all([np.hypot(*(drawn - d[:2]).T) > d[2] for d in DISKS], axis=0)
    return (np.arange(times) + 0.5) * 3 / times, drawn[outside][: times * count].reshape(times, count, 2)


def disks(degree: int, layers: Sequence[float], steps: tuple[float, float], t: Array, places: Array) -> Array:
    """u (times, count) at `places` in a quarter of the plate; `steps` are the first and the largest."""

    def sides(x: Array, y: Array) -> Array:
        return (x > 8 - 1e-9) | (y > 12 - 1e-9)

    mesh = plate(degree, layers)
    parts = (rims(True), 5.0), (rims(False), 1.0), (sides, 0.1)
    problem = diffusion.assemble(mesh, one, nothing, [Robin(part, one, value) for part, value in parts])
    nodal = problem.evolve(np.array([0.0, *t]), growing(*steps), lambda _: 1.0)[:, 1:]
    found = elements.evaluate(mesh, places.reshape(-1, 2), [(degree, nodal)])
    every = np.arange(len(t))
    return found.reshape(*places.shape[:2], len(t))[every, :, every]


def heat2d_disks() -> Reference:
    """At scattered points, since those of a grid would lie on the rims, where it is hot at once."""
    t, places = scattered(60, 250)
    layers, steps = (0.0, 0.12, 0.4, 1.0), (1e-5, 0.02)
    u = disks(9, layers, steps, t, places)
    return Reference(
        title="u_t = lap u on [0, 8] x [0, 12] less disks of radius 1 about (0, 0), (0, 6), (4, 3), (4, 9) "
        "and of 0.4 about (3.2, 0), (3.2, 6), u(t = 0) = 0, dn(u) = 5 - u on large, 1 - u on small disks, "
        "0.1 - u on x = 8 and y = 12, 0 on x = 0 and y = 0",
        made_by="diffusion.py: spectral elements of degree 9, curved around the disks; SDIRK4, growing steps",
        coordinates={
            "x": places[..., 0].ravel(),
            "y": places[..., 1].ravel(),
            "t": np.repeat(np.round(t, 9), places.shape[1]),
        },
        values={"u": np.round(u, 8).ravel()},
        refinements={
            "degree 8": difference(disks(8, layers, steps, t, places), u),
            "half the layers": difference(disks(9, (0.0, 0.25, 1.0), steps, t, places), u),
            "twice the steps": difference(disks(9, layers, (2e-5, 0.05), t, places), u),
        },
        layout="points",
    )


# ---- five by five blocks of different conductivity


def blocks() -> dict[str, Array]:
    """a, f0 and f1 (5, 5) of the table beside this file, which holds those at the rim twice."""
    with h5py.File(Path(__file__).parent / "poisson2d_multiscale_blocks.h5", "r") as file:
        return {name: file[name][1:-1, 1:-1] for name in ("a", "f0", "f1")}


def conduct(degree: int, levels: int, points: Array) -> Array:
    """-div(a grad u) = f on [-10, 10]^2, dn(u) = -u, at `points`; elements shrink towards block corners."""
    table = blocks()

    def of(name: str) -> diffusion.Field:
        def piecewise(x: Array, y: Array) -> Array:
            i, j = (np.clip(np.floor((c + 10) / 4), 0, 4).astype(int) for c in (x, y))
            return table[name][i, j]

        return piecewise

    def source(x: Array, y: Array) -> Array:
        wave = np.abs(np.sin(np.pi * (x + 10) / 4) * np.sin(np.pi * (y + 10) / 4))
        return of("f0")(x, y) + of("f1")(x, y) * wave

    axis = elements.graded([-10.0, -6.0, -2.0, 2.0, 6.0, 10.0], (-6.0, -2.0, 2.0, 6.0), levels)
    mesh = elements.Mesh(elements.rectangles(axis, axis), degree)
    rim = diffusion.Robin(lambda x, y: np.ones(np.broadcast(x, y).shape, dtype=bool), of("a"), 0.0)
    problem = diffusion.assemble(mesh, of("a"), source, [rim])
    return elements.evaluate(mesh, points, [(degree, problem.steady()[:, None])])[:, 0]


def poisson2d_multiscale() -> Reference:
    """Elements that shrink towards the edges of the blocks; every unknown is zero where it does not count."""
    axis = np.linspace(-10, 10, 101)
    points = grid(axis, axis)
    u = conduct(6, 6, points)
    wave = np.round(np.cos(np.pi * axis / 4), 9)
    kinds = {"e": wave >= 0, "o": wave <= 0}
    return Reference(
        title="-div(a grad u) = f on [-10, 10]^2, dn(u) = -u, a constant on five by five blocks",
        made_by="diffusion.py: spectral elements of degree 6, six levels towards the edges of blocks",
        coordinates={"x": axis, "y": axis},
        values={
            p + q: np.where(np.outer(kinds[p], kinds[q]), np.round(u.reshape(101, 101), 9), 0.0)
            for p in "eo"
            for q in "eo"
        },
        refinements={
            "degree 5": difference(conduct(5, 6, points), u),
            "a level less": difference(conduct(6, 5, points), u),
        },
    )


# ---- random coefficients on the unit square


def unit_square(name: str, cells: int, degree: int, source: diffusion.Field) -> diffusion.Diffusion:
    """The coefficient of a problem, u = 0 on the sides."""
    breaks = np.linspace(0, 1, cells + 1)
    mesh = elements.Mesh(elements.rectangles(breaks, breaks), degree)

    def sides(x: Array, y: Array) -> Array:
        return (np.minimum(x, y) < 1e-9) | (np.maximum(x, y) > 1 - 1e-9)

    return diffusion.assemble(mesh, random_fields.FIELDS[name].spline(), source, fixed=sides)


def darcy() -> Reference:
    """Elements whose edges are knots of the coefficient."""
    axis = np.linspace(0, 1, 65)

    def solution(cells: int, degree: int) -> Array:
        problem = unit_square("darcy", cells, degree, one)
        values = elements.evaluate(problem.mesh, grid(axis, axis), [(degree, problem.steady()[:, None])])
        return values.reshape(65, 65)

    u = solution(16, 8)
    return Reference(
        title="-div(a grad u) = 1 on [0, 1]^2, u = 0 on the sides, a log-normal",
        made_by="diffusion.py: spectral elements of degree 8, 16 x 16",
        coordinates={"x": axis, "y": axis},
        values={"u": u},
        refinements={
            "degree 6": difference(solution(16, 6), u),
            "half the elements": difference(solution(8, 8), u),
        },
    )


def heat2d_varying() -> Reference:
    """The same with a source that is a wave in time; written to nine decimals."""
    axis, t = np.linspace(0, 1, 33), np.linspace(0, 5, 26)

    def source(x: Array, y: Array) -> Array:
        return 200 * np.sin(np.pi * x) * np.sin(5 * np.pi * y)

    def solution(cells: int, degree: int, steps: int) -> Array:
        problem = unit_square("heat2d_varying", cells, degree, source)
        nodal = problem.evolve(
            t, lambda a, b: np.linspace(a, b, steps + 1)[1:], lambda t: float(np.sin(np.pi * t))
        )
        return elements.evaluate(problem.mesh, grid(axis, axis), [(degree, nodal)]).reshape(33, 33, -1)

    u = solution(8, 8, 32)
    return Reference(
        title="u_t = div(a grad u) + 200 sin(pi x) sin(5 pi y) sin(pi t) on [0, 1]^2, u = 0 on the sides and "
        "at t = 0, a log-normal",
        made_by="diffusion.py: spectral elements of degree 8, 8 x 8; SDIRK4, 800 steps",
        coordinates={"x": axis, "y": axis, "t": t},
        values={"u": np.round(u, 9)},
        refinements={
            "degree 6": difference(solution(8, 6, 32), u),
            "half the steps": difference(solution(8, 8, 16), u),
        },
    )


MAKERS: dict[str, Callable[[], Reference]] = {
    "heat2d_disks": heat2d_disks,
    "poisson2d_multiscale": poisson2d_multiscale,
    "darcy": darcy,
    "heat2d_varying": heat2d_varying,
}

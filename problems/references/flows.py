"""The reference files of steady flows by spectral elements: meshes, refinements, what is known besides."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import spectral_elements as elements
from fourier import Array
from reference import Reference, difference

HALF, RADIUS, CENTRE = 0.14, 0.05, 0.2
"""Of the block of curved elements around the cylinder: half its side; the radius; both coordinates."""


def driven(degree: int, levels: int, lid: Callable[[Array], Array]) -> elements.Flow:
    """The square cavity at Re 100, elements graded towards its corners."""
    breaks = [0.0, 0.25, 0.5, 0.75, 1.0]
    x, y = elements.graded(breaks, (0.0, 1.0), levels), elements.graded(breaks, (1.0,), levels)

    def given(x: Array, y: Array) -> tuple[Array, Array, Array]:
        top = y > 1 - 1e-12
        return top | (x < 1e-12) | (x > 1 - 1e-12) | (y < 1e-12), np.where(top, lid(x), 0.0), np.zeros_like(x)

    return elements.solve(elements.Mesh(elements.rectangles(x, y), degree), 0.01, given, level=(0.0, 0.0))


def step(degree: int, levels: int) -> elements.Flow:
    """[0, 4] x [0, 2] less [0, 2] x [1, 2], Re 100: u = 4y(1 - y) on x = 0, free on x = 4, else walls."""
    x = elements.graded([0.0, 1.0, 2.0, 3.0, 4.0], (2.0,), levels)
    y = elements.graded([0.0, 0.5, 1.0, 1.5, 2.0], (1.0,), levels)
    left, right = x[: x.index(2.0) + 1], x[x.index(2.0) :]
    low = y[: y.index(1.0) + 1]
    maps = elements.rectangles(left, low) + elements.rectangles(right, y)

    def given(x: Array, y: Array) -> tuple[Array, Array, Array]:
        inlet, outlet = x < 1e-12, x > 4 - 1e-12
        wall = (y < 1e-12) | (y > 2 - 1e-12) | ((x < 2 + 1e-12) & (y > 1 - 1e-12))
        wall |= (np.abs(x - 2) < 1e-12) & (y > 1 - 1e-12)
        return inlet | wall, np.where(inlet, 4 * y * (1 - y), 0.0), np.zeros_like(x) * outlet

    return elements.solve(elements.Mesh(maps, degree), 0.01, given)


def around(side: int, a: float, b: float, inner: float, outer: float) -> elements.Map:
    """A curved element between cylinder and block: [a, b] along a side, `inner` to `outer` of the way."""
    turn = side * np.pi / 2

    def curved(r: Array, s: Array) -> tuple[Array, Array]:
        along = a + (b - a) * (s + 1) / 2
        share = inner + (outer - inner) * (r + 1) / 2
        angle = turn + along * np.pi / 4
        ring = RADIUS * np.cos(angle), RADIUS * np.sin(angle)
        flat = HALF * (np.cos(turn) - along * np.sin(turn)), HALF * (np.sin(turn) + along * np.cos(turn))
        x, y = ((1 - share) * p + share * q for p, q in zip(ring, flat, strict=True))
        return CENTRE + x, CENTRE + y

    return curved


def channel(degree: int, layers: tuple[float, ...] = (0.0, 0.12, 0.4, 1.0)) -> elements.Flow:
    """[0, 2.2] x [0, 0.41] less the disk of radius 0.05 about (0.2, 0.2), nu = 0.001, mean inflow 0.2."""
    x = [0.0, 0.06, 0.2, 0.34, 0.5, 0.7, 0.95, 1.3, 1.7, 2.2]
    y = [0.0, 0.06, 0.2, 0.34, 0.41]
    cells = [(i, j) for i in range(9) for j in range(4) if not (1 <= i <= 2 and 1 <= j <= 2)]
    maps = [m for i, j in cells for m in elements.rectangles(x[i : i + 2], y[j : j + 2])]
    maps += [
        around(side, a, a + 1, *layers[k : k + 2])
        for side in range(4)
        for a in (-1.0, 0.0)
        for k in range(len(layers) - 1)
    ]

    def given(x: Array, y: Array) -> tuple[Array, Array, Array]:
        inlet = x < 1e-12
        wall = (y < 1e-12) | (y > 0.41 - 1e-12) | (np.hypot(x - CENTRE, y - CENTRE) < RADIUS + 1e-10)
        return inlet | wall, np.where(inlet, 1.2 * y * (0.41 - y) / 0.41**2, 0.0), np.zeros_like(x)

    return elements.solve(elements.Mesh(maps, degree), 0.001, given)


def grid(x: Array, y: Array) -> Array:
    """The points of a grid (n, 2)."""
    return np.stack([a.ravel() for a in np.meshgrid(x, y, indexing="ij")], axis=1)


def of_points(
    title: str, made_by: str, points: Array, flows: Mapping[str, Array], checks: Mapping[str, float]
) -> Reference:
    """u, v and p at points: the first of `flows` is the solution, the others are less fine."""
    (_, flow), *coarse = flows.items()
    return Reference(
        title=title,
        made_by=made_by,
        coordinates={"x": points[:, 0], "y": points[:, 1]},
        values=dict(zip("uvp", flow.T, strict=True)),
        refinements={
            f"{name}, {field}": difference(other[:, c], flow[:, c])
            for name, other in coarse
            for c, field in enumerate("uvp")
        },
        checks=checks,
        layout="points",
    )


def cavity() -> Reference:
    """Spectral elements; points nearer than a tenth to an upper corner are left out."""
    points = grid(*[np.linspace(0, 1, 51)] * 2)
    far = [np.hypot(points[:, 0] - corner, points[:, 1] - 1) > 0.1 for corner in (0, 1)]
    points = points[far[0] & far[1]]

    def solution(degree: int, levels: int) -> Array:
        flow = driven(degree, levels, lambda x: 4 * x * (1 - x))
        return flow.at(points) - [0, 0, flow.at(np.array([[0.5, 0.5]]))[0, 2]]  # p = 0 in the middle

    return of_points(
        "Steady flow in a square cavity, Re = 100, lid 4x(1 - x); without a tenth around the upper corners",
        "spectral_elements.py: Taylor-Hood elements of degree 9, three levels towards the corners",
        points,
        {"degree 9": solution(9, 3), "degree 8": solution(8, 3), "a level less": solution(9, 2)},
        {},
    )


def cavity_ghia() -> Reference:
    """Spectral elements, then Poisson's equation for the stream function."""
    axis = np.linspace(0, 1, 51)
    points = grid(axis, axis)

    def solution(degree: int, levels: int) -> tuple[Array, float]:
        flow = driven(degree, levels, np.ones_like)
        psi = flow.stream()
        values = elements.evaluate(flow.mesh, points, [(degree, psi[:, None])])
        return values.reshape(51, 51), float(psi.min())

    psi, least = solution(8, 5)
    return Reference(
        title="Stream function of the steady flow in a square cavity, Re = 100, lid of unit speed",
        made_by="spectral_elements.py: Taylor-Hood elements of degree 8, five levels towards the corners",
        coordinates={"x": axis, "y": axis},
        values={"psi": psi},
        refinements={
            "degree 6": difference(solution(6, 5)[0], psi),
            "a level less": difference(solution(8, 4)[0], psi),
        },
        checks={"Ghia's strength of the eddy": abs(least / -0.103423 - 1)},
    )


def backward_step() -> Reference:
    """Spectral elements; points nearer than 0.1 to the edge of the step are left out."""
    points = grid(np.linspace(0, 4, 81), np.linspace(0, 2, 41))
    points = points[
        ((points[:, 0] >= 2) | (points[:, 1] <= 1)) & (np.hypot(points[:, 0] - 2, points[:, 1] - 1) > 0.1)
    ]
    flows = {
        "degree 8": step(8, 3).at(points),
        "degree 7": step(7, 3).at(points),
        "a level less": step(8, 2).at(points),
    }
    return of_points(
        "Steady flow over a backward-facing step, Re = 100, free outflow; without a tenth around the edge",
        "spectral_elements.py: Taylor-Hood elements of degree 8, three levels towards the edge",
        points,
        flows,
        {},
    )


def cylinder() -> Reference:
    """Spectral elements; the pressure difference of Schaefer & Turek's benchmark is known."""
    points = grid(np.linspace(0, 2.2, 111), np.linspace(0, 0.41, 42))
    points = points[np.hypot(points[:, 0] - CENTRE, points[:, 1] - CENTRE) > RADIUS]
    fine = channel(9)
    ends = fine.at(np.array([[CENTRE - RADIUS, CENTRE], [CENTRE + RADIUS, CENTRE]]))[:, 2]
    return of_points(
        "Steady flow around a cylinder in a channel, Re = 20, free outflow",
        "spectral_elements.py: Taylor-Hood elements of degree 9, curved around the cylinder",
        points,
        {"degree 9": fine.at(points), "degree 8": channel(8).at(points)},
        {"pressure difference 0.1175201670": abs((ends[0] - ends[1]) / 0.11752016697 - 1)},
    )


MAKERS: dict[str, Callable[[], Reference]] = {
    "cavity": cavity,
    "cavity_ghia": cavity_ghia,
    "backward_step": backward_step,
    "cylinder": cylinder,
}

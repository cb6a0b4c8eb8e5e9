"""Unsteady incompressible flow on the elements of `spectral_elements.py`.

    u_t + u . grad u + grad p = nu lap u + f,    div u = 0

by backward differences of third order in time, with convection and force extrapolated from the three steps
before (Karniadakis, Israeli & Orszag, J. Comput. Phys. 97, 1991, table I), but velocity and pressure are
solved for together, by one sparse factorisation for all steps. Where no velocity is given the boundary is
free: nu dn(u) = p n. The first steps have lower orders, which is exact enough where a flow starts smoothly
from rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import spectral_elements as elements
from fourier import Array
from reference import Reference, difference
from scipy import sparse
from scipy.sparse.linalg import splu

BACKWARD = {1: (1.0, (1.0,)), 2: (1.5, (2.0, -0.5)), 3: (11 / 6, (3.0, -1.5, 1 / 3))}
"""By order: the factor of the new velocity and those of the ones before, the last first."""
EXTRAPOLATED = {1: (1.0,), 2: (2.0, -1.0), 3: (3.0, -3.0, 1.0)}

Given = Callable[[Array, Array, float], tuple[Array, Array, Array]]
"""x, y of all nodes and t to a mask of given velocities, which is the same for all t, and to u and v."""
Force = Callable[[Array, Array, float], tuple[Array, Array]]
"""x, y and t to both components of f."""


def solve(
    mesh: elements.Mesh,
    nu: float,
    given: Given,
    force: Force,
    times: Sequence[float],
    steps: int,
    points: Array,
) -> Array:
    """u, v and p (points, times, 3) of a flow that starts from rest; `steps` between two of the times."""
    w, values, by_x, by_y, pressure = mesh.quadrature
    nodes, numbers = mesh.velocity
    places, own = mesh.pressure
    n, m = len(nodes), len(places)
    dt = (times[1] - times[0]) / steps
    mass = elements.matrix(elements.products(w, values, values), numbers, numbers, (n, n))
    stiff = elements.matrix(
        nu * (elements.products(w, by_x, by_x) + elements.products(w, by_y, by_y)), numbers, numbers, (n, n)
    )
    gx, gy = (elements.matrix(-elements.products(w, b, pressure), numbers, own, (n, m)) for b in (by_x, by_y))
    local = nodes[numbers]
    at = np.einsum("qn,enc->eqc", values, local)  # places of the quadrature
    mask = given(nodes[:, 0], nodes[:, 1], 0.0)[0]
    free = np.concatenate([~mask, ~mask, np.ones(m, dtype=bool)])
    solvers = {}

    def solver(order: int) -> tuple[sparse.csc_matrix, Callable[[Array], Array]]:
        if order not in solvers:
            block = stiff + BACKWARD[order][0] / dt * mass
            whole = sparse.bmat([[block, None, gx], [None, block, gy], [gx.T, gy.T, None]], format="csr")
            solvers[order] = whole, splu(whole[free][:, free].tocsc()).solve
        return solvers[order]

    def push(velocity: Array, t: float) -> Array:
        """The integrals (2, n) of (f - u . grad u) times every function."""
        field = velocity.T[numbers]
        a = np.einsum("qn,enc->eqc", values, field, optimize=True)
        ax, ay = (np.einsum("eqn,enc->eqc", b, field, optimize=True) for b in (by_x, by_y))
        carried = a[..., :1] * ax + a[..., 1:] * ay
        found = [
            np.bincount(numbers.ravel(), ((w * (f - carried[..., c])) @ values).ravel(), n)
            for c, f in enumerate(force(at[..., 0], at[..., 1], t))
        ]
        return np.stack(found)

    def seen(velocity: Array, p: Array) -> Array:
        fields = [(mesh.degree, velocity.T), (mesh.degree - 1, p[:, None])]
        return elements.evaluate(mesh, points, fields)

    past = [np.zeros((2, n))]
    forces = [push(past[0], times[0])]
    found = [np.zeros((len(points), 3))]
    state = np.zeros(2 * n + m)
    for step in range(1, steps * (len(times) - 1) + 1):
        order = min(step, 3)
        t = times[0] + step * dt
        whole, solved = solver(order)
        memory = sum(c * u for c, u in zip(BACKWARD[order][1], past, strict=False))
        drive = sum(c * f for c, f in zip(EXTRAPOLATED[order], forces, strict=False))
        right = np.concatenate([(mass @ memory.T).T.ravel() / dt + drive.ravel(), np.zeros(m)])
        _, u, v = given(nodes[:, 0], nodes[:, 1], t)
        state = np.concatenate([np.where(mask, u, 0.0), np.where(mask, v, 0.0), np.zeros(m)])
        state[free] = solved((right - whole @ state)[free])
        velocity = state[: 2 * n].reshape(2, n)
        past, forces = [velocity, *past[:2]], [push(velocity, t), *forces[:2]]
        if step % steps == 0:
            found.append(seen(velocity, state[2 * n :]))
    return np.stack(found, axis=1)


def potential(mesh: elements.Mesh, inflow: Callable[[Array], Array], length: float, points: Array) -> Array:
    """The pressure (points,) that sets fluid at rest in a channel 0 < x < `length` in motion.

    At first the acceleration is -grad p: lap p = 0, p_x = -`inflow`(y) at the inlet, p_y = 0 on the walls,
    p = 0 at the outlet. The integral of inflow q over the inlet is one over the channel, by Gauss's theorem.
    """
    w, values, by_x, by_y, _ = mesh.quadrature
    nodes, numbers = mesh.velocity
    n = len(nodes)
    stiff = elements.matrix(
        elements.products(w, by_x, by_x) + elements.products(w, by_y, by_y), numbers, numbers, (n, n)
    )
    x, y = np.moveaxis(np.einsum("qn,enc->eqc", values, nodes[numbers]), -1, 0)
    flow = inflow(y)
    load = (w * flow / length) @ values - np.einsum("eq,eqn->en", w * flow * (1 - x / length), by_x)
    right = np.bincount(numbers.ravel(), load.ravel(), n)
    free = nodes[:, 0] < length - 1e-12
    p = np.zeros(n)
    p[free] = splu(stiff[free][:, free].tocsc()).solve(right[free])
    return elements.evaluate(mesh, points, [(mesh.degree, p[:, None])])[:, 0]


def pulses(t: float) -> float:
    """sin pi t + sin 3 pi t + sin 5 pi t."""
    return float(sum(np.sin(k * np.pi * t) for k in (1, 3, 5)))


def channel_long() -> Reference:
    """Spectral elements, graded towards the walls and the ends; written to six decimals."""
    axes = np.linspace(0, 2, 17), np.linspace(0, 1, 17), np.linspace(0, 5, 41)
    points = np.stack([a.ravel() for a in np.meshgrid(*axes[:2], indexing="ij")], axis=1)

    def given(x: Array, y: Array, t: float) -> tuple[Array, Array, Array]:
        inlet = x < 1e-12
        mask = inlet | (y < 1e-12) | (y > 1 - 1e-12)
        return mask, np.where(inlet, np.sin(np.pi * y) * pulses(t), 0.0), np.zeros_like(x)

    def force(x: Array, y: Array, t: float) -> tuple[Array, Array]:
        f = -np.sin(np.pi * x) * np.sin(np.pi * y) * np.sin(np.pi * t)
        return f, f

    def solution(degree: int, steps: int) -> Array:
        x = [0.0, 0.06, 0.2, 0.45, 0.75, 1.05, 1.35, 1.65, 1.88, 2.0]
        y = [0.0, 0.07, 0.24, 0.5, 0.76, 0.93, 1.0]
        mesh = elements.Mesh(elements.rectangles(x, y), degree)
        flow = solve(mesh, 0.01, given, force, axes[2], steps, points)
        flow[:, 0, 2] = potential(mesh, lambda y: 9 * np.pi * np.sin(np.pi * y), 2.0, points)
        return flow.reshape(17, 17, 41, 3)

    flow, coarse = solution(7, 120), solution(6, 120)
    pairs = {"degree 6": (coarse, flow), "half the steps, degree 6": (solution(6, 60), coarse)}
    return Reference(
        title="u_t + u . grad u + grad p = lap u/100 + f in the channel [0, 2] x [0, 1], from rest, inlet "
        "u = sin(pi y) (sin pi t + sin 3 pi t + sin 5 pi t), f = -sin(pi x) sin(pi y) sin(pi t) in both "
        "directions, free outlet",
        made_by="unsteady.py: Taylor-Hood elements of degree 7, 4800 backward differences of third order",
        coordinates=dict(zip("xyt", axes, strict=True)),
        values={name: np.round(flow[..., c], 6) for c, name in enumerate("uvp")},
        refinements={
            f"{change}, {name}": difference(less[..., c], more[..., c])
            for change, (less, more) in pairs.items()
            for c, name in enumerate("uvp")
        },
    )


MAKERS = {"channel_long": channel_long}

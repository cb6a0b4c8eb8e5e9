"""Evolution equations on a rectangle: Fourier or sine series in space, ETDRK4 in time.

The two-dimensional sister of `etdrk4`, whose coefficients it takes: u_t = L u + N(u, t) for one or more
unknowns, with L diagonal in the series. Sine series belong to unknowns that are zero on the sides and to
nonlinear terms that stay odd there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from etdrk4 import step_coefficients
from fourier import Array
from scipy import fft


@dataclass(frozen=True)
class Plane:
    """Series on [lower, upper]; `kind` is "real" or "complex" (periodic) or "sine" (zero on the sides)."""

    lower: tuple[float, float]
    upper: tuple[float, float]
    points: tuple[int, int]
    """Intervals of the grid along x and y."""
    kind: str = "real"

    @property
    def axes(self) -> tuple[Array, Array]:
        """The points along x and along y: without the upper end, of sine series without both."""
        x, y = (np.linspace(a, b, n + 1) for a, b, n in zip(self.lower, self.upper, self.points, strict=True))
        return (x[1:-1], y[1:-1]) if self.kind == "sine" else (x[:-1], y[:-1])

    @property
    def mesh(self) -> tuple[Array, Array]:
        """The points (nx, 1) and (1, ny)."""
        x, y = self.axes
        return x[:, None], y[None, :]

    @property
    def wavenumbers(self) -> tuple[Array, Array]:
        """Wave numbers (nx, 1) and (1, ny) in the order of the coefficients."""
        lengths = np.subtract(self.upper, self.lower)
        (n, m), (a, b) = self.points, 2 * np.pi / lengths
        if self.kind == "sine":
            return a / 2 * np.arange(1, n)[:, None], b / 2 * np.arange(1, m)[None, :]
        last = fft.rfftfreq(m) if self.kind == "real" else fft.fftfreq(m)
        return (a * n * fft.fftfreq(n))[:, None], (b * m * last)[None, :]

    def forward(self, values: Array) -> Array:
        """Values (..., nx, ny) to coefficients."""
        if self.kind == "sine":
            return fft.dstn(values, type=1, axes=(-2, -1))
        return (fft.rfft2 if self.kind == "real" else fft.fft2)(values)

    def inverse(self, coefficients: Array) -> Array:
        """Coefficients to values (..., nx, ny)."""
        if self.kind == "sine":
            return fft.idstn(coefficients, type=1, axes=(-2, -1))
        return fft.irfft2(coefficients, s=self.points) if self.kind == "real" else fft.ifft2(coefficients)

    def closed(self, values: Array, intervals: tuple[int, int]) -> Array:
        """Values (..., nx, ny) at the equidistant points of the closed rectangle, which the grid contains."""
        space = [(0, 0)] * (values.ndim - 2)
        if self.kind == "sine":
            values = np.pad(values, [*space, (1, 1), (1, 1)])
        else:
            values = np.pad(values, [*space, (0, 1), (0, 1)], mode="wrap")
        return values[..., :: self.points[0] // intervals[0], :: self.points[1] // intervals[1]]


@dataclass(frozen=True)
class System:
    """u_t = L u + N(u, t) with as many unknowns as `initial` returns."""

    plane: Plane
    linear: Callable[[Array, Array], Array]
    """Wave numbers to the eigenvalues of L (unknowns, modes of x, modes of y)."""
    nonlinear: Callable[[Array, float], Array]
    """Coefficients of u and the time to the values of N on the grid."""
    initial: Callable[[Array, Array], Array]
    """Points to the values at t = 0 (unknowns, nx, ny)."""


def solve(system: System, times: Array, steps: int, intervals: tuple[int, int]) -> Array:
    """Solution (unknowns, x, y, times) on the closed rectangle; `steps` lead from one time to the next."""
    plane = system.plane
    h = (times[1] - times[0]) / steps
    linear = system.linear(*plane.wavenumbers)
    e, e2, q, f1, f2, f3 = (c.reshape(linear.shape) for c in step_coefficients(linear.ravel(), h))
    if plane.kind != "complex" and np.isrealobj(linear):
        e, e2, q, f1, f2, f3 = (c.real for c in (e, e2, q, f1, f2, f3))

    def nonlinear(v: Array, t: float) -> Array:
        return plane.forward(system.nonlinear(v, t))

    values = system.initial(*plane.mesh)
    saved, v = [plane.closed(values, intervals)], plane.forward(values)
    for start in times[:-1]:
        for k in range(steps):
            t = start + k * h
            nv = nonlinear(v, t)
            a = e2 * v + q * nv
            na = nonlinear(a, t + h / 2)
            nb = nonlinear(e2 * v + q * na, t + h / 2)
            nc = nonlinear(e2 * a + q * (2 * nb - nv), t + h)
            v = e * v + f1 * nv + 2 * f2 * (na + nb) + f3 * nc
        saved.append(plane.closed(plane.inverse(v), intervals))
    return np.stack(saved, axis=-1)


def heat_long(points: tuple[int, int]) -> System:
    """u_t = 0.001 lap u + 5 sin(u^2) (1 + 2 sin(pi t/4)) sin(4 pi x) sin(2 pi y), zero on the sides.

    From sin(4 pi x) sin(3 pi y) the solution stays odd about x = 1/4, 1/2 and 3/4: a quarter is enough.
    """
    plane = Plane((0.0, 0.0), (0.25, 1.0), points, "sine")
    x, y = plane.mesh
    shape = 5 * np.sin(4 * np.pi * x) * np.sin(2 * np.pi * y)

    def nonlinear(v: Array, t: float) -> Array:
        return shape * (1 + 2 * np.sin(np.pi * t / 4)) * np.sin(plane.inverse(v) ** 2)

    return System(
        plane,
        linear=lambda k, m: -0.001 * (k**2 + m**2)[None],
        nonlinear=nonlinear,
        initial=lambda x, y: (np.sin(4 * np.pi * x) * np.sin(3 * np.pi * y))[None],
    )


def gray_scott(points: int) -> System:
    """u_t = 1e-5 lap u + 0.04 (1 - u) - u v^2, v_t = 5e-6 lap v - 0.1 v + u v^2 on [-1, 1]^2, periodic."""
    plane = Plane((-1.0, -1.0), (1.0, 1.0), (points, points))

    def linear(k: Array, m: Array) -> Array:
        return np.stack([-1e-5 * (k**2 + m**2) - 0.04, -5e-6 * (k**2 + m**2) - 0.1])

    def nonlinear(w: Array, _: float) -> Array:
        u, v = plane.inverse(w)
        return np.stack([0.04 - u * v**2, u * v**2])

    def initial(x: Array, y: Array) -> Array:
        return np.stack(
            [
                1 - np.exp(-80 * ((x + 0.05) ** 2 + (y + 0.02) ** 2)),
                np.exp(-80 * ((x - 0.05) ** 2 + (y - 0.02) ** 2)),
            ]
        )

    return System(plane, linear, nonlinear, initial)


def ginzburg_landau(points: int, alpha: float = 1.0, beta: float = -1.0) -> System:
    """A_t = A + (1 + i alpha) lap A - (1 + i beta) |A|^2 A on [-5, 5]^2, periodic."""
    plane = Plane((-5.0, -5.0), (5.0, 5.0), (points, points), "complex")
    return System(
        plane,
        linear=lambda k, m: (1 - (1 + 1j * alpha) * (k**2 + m**2))[None],
        nonlinear=lambda v, _: _cubic(plane.inverse(v), beta),
        initial=lambda x, y: (np.cos(np.pi * x / 5) + 1j * np.sin(np.pi * y / 5))[None],
    )


def _cubic(a: Array, beta: float) -> Array:
    return -(1 + 1j * beta) * (a.real**2 + a.imag**2) * a


def burgers(points: int, nu: float = 0.05) -> System:
    """u_t + u u_x + v u_y = nu lap u, v_t + u v_x + v v_y = nu lap v on [-1, 1]^2, periodic."""
    plane = Plane((-1.0, -1.0), (1.0, 1.0), (points, points))

    def nonlinear(w: Array, _: float) -> Array:
        k, m = plane.wavenumbers
        u, v = plane.inverse(w)
        return -(u * plane.inverse(1j * k * w) + v * plane.inverse(1j * m * w))

    def initial(x: Array, y: Array) -> Array:
        return np.stack(
            [
                np.sin(np.pi * x) * np.cos(np.pi * y) + 0.5 * np.ones_like(x + y),
                np.cos(np.pi * (x + y)),
            ]
        )

    return System(
        plane,
        linear=lambda k, m: np.stack([-nu * (k**2 + m**2)] * 2),
        nonlinear=nonlinear,
        initial=initial,
    )

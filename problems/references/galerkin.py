"""Legendre-Galerkin solutions on [-1, 1]^2: a clamped plate, and waves in a medium of varying speed.

Polynomials of one degree in x and y make a problem of matrices that is solved directly, so that the only
error is that of the degree: spectrally small where the solution is smooth.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.polynomial import legendre
from scipy.linalg import eigh, solve

Array = np.ndarray


def modes(coefficients: Array, x: Array, order: int = 0) -> Array:
    """Derivatives of `order` (points, modes) of the Legendre series in the columns of (degree + 1, modes)."""
    return legendre.legval(x, legendre.legder(coefficients, order)).T


def clamped(degree: int) -> Array:
    """Columns L_k - 2(2k + 5)/(2k + 7) L_(k+2) + (2k + 3)/(2k + 7) L_(k+4), zero with their slopes.

    Shen, SIAM J. Sci. Comput. 15, 1994, eq. (3.2).
    """
    k = np.arange(degree - 3)
    columns = np.zeros((degree + 1, degree - 3))
    columns[k, k] = 1
    columns[k + 2, k] = -2 * (2 * k + 5) / (2 * k + 7)
    columns[k + 4, k] = (2 * k + 3) / (2 * k + 7)
    return columns / np.sqrt(2 * (2 * k + 3) ** 2 * (2 * k + 5))


def plate(degree: int, axis: Array) -> Array:
    """lap lap w = 1 on [-1, 1]^2, clamped: w on the grid of `axis` (n,) in both directions."""
    basis = clamped(degree)
    nodes, weights = legendre.leggauss(degree + 1)
    value, slope, bend = (modes(basis, nodes, order) for order in range(3))
    mass, stretch, stiff = ((f.T * weights) @ f for f in (value, slope, bend))
    load = value.T @ weights
    # (lap v, lap w) = (v_xx, w_xx) + 2 (v_xy, w_xy) + (v_yy, w_yy) for functions that are clamped
    matrix = np.kron(stiff, mass) + 2 * np.kron(stretch, stretch) + np.kron(mass, stiff)
    w = solve(matrix, np.kron(load, load), assume_a="pos").reshape(len(load), len(load))
    at = modes(basis, axis)
    found: Array = at @ w @ at.T
    return found


def waves(
    degree: int,
    speed: Callable[[Array, Array], Array],
    initial: Callable[[Array, Array], Array],
    axis: Array,
    times: Array,
) -> Array:
    """u_tt = c(x, y)^2 lap u on [-1, 1]^2 with dn(u) = 0, from rest: u (n, n, times) on the grid of `axis`.

    In the weak form (v/c^2, u_tt) + (grad v, grad u) = 0 the sides need nothing. Its matrices are
    diagonalised together, so that time is exact: every mode goes on as cos(omega t).
    """
    basis = np.eye(degree + 1)
    nodes, weights = legendre.leggauss(degree + 21)
    value, slope = modes(basis, nodes), modes(basis, nodes, 1)
    mass, stiff = ((f.T * weights) @ f for f in (value, slope))
    both = np.kron(value, value)  # (nodes^2, modes^2)
    x, y = nodes[:, None], nodes[None, :]
    weight = (np.outer(weights, weights) / speed(x, y) ** 2).ravel()
    inertia = (both.T * weight) @ both
    squares, vectors = eigh(np.kron(stiff, mass) + np.kron(mass, stiff), inertia)
    amplitudes = vectors.T @ ((both.T * weight) @ initial(x, y).ravel())
    swinging = amplitudes[:, None] * np.cos(np.sqrt(np.maximum(squares, 0.0))[:, None] * times)
    at = modes(basis, axis)
    coefficients = (vectors @ swinging).reshape(degree + 1, degree + 1, len(times))
    found: Array = np.einsum("xi,yj,ijt->xyt", at, at, coefficients, optimize=True)
    return found


def lens(x: Array, y: Array) -> Array:
    """The speed of `wave2d`: half as fast in the middle of a round lens at (0.5, 0.2)."""
    found: Array = 1 - 0.5 * np.exp(-10 * ((x - 0.5) ** 2 + (y - 0.2) ** 2))
    return found


def pulse(x: Array, y: Array) -> Array:
    """The initial value of `wave2d`."""
    found: Array = np.exp(-15 * (x**2 + y**2))
    return found

"""Tables as functions: tensor products of B-splines of degree 3, 2, 1 or 0, by numpy or torch alike.

A table on a grid is a spline through its values: piecewise cubic with two continuous derivatives and
not-a-knot ends, piecewise linear, or the value of the nearest point. All three are sums of products of
B-splines, evaluated by Cox and de Boor's recurrence, and so are their derivatives. Formulas: de Boor, A
Practical Guide to Splines, revised edition, Springer 2001: chapter IX (not-a-knot), X (recurrence and
derivative), XIII (interpolation: the matrix is totally positive, so elimination needs no pivots), XVII
(tensor products).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]

DEGREES = {"cubic": 3, "linear": 1, "nearest": 0}
"""Degree of the pieces by the way of interpolation."""
FEWEST = {"cubic": 4, "linear": 2, "nearest": 2}
"""Points an axis needs at least."""


@dataclass(frozen=True, eq=False)
class Spline:
    """sum over i, j, ... of coefficients[i, j, ...] B_i(x) B_j(y) ..., one factor per argument.

    `knots[k]` has shape (coefficients.shape[k] + degrees[k] + 1,). Outside the knots a spline has the
    value at its end. Two splines are the same only if they are one object.
    """

    degrees: tuple[int, ...]
    knots: tuple[Array, ...]
    coefficients: Array
    name: str = ""
    """What the function is called in messages."""

    @property
    def ranges(self) -> tuple[tuple[float, float], ...]:
        """Where the arguments may lie."""
        return tuple((float(t[0]), float(t[-1])) for t in self.knots)


def interpolate(axes: Sequence[Array], values: Array, kind: str, name: str = "") -> Spline:
    """The spline through `values` (n_1, ..., n_d) on the grid of increasing `axes`, a kind of `DEGREES`."""
    if kind == "cubic":
        knots = [np.concatenate([[x[0]] * 4, x[2:-2], [x[-1]] * 4]) for x in axes]
        for k, (x, t) in enumerate(zip(axes, knots, strict=True)):
            values = _cubic_coefficients(x, t, values, k)
    elif kind == "linear":
        knots = [np.concatenate([x[:1], x, x[-1:]]) for x in axes]
    else:
        knots = [np.concatenate([x[:1], 0.5 * (x[1:] + x[:-1]), x[-1:]]) for x in axes]
    return Spline((DEGREES[kind],) * len(axes), tuple(knots), values, name)


def _cubic_coefficients(x: Array, t: Array, values: Array, axis: int) -> Array:
    """Coefficients along one axis for values at the points x: a system with two diagonals to each side."""
    n = len(x)
    first = np.clip(np.searchsorted(t, x, side="right") - 1, 3, n - 1) - 3
    band = np.zeros((n, 5))  # column j of row i is at j - i + 2
    for j, weights in enumerate(_basis(t, 3, x, first + 3)):
        places = first + j - np.arange(n) + 2
        inside = (places >= 0) & (places < 5)  # at a knot the last of the four is zero
        band[np.flatnonzero(inside), places[inside]] = weights[inside]
    right = np.moveaxis(values, axis, 0).reshape(n, -1).copy()
    for i in range(n):
        for r in range(i + 1, min(i + 3, n)):
            factor = band[r, i - r + 2] / band[i, 2]
            band[r, i - r + 2 : i - r + 5] -= factor * band[i, 2:5]
            right[r] -= factor * right[i]
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, min(i + 3, n)):
            right[i] -= band[i, j - i + 2] * right[j]
        right[i] /= band[i, 2]
    shape = (n, *np.delete(values.shape, axis))
    return np.ascontiguousarray(np.moveaxis(right.reshape(shape), 0, axis))


@lru_cache(maxsize=256)
def derivative(spline: Spline, orders: tuple[int, ...]) -> Spline:
    """The partial derivative of these orders, again a spline; no order may be above its degree."""
    degrees, knots, values = list(spline.degrees), list(spline.knots), spline.coefficients
    for axis, order in enumerate(orders):
        for _ in range(order):
            p, t = degrees[axis], knots[axis]
            widths = (t[p + 1 : -1] - t[1 : -p - 1]) / p
            shape = [-1 if k == axis else 1 for k in range(values.ndim)]
            values = np.diff(values, axis=axis) / widths.reshape(shape)
            degrees[axis], knots[axis] = p - 1, t[1:-1]
    return replace(spline, degrees=tuple(degrees), knots=tuple(knots), coefficients=values)


def evaluate(
    xp: Any, degrees: Sequence[int], knots: Sequence[Any], coefficients: Any, arguments: Sequence[Any]
) -> Any:
    """The spline at `arguments`, arrays or tensors that broadcast; `xp` is the module numpy or torch."""
    indices, weights = [], []
    for p, t, x in zip(degrees, knots, arguments, strict=True):
        inside = xp.clip(x, float(t[0]), float(t[-1]))
        k = xp.clip(xp.searchsorted(t, inside, side="right") - 1, p, len(t) - p - 2)
        indices.append([k - p + j for j in range(p + 1)])
        weights.append(_basis(t, p, inside, k))
    flat, total = coefficients.reshape(-1), 0.0
    for corner in product(*(range(p + 1) for p in degrees)):
        index, weight = 0, 1.0
        for j, places, factors, size in zip(corner, indices, weights, coefficients.shape, strict=True):
            index, weight = index * size + places[j], weight * factors[j]
        total = total + weight * flat[index]
    return total


def _basis(t: Any, p: int, x: Any, k: Any) -> list[Any]:
    """The p + 1 B-splines of degree p that are not zero on [t_k, t_(k+1)], at x: de Boor, X(9)-(11)."""
    found = [1.0 + 0.0 * x]
    for j in range(1, p + 1):
        saved = 0.0
        for r in range(j):
            above, below = t[k + r + 1] - x, x - t[k + 1 - j + r]
            part = found[r] / (above + below)
            found[r] = saved + above * part
            saved = below * part
        found.append(saved)
    return found


def run_numpy(spline: Spline, *arguments: Any) -> Any:
    """The spline at arrays or numbers."""
    arrays = [np.asarray(x, dtype=np.float64) for x in arguments]
    return evaluate(np, spline.degrees, spline.knots, spline.coefficients, arrays)

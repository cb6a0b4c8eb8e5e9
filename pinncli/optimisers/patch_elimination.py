"""Least squares with a sparse Jacobian, by orthogonal transformations patch after patch.

Rows touch few patches. When a patch is eliminated, the rows that have it are put together and
triangularised by Householder transformations; the first rows of the triangle are final for the patch, the
rest are rows of those that come after it (row-oriented sparse QR, George & Heath 1980; a multifrontal
method whose tree is a chain). For patches in a row, or a ring, a front holds three of them, and the whole
costs as many patches as there are, instead of their cube.

`ChainModel` answers the questions of `least_squares.Model` without ever forming J or its triangle.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pinncli.sparse import Rows, SparseJacobian


@dataclass(frozen=True)
class ChainModel:
    """0.5 |r + J v|^2 at one theta (p,). `fronts` are rows equivalent to [J r]."""

    jacobian: SparseJacobian
    fronts: tuple[Rows, ...]
    norms: Tensor
    theta: Tensor

    @classmethod
    def of(cls, jacobian: SparseJacobian, theta: Tensor) -> ChainModel:
        """Reduce the rows once; every lambda then works on the few that are left."""
        squares = theta.new_zeros(jacobian.size)
        for rows in jacobian.rows:
            jacobian.scatter(rows.patches, rows.matrix.square().sum(0), squares)
        norms = squares.sqrt()
        norms = torch.where(norms > 0.0, norms, torch.ones_like(norms))
        return cls(jacobian, eliminate(jacobian, jacobian.rows), norms, theta)

    @property
    def value(self) -> float:
        """0.5 |r|^2."""
        return 0.5 * sum(float(rows.residual.dot(rows.residual)) for rows in self.jacobian.rows)

    @property
    def gradient_norm(self) -> float:
        """|J'r|."""
        gradient = torch.zeros_like(self.theta)
        for rows in self.jacobian.rows:
            self.jacobian.scatter(rows.patches, rows.residual @ rows.matrix, gradient)
        return float(torch.linalg.vector_norm(gradient))

    @property
    def size(self) -> float:
        """|S theta|: of the terms that the residual is made of."""
        return float(torch.linalg.vector_norm(self.norms * self.theta))

    def ahead(self, v: Tensor) -> float:
        """0.5 |r + J v|^2."""
        total = 0.0
        for rows in self.jacobian.rows:
            r = rows.residual + rows.matrix @ self.jacobian.columns(rows.patches, v)
            total += 0.5 * float(r.dot(r))
        return total

    def step(self, damping: float, about: Tensor | None = None) -> Tensor:
        """v (p,) to the theta' of this lambda, held to `about` (p,) if not to zero."""
        j = self.jacobian
        away = self.theta if about is None else self.theta - about
        rows = []
        for front in self.fronts:
            goal = front.matrix @ j.columns(front.patches, away) - front.residual
            rows.append(Rows(front.patches, front.matrix / j.columns(front.patches, self.norms), goal))
        triangles = eliminate(j, rows, damping)
        return _solved(j, triangles, self.theta) / self.norms - away


def eliminate(
    jacobian: SparseJacobian, rows: tuple[Rows, ...] | list[Rows], damping: float = 0.0
) -> tuple[Rows, ...]:
    """Rows with the same [J r]'[J r], patch by patch in triangles; [J r; damping I 0] if not zero.

    Of the rows returned, those with first patch c have zeros left of the diagonal of c; the last have the
    unknown numbers only.
    """
    share, numbers = jacobian.share, jacobian.numbers
    pending: dict[int, list[Rows]] = {}
    for each in rows:
        pending.setdefault(each.patches[0] if each.patches else jacobian.count, []).append(each)
    found = []
    for patch in range(jacobian.count):
        mine = pending.pop(patch, [])
        touched = sorted({p for each in mine for p in each.patches} | {patch})
        triangle = _triangle(mine, touched, jacobian, damping)
        found.append(_rows(tuple(touched), triangle[:share]))
        if len(triangle) > share:
            rest = _rows(tuple(touched[1:]), triangle[share:, share:])
            pending.setdefault(touched[1] if len(touched) > 1 else jacobian.count, []).append(rest)
    if numbers:
        last = _triangle(pending.pop(jacobian.count, []), [], jacobian, damping)
        found.append(_rows((), last[:numbers]))
    return tuple(found)


def _rows(patches: tuple[int, ...], extended: Tensor) -> Rows:
    return Rows(patches, extended[:, :-1], extended[:, -1])


def _triangle(mine: list[Rows], touched: list[int], jacobian: SparseJacobian, damping: float) -> Tensor:
    """The triangle of the rows, on the columns of the `touched` patches, the numbers and the right side."""
    share, numbers = jacobian.share, jacobian.numbers
    width = len(touched) * share + numbers + 1
    guard = (share if touched else numbers) if damping else 0
    like = jacobian.rows[0].matrix
    front = like.new_zeros((sum(len(each.residual) for each in mine) + guard, width))
    at = 0
    for each in mine:
        part = front[at : at + len(each.residual)]
        for k, patch in enumerate(each.patches):
            start = touched.index(patch) * share
            part[:, start : start + share] = each.matrix[:, k * share : (k + 1) * share]
        part[:, len(touched) * share : -1] = each.matrix[:, len(each.patches) * share :]
        part[:, -1] = each.residual
        at += len(part)
    if guard:
        front[at:].fill_diagonal_(damping)
    triangle: Tensor = torch.linalg.qr(front, mode="r").R
    return triangle


def _solved(jacobian: SparseJacobian, triangles: tuple[Rows, ...], like: Tensor) -> Tensor:
    """Back substitution: the x (p,) at which the rows of `triangles` are met."""
    share, n = jacobian.share, jacobian.count * jacobian.share
    x = torch.zeros_like(like)
    for rows in reversed(triangles):
        k = share if rows.patches else jacobian.numbers
        seen = jacobian.columns(rows.patches, x)
        right = rows.residual - rows.matrix[:, k:] @ seen[k:]
        part = torch.linalg.solve_triangular(rows.matrix[:, :k], right.unsqueeze(1), upper=True).squeeze(1)
        start = rows.patches[0] * share if rows.patches else n
        x[start : start + k] = part
    return x

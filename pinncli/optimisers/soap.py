"""SOAP: Adam in the eigenbasis of Shampoo's factors (Vyas et al. 2024, arXiv 2409.11321, algorithm 3).

For a layer's weights W (o, i) with gradient G, moments M and V, and rotation X -> Q_L' X Q_R,

    M <- b1 M + (1 - b1) G        V <- b2 V + (1 - b2) (Q_L' G Q_R)^2
    W <- W - rate Q_L [(Q_L' M Q_R) / (sqrt(V) + eps)] Q_R'        each moment over its bias
    L <- b2 L + (1 - b2) G G'     R <- b2 R + (1 - b2) G'G

and every `frequency` steps the eigenbases follow by one orthogonal iteration (algorithm 4), Q <- qr(L Q),
its columns by descending eigenvalue with V moved along. Biases and all other entries of theta have
Q = 1: Adam. For physics-informed networks: Wang et al. 2025, arXiv 2502.00604, whose moments
and frequency are the defaults.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from pinncli.optimisers.base import Objective, StepInfo, unchanged
from pinncli.optimisers.first_order import learning_rate

Layout = list[tuple[int, int, int]]
"""(start, o, i) of every weight matrix in theta."""


@dataclass(frozen=True)
class SoapState:
    """As Adam's, with V in the rotated basis and L, Q_L, R, Q_R of all layers, each flat, end to end."""

    value: float
    gradient: Tensor
    first: Tensor
    second: Tensor
    left: Tensor
    left_basis: Tensor
    right: Tensor
    right_basis: Tensor
    steps: int
    factor: float


@dataclass(frozen=True)
class Soap:
    """The rate rises over `warmup` steps and falls by `decay_rate` every `decay_steps`."""

    learning_rate: float
    beta1: float
    beta2: float
    epsilon: float
    frequency: int
    weight_decay: float
    warmup: int
    decay_rate: float
    decay_steps: int

    state_type: ClassVar[type] = SoapState
    refresh = unchanged  # as for Adam

    def init(self, objective: Objective, theta: Tensor) -> SoapState:
        """No moments; L and R from the first gradient, with their eigenvectors."""
        value, gradient = objective.value_and_grad(theta)
        layout = objective.layout(theta)
        left = [g @ g.t() for g in _matrices(gradient, layout)]
        right = [g.t() @ g for g in _matrices(gradient, layout)]
        return SoapState(
            value,
            gradient,
            torch.zeros_like(theta),
            torch.zeros_like(theta),
            _joined(left, theta),
            _joined([_eigenvectors(m) for m in left], theta),
            _joined(right, theta),
            _joined([_eigenvectors(m) for m in right], theta),
            0,
            1.0,
        )

    def step(
        self, objective: Objective, theta: Tensor, state: SoapState
    ) -> tuple[Tensor, SoapState, StepInfo]:
        """One step and the gradient at its end; not taken, and "failed", where that is not finite."""
        layout = objective.layout(theta)
        left, right = [(o, o) for _, o, _ in layout], [(i, i) for _, _, i in layout]
        rows, columns = _split(state.left_basis, left), _split(state.right_basis, right)
        steps = state.steps + 1
        rotated = _rotated(state.gradient, layout, rows, columns)
        first = self.beta1 * state.first + (1.0 - self.beta1) * state.gradient
        second = self.beta2 * state.second + (1.0 - self.beta2) * rotated.square()
        moment = _rotated(first, layout, rows, columns) / (1.0 - self.beta1**steps)
        scaled = moment / ((second / (1.0 - self.beta2**steps)).sqrt() + self.epsilon)
        rate = state.factor * learning_rate(
            self.learning_rate, state.steps, self.warmup, self.decay_rate, self.decay_steps
        )
        back = [q.t() for q in rows], [q.t() for q in columns]
        change = rate * (_rotated(scaled, layout, *back) + self.weight_decay * theta)
        value, gradient = objective.value_and_grad(theta - change)
        norm = float(gradient.norm())
        if not math.isfinite(value + norm):
            return theta, state, StepInfo(state.value, norm, 0.0, 1, "failed")
        after = replace(state, value=value, gradient=gradient, first=first, second=second, steps=steps)
        after = self._learn(after, state.gradient, layout)
        return theta - change, after, StepInfo(value, norm, float(change.norm()), 1, "ok")

    def recover(self, objective: Objective, theta: Tensor, state: SoapState) -> SoapState:
        """Begin anew with a tenth of the rate."""
        return replace(self.init(objective, theta), factor=0.1 * state.factor)

    def _learn(self, state: SoapState, gradient: Tensor, layout: Layout) -> SoapState:
        """L and R from the gradient of the step, their bases where it is time, V moved along."""
        left = _split(state.left, [(o, o) for _, o, _ in layout])
        right = _split(state.right, [(i, i) for _, _, i in layout])
        matrices = _matrices(gradient, layout)
        left = [m.lerp(g @ g.t(), 1.0 - self.beta2) for m, g in zip(left, matrices, strict=True)]
        right = [m.lerp(g.t() @ g, 1.0 - self.beta2) for m, g in zip(right, matrices, strict=True)]
        state = replace(state, left=_joined(left, gradient), right=_joined(right, gradient))
        if state.steps % self.frequency:
            return state
        rows = _split(state.left_basis, [(o, o) for _, o, _ in layout])
        columns = _split(state.right_basis, [(i, i) for _, _, i in layout])
        second = state.second.clone()
        turned: tuple[list[Tensor], list[Tensor]] = ([], [])
        for k, v in enumerate(_matrices(second, layout)):
            order, basis = _followed(left[k], rows[k])
            across, other = _followed(right[k], columns[k])
            v.copy_(v[order][:, across])
            turned[0].append(basis)
            turned[1].append(other)
        return replace(
            state,
            second=second,
            left_basis=_joined(turned[0], gradient),
            right_basis=_joined(turned[1], gradient),
        )


def _followed(matrix: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """The order of the columns by eigenvalue, and qr(matrix basis) with them so ordered."""
    product = matrix @ basis
    order = torch.linalg.vecdot(basis, product, dim=0).argsort(descending=True, stable=True)
    return order, torch.linalg.qr(product[:, order]).Q


def _eigenvectors(matrix: Tensor) -> Tensor:
    """By descending eigenvalue; the identity where the matrix is not finite."""
    if not bool(torch.isfinite(matrix).all()):
        return torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    vectors: Tensor = torch.linalg.eigh(matrix).eigenvectors.flip(1)
    return vectors


def _matrices(flat: Tensor, layout: Layout) -> list[Tensor]:
    """Views (o, i) of the weights in `flat` (p,)."""
    return [flat[start : start + o * i].view(o, i) for start, o, i in layout]


def _rotated(flat: Tensor, layout: Layout, rows: list[Tensor], columns: list[Tensor]) -> Tensor:
    """Q_L' X Q_R for every weight matrix X in `flat` (p,), the rest as it is."""
    out = flat.clone()
    for x, left, right in zip(_matrices(out, layout), rows, columns, strict=True):
        x.copy_(left.t() @ x @ right)
    return out


def _split(flat: Tensor, shapes: list[tuple[int, int]]) -> list[Tensor]:
    parts = torch.split(flat, [a * b for a, b in shapes])
    return [part.view(*shape) for part, shape in zip(parts, shapes, strict=True)]


def _joined(matrices: list[Tensor], like: Tensor) -> Tensor:
    return torch.cat([m.flatten() for m in matrices]) if matrices else like.new_zeros(0)

"""Gauss-Newton by conjugate gradients on products with J and J' ("Hessian-free"), for many parameters.

A step solves (J'J + lambda D) v = -J'r (Martens 2010; Martens & Sutskever 2012) in the variables
z = D^(1/2) v, where the matrix is A + lambda I with A = D^(-1/2) J'J D^(-1/2). J is linearised once a
step and never formed; memory is p times the rank of the preconditioner, never p x p or n x p.

* Preconditioner: the randomised Nystroem approximation A ~ U L U' of rank k (Frangella, Tropp & Udell
  2023, algorithm 2.1), which costs k products and serves `every` steps with any lambda,

      P^-1 = (l_k + lambda) U (L + lambda I)^-1 U' + (I - U U')        (section 5)

* Start: the last step times 0.95 (Martens & Sutskever 2012, section 20.10), where that beats zero.
* Stop: where the model q(z) has fallen by less than the fraction k `tolerance` over the last
  k = max(10, i/10) iterations (Martens 2010, section 4.4).
* Damping by the ratio rule with geodesic acceleration, as in Levenberg-Marquardt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from pinncli.optimisers.base import Linear, Objective, StepInfo, unchanged
from pinncli.optimisers.damping import half_square, scaling, search

MEMORY = 0.95
"""Of the last step, where the iteration starts."""
LEAST_WINDOW = 10
"""Iterations over which the progress of the model is judged, at least."""


@dataclass(frozen=True)
class HessianFreeState:
    """lambda; D (p,); U (p, k) and L (k,) of the preconditioner; the last step (p,); steps taken.

    `age` counts the steps since D, U and L were found, -1 where they are still to be.
    """

    damping: float
    scale: Tensor
    basis: Tensor
    eigenvalues: Tensor
    last: Tensor
    steps: int
    age: int


@dataclass(frozen=True)
class HessianFree:
    """At most `iterations` of conjugate gradients a step, a preconditioner of `rank` every `every` steps."""

    damping: float
    iterations: int
    tolerance: float
    rank: int
    every: int

    state_type: ClassVar[type] = HessianFreeState
    refresh = unchanged  # D, U and L of the old points precondition well enough

    def init(self, objective: Objective, theta: Tensor) -> HessianFreeState:  # noqa: ARG002
        """No preconditioner yet."""
        rank = min(self.rank, len(theta))
        basis, eigenvalues = theta.new_zeros((len(theta), rank)), theta.new_zeros(rank)
        return HessianFreeState(
            self.damping, torch.ones_like(theta), basis, eigenvalues, torch.zeros_like(theta), 0, -1
        )

    def step(
        self, objective: Objective, theta: Tensor, state: HessianFreeState
    ) -> tuple[Tensor, HessianFreeState, StepInfo]:
        """The first damping whose step decreases the value; D and U are found anew before giving up.

        A pair of products with J and J' counts as one evaluation.
        """
        linear = objective.linearise(theta)
        r = linear.residual
        value, gradient = half_square(r), linear.vjp(r)
        norm = float(torch.linalg.vector_norm(gradient))
        if not math.isfinite(value + norm):
            return theta, state, StepInfo(value, norm, 0.0, 1, "failed")
        if norm == 0.0:
            return theta, state, StepInfo(value, norm, 0.0, 1, "converged")
        evaluations = 1
        if not 0 <= state.age < self.every:
            state, cost = _sketched(linear, state)
            evaluations += cost
        model = ProductModel(linear, gradient, state, self.iterations, self.tolerance)
        tried = search(objective, theta, r, value, model, state.damping)
        evaluations += tried.evaluations + model.products
        kept = replace(state, steps=state.steps + 1, age=state.age + 1)
        if tried.theta is None:
            stale = replace(kept, age=-1, last=torch.zeros_like(theta))
            return theta, stale, StepInfo(value, norm, 0.0, evaluations, tried.status)
        s = tried.theta - theta
        info = StepInfo(tried.value, norm, float(torch.linalg.vector_norm(s)), evaluations, "ok")
        return tried.theta, replace(kept, damping=tried.damping, last=s), info

    def recover(self, objective: Objective, theta: Tensor, state: HessianFreeState) -> HessianFreeState:
        """No preconditioner, and at least a hundred times the damping."""
        damping = 100.0 * max(state.damping, self.damping)
        return replace(self.init(objective, theta), damping=damping, steps=state.steps)


@dataclass(frozen=True)
class Solved:
    """Conjugate gradients' v (p,) and what it promises; any other right side is solved alike."""

    step: Tensor
    predicted: float
    model: ProductModel
    damping: float

    def solve(self, b: Tensor) -> Tensor:
        """About (J'J + lambda D)^-1 b for b (p,)."""
        z, _ = self.model.conjugate_gradients(b / self.model.root, self.damping, torch.zeros_like(b))
        return z / self.model.root


@dataclass
class ProductModel:
    """0.5 |r + J v|^2 by products; `products` counts the pairs."""

    linear: Linear
    gradient: Tensor
    state: HessianFreeState
    iterations: int
    tolerance: float
    products: int = 0
    root: Tensor = field(init=False)
    """D^(1/2) (p,)."""

    def __post_init__(self) -> None:
        self.root = self.state.scale.sqrt()

    def damped(self, damping: float) -> Solved | None:
        """The damped step; None where it is not finite."""
        b = -self.gradient / self.root
        z, product = self.conjugate_gradients(b, damping, MEMORY * self.root * self.state.last)
        # 0.5 |r|^2 - 0.5 |r + J v|^2 = b'z - 0.5 z'A z
        predicted = float(b.dot(z) - 0.5 * z.dot(product))
        return Solved(z / self.root, predicted, self, damping) if math.isfinite(predicted) else None

    def pull(self, w: Tensor) -> Tensor:
        """J'w (p,)."""
        return self.linear.vjp(w)

    def conjugate_gradients(self, b: Tensor, damping: float, start: Tensor) -> tuple[Tensor, Tensor]:
        """z with (A + damping I) z about b, and A z, from `start` where the model is below zero there."""
        z, product = torch.zeros_like(b), torch.zeros_like(b)
        if bool(start.any()):
            pushed = self._product(start)
            size, along, bend = torch.stack([start.dot(start), b.dot(start), start.dot(pushed)]).tolist()
            curvature = bend + damping * size
            if along > 0.0 and curvature > 0.0:  # the best multiple of the start
                z, product = start * (along / curvature), pushed * (along / curvature)
        residual = b - product - damping * z
        values = [-0.5 * float(z.dot(b + residual))]
        direction = torch.zeros_like(b)
        before = 1.0
        floor = torch.finfo(b.dtype).eps * float(torch.linalg.vector_norm(b))
        for i in range(1, self.iterations + 1):
            preconditioned = self._precondition(residual, damping)
            inner, norm = torch.stack([residual.dot(preconditioned), residual.norm()]).tolist()
            if not (inner > 0.0 and norm > floor):
                break
            direction = preconditioned + (inner / before) * direction if i > 1 else preconditioned
            before = inner
            pushed = self._product(direction)
            curvature = float(direction.dot(pushed) + damping * direction.dot(direction))
            if not 0.0 < curvature < math.inf:
                break
            share = inner / curvature
            z = z + share * direction
            product = product + share * pushed
            residual = residual - share * (pushed + damping * direction)
            values.append(-0.5 * float(z.dot(b + residual)))
            window = max(LEAST_WINDOW, i // 10)
            if i >= window and values[-1] - values[-1 - window] > window * self.tolerance * values[-1]:
                break
        return z, product

    def _product(self, z: Tensor) -> Tensor:
        """A z (p,)."""
        self.products += 1
        return self.linear.vjp(self.linear.jvp(z / self.root)) / self.root

    def _precondition(self, x: Tensor, damping: float) -> Tensor:
        """P^-1 x (p,)."""
        U, eigenvalues = self.state.basis, self.state.eigenvalues
        shares = (eigenvalues[-1] + damping) / (eigenvalues + damping) - 1.0
        return x + U @ (shares * (U.t() @ x))


def _sketched(linear: Linear, state: HessianFreeState) -> tuple[HessianFreeState, int]:
    """D from the diagonal of J'J and the Nystroem approximation, with the products that they cost."""
    scale = scaling(linear.diagonal())
    root = scale.sqrt()
    p, rank = state.basis.shape
    generator = torch.Generator().manual_seed(state.steps)
    drawn = torch.randn((p, rank), generator=generator, dtype=torch.float64).to(root)
    test = torch.linalg.qr(drawn).Q
    columns = [linear.vjp(linear.jvp(test[:, k] / root)) / root for k in range(rank)]
    basis, eigenvalues = nystroem(test, torch.stack(columns, dim=1))
    found = replace(state, scale=scale, basis=basis, eigenvalues=eigenvalues, age=0)
    return found, rank + 1


def nystroem(test: Tensor, product: Tensor) -> tuple[Tensor, Tensor]:
    """U (p, k) and L (k,), descending, with U L U' ~ A, from orthonormal columns and A times them (p, k).

    Frangella, Tropp & Udell 2023, algorithm 2.1. Where even the shifted core is singular in this
    precision the shift is raised, and in the end nothing is known of A: L = 0.
    """
    shift = torch.finfo(product.dtype).eps * float(torch.linalg.matrix_norm(product))
    for _ in range(8):
        shifted = product + shift * test
        core = test.t() @ shifted
        factor, failed = torch.linalg.cholesky_ex(0.5 * (core + core.t()), upper=True)
        if not int(failed):
            half = torch.linalg.solve_triangular(factor, shifted, upper=True, left=False)
            U, sigma, _ = torch.linalg.svd(half, full_matrices=False)
            return U.contiguous(), (sigma.square() - shift).clamp_min(0.0)
        shift *= 10.0
    return torch.zeros_like(test), product.new_zeros(test.shape[1])

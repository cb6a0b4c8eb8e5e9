"""Least-squares problems with known minima, for the tests of the optimisers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Dense:
    """r + J v by the matrix J (n, p)."""

    residual: Tensor
    matrix: Tensor

    def jvp(self, v: Tensor) -> Tensor:
        return self.matrix @ v

    def vjp(self, w: Tensor) -> Tensor:
        return self.matrix.t() @ w

    def diagonal(self) -> Tensor:
        return self.matrix.square().sum(0)


@dataclass(frozen=True)
class LeastSquares:
    """0.5 |r(theta)|^2 by automatic differentiation; `minimum` is its least value."""

    name: str
    rows: Callable[[Tensor], Tensor]
    start: Tensor
    minimum: float = 0.0
    calls: list[str] = field(default_factory=list)
    sparse = False

    def value(self, theta: Tensor) -> float:
        self.calls.append("value")
        r = self.rows(theta)
        return 0.5 * float(r.dot(r))

    def value_and_grad(self, theta: Tensor) -> tuple[float, Tensor]:
        self.calls.append("gradient")
        leaf = theta.detach().requires_grad_()
        r = self.rows(leaf)
        half = 0.5 * r.dot(r)
        (gradient,) = torch.autograd.grad(half, leaf)
        return float(half.detach()), gradient

    def residual(self, theta: Tensor) -> Tensor:
        self.calls.append("residual")
        return self.rows(theta)

    def residual_and_jacobian(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        self.calls.append("jacobian")
        return self.rows(theta), torch.func.jacrev(self.rows)(theta)

    def triangle(self, theta: Tensor) -> Tensor:
        """R of [J r]."""
        r, jacobian = self.residual_and_jacobian(theta)
        return torch.linalg.qr(torch.cat([jacobian, r.unsqueeze(1)], dim=1), mode="r").R

    def gram(self, theta: Tensor) -> tuple[float, Tensor, Tensor]:
        self.calls.append("gram")
        r, jacobian = self.rows(theta), torch.func.jacrev(self.rows)(theta)
        return 0.5 * float(r.dot(r)), jacobian.t() @ r, jacobian.t() @ jacobian

    def vjp(self, theta: Tensor, w: Tensor) -> Tensor:
        self.calls.append("vjp")
        pulled: Tensor = torch.func.vjp(self.rows, theta)[1](w)[0]
        return pulled

    def linearise(self, theta: Tensor) -> Dense:
        return Dense(*self.residual_and_jacobian(theta))

    def layout(self, theta: Tensor) -> list[tuple[int, int, int]]:
        """No matrices, or one of two rows where there is enough for it."""
        return [(1, 2, (len(theta) - 1) // 2)] if len(theta) > 4 else []


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rosenbrock() -> LeastSquares:
    """More, Garbow & Hillstrom 1981, problem 1."""
    return LeastSquares(
        "rosenbrock", lambda x: torch.stack([10.0 * (x[1] - x[0] ** 2), 1.0 - x[0]]), tensor(-1.2, 1.0)
    )


def powell_singular() -> LeastSquares:
    """More, Garbow & Hillstrom 1981, problem 13; its Jacobian is singular at the minimum."""

    def rows(x: Tensor) -> Tensor:
        return torch.stack(
            [
                x[0] + 10.0 * x[1],
                math.sqrt(5.0) * (x[2] - x[3]),
                (x[1] - 2.0 * x[2]) ** 2,
                math.sqrt(10.0) * (x[0] - x[3]) ** 2,
            ]
        )

    return LeastSquares("powell singular", rows, tensor(3.0, -1.0, 0.0, 1.0))


def linear(condition: float = 1e6, n: int = 12, noise: float = 1.0) -> LeastSquares:
    """A x = b with singular values from 1 down to 1/condition and, with noise, a residual that stays."""
    left = torch.linalg.qr(normal(30, n, seed=1)).Q
    right = torch.linalg.qr(normal(n, n, seed=2)).Q
    values = torch.logspace(0.0, -math.log10(condition), n, dtype=torch.float64)
    A = left * values @ right.t()
    rest = noise * normal(30, seed=3)
    rest = rest - left @ (left.t() @ rest)
    b = A @ torch.ones(n, dtype=torch.float64) + rest
    return LeastSquares(
        "linear", lambda x: A @ x - b, torch.zeros(n, dtype=torch.float64), 0.5 * float(rest.dot(rest))
    )


def quadratic(n: int = 50) -> LeastSquares:
    """A convex quadratic with eigenvalues from 1 to 1000."""
    basis = torch.linalg.qr(normal(n, n, seed=4)).Q
    scales = torch.logspace(0.0, 1.5, n, dtype=torch.float64)
    A = scales[:, None] * basis.t()
    b = A @ normal(n, seed=5)
    return LeastSquares("quadratic", lambda x: A @ x - b, torch.zeros(n, dtype=torch.float64))


def curve_fit(width: int = 6) -> LeastSquares:
    """A tanh network through values of a network of the same shape."""
    t = torch.linspace(-1.0, 1.0, 40, dtype=torch.float64)[:, None]

    def network(theta: Tensor) -> Tensor:
        w, b, c = theta.split(width)
        return torch.tanh(t * w + b) @ c

    target = network(normal(3 * width, seed=6))
    start = 0.5 * normal(3 * width, seed=7)
    return LeastSquares("curve fit", lambda theta: (network(theta) - target) / math.sqrt(len(t)), start)


PROBLEMS = (rosenbrock, powell_singular, linear, quadratic, curve_fit)

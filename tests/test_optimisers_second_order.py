"""SPRING, SOAP, Hessian-free steps and AdamW against their formulas; breakdowns of every optimiser."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from optimisation_problems import LeastSquares, curve_fit, linear, normal, quadratic, rosenbrock, tensor
from pydantic import TypeAdapter
from torch import Tensor

from pinncli.optimisers import OPTIMISERS, Optimiser
from pinncli.optimisers.hessian_free import HessianFree, ProductModel, nystroem
from pinncli.optimisers.soap import Soap
from pinncli.optimisers.woodbury import Woodbury
from pinncli.problem.settings import OptimiserSettings


def make(kind: str, **changes: Any) -> Optimiser:
    settings = TypeAdapter[Any](OptimiserSettings).validate_python({"kind": kind, **changes}).model_dump()
    settings.pop("kind")
    return OPTIMISERS[kind](**settings)


# --- ENGD-W and SPRING -----------------------------------------------------------------------------


def fit(n: int, p: int) -> LeastSquares:
    W, target = normal(n, p, seed=3), 0.1 * normal(n, seed=2)
    return LeastSquares("fit", lambda x: torch.tanh(0.1 * W @ x) - target, 0.1 * normal(p, seed=4))


@pytest.mark.parametrize(("n", "p"), [(5, 12), (12, 5)])
@pytest.mark.parametrize("mu", [0.0, 0.7])
def test_a_step_is_the_minimiser_that_it_claims(n: int, p: int, mu: float) -> None:
    """Over three steps, by the normal equations of |J phi - r|^2 + lambda |phi - mu phi'|^2."""
    problem, damping = fit(n, p), 1e-2
    optimiser = Woodbury(damping=damping, momentum=mu, learning_rate=1.0)
    theta, state = problem.start, optimiser.init(problem, problem.start)
    before = torch.zeros(p, dtype=torch.float64)
    for k in range(1, 4):
        r, J = problem.residual_and_jacobian(theta)
        lam = state.damping * float((J * J).sum()) / min(n, p)
        normal_matrix = J.t() @ J + lam * torch.eye(p, dtype=torch.float64)
        phi = torch.linalg.solve(normal_matrix, J.t() @ r + lam * mu * before)
        end, state, info = optimiser.step(problem, theta, state)
        torch.testing.assert_close(state.momentum, phi, rtol=1e-8, atol=1e-12)
        share = (end - theta).norm() / phi.norm() * math.sqrt(1.0 - mu ** (2 * k))
        assert math.log2(float(share)) == pytest.approx(round(math.log2(float(share))), abs=1e-9)
        torch.testing.assert_close(
            (end - theta) / (end - theta).norm(), -phi / phi.norm(), rtol=1e-8, atol=1e-12
        )
        assert info.status == "ok"
        theta, before = end, phi


def test_the_damping_never_falls_below_what_was_asked_for() -> None:
    problem = quadratic(12)
    optimiser = make("engd_w", damping=1e-3)
    theta, state = problem.start, optimiser.init(problem, problem.start)
    for _ in range(6):
        theta, state, _ = optimiser.step(problem, theta, state)
        assert state.damping >= 1e-3


@pytest.mark.parametrize("kind", ["engd_w", "spring"])
def test_points_redrawn_every_step_are_fitted_on_average(kind: str) -> None:
    """Eight rows of a consistent system of 400 at a time, for twenty unknowns."""
    A, truth = normal(400, 20, seed=11), normal(20, seed=12)
    generator = torch.Generator().manual_seed(13)
    optimiser = make(kind, damping=1e-3)
    theta, state = torch.zeros(20, dtype=torch.float64), None
    for _ in range(120):
        rows = A[torch.randint(400, (8,), generator=generator)]
        batch = LeastSquares("batch", lambda x, rows=rows: rows @ (x - truth), theta)  # type: ignore[misc]
        state = optimiser.init(batch, theta) if state is None else optimiser.refresh(batch, theta, state)
        theta, state, _ = optimiser.step(batch, theta, state)
    assert float((theta - truth).norm() / truth.norm()) < 1e-3


# --- Hessian-free ----------------------------------------------------------------------------------


def test_exact_solves_are_levenberg_marquardt() -> None:
    problem = curve_fit()
    free = HessianFree(damping=1e-2, iterations=500, tolerance=1e-14, rank=6, every=1)
    lm = make("lm")
    theta, state, other = problem.start, free.init(problem, problem.start), lm.init(problem, problem.start)
    for _ in range(4):
        expected, other, _ = lm.step(problem, theta, other)
        theta, state, _ = free.step(problem, theta, state)
        torch.testing.assert_close(theta, expected, rtol=1e-5, atol=1e-7)
        assert state.damping == pytest.approx(other.damping, rel=1e-4)


def decaying(p: int, rate: float) -> Tensor:
    basis = torch.linalg.qr(normal(p, p, seed=21)).Q
    matrix: Tensor = basis * torch.logspace(0.0, -rate, p, dtype=torch.float64) @ basis.t()
    return matrix


def test_nystroem_is_exact_for_low_rank_and_below_the_matrix_always() -> None:
    low = normal(30, 4, seed=22)
    test = torch.linalg.qr(normal(30, 6, seed=23)).Q
    U, values = nystroem(test, low @ low.t() @ test)
    torch.testing.assert_close(U * values @ U.t(), low @ low.t(), rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(U.t() @ U, torch.eye(6, dtype=torch.float64))
    A = decaying(30, 8.0)
    U, values = nystroem(test, A @ test)
    assert float(torch.linalg.eigvalsh(A - U * values @ U.t()).min()) > -1e-12
    assert bool((values.diff() <= 0.0).all())


def test_nystroem_of_nothing_is_nothing() -> None:
    test = torch.linalg.qr(normal(9, 3, seed=24)).Q
    for product in (torch.zeros(9, 3, dtype=torch.float64), torch.full((9, 3), math.nan).double()):
        U, values = nystroem(test, product)
        assert bool((values == 0.0).all())
        assert bool(torch.isfinite(U).all())


@pytest.mark.parametrize("rank", [1, 40])
def test_conjugate_gradients_solve_and_the_preconditioner_saves_iterations(rank: int) -> None:
    root = decaying(60, 4.0)
    problem = LeastSquares("decaying", lambda x: root @ x - 1.0, torch.zeros(60, dtype=torch.float64))
    free = HessianFree(damping=1e-6, iterations=400, tolerance=1e-12, rank=rank, every=1)
    _, state, _ = free.step(problem, problem.start, free.init(problem, problem.start))
    model = ProductModel(problem.linearise(problem.start), problem.start, state, 400, 1e-12)
    b = normal(60, seed=25)
    z, product = model.conjugate_gradients(b, 1e-6, torch.zeros_like(b))
    assert float((product + 1e-6 * z - b).norm()) < 2e-2 * float(b.norm())
    assert model.products < 60 if rank == 40 else model.products > 100
    again = ProductModel(problem.linearise(problem.start), problem.start, state, 400, 1e-12)
    again.conjugate_gradients(b, 1e-6, z)
    assert again.products < model.products


# --- SOAP, AdamW -----------------------------------------------------------------------------------


class Matrix(LeastSquares):
    """theta is one matrix (o, i)."""

    shape = (4, 3)

    def layout(self, theta: Tensor) -> list[tuple[int, int, int]]:
        return [(0, *self.shape)]


def matrix_problem(left: Tensor, right: Tensor) -> Matrix:
    """|A W' B - C|^2 with W = left W' right: a rotation of the space in which W lives."""
    o, i = Matrix.shape
    A, B, C = normal(6, o, seed=31), normal(i, 5, seed=32), normal(6, 5, seed=33)

    def rows(theta: Tensor) -> Tensor:
        W: Tensor = left @ theta.view(o, i) @ right
        return torch.tanh(A @ W @ B - C).flatten()

    start = (left.t() @ normal(o, i, seed=34) @ right.t()).flatten()
    return Matrix("matrix", rows, start)


def test_soap_does_not_see_rotations() -> None:
    """Adam does: only in the eigenbasis are its steps the same in every pair of orthogonal bases."""
    o, i = Matrix.shape
    left, right = torch.linalg.qr(normal(o, o, seed=35)).Q, torch.linalg.qr(normal(i, i, seed=36)).Q
    plain = matrix_problem(torch.eye(o, dtype=torch.float64), torch.eye(i, dtype=torch.float64))
    turned = matrix_problem(left, right)

    def ends(kind: str, **changes: Any) -> tuple[Tensor, Tensor]:
        found = []
        for problem in (plain, turned):
            optimiser = make(kind, learning_rate=0.02, warmup=3, **changes)
            theta, state = problem.start, optimiser.init(problem, problem.start)
            for _ in range(25):
                theta, state, _ = optimiser.step(problem, theta, state)
            found.append(theta.view(o, i))
        return found[0], left @ found[1] @ right

    torch.testing.assert_close(*ends("soap"), rtol=1e-6, atol=1e-8)
    assert float((torch.sub(*ends("adam"))).norm()) > 1e-2


def test_soap_of_no_matrices_is_adam() -> None:
    problem = rosenbrock()
    rates = {"learning_rate": 0.01, "beta1": 0.9, "beta2": 0.99, "decay_steps": 7, "warmup": 4}
    ends = []
    for kind in ("soap", "adam"):
        optimiser = make(kind, weight_decay=0.1, **rates)
        theta, state = problem.start, optimiser.init(problem, problem.start)
        for _ in range(20):
            theta, state, _ = optimiser.step(problem, theta, state)
        ends.append(theta)
    assert torch.equal(*ends)


def test_the_eigenbasis_diagonalises_the_factors() -> None:
    problem = matrix_problem(torch.eye(4, dtype=torch.float64), torch.eye(3, dtype=torch.float64))
    optimiser = make("soap", learning_rate=1e-6, frequency=1)
    assert isinstance(optimiser, Soap)
    theta, state = problem.start, optimiser.init(problem, problem.start)
    for _ in range(40):
        theta, state, _ = optimiser.step(problem, theta, state)
    factor, basis = state.left.view(4, 4), state.left_basis.view(4, 4)
    diagonal = basis.t() @ factor @ basis
    assert float((diagonal - torch.diag(diagonal.diagonal())).norm()) < 1e-6 * float(diagonal.norm())
    assert bool((diagonal.diagonal().diff() <= 0.0).all())


def test_weight_decay_is_torchs_adamw() -> None:
    problem = curve_fit()
    adam = make("adam", learning_rate=1e-2, weight_decay=0.3, decay_rate=1.0)
    theta, state = problem.start, adam.init(problem, problem.start)
    leaf = problem.start.clone().requires_grad_()
    reference = torch.optim.AdamW([leaf], lr=1e-2, weight_decay=0.3)
    for _ in range(20):
        theta, state, _ = adam.step(problem, theta, state)
        leaf.grad = problem.value_and_grad(leaf)[1]
        reference.step()
    torch.testing.assert_close(theta, leaf.detach())


@pytest.mark.parametrize("kind", ["adam", "soap"])
def test_the_rate_rises_before_it_falls(kind: str) -> None:
    problem = LeastSquares("far", lambda x: x - 1e6, tensor(0.0))
    optimiser = make(kind, learning_rate=1e-2, warmup=10, decay_rate=0.1, decay_steps=10, beta1=0.0)
    theta, state, lengths = problem.start, optimiser.init(problem, problem.start), []
    for _ in range(21):
        theta, state, info = optimiser.step(problem, theta, state)
        lengths.append(info.step_size)
    assert lengths[0] == pytest.approx(1e-3, rel=1e-3)
    assert lengths[9] == pytest.approx(1e-2, rel=1e-3)
    assert lengths[20] == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("kind", ["adam", "soap"])
def test_a_redraw_costs_first_order_methods_no_gradient(kind: str) -> None:
    first, second = quadratic(8), quadratic(8)
    optimiser = make(kind)
    theta, state, _ = optimiser.step(first, first.start, optimiser.init(first, first.start))
    optimiser.step(second, theta, optimiser.refresh(second, theta, state))
    assert second.calls == ["gradient"]


# --- breakdowns ------------------------------------------------------------------------------------


def half_space(seed: int) -> LeastSquares:
    base = linear(condition=1e3, noise=0.0)
    normal_vector = normal(12, seed=seed)
    normal_vector = normal_vector * normal_vector.sum().sign()  # the minimum, all ones, is on the far side

    def rows(x: Tensor) -> Tensor:
        inside = (x @ normal_vector) < 0.4 * float(normal_vector.sum())
        return torch.where(inside, base.rows(x), math.nan)

    return LeastSquares("half space", rows, base.start)


@pytest.mark.parametrize("seed", [41, 42, 43])
@pytest.mark.parametrize("kind", OPTIMISERS)
def test_a_half_space_of_nan_is_never_entered(kind: str, seed: int) -> None:
    problem = half_space(seed)
    optimiser = make(kind)
    theta, state, value = problem.start, optimiser.init(problem, problem.start), problem.value(problem.start)
    start = value
    for _ in range(25):
        theta, state, info = optimiser.step(problem, theta, state)
        if info.status == "failed":
            state = optimiser.recover(problem, theta, state)
        assert math.isfinite(problem.value(theta))
    assert problem.value(theta) < start


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_a_rank_deficient_jacobian_is_no_obstacle(kind: str) -> None:
    """Every column twice and a column of zeros: J'J is singular with exact zeros."""
    base = linear(condition=10.0, n=6, noise=0.0)
    problem = LeastSquares(
        "deficient", lambda x: base.rows(x[:6] + x[6:12]), torch.zeros(13, dtype=torch.float64)
    )
    optimiser = make(kind, **({"learning_rate": 0.05} if kind in ("adam", "soap") else {}))
    theta, state = problem.start, optimiser.init(problem, problem.start)
    for _ in range(150):
        theta, state, info = optimiser.step(problem, theta, state)
        assert info.status != "failed"
        if info.status == "converged" or info.value < 1e-25:
            break
    assert problem.value(theta) < (0.3 if kind in ("adam", "soap") else 1e-6) * problem.value(problem.start)
    if kind != "soap":  # which mixes the columns of a matrix
        assert abs(float(theta[12])) < 1e-12


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_a_zero_gradient_moves_nothing(kind: str) -> None:
    problem = LeastSquares("level", lambda x: 0.0 * x + 1.0, tensor(0.3, 0.7, -1.0, 2.0, 5.0, 6.0))
    optimiser = make(kind)
    theta, _, info = optimiser.step(problem, problem.start, optimiser.init(problem, problem.start))
    assert torch.equal(theta, problem.start)
    assert info.status == ("ok" if kind in ("adam", "soap") else "converged")


class Stuck(LeastSquares):
    """Promises a decrease at `start` and yields none anywhere."""

    def value(self, theta: Tensor) -> float:
        if len(self.calls) > 2000:
            raise AssertionError("the step does not end")
        return super().value(self.start) + (0.0 if torch.equal(theta, self.start) else 1.0)


@pytest.mark.parametrize("lowered", range(4))
def test_least_squares_gives_up_whatever_lambda_it_starts_from(lowered: int) -> None:
    """Lowering lambda comes back to where it began, which must not raise it again."""
    problem = Stuck("stuck", lambda x: x - 1.0, tensor(0.3, 0.7, -1.0))
    damping = 1e3 * torch.finfo(torch.float64).eps
    for _ in range(lowered):
        damping = max(0.1 * damping, 4.0 * torch.finfo(torch.float64).eps)
    optimiser = make("lsq")
    state = replace(optimiser.init(problem, problem.start), damping=damping)
    theta, _, info = optimiser.step(problem, problem.start, state)
    assert info.status == "failed"
    assert torch.equal(theta, problem.start)


@pytest.mark.parametrize("mu", [0.0, 0.9])
def test_a_singular_kernel_is_damped_until_it_factors(mu: float) -> None:
    """Equal rows, with a damping that rounding swallows."""
    row = normal(9, seed=51)
    problem = LeastSquares(
        "equal rows", lambda x: (row @ x - 1.0).expand(5) * 1.0, torch.zeros(9, dtype=torch.float64)
    )
    optimiser = Woodbury(damping=1e-300, momentum=mu, learning_rate=1.0)
    theta, state = problem.start, optimiser.init(problem, problem.start)
    for _ in range(40):
        theta, state, info = optimiser.step(problem, theta, state)
        if info.status == "failed":
            state = optimiser.recover(problem, theta, state)
    assert problem.value(theta) < 1e-12


@pytest.mark.parametrize("kind", ["bfgs", "ssbfgs", "ssbroyden"])
@pytest.mark.parametrize("spoil", ["indefinite", "singular", "nan"])
def test_every_spoilt_inverse_hessian_is_survived(kind: str, spoil: str) -> None:
    problem = quadratic(10)
    optimiser = make(kind)
    theta, state = problem.start, optimiser.init(problem, problem.start)
    for _ in range(4):
        theta, state, _ = optimiser.step(problem, theta, state)
    if spoil == "indefinite":
        state.H[0, 0] = -1e6
    elif spoil == "singular":
        state.H.zero_()
    else:
        state.H.fill_(math.nan)
    for _ in range(200):
        before = theta
        theta, state, info = optimiser.step(problem, theta, state)
        assert bool(torch.isfinite(theta).all())
        if info.status == "failed":
            state = optimiser.recover(problem, before, state)
        if info.status == "converged":
            break
    assert info.status == "converged"
    assert info.value < 1e-12


def test_a_failed_sketch_leaves_plain_conjugate_gradients() -> None:
    problem = quadratic(10)
    free = make("hessian_free", rank=4)
    state = free.init(problem, problem.start)
    spoilt = replace(state, basis=torch.zeros_like(state.basis), age=0)
    theta, _, info = free.step(problem, problem.start, spoilt)
    assert info.status == "ok"
    assert problem.value(theta) < problem.value(problem.start)

"""The self-scaled Broyden family against the formulas as they are printed."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optimisation_problems import normal, quadratic
from torch import Tensor

from pinncli.optimisers.lbfgs import Lbfgs, LbfgsState, two_loops
from pinncli.optimisers.quasi_newton import Kind, QuasiNewton, broyden_update, coefficients

KINDS: tuple[Kind, ...] = ("bfgs", "ssbfgs", "ssbroyden")


def pair(seed: int, n: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    """A positive definite H and s, y with s'y > 0."""
    root = normal(n, n, seed=seed)
    H = root @ root.t() + 0.1 * torch.eye(n, dtype=torch.float64)
    s, y = normal(n, seed=seed + 1), normal(n, seed=seed + 2)
    return H, s, y if s.dot(y) > 0.0 else -y


def updated(kind: Kind, H: Tensor, s: Tensor, y: Tensor) -> Tensor:
    u = H @ y
    sy, yu = float(s.dot(y)), float(y.dot(u))
    b = float(s.dot(torch.linalg.solve(H, s))) / sy
    new = H.clone()
    product = broyden_update(new, s, u, sy, yu, *coefficients(kind, b, yu / sy, len(s)), y)
    torch.testing.assert_close(product, new @ y)
    return new


def textbook_bfgs(H: Tensor, s: Tensor, y: Tensor) -> Tensor:
    """Nocedal & Wright 2006, eq. 6.17."""
    rho = 1.0 / s.dot(y)
    V = torch.eye(len(s), dtype=s.dtype) - rho * torch.outer(y, s)
    return V.t() @ H @ V + rho * torch.outer(s, s)


def printed_ssbroyden(H: Tensor, s: Tensor, y: Tensor) -> Tensor:
    """Urban, Stefanou & Pons 2025, eqs. 13-23, term by term."""
    n, rho, Hy = len(s), 1.0 / float(s.dot(y)), H @ y
    yHy = float(y.dot(Hy))
    b, h = rho * float(s.dot(torch.linalg.inv(H) @ s)), rho * yHy
    a = b * h - 1.0
    rho_minus = min(1.0, h * (1.0 - math.sqrt(abs(a) / (1.0 + a))))
    theta_minus, theta_plus = (rho_minus - 1.0) / a, 1.0 / rho_minus
    theta = max(theta_minus, min(theta_plus, (1.0 - b) / b))
    sigma = 1.0 + theta * a
    power = abs(sigma) ** (1.0 / (1.0 - n))
    tau = (
        min(min(1.0, 1.0 / b) * power, sigma) if theta <= 0.0 else min(1.0, 1.0 / b) * min(power, 1.0 / theta)
    )
    phi = (1.0 - theta) / (1.0 + a * theta)
    v = rho * s - Hy / yHy
    inner = H - torch.outer(Hy, Hy) / yHy + phi * yHy * torch.outer(v, v)
    return inner / tau + rho * torch.outer(s, s)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(KINDS), st.integers(1, 8))
def test_secant_equation_symmetry_and_positive_definiteness(seed: int, kind: Kind, n: int) -> None:
    H, s, y = pair(seed, n)
    new = updated(kind, H, s, y)
    size = float(new.abs().max())
    assert float((new @ y - s).norm()) <= 1e-9 * (size * float(y.norm()) + float(s.norm()))
    assert float((new - new.t()).abs().max()) <= 1e-15 * size
    assert float(torch.linalg.eigvalsh(new).min()) > 0.0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_each_member_is_the_printed_formula(seed: int) -> None:
    H, s, y = pair(seed)
    torch.testing.assert_close(updated("bfgs", H, s, y), textbook_bfgs(H, s, y), rtol=1e-7, atol=1e-7)
    b = float(s.dot(torch.linalg.solve(H, s)) / s.dot(y))
    scaled = textbook_bfgs(H / min(1.0, 1.0 / b), s, y)
    torch.testing.assert_close(updated("ssbfgs", H, s, y), scaled, rtol=1e-7, atol=1e-7)
    printed = printed_ssbroyden(H, s, y)
    torch.testing.assert_close(updated("ssbroyden", H, s, y), printed, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("stretch", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("kind", KINDS)
def test_s_along_hy_is_no_division_by_zero(kind: Kind, stretch: float) -> None:
    """b h = 1 makes a vanish, in floating point either side of zero."""
    H, _, y = pair(3)
    s = stretch * (H @ y)
    new = updated(kind, H, s, y)
    assert bool(torch.isfinite(new).all())
    torch.testing.assert_close(new @ y, s)
    assert float(torch.linalg.eigvalsh(new).min()) > 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_h_stays_symmetric_over_a_whole_run(kind: Kind) -> None:
    problem = quadratic()
    optimiser = QuasiNewton(kind=kind, c1=1e-4, c2=0.9)
    theta, state = problem.start, optimiser.init(problem, problem.start)
    for _ in range(100):
        theta, state, _ = optimiser.step(problem, theta, state)
    assert float((state.H - state.H.t()).abs().max()) <= 1e-14 * float(state.H.abs().max())


def test_the_first_pair_scales_the_identity() -> None:
    """BFGS of (s'y/y'y) I, Nocedal & Wright 2006, eq. 6.20."""
    problem = quadratic(8)
    optimiser = QuasiNewton(kind="bfgs", c1=1e-4, c2=0.9)
    state = optimiser.init(problem, problem.start)
    before = state.gradient
    end, state, _ = optimiser.step(problem, problem.start, state)
    s, y = end - problem.start, state.gradient - before
    scaled = float(s.dot(y) / y.dot(y)) * torch.eye(8, dtype=torch.float64)
    torch.testing.assert_close(state.H, textbook_bfgs(scaled, s, y))


def test_h_is_updated_in_place() -> None:
    problem = quadratic(8)
    optimiser = QuasiNewton(kind="ssbroyden", c1=1e-4, c2=0.9)
    state = optimiser.init(problem, problem.start)
    _, after, _ = optimiser.step(problem, problem.start, state)
    assert after.H.data_ptr() == state.H.data_ptr()


def test_two_loops_are_bfgs_of_the_stored_pairs() -> None:
    """With the ring turned over twice, against dense BFGS updates in the order of time."""
    n, memory = 9, 4
    problem = quadratic(n)
    optimiser = Lbfgs(memory=memory, c1=1e-4, c2=0.9)
    theta, state = problem.start, optimiser.init(problem, problem.start)
    pairs = []
    for _ in range(2 * memory + 1):
        before, gradient = theta, state.gradient
        theta, state, _ = optimiser.step(problem, theta, state)
        pairs.append((theta - before, state.gradient - gradient))
    assert isinstance(state, LbfgsState)
    s, y = pairs[-1]
    H = float(s.dot(y) / y.dot(y)) * torch.eye(n, dtype=torch.float64)
    for s, y in pairs[-memory:]:
        H = textbook_bfgs(H, s, y)
    torch.testing.assert_close(two_loops(state), -H @ state.gradient, rtol=1e-6, atol=1e-9)

"""Every optimiser on every problem with a known minimum; rates, state, recovery, settings."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from optimisation_problems import (
    PROBLEMS,
    LeastSquares,
    curve_fit,
    linear,
    normal,
    powell_singular,
    quadratic,
    rosenbrock,
    tensor,
)
from pydantic import TypeAdapter
from torch import Tensor

from pinncli.optimisers import OPTIMISERS, Optimiser, StepInfo
from pinncli.optimisers.quasi_newton import Kind, coefficients
from pinncli.problem.settings import OptimiserSettings


def make(kind: str, **changes: Any) -> Optimiser:
    settings = TypeAdapter[Any](OptimiserSettings).validate_python({"kind": kind, **changes}).model_dump()
    settings.pop("kind")
    return OPTIMISERS[kind](**settings)


def minimise(
    optimiser: Optimiser, problem: LeastSquares, steps: int, below: float = -math.inf
) -> tuple[Tensor, Any, list[StepInfo]]:
    theta, state, infos = problem.start, optimiser.init(problem, problem.start), []
    for _ in range(steps):
        theta, state, info = optimiser.step(problem, theta, state)
        infos.append(info)
        if info.status == "failed":
            state = optimiser.recover(problem, theta, state)
        if info.status == "converged" or info.value - problem.minimum <= below:
            break
    return theta, state, infos


FIRST_ORDER = ("adam", "soap")

DEEP: dict[str, dict[str, float]] = {
    "adam": {"learning_rate": 0.05},
    "soap": {"learning_rate": 0.05, "beta1": 0.9},
    "engd_w": {"damping": 1e-13},
    "spring": {"damping": 1e-13, "momentum": 0.3, "learning_rate": 1.0},
}
"""Settings for fixed points and small problems, where the defaults are for others."""

PROMPT = {"spring": {"momentum": 0.3, "learning_rate": 1.0}, "lsq": {"tolerance": 1e-12}}

# steps allowed and the excess over the minimum to be reached
GOALS: dict[str, dict[str, tuple[int, float]]] = {
    "lm": {
        "rosenbrock": (60, 1e-28),
        "powell singular": (60, 1e-20),
        "linear": (60, 1e-13),
        "quadratic": (40, 1e-22),
        "curve fit": (100, 1e-11),
    },
    "bfgs": {
        "rosenbrock": (60, 1e-20),
        "powell singular": (200, 1e-20),
        "linear": (400, 1e-10),
        "quadratic": (300, 1e-16),
        "curve fit": (1000, 1e-8),
    },
    "lbfgs": {
        "rosenbrock": (60, 1e-20),
        "powell singular": (300, 1e-16),
        "linear": (400, 1e-9),
        "quadratic": (200, 1e-16),
        "curve fit": (1000, 1e-7),
    },
    "adam": {
        "rosenbrock": (1500, 1e-3),
        "powell singular": (1500, 1e-2),
        "linear": (1500, 1e-3),
        "quadratic": (1500, 1e-1),
        "curve fit": (1500, 1e-3),
    },
}
GOALS["soap"] = {**GOALS["adam"], "rosenbrock": (1500, 1e-2)}
GOALS["hessian_free"] = GOALS["lm"]
GOALS["engd_w"] = {
    **GOALS["lm"],
    "linear": (60, 1e-10),
    "powell singular": (60, 1e-18),
    "curve fit": (300, 1e-7),
}
GOALS["spring"] = {name: (2 * steps, 1e5 * excess) for name, (steps, excess) in GOALS["engd_w"].items()}
GOALS["lsq"] = {**GOALS["lm"], "curve fit": (400, 1e-6)}
GOALS["ssbfgs"] = GOALS["ssbroyden"] = GOALS["bfgs"]


@pytest.mark.parametrize("build", PROBLEMS, ids=lambda build: build.__name__)
@pytest.mark.parametrize("kind", OPTIMISERS)
def test_reaches_the_minimum(kind: str, build: Callable[[], LeastSquares]) -> None:
    problem = build()
    optimiser = make(kind, **DEEP.get(kind, {}))
    steps, excess = GOALS[kind][problem.name]
    theta, _, infos = minimise(optimiser, problem, steps, excess)
    assert problem.value(theta) - problem.minimum <= excess
    if kind not in FIRST_ORDER:
        values = [info.value for info in infos]
        assert all(b <= a * (1.0 + 1e-6) for a, b in itertools.pairwise(values))


@pytest.mark.parametrize("kind", [k for k in OPTIMISERS if k not in FIRST_ORDER])
def test_single_precision_reaches_its_own_floor(kind: str) -> None:
    base = rosenbrock()
    problem = replace(base, start=base.start.float())
    theta, _, _ = minimise(make(kind, **PROMPT.get(kind, {})), problem, 100, 1e-12)
    assert theta.dtype == torch.float32
    assert problem.value(theta) < 1e-9


def in_single_precision(build: Callable[[], LeastSquares]) -> LeastSquares:
    """Residuals rounded to float32, so that rounding is that of the residual and theta alone."""
    problem = build()
    return replace(problem, rows=lambda x: problem.rows(x.double()).float(), start=problem.start.float())


# excess over the minimum, relative to the value at the start; `linear` has a residual that stays
SINGLE = {
    "rosenbrock": 1e-12,
    "powell singular": 1e-14,
    "linear": 1e-6,
    "quadratic": 1e-12,
    "curve fit": 1e-7,
}


@pytest.mark.parametrize("build", PROBLEMS, ids=lambda build: build.__name__)
@pytest.mark.parametrize("kind", [k for k in OPTIMISERS if k not in (*FIRST_ORDER, "lsq")])
def test_single_precision_on_every_problem(kind: str, build: Callable[[], LeastSquares]) -> None:
    problem = in_single_precision(build)
    goal = SINGLE[problem.name] * problem.value(problem.start)
    theta, _, infos = minimise(
        make(kind, **{"spring": {"momentum": 0.3, "learning_rate": 1.0}}.get(kind, {})), problem, 400, goal
    )
    assert theta.dtype == torch.float32
    assert problem.value(theta) - problem.minimum <= goal, infos[-1]


@pytest.mark.parametrize("kind", [k for k in OPTIMISERS if k not in FIRST_ORDER])
def test_pairs_that_underflow_are_no_division_by_zero(kind: str) -> None:
    """Near a minimum of value zero the squares of gradients vanish in float32 before the gradients do."""
    theta, _, infos = minimise(make(kind), in_single_precision(powell_singular), 150)
    assert all(math.isfinite(info.value) for info in infos)
    assert bool(torch.isfinite(theta).all())


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_is_deterministic(kind: str) -> None:
    one, two = (minimise(make(kind), curve_fit(), 30) for _ in range(2))
    assert torch.equal(one[0], two[0])
    assert one[2] == two[2]


# --- rates -----------------------------------------------------------------------------------------


def circles(x: Tensor) -> Tensor:
    """Three curved surfaces that meet at (1, 1, 1), where the Jacobian is regular."""
    return torch.stack([x[0] ** 2 + x[1] - 2.0, x[1] ** 2 + x[2] * x[0] - 2.0, torch.exp(x[2] - 1.0) - x[0]])


def order(problem: LeastSquares) -> float:
    """The p of |e+| ~ |e|^p, fitted over single steps from distances of 0.1 down to 0.001."""
    solution = torch.ones(3, dtype=torch.float64)
    lm = make("lm", damping=1e-15)
    before, after = [], []
    for power in range(5, 16):
        theta = solution + 10.0 ** (-0.2 * power) * tensor(0.6, -0.64, 0.48)
        end, _, info = lm.step(problem, theta, lm.init(problem, theta))
        assert info.status == "ok"
        before.append(math.log(float((theta - solution).norm())))
        after.append(math.log(float((end - solution).norm())))
    x, y = torch.tensor(before), torch.tensor(after)
    x, y = x - x.mean(), y - y.mean()
    return float(x.dot(y) / x.dot(x))


def test_levenberg_marquardt_is_of_second_order_and_of_third_with_acceleration() -> None:
    """Undamped, where the residual vanishes: Gauss-Newton's order, and Halley's."""
    plain = order(Unbent("circles", circles, tensor(1.0, 1.0, 1.0)))
    accelerated = order(LeastSquares("circles", circles, tensor(1.0, 1.0, 1.0)))
    assert plain == pytest.approx(2.0, abs=0.15)
    assert accelerated == pytest.approx(3.0, abs=0.25)


def test_levenberg_marquardt_is_superlinear_where_the_residual_vanishes() -> None:
    """The damping falls by 3 a step, so does the ratio of successive gradients."""
    problem = quadratic()
    _, _, infos = minimise(make("lm", damping=1.0), problem, 14)
    sizes = [math.sqrt(info.value) for info in infos if info.value > 1e-24]
    ratios = [b / a for a, b in itertools.pairwise(sizes)]
    slope = (math.log(ratios[-1]) - math.log(ratios[2])) / (len(ratios) - 3)
    assert slope < math.log(0.5)


@pytest.mark.parametrize("kind", ["bfgs", "ssbfgs", "ssbroyden"])
def test_quasi_newton_is_superlinear(kind: str) -> None:
    """The error of every step falls faster than any fixed ratio would have it."""
    problem = rosenbrock()
    theta, state = problem.start, make(kind).init(problem, problem.start)
    errors = []
    for _ in range(60):
        theta, state, info = make(kind).step(problem, theta, state)
        errors.append(float((theta - 1.0).norm()))
        if info.status == "converged" or errors[-1] < 1e-12:
            break
    tail = [e for e in errors if 1e-11 < e < 0.2]
    ratios = [b / a for a, b in itertools.pairwise(tail)]
    assert len(ratios) >= 3
    assert min(ratios[-2:]) < 0.1 * max(ratios[:2])


# --- updates, as printed ---------------------------------------------------------------------------


def printed(kind: str, H: Tensor, g: Tensor, alpha: float, y: Tensor) -> Tensor:
    """H+ of Urban, Stefanou & Pons (arXiv 2405.04230), from what a line search has: p = -H g, s = alpha p."""
    n, s = len(g), -alpha * (H @ g)
    Hy, rho = H @ y, 1.0 / float(y.dot(s))
    yHy = float(y.dot(Hy))
    b, h = -alpha * rho * float(s.dot(g)), rho * yHy
    if kind in ("bfgs", "ssbfgs"):
        if kind == "ssbfgs":
            shrink = min(1.0, 1.0 / b)
            H, Hy, h = H / shrink, Hy / shrink, h / shrink
        cross = torch.outer(Hy, s) + torch.outer(s, Hy)
        bfgs: Tensor = H - rho * cross + rho * (1.0 + h) * torch.outer(s, s)
        return bfgs
    a = b * h - 1.0
    low = min(1.0, h * (1.0 - math.sqrt(abs(a) / (1.0 + a))))
    theta = max((low - 1.0) / a, min(1.0 / low, (1.0 - b) / b))
    r1, sigma = min(1.0, 1.0 / b), 1.0 + theta * a
    s1 = abs(sigma) ** (1.0 / (1.0 - n))
    tau = min(r1 * s1, sigma) if theta <= 0.0 else r1 * min(s1, 1.0 / theta)
    phi = (1.0 - theta) / (1.0 + a * theta)
    v = rho * s - Hy / yHy
    inner = H - torch.outer(Hy, Hy) / yHy + phi * yHy * torch.outer(v, v)
    broyden: Tensor = inner / tau + rho * torch.outer(s, s)
    return broyden


@pytest.mark.parametrize("build", [rosenbrock, quadratic, curve_fit])
@pytest.mark.parametrize("kind", ["bfgs", "ssbfgs", "ssbroyden"])
def test_every_step_makes_the_printed_update(kind: str, build: Callable[[], LeastSquares]) -> None:
    """Through the search: b there comes from the step taken and the gradient before it."""
    problem = build()
    optimiser = make(kind, c2=0.1)  # seldom content with alpha = 1
    theta, state, _ = minimise(optimiser, problem, 1)
    strides = []
    for _ in range(12):
        H, g = state.H.clone(), state.gradient.clone()
        end, state, info = optimiser.step(problem, theta, state)
        direction = -(H @ g)
        alpha = info.step_size / float(direction.norm())
        torch.testing.assert_close(end - theta, alpha * direction, rtol=1e-6, atol=1e-9)
        expected = printed(kind, H, g, alpha, state.gradient - g)
        assert float((state.H - expected).norm()) <= 1e-6 * float(expected.norm())
        assert float(torch.linalg.eigvalsh(state.H).min()) > 0.0
        strides.append(alpha)
        theta = end
    assert sum(abs(alpha - 1.0) > 0.01 for alpha in strides) >= 4


@given(
    kind=st.sampled_from(["bfgs", "ssbfgs", "ssbroyden"]),
    b=st.floats(-20.0, 20.0),
    a=st.floats(-16.0, 30.0),
    n=st.integers(1, 1000),
)
def test_coefficients_exist_for_every_pair(kind: Kind, b: float, a: float, n: int) -> None:
    """tau and phi keep H+ positive definite, however badly H and the pair fit together."""
    b, a = 10.0**b, 10.0**a
    tau, phi = coefficients(kind, b, (1.0 + a) / b, n)
    assert 0.0 < tau <= 1.0
    assert math.isfinite(phi)
    # det H+ > 0 (Al-Baali 1998): phi > 1/(1 - b h), and b h - 1 = a
    assert phi * a > -1.0


# --- least squares at the floor --------------------------------------------------------------------


@pytest.mark.parametrize("start", [0.0, 3.0])
def test_dependent_columns_of_the_jacobian_are_no_obstacle(start: float) -> None:
    """Equal columns share the step equally, which is the solution nearest to the start."""
    base, copies = linear(condition=10.0, n=6), [0, 1, 2, 3, 4, 5, 0, 1]
    spread = torch.zeros(6, 8, dtype=torch.float64)
    spread[copies, range(8)] = 1.0
    problem = LeastSquares(
        "dependent",
        lambda x: base.rows(spread @ x),
        torch.full((8,), start, dtype=torch.float64),
        base.minimum,
    )
    theta, _, infos = minimise(make("lm"), problem, 60)
    assert infos[-1].status == "converged"
    assert problem.value(theta) - problem.minimum <= 1e-14
    torch.testing.assert_close(spread @ theta, torch.ones(6, dtype=torch.float64), rtol=1e-6, atol=1e-6)
    assert theta[0] == pytest.approx(float(theta[6]), abs=1e-6)


@pytest.mark.parametrize("noise_free", [True, False])
def test_fewer_equations_than_unknowns(noise_free: bool) -> None:
    """Solved to rounding where that is possible, by either factorisation."""
    W, target = normal(4, 9, seed=3), 0.3 * torch.tanh(normal(4, seed=2))
    limit = target if noise_free else target + tensor(2.0, 0.0, 0.0, 0.0)  # out of reach of tanh
    problem = LeastSquares("wide", lambda x: torch.tanh(W @ x) - limit, 0.1 * normal(9, seed=4))
    lm = make("lm")
    for orthogonal in (False, True):
        theta, state = problem.start, replace(lm.init(problem, problem.start), orthogonal=orthogonal)
        for _ in range(60):
            theta, state, info = lm.step(problem, theta, state)
            if info.status == "converged":
                break
        r = problem.rows(theta)
        assert bool(torch.isfinite(theta).all())
        assert float(r[1:].abs().max()) < 1e-3
        assert problem.value(theta) < 1e-30 if noise_free else abs(float(r[0])) > 0.5


def test_both_factorisations_give_the_same_steps() -> None:
    lm, problem = make("lm"), curve_fit()
    state = lm.init(problem, problem.start)
    gram = lm.step(problem, problem.start, state)
    orthogonal = lm.step(problem, problem.start, replace(state, orthogonal=True))
    torch.testing.assert_close(gram[0], orthogonal[0], rtol=1e-8, atol=1e-10)
    assert gram[1].damping == pytest.approx(orthogonal[1].damping)


@pytest.mark.parametrize("kind", [k for k in OPTIMISERS if k not in FIRST_ORDER])
def test_says_converged_where_nothing_depends_on_theta(kind: str) -> None:
    """A gradient of exact zeros, with J = 0: a saddle, or an idle network."""
    for rows in (lambda x: 0.0 * x + 1.0, torch.cos):
        problem = LeastSquares("level", rows, tensor(0.0, 0.0), 1.0)
        theta, _, infos = minimise(make(kind), problem, 3)
        assert [info.status for info in infos] == ["converged"]
        assert torch.equal(theta, problem.start)


def test_ill_conditioned_least_squares_reaches_the_floor_by_orthogonal_factors() -> None:
    """A Gram matrix of condition 1e20 is singular in float64; J of 1e10 is not."""
    problem = linear(condition=1e10, noise=0.0)
    theta, state, infos = minimise(make("lm"), problem, 120)
    assert state.orthogonal
    assert infos[-1].status == "converged"
    assert float((theta - 1.0).abs().max()) < 1e-4
    assert problem.value(theta) < 1e-28


class Unbent(LeastSquares):
    """Hides the second derivatives, which turns geodesic acceleration off."""

    def vjp(self, theta: Tensor, w: Tensor) -> Tensor:
        return torch.zeros_like(theta)


@pytest.mark.parametrize(("build", "gain"), [(rosenbrock, 0.8), (curve_fit, 0.6)])
def test_acceleration_follows_bent_valleys(build: Callable[[], LeastSquares], gain: float) -> None:
    bent = build()
    plain = Unbent(bent.name, bent.rows, bent.start)
    below = 1e-11
    accelerated, usual = (len(minimise(make("lm"), p, 400, below)[2]) for p in (bent, plain))
    assert accelerated <= gain * usual


def test_a_trial_needs_no_new_jacobian() -> None:
    problem = curve_fit()
    lm = make("lm", damping=1e-9)
    state = lm.init(problem, problem.start)
    _, _, info = lm.step(problem, problem.start, state)
    assert problem.calls.count("gram") == 1
    assert "jacobian" not in problem.calls
    assert info.evaluations > 5  # several dampings were tried


def test_a_parameter_without_influence_is_left_alone() -> None:
    base = rosenbrock()
    problem = LeastSquares("idle", lambda x: base.rows(x[:2]), tensor(-1.2, 1.0, 7.0))
    theta, _, _ = minimise(make("lm"), problem, 60, 1e-28)
    assert theta.tolist() == pytest.approx([1.0, 1.0, 7.0])


# --- state is a value ------------------------------------------------------------------------------


def copied(state: Any) -> Any:
    """As if saved and loaded: a plain dictionary of fields, tensors copied."""
    plain = {f.name: getattr(state, f.name) for f in fields(state)}
    for value in plain.values():
        assert isinstance(value, Tensor | float | int | bool | str | None)
    return type(state)(**{n: v.clone() if isinstance(v, Tensor) else v for n, v in plain.items()})


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_continues_bit_for_bit_from_saved_fields(kind: str) -> None:
    problem = curve_fit()
    optimiser = make(kind) if kind != "lbfgs" else make(kind, memory=5)
    theta, state = problem.start, optimiser.init(problem, problem.start)
    for _ in range(8):
        theta, state, _ = optimiser.step(problem, theta, state)
    saved_theta, saved = theta.clone(), copied(state)
    assert type(saved) is optimiser.state_type
    for _ in range(8):
        theta, state, info = optimiser.step(problem, theta, state)
    for _ in range(8):
        saved_theta, saved, saved_info = make(kind, **({"memory": 5} if kind == "lbfgs" else {})).step(
            problem, saved_theta, saved
        )
    assert torch.equal(theta, saved_theta)
    assert info == saved_info


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_constructors_take_the_settings(kind: str) -> None:
    settings = TypeAdapter[Any](OptimiserSettings).validate_python({"kind": kind})
    named = set(type(settings).model_fields)
    fixed = set(getattr(OPTIMISERS[kind], "keywords", {}))  # as engd_w fixes the momentum of spring
    assert ({f.name for f in fields(make(kind))} | {"kind"}) - fixed == named  # type: ignore[arg-type]


# --- redrawn points, failures ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bfgs", "ssbfgs", "ssbroyden", "lbfgs"])
def test_refresh_never_mixes_two_objectives(kind: str) -> None:
    """After a redraw the next pair comes from the new objective alone: its secant equation holds."""
    first, second = quadratic(20), quadratic(20)
    shifted = normal(20, seed=8)
    second = LeastSquares("moved", lambda x: second_rows(x - shifted), first.start)
    second_rows = first.rows
    optimiser = make(kind)
    theta, state = first.start, optimiser.init(first, first.start)
    for _ in range(6):
        theta, state, _ = optimiser.step(first, theta, state)
    state = optimiser.refresh(second, theta, state)
    value, before = second.value_and_grad(theta)
    assert state.value == value
    assert torch.equal(state.gradient, before)
    end, state, _ = optimiser.step(second, theta, state)
    s, y = end - theta, second.value_and_grad(end)[1] - before
    if kind == "lbfgs":
        row = (state.count - 1) % len(state.inverse)
        torch.testing.assert_close(state.changes[row], y)
        torch.testing.assert_close(state.steps[row], s)
    else:
        torch.testing.assert_close(state.H @ y, s, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kind", ["bfgs", "ssbfgs", "ssbroyden", "lbfgs"])
def test_a_spoilt_curvature_is_given_up_within_the_step(kind: str) -> None:
    problem = quadratic(20)
    optimiser = make(kind)
    theta, state, _ = minimise(optimiser, problem, 5)
    if kind == "lbfgs":
        state.changes.neg_()
        state.inverse.neg_()
        state = replace(state, scale=-state.scale)
    else:
        state.H.neg_()
    before = problem.value(theta)
    theta, state, info = optimiser.step(problem, theta, state)
    assert info.status == "ok"
    assert info.value < before
    assert not hasattr(state, "count") or state.count == 1


@pytest.mark.parametrize("kind", [k for k in OPTIMISERS if k not in FIRST_ORDER])
def test_walls_of_nan_are_backed_away_from(kind: str) -> None:
    """sqrt and log are undefined for x <= 0, where the first steps would lead."""

    def rows(x: Tensor) -> Tensor:
        return torch.stack([20.0 * (torch.sqrt(x[0]) - 0.1), torch.log(x[1]) + 3.0, x[0] * x[1]])

    problem = LeastSquares("walls", rows, tensor(4.0, 3.0))
    theta, _, infos = minimise(make(kind, **PROMPT.get(kind, {})), problem, 80)
    assert bool((theta > 0.0).all())
    assert all(math.isfinite(info.value) for info in infos)
    assert float(problem.value_and_grad(theta)[1].norm()) < 1e-6


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_trouble_at_the_start_is_reported_and_survived(kind: str) -> None:
    problem = LeastSquares("nan", torch.log, tensor(-1.0, 1.0))
    optimiser = make(kind)
    theta, state, info = optimiser.step(problem, problem.start, optimiser.init(problem, problem.start))
    assert torch.equal(theta, problem.start)
    assert not math.isfinite(info.value)
    good = tensor(2.0, 3.0)
    state = optimiser.recover(problem, good, state)
    after, _, info = optimiser.step(problem, good, state)
    assert bool(torch.isfinite(after).all())
    assert info.status == "ok"


@pytest.mark.parametrize("kind", [k for k in OPTIMISERS if k not in FIRST_ORDER])
def test_says_converged_at_a_minimum(kind: str) -> None:
    regular = (linear(condition=1e2), quadratic(10))
    floored = kind in ("engd_w", "spring")  # whose least damping leaves a singular minimum only slowly
    for problem in regular if floored else (*regular, powell_singular()):
        theta, _, infos = minimise(make(kind, **DEEP.get(kind, {})), problem, 600)
        assert infos[-1].status == "converged", (problem.name, infos[-1])
        assert problem.value(theta) - problem.minimum < 1e-12


@pytest.mark.parametrize("kind", ["bfgs", "ssbfgs", "ssbroyden", "lbfgs"])
def test_recovery_forgets_curvature_and_shortens_the_step(kind: str) -> None:
    """The first step after it tries is down the gradient, a tenth as long as the last one was."""
    problem = quadratic(8)
    optimiser = make(kind)
    theta, state, infos = minimise(optimiser, problem, 6)
    state = optimiser.recover(problem, theta, state)
    assert state.length == pytest.approx(0.1 * infos[-1].step_size)
    if kind != "lbfgs":
        assert torch.equal(state.H, torch.eye(8, dtype=torch.float64))
    downhill = -state.gradient
    end, _, _ = optimiser.step(problem, theta, state)
    cosine = (end - theta).dot(downhill) / ((end - theta).norm() * downhill.norm())
    assert float(cosine) == pytest.approx(1.0)
    tried: list[Tensor] = []

    def watched(x: Tensor) -> Tensor:
        tried.append(x.detach())
        return problem.rows(x)

    probe = LeastSquares("probe", watched, problem.start)
    last = infos[-1].step_size
    state = optimiser.recover(problem, theta, replace(state, length=last))
    optimiser.step(probe, theta, state)
    assert float((tried[0] - theta).norm()) == pytest.approx(0.1 * last)


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_recovery_from_a_ruined_state_reaches_the_minimum(kind: str) -> None:
    """Curvature, moments or damping that are no numbers, from a theta to which the run rolled back."""
    problem = rosenbrock()
    optimiser = make(kind, learning_rate=0.5) if kind in FIRST_ORDER else make(kind, **DEEP.get(kind, {}))
    theta, state, infos = minimise(optimiser, problem, 6)
    for f in fields(state):
        saved = getattr(state, f.name)
        if isinstance(saved, Tensor):
            saved.fill_(math.nan)
    state = optimiser.recover(problem, theta, state)
    for value in vars(state).values():
        assert not isinstance(value, float) or math.isfinite(value)
    for _ in range(600 if kind in FIRST_ORDER else 80):
        theta, state, info = optimiser.step(problem, theta, state)
        assert math.isfinite(info.value)
    assert info.value < (0.5 * infos[-1].value if kind in FIRST_ORDER else 1e-20)


def test_adam_decays_its_rate() -> None:
    """The first step has the length of the rate; a tenth of it is left after `decay_steps`."""
    problem = LeastSquares("far", lambda x: x - 1e6, tensor(0.0))
    adam = make("adam", learning_rate=1e-2, decay_rate=0.1, decay_steps=10)
    _, _, infos = minimise(adam, problem, 11)
    assert infos[0].step_size == pytest.approx(1e-2, rel=1e-6)
    assert infos[10].step_size == pytest.approx(1e-3, rel=1e-3)

"""Every optimiser on every problem with a known minimum; rates, state, recovery, settings."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
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
GOALS["lsq"] = {**GOALS["lm"], "curve fit": (400, 1e-6)}
GOALS["ssbfgs"] = GOALS["ssbroyden"] = GOALS["bfgs"]


@pytest.mark.parametrize("build", PROBLEMS, ids=lambda build: build.__name__)
@pytest.mark.parametrize("kind", OPTIMISERS)
def test_reaches_the_minimum(kind: str, build: Callable[[], LeastSquares]) -> None:
    problem = build()
    optimiser = make("adam", learning_rate=0.05) if kind == "adam" else make(kind)
    steps, excess = GOALS[kind][problem.name]
    theta, _, infos = minimise(optimiser, problem, steps, excess)
    assert problem.value(theta) - problem.minimum <= excess
    if kind != "adam":
        values = [info.value for info in infos]
        assert all(b <= a * (1.0 + 1e-6) for a, b in itertools.pairwise(values))


@pytest.mark.parametrize("kind", [k for k in OPTIMISERS if k != "adam"])
def test_single_precision_reaches_its_own_floor(kind: str) -> None:
    base = rosenbrock()
    problem = replace(base, start=base.start.float())
    theta, _, _ = minimise(make(kind), problem, 100, 1e-12)
    assert theta.dtype == torch.float32
    assert problem.value(theta) < 1e-9


# --- rates -----------------------------------------------------------------------------------------


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


# --- least squares at the floor --------------------------------------------------------------------


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
    assert {f.name for f in fields(make(kind))} | {"kind"} == named  # type: ignore[arg-type]


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


@pytest.mark.parametrize("kind", [k for k in OPTIMISERS if k != "adam"])
def test_walls_of_nan_are_backed_away_from(kind: str) -> None:
    """sqrt and log are undefined for x <= 0, where the first steps would lead."""

    def rows(x: Tensor) -> Tensor:
        return torch.stack([20.0 * (torch.sqrt(x[0]) - 0.1), torch.log(x[1]) + 3.0, x[0] * x[1]])

    problem = LeastSquares("walls", rows, tensor(4.0, 3.0))
    theta, _, infos = minimise(make(kind), problem, 80)
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


@pytest.mark.parametrize("kind", [k for k in OPTIMISERS if k != "adam"])
def test_says_converged_at_a_minimum(kind: str) -> None:
    for problem in (linear(condition=1e2), quadratic(10), powell_singular()):
        theta, _, infos = minimise(make(kind), problem, 600)
        assert infos[-1].status == "converged", (problem.name, infos[-1])
        assert problem.value(theta) - problem.minimum < 1e-12


def test_adam_decays_its_rate() -> None:
    """The first step has the length of the rate; a tenth of it is left after `decay_steps`."""
    problem = LeastSquares("far", lambda x: x - 1e6, tensor(0.0))
    adam = make("adam", learning_rate=1e-2, decay_rate=0.1, decay_steps=10)
    _, _, infos = minimise(adam, problem, 11)
    assert infos[0].step_size == pytest.approx(1e-2, rel=1e-6)
    assert infos[10].step_size == pytest.approx(1e-3, rel=1e-3)

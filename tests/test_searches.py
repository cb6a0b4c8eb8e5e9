"""Line searches by random trial: exact Wolfe conditions, walls, rounding, precision, several variables."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from optimisation_problems import LeastSquares, curve_fit, normal, tensor
from torch import Tensor

from pinncli.optimisers.searches import MAX_EVALUATIONS, Point, StrongWolfe, descend

C1 = 1e-4
NOISE = torch.finfo(torch.float64).eps ** 0.4
"""Relative change of the value within which slopes decide."""


class Curve(LeastSquares):
    """The function itself, not half its square, as the value."""

    def value_and_grad(self, theta: Tensor) -> tuple[float, Tensor]:
        self.calls.append("gradient")
        leaf = theta.detach().requires_grad_()
        value = self.rows(leaf).sum()
        (gradient,) = torch.autograd.grad(value, leaf)
        return float(value.detach()), gradient


def curve(function: Callable[[Tensor], Tensor]) -> Curve:
    return Curve("curve", function, tensor(0.0))


@dataclass(frozen=True)
class Landscape:
    """A quartic bowl with waves: smooth, bounded below, many minima."""

    centre: float
    bowl: float
    quartic: float
    waves: list[tuple[float, float, float]] = field(default_factory=list)

    def __call__(self, x: Tensor) -> Tensor:
        d = x - self.centre
        total = self.bowl * d.square() + self.quartic * d.square().square()
        for height, rate, phase in self.waves:
            total = total + height * torch.sin(rate * x + phase)
        return total


def between(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


def decades(low: float, high: float) -> st.SearchStrategy[float]:
    return between(low, high).map(lambda power: 10.0**power)


LANDSCAPES = st.builds(
    Landscape,
    centre=between(-3.0, 3.0),
    bowl=decades(-3.0, 4.0),
    quartic=st.one_of(st.just(0.0), decades(-3.0, 2.0)),
    waves=st.lists(st.tuples(between(-5.0, 5.0), between(0.1, 8.0), between(-3.0, 3.0)), max_size=3),
)


@given(
    LANDSCAPES,
    between(-5.0, 5.0),
    decades(-6.0, 4.0),
    st.sampled_from([(C1, 1e-3), (C1, 0.9), (0.2, 0.5), (0.4, 0.9)]),
)
def test_strong_wolfe_conditions_hold_exactly_above_rounding(
    function: Landscape, x: float, length: float, constants: tuple[float, float]
) -> None:
    """Armijo to the last digit or, within the noise, the approximate condition; curvature always."""
    c1, c2 = constants
    problem = curve(function)
    start = Point.of(problem, tensor(x))
    slope = -float(start.gradient.square().sum())
    assume(slope < -1e-8)
    problem.calls.clear()
    found = StrongWolfe(c1, c2)(problem, start, -start.gradient, length / math.sqrt(-slope))
    assert found.evaluations == len(problem.calls) <= MAX_EVALUATIONS
    assert found.trial is not None
    value, gradient = problem.value_and_grad(found.trial.point.theta)
    ahead = -float(gradient.dot(start.gradient))
    assert (value, ahead) == (found.trial.value, found.trial.slope)
    assert abs(ahead) <= -c2 * slope
    armijo = value <= start.value + c1 * found.trial.step * slope
    near = value <= start.value + NOISE * abs(start.value) and ahead <= (2.0 * c1 - 1.0) * slope
    assert armijo or near


@given(LANDSCAPES, between(-5.0, 5.0), decades(-4.0, 4.0))
def test_a_search_repeats_itself_and_leaves_its_start_alone(
    function: Landscape, x: float, length: float
) -> None:
    problem = curve(function)
    start = Point.of(problem, tensor(x))
    theta, gradient = start.theta.clone(), start.gradient.clone()
    one, two = (StrongWolfe(C1, 0.9)(problem, start, -start.gradient, length) for _ in range(2))
    assert torch.equal(start.theta, theta)
    assert torch.equal(start.gradient, gradient)
    assert one.evaluations == two.evaluations
    if one.trial is not None and two.trial is not None:
        assert (one.trial.step, one.trial.value) == (two.trial.step, two.trial.value)


def test_a_level_place_higher_up_is_not_accepted() -> None:
    problem = curve(lambda x: -torch.sin(x))
    start = Point.of(problem, tensor(0.0))
    found = StrongWolfe(C1, 0.9)(problem, start, tensor(1.0), 3.5 * math.pi)
    assert found.trial is not None
    assert found.trial.value < -C1 * found.trial.step


class Noisy(Curve):
    """Values with the rounding of a long sum, 1e-13 of their size; gradients keep their digits."""

    def value_and_grad(self, theta: Tensor) -> tuple[float, Tensor]:
        value, gradient = super().value_and_grad(theta)
        return value * (1.0 + 1e-13 * math.sin(1e12 * float(theta))), gradient


@given(
    distance=decades(-7.5, -1.0),
    offset=st.one_of(st.just(0.0), decades(-6.0, 6.0)),
    bowl=decades(-2.0, 2.0),
    factor=decades(-1.5, 1.0),
    c2=st.sampled_from([0.1, 0.9]),
)
def test_near_convergence_the_slope_still_falls(
    distance: float, offset: float, bowl: float, factor: float, c2: float
) -> None:
    """offset + bowl d^2, where d^2 is far below the rounding of the offset: values mislead."""
    problem = Noisy("noisy", lambda x: offset + bowl * (x - 1.0).square(), tensor(0.0))
    start = Point.of(problem, tensor(1.0 + distance))
    exact = 0.5 / bowl
    found = StrongWolfe(C1, c2)(problem, start, -start.gradient, factor * exact)
    assert found.trial is not None
    assert found.evaluations <= 6
    assert abs(found.trial.slope) <= c2 * float(start.gradient.square().sum())
    assert abs(float(found.trial.point.theta) - 1.0) < distance


@given(
    wall=decades(-6.0, 0.0),
    first=decades(-2.0, 4.0),
    beyond=st.sampled_from([math.nan, math.inf, -math.inf]),
    bowl=decades(-2.0, 2.0),
    where=between(0.01, 100.0),
)
def test_behind_a_wall_the_search_backs_off(
    wall: float, first: float, beyond: float, bowl: float, where: float
) -> None:
    """Beyond the wall value and gradient are no numbers; the minimum is before or behind it."""
    centre = where * wall

    def function(x: Tensor) -> Tensor:
        inside = float(x.detach()) < wall
        return bowl * (x - centre).square() if inside else beyond * torch.exp(x)

    problem = curve(function)
    start = Point.of(problem, tensor(0.0))
    found = StrongWolfe(C1, 0.9)(problem, start, tensor(1.0), first)
    assert found.trial is not None
    assert found.evaluations <= MAX_EVALUATIONS
    assert 0.0 < found.trial.step < wall
    assert start.value > found.trial.value > -math.inf
    # most of what can be gained this side of the wall is gained
    assert found.trial.step >= 0.02 * min(wall, centre)


@given(wall=decades(-3.0, 1.0), first=decades(-2.0, 3.0))
def test_a_gradient_that_is_no_number_is_a_wall_too(wall: float, first: float) -> None:
    class Torn(Curve):
        def value_and_grad(self, theta: Tensor) -> tuple[float, Tensor]:
            value, gradient = super().value_and_grad(theta)
            return value, gradient if float(theta) < wall else gradient * math.nan

    problem = Torn("torn", lambda x: torch.exp(-x), tensor(0.0))
    found = StrongWolfe(C1, 0.9)(problem, Point.of(problem, tensor(0.0)), tensor(1.0), first)
    assert found.trial is not None
    assert 0.0 < found.trial.step < wall
    assert bool(torch.isfinite(found.trial.point.gradient).all())


@given(LANDSCAPES, between(-5.0, 5.0), decades(-4.0, 2.0))
def test_single_precision(function: Landscape, x: float, length: float) -> None:
    problem = curve(function)
    start = Point.of(problem, tensor(x).float())
    slope = -float(start.gradient.square().sum())
    assume(slope < -1e-3 * max(1.0, abs(start.value)) * function.bowl)
    found = StrongWolfe(C1, 0.9)(problem, start, -start.gradient, length / math.sqrt(-slope))
    assert found.trial is not None
    assert found.trial.point.theta.dtype == torch.float32
    assert abs(found.trial.slope) <= -0.9 * slope
    assert found.trial.value <= start.value + torch.finfo(torch.float32).eps ** 0.4 * abs(start.value)


@pytest.mark.parametrize("c2", [0.1, 0.9])
def test_along_a_direction_in_many_variables(c2: float) -> None:
    problem = curve_fit()
    start = Point.of(problem, problem.start)
    direction = -start.gradient + 0.1 * normal(len(problem.start), seed=1) * start.gradient.norm()
    slope = float(start.gradient.dot(direction))
    assert slope < 0.0
    found = StrongWolfe(C1, c2)(problem, start, direction, 1.0)
    assert found.trial is not None
    assert found.trial.value <= start.value + C1 * found.trial.step * slope
    assert abs(found.trial.slope) <= -c2 * slope
    torch.testing.assert_close(found.trial.point.theta, start.theta + found.trial.step * direction)


# --- a second try down the gradient ----------------------------------------------------------------


def test_descend_prefers_the_newton_direction() -> None:
    problem = curve(lambda x: x.square())
    start = Point.of(problem, tensor(4.0))
    descent = descend(StrongWolfe(C1, 0.9), problem, start, tensor(-4.0), 1.0)
    assert (descent.status, descent.restarted) == ("ok", False)
    assert descent.trial is not None
    assert float(descent.trial.point.theta) == 0.0
    assert descent.info(start).step_size == 4.0


@pytest.mark.parametrize("newton", [4.0, math.nan, math.inf])
def test_descend_turns_to_the_gradient_where_the_direction_is_of_no_use(newton: float) -> None:
    problem = curve(lambda x: x.square())
    start = Point.of(problem, tensor(4.0))
    descent = descend(StrongWolfe(C1, 0.9), problem, start, tensor(newton), 1.0)
    assert (descent.status, descent.restarted) == ("ok", True)
    assert torch.equal(descent.direction, -start.gradient)
    assert descent.info(start).value < start.value


@pytest.mark.parametrize("newton", [None, 1.0])
def test_descend_has_converged_where_the_gradient_vanishes(newton: float | None) -> None:
    problem = curve(lambda x: x.square())
    start = Point.of(problem, tensor(0.0))
    direction = None if newton is None else tensor(newton)
    descent = descend(StrongWolfe(C1, 0.9), problem, start, direction, 1.0)
    assert (descent.status, descent.evaluations) == ("converged", 0)
    assert descent.info(start).step_size == 0.0

"""Strong Wolfe conditions on random functions of one variable, with noise, walls and bad directions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pinncli.optimisers.searches import MAX_EVALUATIONS, Point, StrongWolfe

C1, C2 = 1e-4, 0.9


@dataclass
class Line:
    """A function of one variable as an objective; only what searches use."""

    function: Callable[[Tensor], Tensor]

    def value_and_grad(self, theta: Tensor) -> tuple[float, Tensor]:
        leaf = theta.detach().requires_grad_()
        value = self.function(leaf).sum()
        (gradient,) = torch.autograd.grad(value, leaf)
        return float(value.detach()), gradient


def at(x: float) -> Tensor:
    return torch.tensor([x], dtype=torch.float64)


@st.composite
def functions(draw: st.DrawFn) -> Callable[[Tensor], Tensor]:
    """A bowl with waves on it: bounded below, smooth, many minima."""
    bowl = draw(st.floats(1e-3, 1e3))
    waves = draw(
        st.lists(st.tuples(st.floats(-5.0, 5.0), st.floats(0.1, 8.0), st.floats(-3.0, 3.0)), max_size=3)
    )
    centre = draw(st.floats(-3.0, 3.0))

    def function(x: Tensor) -> Tensor:
        total = bowl * (x - centre) ** 2
        for height, rate, phase in waves:
            total = total + height * torch.sin(rate * x + phase)
        return total

    return function


@settings(max_examples=150, deadline=None)
@given(functions(), st.floats(-5.0, 5.0), st.floats(1e-4, 1e4), st.sampled_from([0.1, 0.9]))
def test_accepted_steps_satisfy_the_strong_wolfe_conditions(
    function: Callable[[Tensor], Tensor], x: float, first: float, c2: float
) -> None:
    line = Line(function)
    start = Point.of(line, at(x))  # type: ignore[arg-type]
    slope = -float(start.gradient.dot(start.gradient))
    if slope > -1e-8:
        return
    found = StrongWolfe(C1, c2)(line, start, -start.gradient, first)  # type: ignore[arg-type]
    assert found.trial is not None
    assert found.evaluations < MAX_EVALUATIONS
    step, value = found.trial.step, found.trial.value
    rounding = 1e-6 * abs(start.value)
    assert value <= start.value + C1 * step * slope + rounding
    assert abs(found.trial.slope) <= -c2 * slope
    assert found.trial.slope == pytest.approx(float(found.trial.point.gradient.dot(-start.gradient)))
    torch.testing.assert_close(found.trial.point.theta, start.theta - step * start.gradient)


@pytest.mark.parametrize("first", [1e-6, 1.0, 1e6])
def test_finds_its_way_from_a_bad_first_step_in_few_evaluations(first: float) -> None:
    line = Line(lambda x: 0.5 * (x - 3.0) ** 2)
    start = Point.of(line, at(0.0))  # type: ignore[arg-type]
    found = StrongWolfe(C1, C2)(line, start, at(1.0), first)  # type: ignore[arg-type]
    assert found.trial is not None
    assert found.evaluations <= 10


def test_differences_below_rounding_are_decided_by_slopes() -> None:
    """1e6 + x^2 at 1e-6: the value cannot show the decrease of 1e-12, the slope can."""
    line = Line(lambda x: 1e6 + (x - 1.0) ** 2)
    start = Point.of(line, at(1.0 + 1e-6))  # type: ignore[arg-type]
    found = StrongWolfe(C1, 0.1)(line, start, -start.gradient, 0.7)  # type: ignore[arg-type]
    assert found.trial is not None
    assert abs(found.trial.slope) <= 0.1 * float(start.gradient.square().sum())


@pytest.mark.parametrize("wall", [1.5, 0.3, 1e-3])
def test_values_that_are_not_numbers_are_walls(wall: float) -> None:
    def function(x: Tensor) -> Tensor:
        return (x - 10.0) ** 2 if float(x.detach()) < wall else math.nan * x

    line = Line(function)
    start = Point.of(line, at(0.0))  # type: ignore[arg-type]
    found = StrongWolfe(C1, C2)(line, start, at(1.0), 100.0)  # type: ignore[arg-type]
    assert found.trial is not None
    assert math.isfinite(found.trial.value)
    assert 0.0 < found.trial.step < wall


def test_an_unbounded_descent_ends_with_the_best_point() -> None:
    line = Line(lambda x: -x)
    found = StrongWolfe(C1, C2)(line, Point.of(line, at(0.0)), at(1.0), 1.0)  # type: ignore[arg-type]
    assert found.evaluations == MAX_EVALUATIONS
    assert found.trial is not None
    assert found.trial.value < -1e20


@pytest.mark.parametrize("direction", [1.0, 0.0, math.nan])
def test_no_step_along_a_direction_that_does_not_descend(direction: float) -> None:
    line = Line(lambda x: x**2)
    found = StrongWolfe(C1, C2)(line, Point.of(line, at(1.0)), at(direction), 1.0)  # type: ignore[arg-type]
    assert found.trial is None
    assert found.evaluations == 0


def test_no_step_where_the_gradient_lies() -> None:
    class Liar:
        def value_and_grad(self, theta: Tensor) -> tuple[float, Tensor]:
            return float(theta.square().sum()), torch.full_like(theta, -1.0)

    found = StrongWolfe(C1, C2)(Liar(), Point(at(1.0), 1.0, at(-1.0)), at(1.0), 1.0)  # type: ignore[arg-type]
    assert found.trial is None
    assert found.evaluations <= MAX_EVALUATIONS

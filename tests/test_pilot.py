"""The march chosen for an evolution problem: when one is, how fine it is, and that a run keeps it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pinncli import pilot, preparation, solver
from pinncli.errors import CorruptError
from pinncli.marching import Route
from pinncli.pilot import Pilot, along, operations
from pinncli.problem import evolution
from pinncli.problem.evolution import March, first_march
from pinncli.problem.formulation import formulate
from pinncli.problem.legs import legs
from pinncli.problem.loading import load_problem, load_text
from pinncli.problem.terms import Formulation
from pinncli.runs.store import Run
from pinncli.solver import Outcome, SolveOptions, load_solution

FISHER = """
title = "A front of Fisher's equation (Ablowitz & Zeppetella 1979)"
unknowns = ["u"]
[coordinates]
x = [-2, 2]
t = [0, 1]
[conditions]
fisher = { equation = "u_t = u_xx + 6*u*(1 - u)" }
initial = { on = "t-", equation = "u = 1/(1 + exp(x))^2" }
sides = { on = "x-, x+", equation = "u = 1/(1 + exp(x - 5*t))^2" }
[exact]
u = "1/(1 + exp(x - 5*t))^2"
[output]
grid = { x = 9, t = 9 }
"""

NOTHING = 'network={kind="auto"}', "stages=auto", "sampling={}", "marching={}"


def formulated(text: str) -> Formulation:
    """The problem of a file's text."""
    return formulate(load_text(text, "fisher", "fisher.toml", Path()))


def route_of(formulation: Formulation) -> Route:
    """On the CPU in float64, with no time limit."""
    place = torch.device("cpu"), torch.float64
    return Route(formulation, legs(formulation), None, False, None, 0, *place, True)


def pilot_of(formulation: Formulation, allowed: float = math.inf) -> Pilot:
    """With the least squares that trials use."""
    return Pilot(route_of(formulation), preparation.trial_least_squares(), allowed, lambda: False)


@pytest.fixture
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pilots that take a fraction of a second."""
    for name, value in {"WINDOWS": 2, "PATCHES": 3, "EACH": 20}.items():
        monkeypatch.setattr(evolution, name, value)
    monkeypatch.setattr(pilot, "SECONDS", 0.03)
    monkeypatch.setattr(pilot, "ACCEPTED", 0.02)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("", ""),
        ("[marching]\nwindows = 3\n", "its file says how time is cut"),
        ("[network]\nwidth = 9\n", "its file names a network"),
        ('[[stages]]\noptimiser = { kind = "lm" }\n', "its file says how to train"),
        ("[training]\ncausal = { tolerances = [1.0] }\n", "weights follow the training"),
    ],
)
def test_only_what_is_left_open_is_tried(more: str, why: str) -> None:
    assert (first_march(formulated(FISHER + more)) is None) == bool(why), why


@pytest.mark.parametrize(
    "name", ["poisson2d", "heat_family", "burgers_inverse", "heat2d_multiscale", "source_from_integral"]
)
def test_other_problems_than_evolution_on_a_line_are_left_alone(name: str) -> None:
    assert first_march(formulate(load_problem(name, NOTHING))) is None


def test_an_ordinary_differential_equation_has_windows_alone() -> None:
    march = first_march(formulate(load_problem("lorenz", NOTHING)))
    assert march is not None
    assert set(march.network.patches) == {1}
    assert all(finer.network.patches == march.network.patches for finer in march.finer)


def test_finer_is_more_of_one_thing_and_costs_more() -> None:
    march = first_march(formulated(FISHER))
    assert march is not None
    patches, windows, features = march.finer
    assert patches.operations == 2.0 * march.operations == windows.operations
    assert features.operations == pytest.approx((4.0 / 3.0) ** 3 * march.operations)
    assert (windows.windows, windows.network) == (2 * march.windows, march.network)
    assert [k.network.each for k in march.finer] == [march.network.each] * 2 + [80]


@pytest.mark.usefixtures("coarse")
def test_a_march_becomes_finer_for_as_long_as_it_may() -> None:
    formulation = formulated(FISHER)
    least = first_march(formulation)
    assert least is not None
    found = [pilot_of(formulation, share * least.operations).find() for share in (2.9, 3.0, 20.0)]
    assert found[0] is None, "not even the coarsest may be tried"
    assert found[1] in (None, least)
    assert isinstance(found[2], March)
    assert least.operations < found[2].operations <= 20.0 * least.operations
    assert pilot_of(formulation, 20.0 * least.operations).find() == found[2]


@pytest.mark.usefixtures("coarse")
def test_a_finer_march_is_closer_to_the_solution() -> None:
    formulation = formulated(FISHER)
    least = first_march(formulation)
    assert least is not None
    march = replace(least, network=replace(least.network, each=40, patches=(6, 1)))
    coarse_fits, fine_fits = (pilot_of(formulation).fit(m) for m in (least, march))
    assert len(coarse_fits) == len(fine_fits) == 2
    for rough, fine in zip(coarse_fits, fine_fits, strict=True):
        assert fine.left < 0.1 * rough.left


def test_a_front_that_gets_too_steep_ends_the_pilot(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WINDOWS": 4, "PATCHES": 8, "EACH": 20}.items():
        monkeypatch.setattr(evolution, name, value)
    burgers = formulate(load_problem("burgers1d", ["network.kind=auto"]))
    trials = pilot_of(burgers)
    march = first_march(burgers)
    assert march is not None
    assert len(trials.fit(march)) < march.windows
    assert trials.find() is None


def test_time_limits_count_as_operations() -> None:
    assert operations(None) == pilot.RATE * pilot.SECONDS
    assert operations(10.0) == pytest.approx(10.0 * pilot.SHARE * pilot.RATE)


def solved(folder: Path, after: int | None = None) -> Outcome:
    """Solve, from where an earlier call was stopped `after` so many steps."""
    count = 0

    def stop() -> str | None:
        return "a signal" if count == after else None

    with Run.create(folder, "fisher", FISHER, {"seed": 0}, resume="auto") as run:
        records = solver.solve(formulated(FISHER), SolveOptions(device="cpu"), run, stop)
        while True:
            try:
                next(records)
                count += 1
            except StopIteration as end:
                found: Outcome = end.value
                return found


@pytest.mark.usefixtures("coarse")
def test_a_run_keeps_the_march_that_was_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "accept", lambda *_: None)  # as for a problem that needs a march
    summary = solved(tmp_path / "whole").summary
    assert summary["network"]["kind"] == "local"
    assert len(summary["windows"]) >= 2
    assert summary["errors"]["u"]["rel_l2"] < 1e-2
    assert solved(tmp_path / "cut", after=3).status == "interrupted"
    monkeypatch.setattr(preparation, "Pilot", _refused)  # what was chosen is in the checkpoint
    assert solved(tmp_path / "cut").summary["errors"] == summary["errors"]
    points = np.random.default_rng(0).uniform([-2.0, 0.0], [2.0, 1.0], (20, 2))
    runs = (Run.open(tmp_path / name) for name in ("whole", "cut"))
    first, second = (load_solution(run, "cpu").components(points)["u"] for run in runs)
    assert (first == second).all()
    assert np.abs(first - (1.0 + np.exp(points[:, 0] - 5.0 * points[:, 1])) ** -2.0).max() < 1e-2


def _refused(*_: Any) -> Any:
    raise CorruptError("no trials are made again")


def test_the_route_along_a_march_has_its_windows() -> None:
    formulation = formulated(FISHER)
    march = first_march(formulation)
    assert march is not None
    route = along(route_of(formulation), march)
    assert len(route.legs) == march.windows
    assert route.network == march.network
    assert route.legs[1].formulation.problem.coordinates["t"].range == (0.1, 0.2)

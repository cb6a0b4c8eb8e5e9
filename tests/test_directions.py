"""Laplacians estimated from random coordinates: unbiased, exact with all of them, repeated by the seed."""

from __future__ import annotations

from itertools import combinations
from math import comb
from pathlib import Path

import pytest
import torch

from pinncli.assembly import Assembly, assemble
from pinncli.derivatives import ENGINES, Engine
from pinncli.errors import ProblemError
from pinncli.language.partials import Partial
from pinncli.networks import NETWORKS
from pinncli.networks.features import Features
from pinncli.optimisers import OPTIMISERS
from pinncli.problem.checks import check
from pinncli.problem.defaults import choose
from pinncli.problem.formulation import formulate
from pinncli.problem.loading import load_text
from pinncli.problem.plan import derive_plan
from pinncli.problem.source import Loaded
from pinncli.solution import Solution
from pinncli.training import LoopState, Setup, Stage, start, state_to_tree, train, tree_to_state

TEXT = """
title = "Cube"
unknowns = ["u"]
[coordinates]
x = { dim = 6, range = [0, 1] }
t = [0, 1]
[conditions]
heat = { equation = "u_t = lap(u) - 12 + 0*u*x[2]" }
initial = { on = "t-", equation = "u = norm(x)^2" }
sides = { on = "boundary", equation = "u = norm(x)^2" }
[exact]
u = "norm(x)^2"
[network]
width = 10
depth = 1
[sampling]
interior = 40
boundary = 20
resample = { every = 1, by = "uniform" }
[derivatives]
directions = 2
[[stages]]
optimiser = { kind = "adam", learning_rate = 1e-2 }
steps = 1000
"""
D = 6
LAPLACIAN = Partial("u", (0,) * (D + 1), laplacian=True)
SLOPE = Partial("u", (0, 1, *[0] * (D - 1)))


def load(text: str) -> Loaded:
    return load_text(text, "p", "p.toml", Path())


def assembled(text: str = TEXT, seed: int = 0) -> Assembly:
    formulation = formulate(load(text))
    return assemble(formulation, choose(formulation), seed, torch.device("cpu"), torch.float64)


def case(name: str) -> tuple[Engine, object, torch.Tensor, torch.Tensor]:
    features = Features((0.0,) * (D + 1), (1.0,) * (D + 1), (False,) * (D + 1), 1)
    shape = {"width": 7, "depth": 2, "activation": "tanh", "initialisation": "glorot", "frequency": 1.0}
    network = NETWORKS["mlp"](features=features, outputs=1, **shape)
    generator = torch.Generator().manual_seed(1)
    theta = network.initialise(generator)
    points = torch.rand((9, D + 1), generator=generator, dtype=torch.float64)
    return ENGINES[name](("u",), tuple(range(D))), network, theta, points


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_mean_over_all_sets_of_directions_is_the_laplacian(name: str, count: int) -> None:
    engine, network, theta, points = case(name)
    exact = engine.partials(network, theta, points, [LAPLACIAN, SLOPE])
    sets = list(combinations(range(D), count))
    each = [engine.estimating(axes).partials(network, theta, points, [LAPLACIAN, SLOPE]) for axes in sets]
    mean = torch.stack([found[LAPLACIAN] for found in each]).mean(0)
    assert len(sets) == comb(D, count)
    assert torch.allclose(mean, exact[LAPLACIAN], rtol=1e-12, atol=1e-12)
    assert (each[0][LAPLACIAN] - exact[LAPLACIAN]).abs().max() > 1e-3
    for found in each:  # other derivatives are exact
        assert torch.allclose(found[SLOPE], exact[SLOPE], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", ENGINES)
def test_all_directions_are_the_exact_engine(name: str) -> None:
    engine, network, theta, points = case(name)
    every = engine.estimating(tuple(range(D)))
    found, exact = (e.partials(network, theta, points, [LAPLACIAN])[LAPLACIAN] for e in (every, engine))
    assert torch.equal(found, exact)


def test_engines_agree_on_an_estimate_and_on_its_gradient() -> None:
    gradients = []
    for name in ENGINES:
        engine, network, theta, points = case(name)
        leaf = theta.requires_grad_()
        found = engine.estimating((0, 3, 4)).partials(network, leaf, points, [LAPLACIAN])[LAPLACIAN]
        gradients.append(torch.autograd.grad(found.square().sum(), leaf)[0])
    assert torch.allclose(*gradients, rtol=1e-10)


def test_directions_of_a_draw_follow_from_the_seed_and_all_come_up() -> None:
    one, other = assembled(), assembled(seed=1)
    points = one.draw(0, None)
    axes = [one.objective(points, draw).engine.lap_axes for draw in range(40)]
    assert axes == [assembled().objective(points, draw).engine.lap_axes for draw in range(40)]
    assert axes != [other.objective(points, draw).engine.lap_axes for draw in range(40)]
    assert all(len(set(chosen)) == 2 for chosen in axes)
    assert {axis for chosen in axes for axis in chosen} == set(range(D))
    assert one.objective(points).engine.lap_axes == tuple(range(D))  # whoever measures has all of them


def training(assembly: Assembly, steps: int) -> Setup:
    stage = Stage(OPTIMISERS["adam"](**ADAM), "adam", steps, 1, 10**6, 0.0, 10**6)
    return Setup([stage], assembly.objective, assembly.draw, lambda _: None, assembly.values)


ADAM = choose(formulate(load(TEXT))).stages[0].optimiser.model_dump(exclude={"kind"})


def states(setup: Setup, state: LoopState) -> list[LoopState]:
    return [state for _, state in train(setup, state)]


def test_a_resumed_training_repeats_the_undisturbed_one() -> None:
    assembly = assembled()
    setup = training(assembly, 12)
    whole = states(setup, start(setup, assembly.initial_theta()))
    tree = state_to_tree(whole[4])
    rest = states(setup, tree_to_state(tree, setup.stages, torch.device("cpu")))
    assert torch.equal(rest[-1].theta, whole[-1].theta)
    plain = assembled(TEXT.replace("directions = 2", ""))
    exact = states(training(plain, 12), start(training(plain, 12), plain.initial_theta()))
    assert not torch.equal(exact[-1].theta, whole[-1].theta)


def test_a_heated_cube_is_learnt_from_two_directions() -> None:
    assembly = assembled()
    setup = training(assembly, 60)
    first = start(setup, assembly.initial_theta())
    errors = []
    for theta in (first.theta, states(setup, first)[-1].theta):
        solution = Solution.of(assembly, theta)
        errors.append(solution.error_on(solution.error_points(1000)))
    assert errors[1] < 0.4 * errors[0], errors


def test_channels_are_those_of_the_directions() -> None:
    def width(text: str) -> int:
        formulation = formulate(load(text))
        return derive_plan(formulation, choose(formulation)).point_sets[0].sites[0].width

    assert width(TEXT) == 1 + 2 + 1 + 1  # value, two slopes, u_t, the sum of two second derivatives
    assert width(TEXT.replace("directions = 2", "")) == 1 + 6 + 1 + 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("directions = 2", "directions = 7", "7 directions of 6"),
        ("lap(u) - 12", "d(u, x[1], x[1]) - 2", "no equation has the Laplacian"),
        ('kind = "adam", learning_rate = 1e-2', 'kind = "lm"', "lm needs exact Laplacians"),
        ("every = 1,", "every = 20,", "drawn with the points"),
        ("depth = 1", 'depth = 1\nhard = ["initial"]', "an ansatz that meets conditions by construction"),
        ("directions = 2", 'directions = 2\ncompiled = "on"', "kernels are compiled for one set"),
    ],
)
def test_what_makes_no_sense_is_refused(old: str, new: str, message: str) -> None:
    assert old in TEXT
    try:
        found = [d.message for d in check(load(TEXT.replace(old, new, 1))).errors]
    except ProblemError as error:
        found = [d.message for d in error.diagnostics]
    assert any(message in text for text in found), found


def test_the_problem_itself_is_sound() -> None:
    assert check(load(TEXT)).diagnostics == ()

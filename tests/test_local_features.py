"""Local features: windows, engines, the sparse Jacobian and its factorisation, whole solves."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pinncli.assembly import Assembly, assemble
from pinncli.derivatives import Cellwise, Reverse, Taylor
from pinncli.language.partials import Partial
from pinncli.networks import NETWORKS, Ansatz, Features, LocalFeatures
from pinncli.objective import Objective
from pinncli.optimisers import OPTIMISERS
from pinncli.optimisers.least_squares import Model
from pinncli.optimisers.patch_elimination import ChainModel
from pinncli.problem.checks import check
from pinncli.problem.defaults import choose
from pinncli.problem.formulation import formulate
from pinncli.problem.loading import load_problem, load_text
from pinncli.smoothstep import DERIVATIVES, SMOOTHSTEPS
from pinncli.solution import Solution

CPU, DOUBLE = torch.device("cpu"), torch.float64
FEATURES = Features(low=(-1.0, 0.5, 0.0), high=(2.0, 3.5, 1.0), periodic=(False, True, False), harmonics=1)
PARTIALS = [
    Partial("u", (0, 0, 0)),
    Partial("v", (2, 1, 0)),
    Partial("u", (1, 0, 3)),
    Partial("v", (0, 0, 0), laplacian=True),
]
NONLINEAR = """
title = "Two unknowns, one unknown number, sites that look elsewhere"
unknowns = ["u", "v"]
[coordinates]
x = [0, 2]
t = [0, 1]
[parameters]
k = { initial = 0.7 }
[conditions]
first = { on = "interior", equation = "u_t + u*u_x = k*v" }
second = { on = "interior", equation = "v_xx = sin(x)*u^2", weight = 3 }
tied = { equation = "u(x=0) = v(x=2)" }
mirror = { on = "t-", equation = "u = v(x=2-x) + x" }
wall = { on = "x-, x+", equation = "dn(v) = k*u" }
"""


RING = """
title = "A wave that goes round, with its force"
unknowns = ["u"]
[coordinates]
x = [-1, 1]
t = [0, 0.5]
[conditions]
wave = { on = "interior", equation = "u_t + u*u_x = pi*cos(pi*(x - t))*(sin(pi*(x - t)) - 1)" }
initial = { on = "t-", equation = "u = sin(pi*x)" }
periodic = { equation = "u(x=-1) = u(x=1)" }
[exact]
u = "sin(pi*(x - t))"
"""


def network(patches: tuple[int, ...] = (4, 5, 1), **changes: Any) -> LocalFeatures:
    options: dict[str, Any] = {
        "features": FEATURES,
        "outputs": 2,
        "width": 6,
        "activation": "tanh",
        "patches": patches,
        "scale": 1.5,
        "smoothness": 6,
        "seed": 3,
        "device": CPU,
        "dtype": DOUBLE,
    }
    return NETWORKS["local"](**options | changes)  # type: ignore[return-value]


def random(n: int, seed: int = 2) -> Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def points_of(n: int) -> Tensor:
    low, high = torch.tensor(FEATURES.low, dtype=DOUBLE), torch.tensor(FEATURES.high, dtype=DOUBLE)
    return low + (high - low) * torch.rand((n, 3), generator=torch.Generator().manual_seed(1), dtype=DOUBLE)


def engine(inner: type[Taylor] | type[Reverse] = Taylor) -> Cellwise:
    return Cellwise(inner(("u", "v"), (0, 1, 2)))


def assembled(text: str, settings: list[str], name: str = "local") -> Assembly:
    whole = "\n".join(settings) + text
    formulation = formulate(load_text(whole, name, f"{name}.toml", Path()))
    return assemble(formulation, choose(formulation), 0, CPU, DOUBLE)


# --- windows and engines ---------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 4, 7])
def test_smoothsteps_are_flat_at_both_ends_and_add_up_to_one(k: int) -> None:
    q = torch.linspace(0.0, 1.0, 11, dtype=DOUBLE)
    step = SMOOTHSTEPS[k]
    torch.testing.assert_close(step(q) + step(1.0 - q), torch.ones_like(q), rtol=0, atol=1e-12)
    ends = torch.tensor([0.0, 1.0], dtype=DOUBLE)
    found = DERIVATIVES[k](ends, k + 1)
    torch.testing.assert_close(found[0], ends, rtol=0, atol=1e-11)
    for order in range(1, k + 1):
        assert float(found[order].abs().max()) < 1e-5 * math.factorial(2 * k + 1) / math.factorial(k)
    assert float(found[k + 1].abs().min()) > 1.0  # no more than k


@pytest.mark.parametrize("k", [3, 6])
def test_derivatives_of_smoothsteps_are_those_of_autograd(k: int) -> None:
    q = torch.linspace(0.05, 0.95, 7, dtype=DOUBLE).requires_grad_()
    value = SMOOTHSTEPS[k](q)
    for wanted in DERIVATIVES[k](q.detach(), 4)[1:]:
        (value,) = torch.autograd.grad(value.sum(), q, create_graph=True)
        torch.testing.assert_close(value.detach(), wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("patches", [(4, 5, 1), (1, 3, 1), (1, 1, 1), (2, 1, 3)])
def test_engines_agree_on_local_features(patches: tuple[int, ...]) -> None:
    net, points = network(patches), points_of(40)
    theta = random(net.size)
    fast = engine().partials(net, theta, points, PARTIALS)
    slow = engine(Reverse).partials(net, theta, points, PARTIALS)
    for partial in PARTIALS:
        torch.testing.assert_close(fast[partial], slow[partial], rtol=1e-9, atol=1e-9)


def test_solutions_are_smooth_across_knots_and_round_the_ring() -> None:
    net = network((4, 5, 1))
    theta = random(net.size)
    wanted = [Partial("u", o) for o in ((0, 0, 0), (1, 0, 0), (3, 0, 0), (0, 1, 0), (0, 4, 0))]
    for axis, place in ((0, -1.0 + net.step(0)), (0, -1.0 + 2 * net.step(0)), (1, 0.5 + net.step(1))):
        points = points_of(8)
        points[:, axis] = place - 1e-9
        before = engine().partials(net, theta, points, wanted)
        points[:, axis] = place + 1e-9
        after = engine().partials(net, theta, points, wanted)
        assert not torch.equal(net.cells(points), net.cells(points - 2e-9))
        for partial in wanted:
            torch.testing.assert_close(before[partial], after[partial], rtol=1e-4, atol=1e-4)
    points = points_of(8)
    points[:, 1] = FEATURES.low[1]
    first = engine().partials(net, theta, points, wanted)
    points[:, 1] = FEATURES.high[1]
    last = engine().partials(net, theta, points, wanted)
    for partial in wanted:
        torch.testing.assert_close(first[partial], last[partial], rtol=1e-6, atol=1e-6)


def test_patches_reach_two_cells_and_no_further() -> None:
    net = network((6, 1, 1), width=1, outputs=1)
    theta = torch.zeros(net.size, dtype=DOUBLE)
    theta[2] = 1.0
    x = torch.linspace(-1.0, 2.0, 301, dtype=DOUBLE)
    points = torch.stack([x, torch.full_like(x, 1.0), torch.full_like(x, 0.5)], dim=1)
    one = Partial("u", (0, 0, 0))
    value = Cellwise(Taylor(("u",), ())).partials(net, theta, points, [one])[one]
    knot, step = -1.0 + 2 * net.step(0), net.step(0)
    assert not bool(value[(x - knot).abs() >= step].any())
    assert bool(value[(x - knot).abs() < 0.9 * step].all())


# --- the sparse Jacobian -----------------------------------------------------------------------------


def dense(objective: Objective, theta: Tensor) -> tuple[Tensor, Tensor]:
    """J'J and J'r by reverse mode."""
    rows = torch.autograd.functional.jacobian(lambda th: torch.cat(list(_flat(objective, th))), theta)
    r = objective.residual(theta)
    return rows.t() @ rows, rows.t() @ r


def _flat(objective: Objective, theta: Tensor) -> Any:
    for rows in objective._scaled(theta):
        yield from rows


SMALL = ["sampling.interior=60", "sampling.boundary=9"]
CASES = {
    "line": [*SMALL, 'network={kind="local",width=3,patches={x=5}}'],
    "grid": [*SMALL, 'network={kind="local",width=3,patches={x=3,t=4}}'],
    "whole": [*SMALL, 'network={kind="local",width=5,patches={}}'],
}


@pytest.mark.parametrize("case", CASES)
def test_sparse_jacobian_is_the_jacobian(case: str) -> None:
    assembly = assembled(NONLINEAR, CASES[case])
    objective = assembly.objective(assembly.draw(0, None))
    theta = random(objective.size)
    matrix, gradient = dense(objective, theta)
    value = objective.value(theta)
    jacobian = objective.sparse_jacobian(theta)
    whole = torch.zeros((jacobian.size, jacobian.size), dtype=DOUBLE)
    pulled, total = torch.zeros(jacobian.size, dtype=DOUBLE), 0.0
    for rows in jacobian.rows:
        full = torch.zeros((len(rows.residual), jacobian.size), dtype=DOUBLE)
        for k, row in enumerate(rows.matrix):
            jacobian.scatter(rows.patches, row, full[k])
        torch.testing.assert_close(full @ theta, rows.matrix @ jacobian.columns(rows.patches, theta))
        whole += full.t() @ full
        pulled += full.t() @ rows.residual
        total += 0.5 * float(rows.residual.dot(rows.residual))
    torch.testing.assert_close(whole, matrix, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(pulled, gradient, rtol=1e-9, atol=1e-9)
    assert total == pytest.approx(value, rel=1e-12)
    assert objective.value(theta) == pytest.approx(value, rel=1e-12)  # from what is kept now


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("damping", [1e-3, 1e-1])
def test_patch_by_patch_gives_the_dense_step(case: str, damping: float) -> None:
    assembly = assembled(NONLINEAR, CASES[case])
    objective = assembly.objective(assembly.draw(0, None))
    theta = random(objective.size)
    chain = ChainModel.of(objective.sparse_jacobian(theta), theta)
    model = Model.of(objective.triangle(theta), theta)
    assert chain.value == pytest.approx(model.value, rel=1e-12)
    assert chain.gradient_norm == pytest.approx(model.gradient_norm, rel=1e-9)
    assert chain.size == pytest.approx(model.size, rel=1e-9)
    for about in (None, 0.5 * theta):
        v, wanted = chain.step(damping, about), model.step(damping, about)
        torch.testing.assert_close(v, wanted, rtol=1e-7, atol=1e-7)
        assert chain.ahead(v) == pytest.approx(model.ahead(wanted), rel=1e-9)


def test_rows_know_few_patches() -> None:
    assembly = assembled(NONLINEAR, CASES["line"])
    objective = assembly.objective(assembly.draw(0, None))
    jacobian = objective.sparse_jacobian(random(objective.size))
    touched = {rows.patches for rows in jacobian.rows}
    assert {(0, 1), (1, 2), (2, 3), (3, 4)} <= touched  # of the equations
    assert (0, 1, 3, 4) in touched  # of what ties the ends


def test_conditions_by_construction_go_with_local_features() -> None:
    settings = ['network={kind="local",width=4,patches={x=3},hard="auto"}', "sampling.interior=50"]
    formulation = formulate(load_problem("heat1d", settings))
    assembly = assemble(formulation, choose(formulation), 0, CPU, DOUBLE)
    assert isinstance(assembly.network, Ansatz)
    objective = assembly.objective(assembly.draw(0, None))
    theta = random(objective.size)
    matrix, _ = dense(objective, theta)
    squares = torch.zeros(objective.size, dtype=DOUBLE)
    jacobian = objective.sparse_jacobian(theta)
    for rows in jacobian.rows:
        jacobian.scatter(rows.patches, rows.matrix.square().sum(0), squares)
    torch.testing.assert_close(squares, matrix.diagonal(), rtol=1e-9, atol=1e-12)


# --- whole solves --------------------------------------------------------------------------------------


def fitted(assembly: Assembly, steps: int) -> tuple[Solution, float]:
    objective = assembly.objective(assembly.draw(0, None))
    optimiser, theta = OPTIMISERS["lsq"](tolerance=1e-3), assembly.initial_theta()
    state = optimiser.init(objective, theta)
    for _ in range(steps):
        theta, state, info = optimiser.step(objective, theta, state)
        if info.status != "ok":
            break
    solution = Solution.of(assembly, theta)
    return solution, solution.error_on(solution.error_points(2000))


def solved(name: str, settings: list[str], steps: int) -> float:
    formulation = formulate(load_problem(name, settings))
    return fitted(assemble(formulation, choose(formulation), 0, CPU, DOUBLE), steps)[1]


def test_linear_problem_in_one_step() -> None:
    settings = ['network={kind="local",width=60,patches={x=4},scale=0.7}']
    assert solved("heat1d", settings, 1) < 1e-6


def test_two_coordinates_cut() -> None:
    settings = ['network={kind="local",width=30,patches={x=4,y=4},scale=0.7}']
    assert solved("poisson2d", settings, 1) < 1e-5


def test_nonlinear_problem_on_a_ring() -> None:
    assembly = assembled(RING, ['network={kind="local",width=50,patches={x=6}}'], "ring")
    solution, error = fitted(assembly, 8)
    assert isinstance(assembly.network, LocalFeatures)
    assert assembly.network.ring == (True, False)
    assert error < 1e-5
    smaller = replace(assembly, block=50)
    value = assembly.objective(assembly.draw(0, None)).value(solution.pieces[0].theta)
    again = smaller.objective(smaller.draw(0, None)).value(solution.pieces[0].theta)
    assert again == pytest.approx(value, rel=1e-9)


# --- settings ------------------------------------------------------------------------------------------


def test_parameters_are_counted_and_memory_is_estimated_by_what_is_alive() -> None:
    loaded = load_problem("kdv", ['network={kind="local",width=100,patches={x=500}}'])
    report = check(loaded)
    assert report.choices is not None
    assert report.plan is not None
    assert report.choices.parameters == 500 * 100
    assert report.choices.network.width == 200
    assert report.plan.total_memory < 4e9  # a dense triangle of 50,000 columns would take 20 GB


def test_patches_name_coordinates() -> None:
    report = check(load_problem("heat1d", ['network={kind="local",patches={y=4}}']))
    assert any("no coordinate 'y'" in finding.message for finding in report.errors)

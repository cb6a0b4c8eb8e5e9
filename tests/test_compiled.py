"""Compiled activations against the eager ones and nested reverse mode. Compiling takes seconds."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

from pinncli.derivatives import Reverse, Taylor
from pinncli.derivatives.taylor import jacobian_columns
from pinncli.language.partials import Combination, Partial, Wanted
from pinncli.marching import Route
from pinncli.networks import MLP, Features
from pinncli.preparation import compiled
from pinncli.problem.formulation import formulate
from pinncli.problem.legs import legs
from pinncli.problem.loading import load_text
from pinncli.runs.store import Run
from pinncli.solver import SolveOptions, solve

COMPILER = any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "g++", "clang++", "cl"))
needs_compiler = pytest.mark.skipif(not COMPILER, reason="no C++ compiler here")

LAPLACIAN = Partial("u", (0, 0), laplacian=True)
MIXED = Combination(((1.0, Partial("u", (0, 3))), (0.5, Partial("u", (2, 1))), (2.0, LAPLACIAN)))
WANTED: list[Wanted] = [Partial("u", (1, 1)), Partial("u", (4, 0)), MIXED]

PROBLEM = """
title = "Decay"
unknowns = ["u"]
coordinates = { x = [0, 1] }
conditions.ode = { on = "interior", equation = "u_x = -u" }
conditions.start = { on = "x-", equation = "u = 1" }
network = { width = 4, depth = 2 }
sampling = { interior = 16 }
derivatives.compiled = "on"
stages = [{ optimiser = { kind = "lm" }, steps = 3 }]
"""


@needs_compiler
@pytest.mark.filterwarnings("default")  # what the compiler warns of is its own affair
@pytest.mark.parametrize("activation", ["tanh", "gelu"])
def test_compiled_values_gradients_and_jacobians_are_the_engines(activation: str) -> None:
    features = Features(low=(-1.0, 0.5), high=(2.0, 3.5), periodic=(False, False))
    net = MLP(
        features=features,
        outputs=1,
        width=5,
        depth=2,
        activation=activation,
        initialisation="glorot",
        frequency=1.0,
    )
    start = net.initialise(torch.Generator().manual_seed(0))
    kernels = Taylor(("u",), (0, 1), compiled=True)
    engines = {
        "compiled": kernels,
        "eager": Taylor(("u",), (0, 1)),
        "reverse": Reverse(("u",), (0, 1)),
        "plain": kernels.twice_differentiable(),
    }
    for n in (7, 40):  # one kernel for any number of points
        points = torch.rand((n, 2), generator=torch.Generator().manual_seed(n), dtype=torch.float64)
        found = {}
        for name, engine in engines.items():
            theta = start.clone().requires_grad_()
            values = engine.partials(net, theta, points, WANTED)
            rows = torch.stack([values[p] for p in WANTED])
            (gradient,) = torch.autograd.grad((rows * rows).sum(), theta)
            found[name] = torch.cat([rows.detach().flatten(), gradient])
        for name, result in found.items():
            torch.testing.assert_close(result, found["reverse"], rtol=1e-10, atol=1e-10, msg=name)
    jacobians = []
    for engine in (kernels, Taylor(("u",), (0, 1))):
        values, tape = engine.recorded(net, start, points, WANTED)
        total = sum((values[p].sum() for p in WANTED), start.new_zeros(()))
        columns = start.new_empty((net.size, n))
        jacobian_columns(tape, torch.autograd.grad(total, [record.outputs for record in tape]), columns)
        jacobians.append(columns)
    torch.testing.assert_close(*jacobians, rtol=1e-10, atol=1e-10)


def test_a_run_goes_on_where_nothing_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("no compiler\nand a long trace")

    monkeypatch.setattr("pinncli.derivatives.jet.compose_forward", refuse)
    monkeypatch.setattr("pinncli.derivatives.affine.affine_forward", refuse)
    loaded = load_text(PROBLEM, "decay", "decay.toml", Path())
    with Run.create(tmp_path / "run", "decay", PROBLEM, {"seed": 0}, argv=[]) as run:
        events = [record.event for record in solve(formulate(loaded), SolveOptions("cpu"), run)]
    assert events[0] == "not compiled, continuing without: no compiler"
    assert not any("compiled" in event for event in events[1:])


def route_of(setting: str, allowed: float | None) -> Route:
    text = PROBLEM.replace('compiled = "on"', f'compiled = "{setting}"')
    loaded = load_text(text, "decay", "decay.toml", Path())
    formulation = formulate(loaded)
    return Route(
        formulation, legs(formulation), None, True, allowed, 0, torch.device("cpu"), torch.float64, True
    )


def test_auto_compiles_long_runs_and_a_run_keeps_what_was_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("no compiler")

    monkeypatch.setattr("pinncli.derivatives.jet.compose_forward", refuse)
    monkeypatch.setattr("pinncli.derivatives.affine.affine_forward", refuse)

    def tried(setting: str, allowed: float | None, tree: dict[str, bool] | None = None) -> bool:
        return bool(compiled(route_of(setting, allowed), tree)[1])

    assert [tried("auto", allowed) for allowed in (None, 60.0, 600.0)] == [False, False, True]
    assert tried("on", None) and not tried("off", 600.0)
    assert tried("auto", 60.0, {"compiled": True}) and not tried("on", 600.0, {"compiled": False})

"""Shipped problems are solved, briefly: by few steps, to an error that a wrong term would exceed.

What the problems ask for is held by `benchmarks/library.py`, which takes as long as they are allowed.
"""

from __future__ import annotations

import pytest
import torch

from pinncli.assembly import assemble
from pinncli.optimisers import OPTIMISERS
from pinncli.problem.defaults import choose
from pinncli.problem.formulation import formulate
from pinncli.problem.loading import load_problem
from pinncli.solution import Solution
from pinncli.training import Setup, Stage, start, train

BRIEF = {
    "helmholtz2d": (["sampling.interior=800", "sampling.boundary=60", "network.frequency=3"], 40, 3e-2),
    "poisson5d": (["network.width=12", "sampling.interior=800", "sampling.boundary=80"], 25, 1e-2),
    "heat4d": (["network.width=12", "sampling.interior=600", "sampling.boundary=80"], 15, 1e-2),
    "heat_family": (["network.width=12", "sampling.interior=600", "sampling.boundary=80"], 25, 5e-2),
    "poisson10d": (["network.width=12", "sampling.interior=400", "sampling.boundary=60"], 20, 3e-2),
}
"""Settings, steps of Levenberg-Marquardt, and the relative L2 error that they must reach."""


@pytest.mark.parametrize("name", BRIEF)
def test_problem_is_solved_briefly(name: str) -> None:
    settings, steps, asked = BRIEF[name]
    formulation = formulate(load_problem(name, settings))
    assembly = assemble(formulation, choose(formulation), 0, torch.device("cpu"), torch.float64)
    stage = Stage(OPTIMISERS["lm"](damping=1e-2), "lm", steps, 0, steps, 1e-2, steps)
    setup = Setup([stage], assembly.objective, assembly.draw, lambda _: None, assembly.values)
    last = [state for _, state in train(setup, start(setup, assembly.initial_theta()))][-1]
    solution = Solution.of(assembly, last.theta)
    assert solution.error_on(solution.error_points(2000)) < asked

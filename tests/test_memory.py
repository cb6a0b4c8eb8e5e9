"""Memory stays bounded whatever the number of points."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from pathlib import Path
import torch
from pinncli.assembly import assemble
from pinncli.optimisers import OPTIMISERS
from pinncli.problem.defaults import choose
from pinncli.problem.formulation import formulate
from pinncli.problem.loading import load_text

TEXT = '''
title = "many points"
unknowns = ["u"]
coordinates = {{ x = [-1, 1], t = [0, 1] }}
conditions.equation = {{ on = "interior", equation = "u_t + u*u_x = 0.01*u_xx" }}
network = {{ width = 15, depth = 3 }}
sampling = {{ interior = 1000000 }}
stages = [{{ optimiser = {{ kind = "{kind}" }}, steps = 1 }}]
'''
formulation = formulate(load_text(TEXT, "many", "many.toml", Path()))
choices = choose(formulation)
assembly = assemble(formulation, choices, 0, torch.device("cpu"), torch.float64)
objective = assembly.objective(assembly.draw(0, None))
theta = assembly.initial_theta()
settings = choices.stages[0].optimiser.model_dump()
optimiser = OPTIMISERS[settings.pop("kind")](**settings)
theta, _, _ = optimiser.step(objective, theta, optimiser.init(objective, theta))
if "{kind}" == "adam":
    objective.magnitudes(theta)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux")
@pytest.mark.parametrize("kind", ["adam", "lbfgs"])
def test_a_step_at_a_million_points_stays_within_two_gigabytes(kind: str) -> None:
    """With adam also the residual at every point. Others take the same blocks, and lm minutes."""
    program = PROGRAM.format(kind=kind)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2 * 2**20

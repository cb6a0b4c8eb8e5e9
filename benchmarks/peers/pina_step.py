"""PINA's own training step (Adam included) on the points and weights of the benchmark.

Run by benchmarks/engines.py. The loop is `Trainer.train` without logger, checkpoints or progress bar.
"""

from __future__ import annotations

import json
import logging
import sys
from importlib.metadata import version
from typing import Any

import lightning
import numpy as np
import torch
from pina import Condition, LabelTensor, Trainer
from pina.domain import CartesianDomain
from pina.equation import Equation
from pina.model import FeedForward
from pina.operator import grad, laplacian
from pina.optim import TorchOptimizer
from pina.problem import SpatialProblem
from pina.solver import PhysicsInformedSingleModelSolver
from turns import Turns, say

NEVER = 10**9


def residual(kind: str, order: int, names: list[str], nu: float) -> Any:
    """The case's equation."""

    def along(values: Any, points: Any, name: str) -> Any:
        return grad(values, points, d=[name])

    def transport(points: Any, u: Any) -> Any:
        x, y = names
        first = grad(u, points)
        u_x, u_y = first[f"dud{x}"], first[f"dud{y}"]
        total = u_y + u * u_x
        high = u_x
        for k in range(2, order + 1):
            high = along(high, points, x)
            if k == 2 and order == 4:
                total = total + high
        if order > 1:
            total = total + (-nu if order == 2 else nu) * high
        return total

    def laplace(points: Any, u: Any) -> Any:
        return laplacian(u, points, d=names) - u

    return laplace if kind == "laplacian" else transport


class Pace(lightning.pytorch.callbacks.Callback):  # type: ignore[misc]
    """Takes turns with the benchmark."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    def on_train_epoch_end(self, trainer: Any, _module: Any) -> None:
        """An epoch is one step: all points at once."""
        if not self._turns.step():
            trainer.should_stop = True


def main() -> None:
    """Announce the loss at the given weights, then train in turns."""
    asked = json.loads(sys.argv[1])
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(asked["threads"])
    dtype = getattr(torch, asked["precision"])
    torch.set_default_dtype(dtype)
    given = np.load(asked["data"])
    names = asked["names"]
    points = LabelTensor(torch.as_tensor(given["points"], dtype=dtype), labels=names)
    equation = Equation(residual(asked["kind"], asked["order"], names, asked["nu"]))

    class Problem(SpatialProblem):  # type: ignore[misc]
        """The equation at the given points."""

        output_variables = ["u"]  # noqa: RUF012
        spatial_domain = CartesianDomain({name: [-1, 1] for name in names})
        conditions = {"equation": Condition(input=points, equation=equation)}  # noqa: RUF012

    model = FeedForward(len(names), 1, inner_size=asked["width"], n_layers=asked["depth"], func=torch.nn.Tanh)
    theta = torch.as_tensor(given["theta"], dtype=dtype)
    with torch.no_grad():
        torch.nn.utils.vector_to_parameters(theta, model.parameters())
    solver = PhysicsInformedSingleModelSolver(
        Problem(), model, optimizer=TorchOptimizer(torch.optim.Adam, lr=1e-6)
    )
    x = LabelTensor(points.tensor.clone().requires_grad_(), labels=names)
    u = LabelTensor(model(x.tensor), labels=["u"])
    loss = float(equation.residual(x, u).tensor.detach().square().mean())
    say(
        peer=f"PINA {version('pina-mathlab')}, torch {torch.__version__}",
        loss=loss,
        threads=torch.get_num_threads(),
    )
    turns = Turns()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(
        solver,
        max_epochs=NEVER,
        accelerator="cpu",
        enable_model_summary=False,
        callbacks=[Pace(turns)],
        num_sanity_val_steps=0,
        **quiet,
    )
    if turns.wait():
        trainer.train()


if __name__ == "__main__":
    main()

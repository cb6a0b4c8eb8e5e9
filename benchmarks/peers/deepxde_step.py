"""DeepXDE's own training step (Adam included) on the points and weights of the benchmark.

Run by benchmarks/engines.py. The loop is `Model.train`; nothing is displayed, tested or stored between turns.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import deepxde as dde
import numpy as np
import torch
from turns import Turns, say

NEVER = 10**9


def derivative(y: Any, x: Any, order: int) -> Any:
    """The derivative of this order in the first coordinate, as DeepXDE's examples write it."""
    if order == 1:
        return dde.grad.jacobian(y, x, i=0, j=0)
    second = dde.grad.hessian(y, x, i=0, j=0)
    if order == 2:
        return second
    if order == 3:
        return dde.grad.jacobian(second, x, i=0, j=0)
    return dde.grad.hessian(second, x, i=0, j=0)


def residual(kind: str, order: int, dimension: int, nu: float) -> Any:
    """The case's equation."""

    def transport(x: Any, y: Any) -> Any:
        total = dde.grad.jacobian(y, x, i=0, j=1) + y * dde.grad.jacobian(y, x, i=0, j=0)
        if order == 4:
            total = total + dde.grad.hessian(y, x, i=0, j=0)
        if order > 1:
            total = total + (-nu if order == 2 else nu) * derivative(y, x, order)
        return total

    def laplace(x: Any, y: Any) -> Any:
        return sum(dde.grad.hessian(y, x, i=k, j=k) for k in range(dimension)) - y

    return laplace if kind == "laplacian" else transport


class Pace(dde.callbacks.Callback):  # type: ignore[misc]
    """Takes turns with the benchmark."""

    def __init__(self, turns: Turns) -> None:
        super().__init__()
        self._turns = turns

    def on_epoch_end(self) -> None:
        """A step was made."""
        if not self._turns.step():
            self.model.stop_training = True


def main() -> None:
    """Announce the loss at the given weights, then train in turns."""
    asked = json.loads(sys.argv[1])
    torch.set_num_threads(asked["threads"])
    dde.config.set_default_float(asked["precision"])
    given = np.load(asked["data"])
    points, dimension = given["points"], given["points"].shape[1]
    low, high = [-1.0] * dimension, [1.0] * dimension
    box = dde.geometry.Interval(-1, 1) if dimension == 1 else dde.geometry.Hypercube(low, high)
    equation = residual(asked["kind"], asked["order"], dimension, asked["nu"])
    data = dde.data.PDE(box, equation, [], num_domain=0, num_boundary=0, anchors=points)
    sizes = [dimension, *[asked["width"]] * asked["depth"], 1]
    net = dde.nn.FNN(sizes, "tanh", "Glorot normal")
    theta = torch.as_tensor(given["theta"], dtype=getattr(torch, asked["precision"]))
    with torch.no_grad():
        torch.nn.utils.vector_to_parameters(theta, net.parameters())
    model = dde.Model(data, net)
    model.compile("adam", lr=1e-6, verbose=0)
    x = model.data.train_x
    assert x.shape == points.shape  # noqa: S101
    _, losses = model._outputs_losses(True, x, None, None)
    say(
        peer=f"DeepXDE {dde.__version__}, torch {torch.__version__}",
        loss=float(np.sum(losses)),
        threads=torch.get_num_threads(),
    )
    turns = Turns()
    if turns.wait():
        model.train(iterations=NEVER, display_every=NEVER, callbacks=[Pace(turns)], verbose=0)


if __name__ == "__main__":
    main()

"""PINA on the problems of benchmarks/time_to_error.py, with the settings of its tutorials.

Poisson: tutorial 2 (2 x 10 softplus, 25 x 25 grid, Adam 0.006 with weight decay 1e-8). The others: the
library's default network (2 x 20 tanh), Adam at its default 0.001 and 1,000 random points on every domain, as
in tutorial 3; Allen-Cahn with the library's periodic embedding. The tutorials end after 1,000 epochs; here
the training goes on until the time is over. Precision is Lightning's default, float32.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import lightning
import numpy as np
import torch
from clock import Watch
from pina import Condition, LabelTensor, Trainer
from pina.domain import CartesianDomain
from pina.equation import Equation
from pina.equation.zoo import FixedValue
from pina.model import FeedForward
from pina.model.block import PeriodicBoundaryEmbedding
from pina.operator import grad, laplacian
from pina.optim import TorchOptimizer
from pina.problem import SpatialProblem
from pina.solver import PhysicsInformedSingleModelSolver
from turns import say

PI = torch.pi
TUTORIAL_EPOCHS = 1000
NEVER = 10**9

Residual = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Case:
    """A problem on a box: the equation inside, and what holds on which sides."""

    axes: Mapping[str, tuple[float, float]]
    equation: Residual
    sides: Mapping[str, Sequence[tuple[str, float]]]
    """Name of a condition to the sides (coordinate, value) that it holds on."""
    conditions: Mapping[str, Any]
    inner: tuple[int, ...] = (20, 20)
    function: Any = torch.nn.Tanh
    points: tuple[int, str] = (1000, "random")
    adam: Mapping[str, float] = field(default_factory=lambda: {"lr": 0.001})
    periodic: bool = False


def u_t(u: Any, x: Any) -> Any:
    """The derivative in time."""
    return grad(u, x, d=["t"])


def sine(x: Any, name: str, waves: int = 1) -> Any:
    """sin(waves pi x)."""
    return torch.sin(waves * PI * x.extract([name]))


def walls(low: float, high: float) -> dict[str, list[tuple[str, float]]]:
    """The sides of an initial boundary value problem."""
    return {"walls": [("x", low), ("x", high)], "initial": [("t", 0.0)]}


def heat() -> Case:
    """u_t = 0.1 u_xx."""
    return Case(
        {"x": (0, 1), "t": (0, 1)},
        lambda x, u: u_t(u, x) - 0.1 * laplacian(u, x, d=["x"]),
        walls(0, 1),
        {"walls": FixedValue(0.0), "initial": Equation(lambda x, u: u - sine(x, "x"))},
    )


def burgers() -> Case:
    """u_t + u u_x = (0.01/pi) u_xx."""
    return Case(
        {"x": (-1, 1), "t": (0, 1)},
        lambda x, u: u_t(u, x) + u * grad(u, x, d=["x"]) - 0.01 / PI * laplacian(u, x, d=["x"]),
        walls(-1, 1),
        {"walls": FixedValue(0.0), "initial": Equation(lambda x, u: u + sine(x, "x"))},
    )


def allen_cahn() -> Case:
    """u_t = 1e-4 u_xx + 5 (u - u^3)."""

    def initial(x: Any, u: Any) -> Any:
        space = x.extract(["x"])
        return u - space**2 * torch.cos(PI * space)

    return Case(
        {"x": (-1, 1), "t": (0, 1)},
        lambda x, u: u_t(u, x) - 1e-4 * laplacian(u, x, d=["x"]) - 5 * (u - u**3),
        {"initial": [("t", 0.0)]},
        {"initial": Equation(initial)},
        periodic=True,
    )


def wave() -> Case:
    """u_tt = 4 u_xx, released at rest."""
    return Case(
        {"x": (0, 1), "t": (0, 1)},
        lambda x, u: laplacian(u, x, d=["t"]) - 4 * laplacian(u, x, d=["x"]),
        walls(0, 1) | {"velocity": [("t", 0.0)]},
        {
            "walls": FixedValue(0.0),
            "initial": Equation(lambda x, u: u - sine(x, "x") - sine(x, "x", 4) / 2),
            "velocity": Equation(lambda x, u: u_t(u, x)),
        },
    )


def edges(low: float, high: float) -> dict[str, list[tuple[str, float]]]:
    """All four."""
    return {"edges": [(name, value) for name in ("x", "y") for value in (low, high)]}


def poisson() -> Case:
    """-lap(u) = 2 pi^2 sin sin."""
    return Case(
        {"x": (0, 1), "y": (0, 1)},
        lambda x, u: laplacian(u, x) + 2 * PI**2 * sine(x, "x") * sine(x, "y"),
        edges(0, 1),
        {"edges": FixedValue(0.0)},
        inner=(10, 10),
        function=torch.nn.Softplus,
        points=(25, "grid"),
        adam={"lr": 0.006, "weight_decay": 1e-8},
    )


def helmholtz() -> Case:
    """lap(u) + u = f."""
    return Case(
        {"x": (-1, 1), "y": (-1, 1)},
        lambda x, u: laplacian(u, x) + u - (1 - 17 * PI**2) * sine(x, "x") * sine(x, "y", 4),
        edges(-1, 1),
        {"edges": FixedValue(0.0)},
    )


CASES: Mapping[str, Callable[[], Case]] = {
    "heat1d": heat,
    "burgers1d": burgers,
    "poisson2d": poisson,
    "wave1d": wave,
    "allen_cahn": allen_cahn,
    "helmholtz2d": helmholtz,
}


def problem_of(case: Case) -> Any:
    """The case as PINA's problem, with its points drawn; every side is a domain of its own."""
    box = {name: list(ends) for name, ends in case.axes.items()}
    domains = {"D": CartesianDomain(box)}
    held = {"D": Condition(domain="D", equation=Equation(case.equation))}
    for name, sides in case.sides.items():
        for k, (coordinate, value) in enumerate(sides):
            domains[f"{name}{k}"] = CartesianDomain(box | {coordinate: value})
            held[f"{name}{k}"] = Condition(domain=f"{name}{k}", equation=case.conditions[name])

    class Problem(SpatialProblem):  # type: ignore[misc]
        """A box, time being one of its coordinates."""

        output_variables = ["u"]  # noqa: RUF012
        spatial_domain = CartesianDomain(box)
        conditions = held

    Problem.domains = domains
    problem = Problem()
    problem.discretise_domain(*case.points)
    return problem


def model_of(case: Case) -> torch.nn.Module:
    """The network; where the problem is periodic in x, behind the library's embedding."""
    inputs = len(case.axes)
    if not case.periodic:
        return FeedForward(inputs, 1, layers=list(case.inner), func=case.function)  # type: ignore[no-any-return]
    low, high = case.axes["x"]
    embedding = PeriodicBoundaryEmbedding(input_dimension=1, periods={"x": high - low})

    class Periodic(torch.nn.Module):
        """u(cos, sin, t)."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = FeedForward(4, 1, layers=list(case.inner), func=case.function)

        def forward(self, x: Any) -> Any:
            """x has the columns x, t."""
            space = embedding(x.extract(["x"]))
            plain = [part.as_subclass(torch.Tensor) for part in (space, x.extract(["t"]))]
            return self.inner(torch.cat(plain, dim=1))

    return Periodic()


class Pace(lightning.pytorch.callbacks.Callback):  # type: ignore[misc]
    """Measures after a step and ends the training with the time."""

    def __init__(self, watch: Watch, predict: Any) -> None:
        self._watch, self._predict = watch, predict

    def on_train_start(self, *_: Any) -> None:
        """What came before is start-up."""
        self._watch.start()

    def on_train_epoch_end(self, trainer: Any, _module: Any) -> None:
        """An epoch is one step: all points at once."""
        if trainer.current_epoch + 1 == TUTORIAL_EPOCHS:
            self._watch.event("tutorial ends", self._predict)
        if not self._watch.tick(self._predict):
            trainer.should_stop = True


def main() -> None:
    """Train until the time is over."""
    asked = json.loads(sys.argv[1])
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(asked["threads"])
    lightning.seed_everything(asked["seed"], verbose=False)
    case = CASES[asked["problem"]]()
    model = model_of(case)
    problem = problem_of(case)
    optimiser = TorchOptimizer(torch.optim.Adam, **case.adam)
    solver = PhysicsInformedSingleModelSolver(problem, model, optimizer=optimiser)
    say(peer=f"PINA {version('pina-mathlab')}, torch {torch.__version__}", threads=torch.get_num_threads())
    watch = Watch(asked)

    def predict(points: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            x = LabelTensor(torch.as_tensor(points, dtype=torch.float32), labels=list(case.axes))
            x = x.extract(problem.input_variables)  # in the order of training, t before x
            found: np.ndarray = model(x).as_subclass(torch.Tensor).numpy()
        return found

    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(
        solver,
        max_epochs=NEVER,
        accelerator="cpu",
        enable_model_summary=False,
        callbacks=[Pace(watch, predict)],
        num_sanity_val_steps=0,
        **quiet,
    )
    trainer.train()
    watch.measure(predict)
    watch.finish(example="tutorials", steps=trainer.global_step)


if __name__ == "__main__":
    main()

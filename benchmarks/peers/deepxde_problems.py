"""DeepXDE on the problems of benchmarks/time_to_error.py, with the settings that its examples ship.

Network, initialisation, numbers of points, optimisers, steps and precision (float32) are those of the
example named beside each problem; equation, domain and data are the benchmark's. Where an example ends before
the time is over, L-BFGS as in its other examples goes on; L-BFGS returns every 100 steps instead of every
1,000, so that errors can be measured.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import deepxde as dde
import numpy as np
import torch
from clock import Watch
from turns import say

PI = np.pi
NEVER = 10**9


@dataclass(frozen=True)
class Case:
    """A problem by DeepXDE, and the Adam steps of its example."""

    example: str
    data: Any
    net: Any
    adam: int
    lbfgs: bool
    scale_losses: bool = False
    resample: bool = False


def strip(low: float, high: float) -> Any:
    """An interval in space, one second in time."""
    return dde.geometry.GeometryXTime(dde.geometry.Interval(low, high), dde.geometry.TimeDomain(0, 1))


def everywhere(_: Any, on: Any) -> Any:
    """All of the boundary, or of the initial points."""
    return on


def x_(x: Any) -> Any:
    """The first coordinate, as a column."""
    return x[:, 0:1]


def first(u: Any, x: Any, axis: int) -> Any:
    """A first derivative."""
    return dde.grad.jacobian(u, x, i=0, j=axis)


def second(u: Any, x: Any, axis: int) -> Any:
    """A second derivative."""
    return dde.grad.hessian(u, x, i=axis, j=axis)


def in_time(domain: Any, equation: Any, initial: Any, counts: tuple[int, int, int]) -> Any:
    """An initial boundary value problem with zero walls."""
    walls = dde.icbc.DirichletBC(domain, lambda x: np.zeros((len(x), 1)), everywhere)
    start = dde.icbc.IC(domain, initial, everywhere)
    return dde.data.TimePDE(
        domain,
        equation,
        [walls, start],
        num_domain=counts[0],
        num_boundary=counts[1],
        num_initial=counts[2],
    )


def small() -> Any:
    """The network of the examples in one dimension of space."""
    return dde.nn.FNN([2] + [20] * 3 + [1], "tanh", "Glorot normal")


def heat() -> Case:
    """As examples/pinn_forward/heat.py."""
    data = in_time(
        strip(0, 1),
        lambda x, u: first(u, x, 1) - 0.1 * second(u, x, 0),
        lambda x: np.sin(PI * x_(x)),
        (2540, 80, 160),
    )
    return Case("heat.py", data, small(), 20_000, lbfgs=True)


def burgers() -> Case:
    """As examples/pinn_forward/Burgers.py."""
    data = in_time(
        strip(-1, 1),
        lambda x, u: first(u, x, 1) + u * first(u, x, 0) - 0.01 / PI * second(u, x, 0),
        lambda x: -np.sin(PI * x_(x)),
        (2540, 80, 160),
    )
    return Case("Burgers.py", data, small(), 15_000, lbfgs=True)


def allen_cahn() -> Case:
    """As examples/pinn_forward/Allen_Cahn.py, but periodic as this problem is: only the start is built in."""
    domain = strip(-1, 1)
    periodic = [dde.icbc.PeriodicBC(domain, 0, everywhere, derivative_order=order) for order in (0, 1)]
    data = dde.data.TimePDE(
        domain,
        lambda x, u: first(u, x, 1) - 1e-4 * second(u, x, 0) - 5 * (u - u**3),
        periodic,
        num_domain=8000,
        num_boundary=400,
        num_initial=800,
    )
    net = small()
    net.apply_output_transform(lambda x, u: x_(x) ** 2 * torch.cos(PI * x_(x)) + x[:, 1:2] * u)
    return Case("Allen_Cahn.py", data, net, 40_000, lbfgs=True)


def wave() -> Case:
    """As examples/pinn_forward/wave_1d.py, whose multi-scale network has no PyTorch version: a plain one."""
    domain = strip(0, 1)

    def solution(x: Any) -> Any:
        space, t = x[:, 0:1], x[:, 1:2]
        slow, fast = np.sin(PI * space) * np.cos(2 * PI * t), np.sin(4 * PI * space) * np.cos(8 * PI * t)
        return slow + fast / 2

    conditions = [
        dde.icbc.DirichletBC(domain, solution, everywhere),
        dde.icbc.IC(domain, solution, everywhere),
        dde.icbc.OperatorBC(domain, lambda x, u, _: first(u, x, 1), lambda x, _: dde.utils.isclose(x[1], 0)),
    ]
    data = dde.data.TimePDE(
        domain,
        lambda x, u: second(u, x, 1) - 4 * second(u, x, 0),
        conditions,
        num_domain=360,
        num_boundary=360,
        num_initial=360,
    )
    net = dde.nn.FNN([2] + [100] * 3 + [1], "tanh", "Glorot uniform")
    net.apply_feature_transform(lambda x: (x - 0.5) * 2 * np.sqrt(3))
    return Case("wave_1d.py", data, net, 10_000, lbfgs=False, scale_losses=True, resample=True)


def poisson() -> Case:
    """As examples/pinn_forward/Poisson_Lshape.py."""
    domain = dde.geometry.Rectangle([0, 0], [1, 1])

    def equation(x: Any, u: Any) -> Any:
        load = 2 * PI**2 * torch.sin(PI * x[:, 0:1]) * torch.sin(PI * x[:, 1:2])
        return -second(u, x, 0) - second(u, x, 1) - load

    edges = dde.icbc.DirichletBC(domain, lambda x: np.zeros((len(x), 1)), everywhere)
    data = dde.data.PDE(domain, equation, edges, num_domain=1200, num_boundary=120)
    net = dde.nn.FNN([2] + [50] * 4 + [1], "tanh", "Glorot uniform")
    return Case("Poisson_Lshape.py", data, net, 50_000, lbfgs=True)


def helmholtz() -> Case:
    """As examples/pinn_forward/Helmholtz_Dirichlet_2d.py: ten points a wave length, hard conditions."""
    domain = dde.geometry.Rectangle([-1, -1], [1, 1])

    def equation(x: Any, u: Any) -> Any:
        load = (1 - 17 * PI**2) * torch.sin(PI * x[:, 0:1]) * torch.sin(4 * PI * x[:, 1:2])
        return second(u, x, 0) + second(u, x, 1) + u - load

    data = dde.data.PDE(domain, equation, [], num_domain=1600, num_boundary=160)
    net = dde.nn.FNN([2] + [150] * 3 + [1], "sin", "Glorot uniform")
    net.apply_output_transform(lambda x, u: (1 - x[:, 0:1] ** 2) * (1 - x[:, 1:2] ** 2) * u)
    return Case("Helmholtz_Dirichlet_2d.py", data, net, 5_000, lbfgs=False)


CASES: Mapping[str, Callable[[], Case]] = {
    "heat1d": heat,
    "burgers1d": burgers,
    "poisson2d": poisson,
    "wave1d": wave,
    "allen_cahn": allen_cahn,
    "helmholtz2d": helmholtz,
}


class Pace(dde.callbacks.Callback):  # type: ignore[misc]
    """Measures after a step and ends the training with the time."""

    def __init__(self, watch: Watch, predict: Any) -> None:
        super().__init__()
        self._watch, self._predict = watch, predict
        self.over = self._started = False

    def on_train_begin(self) -> None:
        """Compiling and the first test are start-up."""
        if not self._started:
            self._started = True
            self._watch.start()

    def on_epoch_end(self) -> None:
        """After a step of Adam, or some of L-BFGS."""
        if not self._watch.tick(self._predict):
            self.over = self.model.stop_training = True


def main() -> None:
    """Train until the time is over or the last stage has converged."""
    asked = json.loads(sys.argv[1])
    torch.set_num_threads(asked["threads"])
    dde.config.set_random_seed(asked["seed"])
    case = CASES[asked["problem"]]()
    model = dde.Model(case.data, case.net)
    say(peer=f"DeepXDE {dde.__version__}, torch {torch.__version__}", threads=torch.get_num_threads())
    watch = Watch(asked)

    def predict(points: np.ndarray) -> np.ndarray:
        found: np.ndarray = model.predict(points.astype(np.float32))
        return found

    pace = Pace(watch, predict)
    options: dict[str, Any] = {}
    if case.scale_losses:
        model.compile("adam", lr=1e-3, verbose=0)
        before, _ = model.train(iterations=0, verbose=0)
        options = {"loss_weights": 5 / before.loss_train[0], "decay": ("inverse time", 2000, 0.9)}
    model.compile("adam", lr=1e-3, verbose=0, **options)
    callbacks = [pace] + ([dde.callbacks.PDEPointResampler(period=1)] if case.resample else [])
    model.train(iterations=case.adam, display_every=NEVER, callbacks=callbacks, verbose=0)
    if not pace.over:
        watch.event("Adam ends" if case.lbfgs else "example ends", predict)
        dde.optimizers.set_LBFGS_options()
        dde.optimizers.LBFGS_options.update(iter_per_step=100, fun_per_step=125)
        model.compile("L-BFGS", verbose=0, loss_weights=options.get("loss_weights"))
        model.train(callbacks=[pace], verbose=0)
        if not pace.over:
            watch.event("example ends" if case.lbfgs else "L-BFGS ends", predict)
    watch.measure(predict)
    watch.finish(example=case.example, steps=model.train_state.step)


if __name__ == "__main__":
    main()

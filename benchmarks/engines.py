"""Time of a training step by derivative engine, beside nested autograd and bare matrix products.

    python benchmarks/engines.py [--seconds 10]

A step is the value and the gradient of half the mean squared residual at the interior points, in
float64. The engines run as in `pinncli solve`. "nested autograd" is written here from plain torch.nn
and torch.autograd.grad, all points at once, and must give the same numbers. "matrix products" are
only the three products of every square layer (forward, to the inputs, to the weights) on all
channels that the order needs: no engine that carries them can be faster. The variants take turns, and
the shortest time of each counts, so that other work on the machine disturbs them alike.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the program does, before torch is loaded
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import torch
from torch import Tensor, nn

import pinncli
from pinncli.assembly import Assembly, assemble
from pinncli.derivatives import ENGINES
from pinncli.derivatives.jet_index import jet_index
from pinncli.device import prepare_cpu
from pinncli.problem.defaults import choose
from pinncli.problem.formulation import formulate
from pinncli.problem.loading import load_text

NU = 0.01

PROBLEM = """
title = "benchmark"
unknowns = ["u"]
coordinates = {{ x = [-1, 1], y = [-1, 1] }}
constants = {{ nu = {nu} }}
conditions.equation = {{ on = "interior", equation = "{equation}" }}
network = {{ width = {width}, depth = {depth} }}
sampling = {{ interior = {points} }}
training = {{ weights = "plain" }}
"""


@dataclass(frozen=True)
class Case:
    """One row group: an equation of some order on a network of `depth` layers of `width`."""

    order: int
    equation: str
    depth: int
    width: int
    points: int


SECOND, FOURTH = "u_y + u*u_x = nu*u_xx", "u_y + u*u_x + u_xx + nu*u_xxxx = 0"
CASES = (
    Case(2, SECOND, 3, 20, 4096),
    Case(2, SECOND, 4, 64, 4096),
    Case(4, FOURTH, 3, 20, 2048),
    Case(4, FOURTH, 4, 64, 2048),
)

Step = Callable[[], tuple[float, Tensor]]
"""One step: the value and the gradient (p,)."""


def assembly_of(case: Case) -> Assembly:
    """The case as the program would solve it."""
    text = PROBLEM.format(
        nu=NU, equation=case.equation, width=case.width, depth=case.depth, points=case.points
    )
    formulation = formulate(load_text(text, "benchmark", "benchmark.toml", Path()))
    return assemble(formulation, choose(formulation), 0, torch.device("cpu"), torch.float64)


def engine_step(assembly: Assembly, engine: str) -> Step:
    """A step by one of the program's engines."""
    chosen = replace(assembly, engine=ENGINES[engine](("u",), (0, 1)))
    objective = chosen.objective(chosen.draw(0, None))
    theta = chosen.initial_theta()
    return lambda: objective.value_and_grad(theta)


def nested_step(assembly: Assembly, case: Case) -> Step:
    """The same step by nested autograd, from torch.nn alone."""
    sizes = [2, *[case.width] * case.depth, 1]
    layers: list[nn.Module] = []
    for k in range(case.depth + 1):
        layers += [nn.Linear(sizes[k], sizes[k + 1], dtype=torch.float64), nn.Tanh()]
    model = nn.Sequential(*layers[:-1])
    nn.utils.vector_to_parameters(assembly.initial_theta(), model.parameters())
    points = assembly.draw(0, None)[0].points.clone().requires_grad_()
    weights = list(model.parameters())

    def gradient(values: Tensor) -> Tensor:
        (found,) = torch.autograd.grad(values.sum(), points, create_graph=True)
        return found

    def step() -> tuple[float, Tensor]:
        u = model(points)[:, 0]
        first = gradient(u)
        u_x, u_y = first[:, 0], first[:, 1]
        u_xx = gradient(u_x)[:, 0]
        if case.order == 2:
            residual = u_y + u * u_x - NU * u_xx
        else:
            residual = u_y + u * u_x + u_xx + NU * gradient(gradient(u_xx)[:, 0])[:, 0]
        value = 0.5 * residual.square().mean()
        parts = torch.autograd.grad(value, weights)
        return float(value.detach()), torch.cat([part.reshape(-1) for part in parts])

    return step


def products_step(assembly: Assembly, case: Case) -> tuple[Callable[[], None], int]:
    """The matrix products of a step alone, and the number of channels in them."""
    index = jet_index(2, assembly.groups[0].wanted[0], ())
    square = [torch.randn(case.width, case.width, dtype=torch.float64) for _ in range(case.depth - 1)]
    columns = torch.randn(case.width, index.size * case.points, dtype=torch.float64)
    out = torch.empty_like(columns)
    sums = torch.empty(case.width, case.width, dtype=torch.float64)

    def step() -> None:
        for weight in square:
            torch.mm(weight, columns, out=out)
            torch.mm(weight.t(), columns, out=out)
            torch.mm(columns, out.t(), out=sums)

    return step, index.size


def shortest(steps: Sequence[Callable[[], object]], seconds: float) -> list[float]:
    """Milliseconds of the fastest run of each; they take turns for so many seconds, five times at least."""
    best = [float("inf")] * len(steps)
    turn, end = 0, time.perf_counter() + seconds
    while turn < 5 or time.perf_counter() < end:
        for k, step in enumerate(steps):
            began = time.perf_counter()
            step()
            best[k] = min(best[k], 1e3 * (time.perf_counter() - began))
        turn += 1
    return best


def agree(steps: Sequence[Step]) -> None:
    """Stop where the variants do not compute the same thing."""
    (value, gradient), *others = [step() for step in steps]
    for other, other_gradient in others:
        torch.testing.assert_close(other, value, rtol=1e-10, atol=0.0)
        torch.testing.assert_close(other_gradient, gradient, rtol=1e-8, atol=1e-12)


def measure(case: Case, seconds: float) -> str:
    """The case's line of the table."""
    assembly = assembly_of(case)
    steps = [engine_step(assembly, name) for name in ENGINES] + [nested_step(assembly, case)]
    agree(steps)
    products, channels = products_step(assembly, case)
    *engines, nested, bare = shortest([*steps, products], seconds)
    cells = [f"{case.order}", f"{case.depth} x {case.width}", f"{case.points:,}", f"{channels}"]
    cells += [f"{value:.2f}" for value in (*engines, nested, bare)]
    cells += [f"{nested / engines[0]:.2f}", f"{engines[0] / bare:.2f}"]
    return "| " + " | ".join(cells) + " |"


def processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description="Time of a training step by derivative engine.")
    parser.add_argument("--seconds", type=float, default=10.0, help="time for each line (default 10)")
    seconds: float = parser.parse_args().seconds
    threads = prepare_cpu()
    names = list(ENGINES)
    print(
        f"{datetime.now(UTC):%Y-%m-%d}; {processor()}, {threads} threads; pinncli {pinncli.__version__}, "
        f"torch {torch.__version__}, Python {platform.python_version()}; best time of a step in float64, in "
        "milliseconds\n"
    )
    head = ["order", "network", "points", "channels", *names, "nested autograd", "matrix products"]
    head += [f"nested / {names[0]}", f"{names[0]} / products"]
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for case in CASES:
        print(measure(case, seconds), flush=True)


if __name__ == "__main__":
    main()

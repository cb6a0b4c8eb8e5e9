"""Time of a training step by derivative engine, beside plain PyTorch, DeepXDE and PINA.

    python benchmarks/engines.py [--peers-python PATH] [--rounds 15] [--compile on] [--only "order 2"]

A step is the value and the gradient of the mean squared residual at 4,096 interior points in float64, and an
Adam update; the points, the network and its initial weights are the same for all, and the loss that each
announces must be the same number. Variants:

- the program's engines, as in `pinncli solve`; `--compile on` adds the compiled one where there is one
- "nested": torch.nn and `torch.autograd.grad(create_graph=True)` once per order, all points at once
- "torch.func": `vmap` over points, all at once, of nested `grad`, or of `jacrev` of `jacrev` for a Laplacian:
  the fastest of its ways (nested `jvp`, `hessian`, which is `jacfwd` of `jacrev`, and mixtures were slower)
- DeepXDE and PINA, each by its own training loop in a process and environment of its own, with tests, logs
  and displays switched off as far as they allow
- "products": only the three matrix products of every square layer (forward, to the inputs, to the weights)
  on all channels that the order needs: no engine that carries them can be faster

All take turns, some steps each, round after round; the table has the median over rounds, the ratios are
medians of the ratios within a round, so that other work on the machine disturbs them alike. Where it takes
so much that this is not enough, `--clock cpu` counts processor time instead, on one thread.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import common

common.prepare_openmp()

import numpy as np
import torch
from torch import Tensor, nn

from pinncli.assembly import Assembly, assemble
from pinncli.derivatives import ENGINES
from pinncli.derivatives.jet_index import jet_index
from pinncli.device import prepare_cpu
from pinncli.optimisers.first_order import Adam
from pinncli.problem.defaults import choose
from pinncli.problem.formulation import formulate
from pinncli.problem.loading import load_text
from pinncli.problem.settings import AdamSettings

NU = 0.01
NAMES = ("x", "y", "z", "p", "q", "r", "s", "v", "w", "o")
TRANSPORT = {
    1: "u_y + u*u_x = 0",
    2: "u_y + u*u_x = nu*u_xx",
    3: "u_y + u*u_x + nu*u_xxx = 0",
    4: "u_y + u*u_x + u_xx + nu*u_xxxx = 0",
}
PEERS = {"DeepXDE": "deepxde_step.py", "PINA": "pina_step.py"}

PROBLEM = """
title = "benchmark"
unknowns = ["u"]
coordinates = {{ {coordinates} }}
constants = {{ nu = {nu} }}
conditions.equation = {{ on = "interior", equation = "{equation}" }}
network = {{ width = {width}, depth = {depth} }}
sampling = {{ interior = {points} }}
training = {{ weights = "plain" }}
"""


@dataclass(frozen=True)
class Case:
    """One line: a transport equation of some order in (x, y), or a Laplacian in some dimension."""

    kind: str
    order: int
    dimension: int
    depth: int
    width: int
    points: int

    @property
    def label(self) -> str:
        """In the table."""
        return f"order {self.order}" if self.kind == "transport" else f"Laplacian, {self.dimension}-d"

    @property
    def equation(self) -> str:
        """In the language of problem files."""
        return TRANSPORT[self.order] if self.kind == "transport" else "lap(u) = u"


Step = Callable[[], object]
Check = Callable[[], tuple[float, Tensor]]
"""The mean squared residual and half its gradient (p,)."""


def cases(points: int, smoke: bool) -> list[Case]:
    """Orders 1 to 4 and Laplacians in 1 to 10 dimensions, on two networks."""
    found = []
    for depth, width in ((2, 8),) if smoke else ((3, 20), (4, 64)):
        orders, dimensions = ((2,), (3,)) if smoke else ((1, 2, 3, 4), (1, 2, 3, 5, 10))
        found += [Case("transport", order, 2, depth, width, points) for order in orders]
        found += [Case("laplacian", 2, d, depth, width, points) for d in dimensions]
    return found


CPU = torch.device("cpu")


def assembly_of(case: Case, device: torch.device = CPU, dtype: torch.dtype = torch.float64) -> Assembly:
    """The case as the program would solve it."""
    text = PROBLEM.format(
        coordinates=", ".join(f"{name} = [-1, 1]" for name in NAMES[: case.dimension]),
        nu=NU,
        equation=case.equation,
        width=case.width,
        depth=case.depth,
        points=case.points,
    )
    formulation = formulate(load_text(text, "benchmark", "benchmark.toml", Path()))
    return assemble(formulation, choose(formulation), 0, device, dtype)


def engines(assembly: Assembly, compiled: bool) -> dict[str, Assembly]:
    """The assembly with each engine; compiled too where an engine has that option and it is asked for."""
    axes = tuple(range(len(assembly.coordinates)))
    found = {name: replace(assembly, engine=build(("u",), axes)) for name, build in ENGINES.items()}
    if compiled:
        for name, variant in list(found.items()):
            options = {f.name for f in fields(type(variant.engine))}  # type: ignore[arg-type]
            for option in options & {"compiled", "compile"}:
                engine = replace(variant.engine, **{option: True})  # type: ignore[type-var]
                found[f"{name} compiled"] = replace(variant, engine=engine)
    return found


def engine_step(assembly: Assembly) -> tuple[Step, Check]:
    """A step of the program's Adam by the assembly's engine."""
    objective, theta = assembly.objective(assembly.draw(0, None)), assembly.initial_theta()
    settings = AdamSettings(kind="adam", learning_rate=1e-6, decay_rate=1.0)
    adam = Adam(**settings.model_dump(exclude={"kind"}))
    now = [(theta, adam.init(objective, theta))]

    def step() -> None:
        weights, state, _ = adam.step(objective, *now[0])
        now[0] = (weights, state)

    def check() -> tuple[float, Tensor]:
        value, gradient = objective.value_and_grad(theta)
        return 2.0 * value, gradient

    return step, check


def model_of(assembly: Assembly, case: Case) -> nn.Sequential:
    """The same network from torch.nn, with the same weights."""
    sizes = [case.dimension, *[case.width] * case.depth, 1]
    layers: list[nn.Module] = []
    for k in range(case.depth + 1):
        layers += [nn.Linear(sizes[k], sizes[k + 1], dtype=assembly.dtype, device=assembly.device), nn.Tanh()]
    model = nn.Sequential(*layers[:-1])
    nn.utils.vector_to_parameters(assembly.initial_theta(), model.parameters())
    return model


def torch_step(model: nn.Module, residual: Callable[[], Tensor]) -> tuple[Step, Check]:
    """A step of torch.optim.Adam on the mean squared residual."""
    weights = list(model.parameters())
    adam = torch.optim.Adam(weights, lr=1e-6)

    def step() -> None:
        adam.zero_grad()
        residual().square().mean().backward()  # type: ignore[no-untyped-call]
        adam.step()

    def check() -> tuple[float, Tensor]:
        value = residual().square().mean()
        parts = torch.autograd.grad(0.5 * value, weights)
        return float(value.detach()), torch.cat([part.reshape(-1) for part in parts])

    return step, check


def nested_step(assembly: Assembly, case: Case) -> tuple[Step, Check]:
    """By nested autograd, from torch.nn alone."""
    model = model_of(assembly, case)
    points = assembly.draw(0, None)[0].points.clone().requires_grad_()

    def gradient(values: Tensor) -> Tensor:
        (found,) = torch.autograd.grad(values.sum(), points, create_graph=True)
        return found

    def residual() -> Tensor:
        u = model(points)[:, 0]
        first = gradient(u)
        if case.kind == "laplacian":
            second = [gradient(first[:, k])[:, k] for k in range(case.dimension)]
            return torch.stack([*second, -u]).sum(0)
        total: Tensor = first[:, 1] + u * first[:, 0]
        high = first[:, 0]
        for k in range(2, case.order + 1):
            high = gradient(high)[:, 0]
            if k == 2 and case.order == 4:
                total = total + high
        sign = {1: 0.0, 2: -NU}.get(case.order, NU)
        return total + sign * high

    return torch_step(model, residual)


def functional_step(assembly: Assembly, case: Case) -> tuple[Step, Check]:
    """By torch.func: derivatives at one point, mapped over the points."""
    model = model_of(assembly, case)
    points = assembly.draw(0, None)[0].points
    parameters: dict[str, Tensor] = dict(model.named_parameters())

    def u(x: Tensor) -> Tensor:
        found: Tensor = torch.func.functional_call(model, parameters, (x[None],))[0, 0]
        return found

    def along(f: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """Its derivative in the first coordinate."""

        def derivative(x: Tensor) -> Tensor:
            found: Tensor = torch.func.grad(f)(x)[0]
            return found

        return derivative

    u_x = along(u)
    u_xx = along(u_x)
    highest = {2: u_xx, 3: along(u_xx), 4: along(along(u_xx))}

    def at_point(x: Tensor) -> Tensor:
        if case.kind == "laplacian":
            laplacian: Tensor = torch.func.jacrev(torch.func.jacrev(u))(x).diagonal().sum()
            return laplacian - u(x)
        first, value = torch.func.grad_and_value(u)(x)
        total: Tensor = first[1] + value * first[0]
        if case.order == 4:
            total = total + u_xx(x)
        if case.order > 1:
            total = total + (-NU if case.order == 2 else NU) * highest[case.order](x)
        return total

    return torch_step(model, lambda: torch.func.vmap(at_point)(points))


def products_step(assembly: Assembly, case: Case) -> tuple[Step, int]:
    """The matrix products of a step alone, and the number of channels in them."""
    index = jet_index(case.dimension, assembly.groups[0].wanted[0], tuple(range(case.dimension)))
    like = assembly.initial_theta()
    square = [torch.randn_like(like.new_empty(case.width, case.width)) for _ in range(case.depth - 1)]
    columns = torch.randn_like(like.new_empty(case.width, index.size * case.points))
    out, sums = torch.empty_like(columns), like.new_empty(case.width, case.width)

    def step() -> None:
        for weight in square:
            torch.mm(weight, columns, out=out)
            torch.mm(weight.t(), columns, out=out)
            torch.mm(columns, out.t(), out=sums)

    return step, index.size


def agree(checks: Sequence[Check]) -> float:
    """The loss that all variants compute; stops where they do not compute the same thing."""
    (value, gradient), *others = [check() for check in checks]
    for other, other_gradient in others:
        torch.testing.assert_close(other, value, rtol=1e-10, atol=0.0)
        torch.testing.assert_close(other_gradient, gradient, rtol=1e-8, atol=1e-12)
    return value


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def timer(step: Step, seconds: float, clock: str) -> Callable[[], float]:
    """Seconds of one step, as the mean over as many as fill a turn."""
    now = CLOCKS[clock]
    step()
    began = now()
    step()
    count = max(1, round(seconds / (now() - began)))

    def turn() -> float:
        began = now()
        for _ in range(count):
            step()
        return (now() - began) / count

    return turn


def peer_timer(peer: common.Peer, seconds: float, clock: str) -> Callable[[], float]:
    """The same by a peer's own loop."""
    peer.ask("1")
    once = float(peer.ask("1")[clock])
    count = max(1, round(seconds / once))
    return lambda: float(peer.ask(str(count))[clock])


def open_peers(
    python: str | None, assembly: Assembly, case: Case, loss: float, threads: int, folder: Path
) -> dict[str, common.Peer]:
    """Those that start and compute the same loss; the others are named on the way."""
    data = folder / "case.npz"
    np.savez(data, points=assembly.draw(0, None)[0].points.numpy(), theta=assembly.initial_theta().numpy())
    asked = {"kind": case.kind, "order": case.order, "nu": NU, "width": case.width, "depth": case.depth}
    asked |= {"precision": "float64", "threads": threads, "data": str(data), "names": NAMES[: case.dimension]}
    found = {}
    for name, script in PEERS.items() if python else ():
        peer, hello, why = common.open_peer(python, script, asked, threads)
        if peer is None:
            print(f"{name} left out of {case.label}: {why}\n", flush=True)
            continue
        torch.testing.assert_close(hello["loss"], loss, rtol=1e-9, atol=0.0)
        if hello["threads"] != threads:
            raise RuntimeError(f"{name} runs on {hello['threads']} threads, not {threads}")
        found[name] = peer
    return found


def measure(
    case: Case, asked: argparse.Namespace, python: str | None, threads: int
) -> dict[str, list[float]]:
    """Milliseconds of a step, by variant and round; the first key is the default engine."""
    assembly = assembly_of(case)
    variants = {name: engine_step(a) for name, a in engines(assembly, asked.compile == "on").items()}
    variants["nested"] = nested_step(assembly, case)
    variants["torch.func"] = functional_step(assembly, case)
    loss = agree([check for _, check in variants.values()])
    turns = {name: timer(step, asked.turn, asked.clock) for name, (step, _) in variants.items()}
    with TemporaryDirectory() as folder:
        peers = open_peers(python, assembly, case, loss, threads, Path(folder))
        try:
            turns |= {name: peer_timer(peer, asked.turn, asked.clock) for name, peer in peers.items()}
            turns["products"] = timer(products_step(assembly, case)[0], asked.turn, asked.clock)
            times = common.interleaved(list(turns.values()), asked.rounds)
        finally:
            for peer in peers.values():
                peer.close()
    return {name: [1e3 * t for t in found] for name, found in zip(turns, times, strict=True)}


def middle_ratio(other: Sequence[float], mine: Sequence[float]) -> float:
    """Median over rounds of one time over another."""
    return statistics.median(a / b for a, b in zip(other, mine, strict=True))


def line(case: Case, channels: int, times: dict[str, list[float]], columns: Sequence[str]) -> list[str]:
    """The case's cells: median milliseconds, then how many times slower than the default engine."""
    default = next(iter(times))
    cells = [case.label, f"{case.depth} x {case.width}", f"{channels}"]
    cells += [common.number(statistics.median(times[c]) if c in times else None) for c in columns]
    others = [c for c in columns if c not in (default, "products")]
    cells += [common.number(middle_ratio(times[c], times[default]) if c in times else None) for c in others]
    return [*cells, f"{middle_ratio(times[default], times['products']):.1f}"]


def draw(rows: Sequence[tuple[Case, dict[str, list[float]]]], folder: Path) -> None:
    """Time by order and by dimension, one figure a network."""
    for depth, width in dict.fromkeys((case.depth, case.width) for case, _ in rows):
        for kind, axis in (("transport", "order"), ("laplacian", "dimension")):
            mine = [(c, t) for c, t in rows if (c.depth, c.width, c.kind) == (depth, width, kind)]
            if not mine:
                continue
            lines = {
                name: (
                    [getattr(c, axis) for c, t in mine if name in t],
                    [statistics.median(t[name]) for _, t in mine if name in t],
                )
                for name in dict.fromkeys(name for _, t in mine for name in t)
            }
            path = folder / f"engines-{kind}-{depth}x{width}.png"
            title = f"One training step, {depth} x {width} tanh, {mine[0][0].points:,} points, float64"
            common.curves(path, title, (axis, "milliseconds"), lines)


def main() -> None:
    """Print and write the tables."""
    parser = argparse.ArgumentParser(description="Time of a training step by derivative engine.")
    parser.add_argument("--rounds", type=int, default=15, help="turns of every variant (default 15)")
    parser.add_argument("--turn", type=float, default=0.2, help="seconds of a turn (default 0.2)")
    parser.add_argument("--points", type=int, default=4096, help="interior points (default 4096)")
    parser.add_argument("--peers-python", help=f"of the peers' environment (or {common.PEERS_VARIABLE})")
    parser.add_argument("--compile", choices=("on", "off"), default="off", help="add compiled engines")
    parser.add_argument("--only", action="append", metavar="CASE", help="such as 'order 2'; may be repeated")
    parser.add_argument(
        "--clock", choices=tuple(CLOCKS), default="wall", help="cpu: where others compute, too"
    )
    parser.add_argument("--out", type=Path, default=common.RESULTS, help="folder of the results")
    parser.add_argument("--smoke", action="store_true", help="a few milliseconds of everything")
    asked = parser.parse_args()
    if asked.smoke:
        asked.rounds, asked.turn, asked.points = 2, 0.005, 256
    chosen = [c for c in cases(asked.points, asked.smoke) if not asked.only or c.label in asked.only]
    if not chosen:
        parser.error(f"--only: choose of {', '.join(dict.fromkeys(c.label for c in cases(1, asked.smoke)))}")
    threads = prepare_cpu()
    if asked.clock == "cpu" and threads > 1:
        parser.error("--clock cpu: set OMP_NUM_THREADS=1, since the times of threads add up")
    python = common.peers_python(asked.peers_python)
    report = common.Report("Derivative engines", "engines", threads, asked.out)
    peers = "" if python else " DeepXDE and PINA are left out: no `--peers-python`."
    report.begin(
        f"Milliseconds ({asked.clock}) of a training step (value, gradient, Adam) at {asked.points:,} points "
        f"in float64: median of {asked.rounds} rounds, in which the variants take turns; then how many times "
        f"longer than the first engine the others take, and it than the bare matrix products.{peers}"
    )
    rows: list[tuple[Case, dict[str, list[float]]]] = []
    for case in chosen:
        rows.append((case, measure(case, asked, python, threads)))
        shown = ", ".join(f"{name} {statistics.median(times):.2f}" for name, times in rows[-1][1].items())
        print(f"{case.label}, {case.depth} x {case.width}: {shown}", flush=True)
    columns = [*dict.fromkeys(name for _, times in rows for name in times if name != "products"), "products"]
    default = columns[0]
    slower = [f"{c} / {default}" for c in columns if c not in (default, "products")]
    head = ["case", "network", "channels", *columns, *slower, f"{default} / products"]
    cells = [line(c, products_step(assembly_of(c), c)[1], times, columns) for c, times in rows]
    report.add("\n" + common.table(head, cells))
    report.write()
    draw(rows, asked.out)


if __name__ == "__main__":
    main()

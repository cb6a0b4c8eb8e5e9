"""Time windows and curricula: what each leg solves, the hand-over, resuming, and the solution as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from pinncli.problem.formulation import formulate
from pinncli.problem.legs import legs
from pinncli.problem.loading import load_text
from pinncli.problem.terms import Formulation
from pinncli.runs.store import Run
from pinncli.solution import Solution
from pinncli.solver import Outcome, SolveOptions, load_solution, solve
from pinncli.training import StepRecord

OPTIONS: Mapping[str, Any] = {"seed": 0, "device": "cpu", "precision": "float64"}

WAVE = """
title = "Standing wave"
unknowns = ["u"]
[coordinates]
x = [0, 1]
t = [0, 1]
[constants]
c = 1.5
[conditions]
wave = { equation = "u_tt = c^2*u_xx" }
initial = { on = "t-", equation = "u = sin(pi*x)" }
velocity = { on = "t-", equation = "u_t = 0" }
walls = { on = "x-, x+", equation = "u = 0" }
[exact]
u = "sin(pi*x)*cos(c*pi*t)"
[network]
width = 8
depth = 2
[sampling]
interior = 150
boundary = 20
resample = { every = 7 }
[output]
grid = { x = 5, t = 9 }
[[stages]]
optimiser = { kind = "adam" }
steps = 5
[[stages]]
optimiser = { kind = "lm" }
steps = 12
[marching]
windows = 2
[training]
checkpoint_seconds = 1e-9
"""

DECAY = """
title = "Decay"
unknowns = ["u"]
[coordinates]
t = [0, 1]
[constants]
k = 4
[conditions]
decay = { equation = "u_t = -k*u" }
start = { on = "t-", equation = "u = 1" }
[exact]
u = "exp(-k*t)"
[network]
width = 6
depth = 1
[sampling]
interior = 40
[[stages]]
optimiser = { kind = "lm" }
steps = 30
[training]
checkpoint_seconds = 1e-9
"""

COMPLEX = """
title = "A plane wave of the free Schrodinger equation"
[coordinates]
x = [0, 1]
t = [0, 0.4]
[unknowns.h]
kind = "complex"
[conditions]
schrodinger = { equation = "i*h_t + h_xx/2 = 0" }
initial = { on = "t-", equation = "h = exp(2*i*x)" }
walls = { on = "x-, x+", equation = "h = exp(i*(2*x - 2*t))" }
[exact]
h = "exp(i*(2*x - 2*t))"
[network]
width = 10
depth = 2
[sampling]
interior = 200
boundary = 20
[[stages]]
optimiser = { kind = "lm" }
steps = 25
[marching]
windows = 2
"""


def formulated(text: str) -> Formulation:
    return formulate(load_text(text, "march", "march.toml", Path()))


@dataclass(frozen=True)
class Solved:
    """A run directory, and what the solve that made it said."""

    folder: Path
    records: Sequence[StepRecord]
    outcome: Outcome

    @property
    def solution(self) -> Solution:
        return load_solution(Run.open(self.folder))

    @property
    def tree(self) -> dict[str, Any]:
        found = Run.open(self.folder).load_checkpoint()
        assert found is not None
        return found


def solved(folder: Path, text: str, interrupt: int | None = None, **options: Any) -> Solved:
    """Solve `text` into `folder`; stopped after `interrupt` records, as by a signal."""
    records: list[StepRecord] = []

    def stop() -> str | None:
        return "a signal" if interrupt is not None and len(records) >= interrupt else None

    with Run.create(folder, "march", text, OPTIONS) as run:
        loop = solve(formulated(text), SolveOptions(device="cpu", **options), run, stop)
        while True:
            try:
                records.append(next(loop))
            except StopIteration as end:
                return Solved(folder, records, end.value)


def same(a: Any, b: Any, where: str = "") -> None:
    """Two checkpoints, bit for bit, but for the clock."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            if key != "elapsed":
                same(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    else:
        assert a == b, where


def timeless(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in r.items() if k != "elapsed"} for r in Run.open(folder).history()]


@pytest.fixture(scope="module")
def wave(tmp_path_factory: pytest.TempPathFactory) -> Solved:
    return solved(tmp_path_factory.mktemp("wave") / "run", WAVE)


# --- the hand-over -----------------------------------------------------------------------------------


def test_a_window_begins_with_what_the_one_before_arrived_at(wave: Solved) -> None:
    """Value and velocity at the cut are the data of the second window, in full precision."""
    first, second = wave.solution.pieces
    groups = second.assembly.groups
    k = next(k for k, group in enumerate(groups) if group.name.startswith("handover"))
    sample = second.assembly.draw(0, None)[k]
    assert torch.equal(sample.points[:, 1], torch.full((20,), 0.5, dtype=torch.float64))
    x = sample.points.clone().requires_grad_()
    u = first.assembly.network(first.theta, x)[:, 0]
    (gradient,) = torch.autograd.grad(u.sum(), x)
    assert torch.allclose(sample.columns["handover_u"], u, rtol=0, atol=1e-14)
    assert torch.allclose(sample.columns["handover_u_t"], gradient[:, 1], rtol=0, atol=1e-13)
    rows = second.assembly.objective_of([groups[k]], [sample]).condition_rows(second.theta)
    mine = second.assembly.network(second.theta, sample.points)[:, 0]
    assert torch.allclose(rows["handover_u"][0], mine - u, rtol=0, atol=1e-14)


def test_every_draw_evaluates_the_hand_over_at_its_own_points(wave: Solved) -> None:
    second = wave.solution.pieces[1]
    k = next(k for k, r in enumerate(second.assembly.regions) if r.handover)
    one, two = (second.assembly.draw(number, None)[k] for number in (0, 1))
    assert not torch.equal(one.points, two.points)
    assert not torch.equal(one.columns["handover_u"], two.columns["handover_u"])


def test_conditions_belong_to_their_windows() -> None:
    first, second = (leg.formulation for leg in legs(formulated(WAVE)))
    assert [t.name for t in first.conditions] == ["wave", "initial", "velocity", "walls"]
    assert [t.name for t in second.conditions] == ["wave", "walls", "handover_u", "handover_u_t"]
    assert first.problem.coordinates["t"].range == (0.0, 0.5)
    assert second.problem.coordinates["t"].range == (0.5, 1.0)


# --- resuming ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [3, 9, 17, 18, 26, 33])
def test_an_interrupted_march_repeats_the_undisturbed_one(wave: Solved, tmp_path: Path, after: int) -> None:
    """In either stage of either window, between them, and before the last step."""
    assert len(wave.records) == 34
    part = solved(tmp_path / "run", WAVE, interrupt=after)
    assert part.outcome.status == "interrupted"
    rest = solved(tmp_path / "run", WAVE)
    assert len(part.records) + len(rest.records) == 34
    same(rest.tree, wave.tree)
    assert timeless(rest.folder) == timeless(wave.folder)
    assert rest.outcome.summary["errors"] == wave.outcome.summary["errors"]
    assert rest.outcome.summary["residuals"] == wave.outcome.summary["residuals"]
    assert rest.outcome.summary["loss"] == wave.outcome.summary["loss"]


@pytest.mark.parametrize("after", [16, 17, 18, 25])
def test_a_killed_march_repeats_the_undisturbed_one(wave: Solved, tmp_path: Path, after: int) -> None:
    """The process dies without a word after a record; the checkpoint was saved after every step."""
    with Run.create(tmp_path / "run", "march", WAVE, OPTIONS) as run:
        loop = solve(formulated(WAVE), SolveOptions(device="cpu"), run)
        for _ in range(after):
            next(loop)
        loop.close()
    rest = solved(tmp_path / "run", WAVE)
    same(rest.tree, wave.tree)
    assert timeless(rest.folder) == timeless(wave.folder)


def test_the_history_says_which_window(wave: Solved) -> None:
    assert [r["window"] for r in Run.open(wave.folder).history()] == [0] * 17 + [1] * 17
    assert [r["step"] for r in Run.open(wave.folder).history()] == list(range(1, 35))

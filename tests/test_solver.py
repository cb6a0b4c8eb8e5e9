"""The composition root under trouble: memory that runs out, storage that fails, a run of another network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from pinncli import recorder
from pinncli.assembly import Assembly
from pinncli.cli.main import run
from pinncli.errors import CorruptError, MemoryLimitError, StorageError
from pinncli.networks import MLP
from pinncli.problem.defaults import choose
from pinncli.problem.formulation import formulate
from pinncli.problem.loading import load_problem, load_text
from pinncli.runs.store import Run
from pinncli.solver import Outcome, SolveOptions, load_solution, solve
from pinncli.training import StepRecord

TEXT = """
title = "Decay"
unknowns = ["u"]
[coordinates]
t = [0, 1]
[conditions]
decay = { equation = "u_t = -u" }
start = { on = "t-", equation = "u = 1" }
[exact]
u = "exp(-t)"
[network]
width = 4
depth = 2
[derivatives]
block = 512
[sampling]
interior = 600
[training]
max_steps = 6
checkpoint_seconds = 1e-9
"""
OPTIONS = {"seed": 0, "device": "cpu", "precision": "float64"}


def solved(folder: Path, text: str = TEXT) -> tuple[list[StepRecord], Outcome]:
    with Run.create(folder, "decay", text, OPTIONS) as run:
        records = []
        loop = solve(
            formulate(load_text(text, "decay", "decay.toml", folder)), SolveOptions(device="cpu"), run
        )
        while True:
            try:
                records.append(next(loop))
            except StopIteration as end:
                return records, end.value


def test_errors_are_measured_as_often_as_asked(tmp_path: Path) -> None:
    by_default, _ = solved(tmp_path / "default")
    assert [r.step for r in by_default if r.error is not None] == [1]
    often, _ = solved(tmp_path / "often", TEXT + "measure_every = 2\n")
    assert [r.step for r in often if r.error is not None] == [1, 2, 4, 6]
    assert [r.value for r in often] == [r.value for r in by_default]  # to measure changes nothing


def limit_blocks(monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Memory holds blocks of `most` points; the block of every objective that was made."""
    seen: list[int] = []
    whole = Assembly.objective_of

    def objective_of(self: Assembly, groups: Sequence[Any], samples: Sequence[Any]) -> Any:
        seen.append(self.block)
        if self.block > most:
            raise torch.OutOfMemoryError("no room")
        return whole(self, groups, samples)

    monkeypatch.setattr(Assembly, "objective_of", objective_of)
    return seen


def test_out_of_memory_makes_blocks_smaller_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = limit_blocks(monkeypatch, 200)
    records, outcome = solved(tmp_path / "run")
    assert outcome.status == "complete"
    assert len(records) == 6
    assert seen[:3] == [512, 256, 128]
    assert set(seen[3:]) == {128}  # the fields and residuals too


def test_out_of_memory_with_the_smallest_blocks_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_blocks(monkeypatch, 10)
    with pytest.raises(MemoryLimitError, match="network smaller"):
        solved(tmp_path / "run")


def test_a_checkpoint_that_cannot_be_saved_is_told_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, failures = Run.save_checkpoint, iter(range(2))

    def unreliable(self: Run, state: Any) -> None:
        if next(failures, None) is not None:
            raise StorageError("disk full")
        save(self, state)

    monkeypatch.setattr(Run, "save_checkpoint", unreliable)
    monkeypatch.setattr(recorder, "SAVE_RETRY_SECONDS", 0.0)
    records, outcome = solved(tmp_path / "run")
    assert [("disk full" in r.event) for r in records] == [True, True, False, False, False, False]
    assert outcome.status == "complete"


def test_a_run_of_another_network_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    solved(tmp_path / "run")
    monkeypatch.setattr("pinncli.assembly.NETWORKS", {"mlp": lambda **s: MLP(**(s | {"width": 5}))})
    with pytest.raises(
        CorruptError, match="holds 33 parameters, and this version of pinncli gives the problem 46"
    ):
        load_solution(Run.open(tmp_path / "run"))


def test_a_long_limit_buys_neurons_and_points_that_the_run_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    formulation = formulate(load_problem("burgers1d"))
    short, long = (choose(formulation, timed=True, allowed=seconds) for seconds in (60.0, 600.0))
    assert long.network.width > short.network.width and long.interior > short.interior
    assert choose(formulation).network == short.network
    words = ["solve", "burgers1d", "--max-time", "600s", "--set", "training.max_steps=2", "--out", "r"]
    assert run([*words, "--set", "output.grid={x=11, t=6}", "--quiet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == long.parameters
    assert run(["eval", "r"]) == 0

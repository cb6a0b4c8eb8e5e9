"""The program from end to end on a small problem: solve, interrupt, continue, evaluate, draw."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pinncli.cli.main import run

SMALL = (
    "--set", "network.width=8", "--set", "network.depth=2", "--set", "sampling.interior=200",
    "--set", "sampling.boundary=20", "--set", "output.grid={x=11,t=7}",
)  # fmt: skip
QUICK = (*SMALL, "--set", "stages=[{optimiser={kind='lm'}, steps=30}]")
SLOW = (*SMALL, "--set", "stages=[{optimiser={kind='lm'}, steps=150}]")


@pytest.fixture
def pinncli(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Run a command line in an empty folder; exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return call


Program = Callable[..., tuple[int, str, str]]


def test_solve_then_everything_else(pinncli: Program) -> None:
    code, out, _ = pinncli("solve", "heat1d", *QUICK, "--out", "r", "--json")
    summary = json.loads(out)
    assert (code, summary["status"] in ("complete", "stalled")) == (0, True)
    assert summary["errors"]["u"]["rel_l2"] < 1e-2
    assert set(summary["residuals"]) == {"heat", "initial", "walls"}

    code, out, _ = pinncli("eval", "r", "--grid", "x=11,t=5", "--out", "e.h5", "--json")
    facts = json.loads(out)
    assert (code, facts["points"]) == (0, {"t": 5, "x": 11})
    assert facts["errors"]["u"]["rel_l2"] < 1e-2
    assert Path("e.h5").stat().st_size > 0

    assert pinncli("eval", "r", "--at", "t=0.5", "--out", "slice.h5", "--fail-above", "1e-12")[0] == 3
    assert Path("slice.h5").exists()
    assert pinncli("eval", "r", "--at", "t=0.5", "--fail-above", "0.1", "--precision", "float32")[0] == 0
    Path("points.csv").write_text("t,x\n0.5,0.25\n1,1\n")
    assert pinncli("eval", "r", "--points", "points.csv", "--out", "p.csv")[0] == 0
    assert Path("p.csv").read_text().startswith("x,t,u")

    assert "relative L2" in pinncli("report", "r")[1]
    assert pinncli("plot", "r", "--out", "figures")[1].split() == [
        f"figures/{name}.png" for name in ("history", "solution", "slices", "residuals")
    ]
    assert pinncli("export", "r", "--format", "vtkhdf")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--grid", "y=5"], 2, "no coordinate 'y'"),
        (["--grid", "x=5", "--at", "x=0.5"], 2, "'x'"),
        (["--at", "t=7"], 2, "t"),
        (["--points", "no.csv"], 66, "no.csv"),
        (["--points", "bad.csv"], 65, "row 1"),
        (["--points", "bad.csv", "--grid", "x=5"], 2, "--points"),
        (["--out", "e.txt"], 2, ".h5"),
        (["--device", "cuda:99"], 69, "torch"),
    ],
)
def test_what_bad_input_to_eval_gets(
    arguments: list[str], code: int, text: str, pinncli: Program, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = solved(tmp_path_factory)
    Path("bad.csv").write_text("x,t\nnan,0\n")
    done = pinncli("eval", str(folder), *arguments)
    assert done[0] == code, done[2]
    assert text in done[2]


def solved(factory: pytest.TempPathFactory) -> Path:
    """One small run for several tests."""
    folder = factory.getbasetemp() / "solved"
    if not folder.exists():
        assert run(["solve", "heat1d", *QUICK, "--out", str(folder), "--quiet"]) == 0
    return folder


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "pinncli", "solve", "heat1d", *SLOW, "--out", str(folder), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def after_first_step(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("step"):
            return


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1])
def test_a_signal_saves_and_the_same_command_continues(number: int, tmp_path: Path) -> None:
    process = start(tmp_path / "r", "--json")
    after_first_step(process)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 75, err
    assert json.loads(out)["status"] == "interrupted"
    assert "python -m pinncli solve heat1d" in err
    again = start(tmp_path / "r", "--json")
    out, err = again.communicate(timeout=120)
    summary: dict[str, Any] = json.loads(out)
    assert (again.returncode, summary["status"] in ("complete", "stalled")) == (0, True), err
    steps = [json.loads(line)["step"] for line in (tmp_path / "r/history.jsonl").read_text().splitlines()]
    assert steps == list(range(1, summary["steps"] + 1))


def test_closed_output_does_not_end_training(tmp_path: Path) -> None:
    process = start(tmp_path / "r")
    after_first_step(process)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    assert process.wait(timeout=120) == 0
    assert json.loads((tmp_path / "r" / "run.json").read_text())["status"] in ("complete", "stalled")


def test_start_is_quick() -> None:
    """By the processor's time: the wall clock of a busy machine says nothing."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-m", "pinncli", "--help"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(3):
        subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 3 < 0.5

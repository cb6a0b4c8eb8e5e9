"""The benchmark programs run and write what they say; peers are left out, and that is said.

Each runs as a person runs it, in a process of its own, with `--smoke`.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from pinncli.problem.loading import load_problem

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"


def run(program: str, out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "PINNCLI_PEERS_PYTHON"}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(BENCHMARKS / program), "--smoke", "--out", str(out), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment, cwd=out)


@pytest.fixture
def common(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    specification = importlib.util.spec_from_file_location("benchmarks_common", BENCHMARKS / "common.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "benchmarks_common", module)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("program", "arguments", "said", "files"),
    [
        ("engines.py", (), "| Laplacian, 3-d | 2 x 8 | 5 |", {"engines.md", "engines-transport-2x8.png"}),
        ("time_to_error.py", (), "| heat1d | 1e-02 |", {"time_to_error.md", "time_to_error-heat1d.png"}),
        ("records.py", (), "6e-8, 1,000 s GPU (KFAC/ENGD)", {"records.md", "records.json"}),
        ("promises.py", (), "| damped_oscillator | 1e-09 | 10 s | 1 of 1 |", {"promises.md"}),
        ("library.py", (), "6e-8 (KFAC/ENGD, 1,000 s GPU)", {"library.md", "library.json"}),
        ("auto.py", (), "| heat1d | ", {"auto.md", "auto.json"}),
        ("memory.py", ("--only", "adam"), "| adam | 4 | ", {"memory.md"}),
        ("gpu.py", ("--device", "cpu"), "| order 2 | 3 x 20 | float32 | 1,000 |", {"gpu.md"}),
    ],
)
def test_program_measures_and_writes(
    tmp_path: Path, program: str, arguments: tuple[str, ...], said: str, files: set[str]
) -> None:
    done = run(program, tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
    assert files <= {path.name for path in tmp_path.iterdir()}
    written = (tmp_path / program).with_suffix(".md").read_text("utf-8")
    assert said in written
    assert f"python benchmarks/{program} --smoke" in written  # the command that made it
    if program in ("engines.py", "time_to_error.py"):
        assert "DeepXDE and PINA are left out" in written


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A program of benchmarks/ as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for each in ("common", "campaign", "library", "auto"):
        monkeypatch.delitem(sys.modules, each, raising=False)
    return importlib.import_module(name)


def test_a_campaign_does_only_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    campaign = load("campaign", monkeypatch)
    asked: list[str] = []

    def solve(problem: str, folder: Path, arguments: list[str], **_: object) -> SimpleNamespace:
        asked.append(problem)
        if problem == "wave1d":
            raise RuntimeError("exit code 70")
        return SimpleNamespace(summary={"errors": {"u": {"rel_l2": 1e-3}}, "run": str(folder)})

    monkeypatch.setattr(campaign.common, "solve", solve)
    monkeypatch.setattr(campaign, "usable_cores", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    tasks = [campaign.Task("heat1d", 5), campaign.Task("wave1d", 5), campaign.Task("heat1d", 5, seed=1)]
    told: list[str] = []
    store = tmp_path / "deep" / "store.json"

    def tell(task: Any, record: Any) -> None:
        told.append(task.key)
        assert task.key in json.loads(store.read_text("utf-8"))  # remembered before anything else is done

    records = campaign.run(tasks, store, 2, tell)
    assert sorted(told) == sorted(records) == ["heat1d 5s seed 0", "heat1d 5s seed 1", "wave1d 5s seed 0"]
    assert records["heat1d 5s seed 0"]["error"] == 1e-3
    assert "2 threads" in records["heat1d 5s seed 0"]["machine"]
    assert "exit code 70" in records["wave1d 5s seed 0"]["failed"]
    asked.clear()
    assert set(campaign.run(tasks, store, 1, tell)) == set(records)
    assert asked == ["wave1d"]  # what failed is tried again
    asked.clear()
    changed = [campaign.Task("heat1d", 5, sets=("network.width=9",)), tasks[2]]
    campaign.run(changed, store, 1, tell)
    assert asked == ["heat1d"]  # other settings
    campaign.run(tasks[2:], store, 1, tell, again=True)
    assert asked == ["heat1d", "heat1d"]


def test_published_figures_are_found_by_the_case(monkeypatch: pytest.MonkeyPatch) -> None:
    library = load("library", monkeypatch)
    (wave,) = library.campaign.shipped(["wave1d"])
    assert library.published(wave) == "8e-6 (PirateNet + SOAP); 9.8e-02 (PINNacle Wave1d-C, NTK)"
    (heat,) = library.campaign.shipped(["heat1d"])
    assert "PINNacle" not in library.published(heat)
    record = {"budget": 60, "error": 2e-9, "summary": {
        "residuals": {"heat": {"rms": 1e-3, "max": 1.0, "rms_train": 2e-3}, "walls": {"rms": 1e-9}},
        "time": {"total_s": 5.1}, "parameters": 400, "engine": "taylor", "status": "complete",
        "network": {"kind": "features", "width": 400, "depth": 1, "patches": [3, 1]},
    }}  # fmt: skip
    cells = dict(zip(library.HEAD, library.row(heat, [record]), strict=True))
    assert (cells["met"], cells["asked"], cells["network"]) == (
        "**no**",
        "1e-09",
        "400 features on 3 x 1 patches",
    )
    assert cells["residual"] == "1.0e-03 (heat)"
    failed = library.row(heat, [record, {"failed": "exit code 70\nmore"}])
    assert len(failed) == len(library.HEAD) and failed[-1] == "exit code 70"
    with pytest.raises(SystemExit, match="no shipped problem: heat9d"):
        library.campaign.shipped(["heat9d"])


def test_auto_is_compared_with_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    auto = load("auto", monkeypatch)
    errors = {"auto": {"error": 3e-4}, "2x20 lm": {"error": 1e-4}, "3x30 lm": {"failed": "no"}}
    cells, ratio = auto.row("heat1d", errors)
    assert ratio == pytest.approx(3.0)
    assert dict(zip(auto.HEAD, cells, strict=True))["2x20 lm"] == "**1.0e-04**"
    assert auto.row("heat1d", {"auto": {"error": 1e-15}, "2x20 lm": {"error": 1e-16}})[1] == 1.0
    assert auto.row("heat1d", {**errors, "auto": {"failed": "no"}})[1] == math.inf


@pytest.mark.parametrize("coordinates", [["x", "t"], ["x", "y", "t"]])
def test_hand_written_settings_are_settings(
    coordinates: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each of them on a problem of these coordinates, whatever its file says."""
    auto = load("auto", monkeypatch)
    text = f"""
    title = "made up"
    unknowns = ["u"]
    coordinates = {{ {", ".join(f"{name} = [0, 1]" for name in coordinates)} }}
    conditions = {{ heat = {{ equation = "u_t = lap(u)" }}, initial = {{ on = "t-", equation = "u = 0" }} }}
    [network]
    width = 7
    [curriculum]
    """
    path = tmp_path / "made.toml"
    path.write_text(text, "utf-8")
    for name, sets in auto.settings(coordinates).items():
        problem = load_problem(str(path), list(sets)).problem
        assert (problem.network.kind == "auto") == (name == "auto")
        assert getattr(problem.network, "width", None) != 7


def test_without_an_accelerator_the_exit_code_says_so(tmp_path: Path) -> None:
    done = run("gpu.py", tmp_path, "--device", "cuda:99")
    assert done.returncode == 69
    assert "cuda:99" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_peer_that_cannot_start_is_named(common: ModuleType, tmp_path: Path) -> None:
    peer, _, why = common.open_peer(None, "deepxde_step.py", {}, 1)
    assert peer is None
    assert "no environment" in why
    peer, _, why = common.open_peer(str(tmp_path / "python"), "deepxde_step.py", {}, 1)
    assert peer is None
    assert "No such file" in why
    peer, _, why = common.open_peer(sys.executable, "turns.py", {}, 1)  # says nothing and ends
    assert peer is None
    assert "ended with 0" in why


def test_turns_are_timed_one_by_one(common: ModuleType, tmp_path: Path) -> None:
    script = tmp_path / "peer.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(BENCHMARKS / 'peers')!r})\nfrom turns import Turns, say\n"
        "say(threads=1)\nturns = Turns()\ngo = turns.wait()\nsteps = 0\n"
        "while go:\n    steps += 1\n    go = turns.step()\nsay(steps=steps)\n"
    )
    peer, hello, why = common.open_peer(sys.executable, str(script), {}, 1)
    assert (hello, why) == ({"threads": 1}, "")
    assert peer.ask("3")["wall"] >= 0
    assert set(peer.ask("2")) == {"wall", "cpu"}
    assert peer.ask("") == {"steps": 5}
    peer.close()


def test_a_peers_clock_stands_still_while_it_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import numpy as np

    monkeypatch.syspath_prepend(str(BENCHMARKS / "peers"))
    for name in ("clock", "turns"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import clock

    now = [100.0]
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])
    np.savez(tmp_path / "data.npz", points=np.zeros((4, 2)), values=np.full(4, 2.0))
    watch = clock.Watch({"data": str(tmp_path / "data.npz"), "budget": 10.0})
    now[0] = 150.0
    watch.start()

    def predict(points: np.ndarray) -> np.ndarray:
        now[0] += 7.0  # a slow measurement
        return np.full((len(points), 1), 1.0)

    now[0] += 1.0
    assert watch.tick(predict)
    now[0] += 0.01
    assert watch.tick(predict)  # too soon to measure again
    now[0] += 0.99
    assert watch.tick(predict)
    watch.event("Adam ends", predict)
    assert watch.curve == [(1.0, 0.5), (2.0, 0.5), (2.0, 0.5)]
    assert watch.events == [("Adam ends", 2.0, 0.5)]
    now[0] += 8.0
    assert not watch.tick(predict)
    watch.finish(example="none")
    assert json.loads(capsys.readouterr().out)["example"] == "none"


def test_time_to_an_error_is_where_it_was_first_measured(common: ModuleType) -> None:
    curve = [(1.0, 0.5), (2.0, 0.09), (3.0, 0.2), (4.0, 0.01)]
    assert [common.first_below(curve, level) for level in (1.0, 0.1, 0.01, 0.001)] == [1.0, 2.0, 4.0, None]


def test_peers_are_pinned() -> None:
    lines = (BENCHMARKS / "peers.txt").read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    constraints = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    assert {"torch", "deepxde", "pina-mathlab"} <= set(pins)
    assert f"torch=={pins['torch']}" in constraints  # the same torch for all

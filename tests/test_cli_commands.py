"""Every command in this process, with a stand-in for the training."""

from __future__ import annotations

import json
import signal
import sys
import tomllib
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from pinncli.cli.app import app
from pinncli.cli.main import run
from pinncli.cli.reference import reference
from pinncli.evaluation import FieldSet
from pinncli.training import StepRecord

PROBLEM = """
title = "A small problem"
unknowns = ["u"]
coordinates = { x = [0, 1], t = [0, 1] }
constants = { alpha = 0.1 }
[conditions]
heat    = { on = "interior", equation = "u_t = alpha*u_xx" }
initial = { on = "t-",       equation = "u = sin(pi*x)" }
walls   = { on = "x-, x+",   equation = "u = 0" }
[exact]
u = "exp(-alpha*pi^2*t)*sin(pi*x)"
[[stages]]
optimiser = { kind = "adam" }
steps = 20
"""


@dataclass
class Asked:
    """What the stand-in was asked for."""

    options: Any = None
    calls: int = 0
    statuses: list[str] = field(default_factory=lambda: ["complete"])


@dataclass(frozen=True)
class Options:
    device: str = "auto"
    precision: str = "float64"
    seed: int = 0
    max_time: float | None = None
    target: float | None = None


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Asked:
    """A fresh folder with `small.toml`, and a solver that only seems to train."""
    seen = Asked()

    def solve(
        formulation: Any, options: Options, run: Any, stop: Callable[[], str | None]
    ) -> Generator[Any, None, Any]:
        seen.options = options
        status = seen.statuses[seen.calls % len(seen.statuses)]
        seen.calls += 1
        for k in range(1, 21):
            if stop():
                status = "interrupted"
                break
            losses = {"heat": 1.0 / k} if k % 5 == 0 else None
            record = StepRecord(0, "adam", k, 1.0 / k, 1.0, 1.0, 1, losses, 0.1, {}, k / 10)
            run.append(asdict(record))
            yield record
        summary = {
            "schema": 1, "status": status, "problem": formulation.name, "run": str(run.folder),
            "seed": options.seed, "device": options.device, "precision": options.precision,
            "engine": "taylor", "parameters": 10, "steps": 20, "time": {"total_s": 2.0, "train_s": 1.0},
            "loss": 0.05, "errors": {"u": {"rel_l2": 1e-5, "max_abs": 2e-5}},
            "residuals": {"heat": {"rms": 1e-4, "max": 1e-3, "rms_train": 1e-4}},
        }  # fmt: skip
        if status not in ("interrupted", "diverged"):
            run.publish_fields(small_fields())
        run.finish(status, summary)
        return SimpleNamespace(status=status, summary=summary)

    stand_in = SimpleNamespace(solve=solve, SolveOptions=Options)
    monkeypatch.setitem(sys.modules, "pinncli.solver", stand_in)  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    for name in ("PINNCLI_DEVICE", "PINNCLI_SEED", "PINNCLI_RUNS", "PINNCLI_PROBLEMS", "NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "small.toml").write_text(PROBLEM)
    return seen


def small_fields() -> FieldSet:
    t, x = np.linspace(0, 1, 5), np.linspace(0, 1, 7)
    u = np.exp(-t)[:, None] * np.sin(np.pi * x)
    fields = {"u": u, "reference_u": u, "error_u": 0 * u, "residual_heat": 1e-3 * u}
    return FieldSet("A small problem", {"t": t, "x": x}, fields, {}, {}, {"t": "T", "x": "X"})


class Outcome(SimpleNamespace):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on stdout."""
        return json.loads(self.out)


@pytest.fixture
def pinncli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run a command line and read back what it printed."""

    def call(*arguments: str) -> Outcome:
        code = run(arguments)
        out, err = capsys.readouterr()
        return Outcome(code=code, out=out, err=err)

    return call


Program = Callable[..., Outcome]


def test_every_command_has_help_and_is_in_the_reference() -> None:
    page = reference()
    names = [info.name for info in app.registered_commands]
    assert names == [
        "solve", "eval", "plot", "report", "compare", "export", "list", "show", "check", "new", "doctor"
    ]  # fmt: skip
    for name in names:
        result = CliRunner().invoke(app, [str(name), "--help"])
        assert result.exit_code == 0
        assert f"## {name}\n" in page


@pytest.mark.parametrize("width", ["20", "40", "200"])
def test_help_at_any_width(width: str) -> None:
    result = CliRunner().invoke(app, ["solve", "--help"], env={"COLUMNS": width, "TERMINAL_WIDTH": width})
    assert result.exit_code == 0
    assert all(len(line) <= int(width) for line in result.output.splitlines())


def test_solve(asked: Asked, pinncli: Program) -> None:
    done = pinncli("solve", "./small.toml")
    assert done.code == 0
    assert done.out.startswith("small: complete, 20 steps in 0:02")
    assert "1.00e-05 relative L2" in done.out
    assert "step 1/20  adam" in done.err
    assert "step 20/20" in done.err
    assert {"run.json", "problem.toml", "history.jsonl", "fields.h5"} <= {
        p.name for p in Path("runs/small-s0").iterdir()
    }


def test_solve_json_is_one_object(asked: Asked, pinncli: Program) -> None:
    done = pinncli("solve", "./small.toml", "--json")
    assert (done.json["status"], done.json["run"]) == ("complete", "runs/small-s0")


def test_solve_quietly(asked: Asked, pinncli: Program) -> None:
    assert pinncli("solve", "./small.toml", "--quiet").err == ""


def test_finished_run_returns_at_once(asked: Asked, pinncli: Program) -> None:
    first = pinncli("solve", "./small.toml", "--json")
    again = pinncli("solve", "./small.toml", "--json")
    assert (again.code, asked.calls) == (0, 1)
    assert again.json == first.json
    assert "finished" in again.err
    assert pinncli("solve", "./small.toml", "--force").code == 0
    assert asked.calls == 2


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("complete", 0),
        ("target", 0),
        ("time-limit", 0),
        ("stalled", 0),
        ("interrupted", 75),
        ("diverged", 70),
    ],
)
def test_exit_code_of_every_status(status: str, code: int, asked: Asked, pinncli: Program) -> None:
    asked.statuses = [status]
    done = pinncli("solve", "./small.toml", "--json")
    assert (done.code, done.json["status"]) == (code, status)
    assert pinncli("report", "small-s0").code == 0


def test_interrupted_run_says_how_to_continue(
    asked: Asked, pinncli: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked.statuses = ["interrupted", "complete"]
    monkeypatch.setattr(sys, "argv", ["pinncli", "solve", "./small.toml", "--force"])
    done = pinncli("solve", "./small.toml", "--force")
    assert done.code == 75
    assert "    pinncli solve ./small.toml\n" in done.err
    assert pinncli("solve", "./small.toml").code == 0


def test_a_signal_interrupts(asked: Asked, pinncli: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    from pinncli.cli import display

    monkeypatch.setattr(display.LineDisplay, "show", lambda self, record: signal.raise_signal(signal.SIGTERM))
    done = pinncli("solve", "./small.toml", "--json")
    assert (done.code, done.json["status"]) == (75, "interrupted")


def test_options_reach_the_solver(asked: Asked, pinncli: Program) -> None:
    arguments = [
        "--device",
        "cpu",
        "--precision",
        "float32",
        "--seed",
        "3",
        "--max-time",
        "1m30s",
        "--target",
        "1e-3",
    ]
    assert pinncli("solve", "./small.toml", *arguments, "--out", "here").code == 0
    assert asked.options == Options("cpu", "float32", 3, 90.0, 1e-3)
    assert Path("here/run.json").exists()


def test_flags_come_before_the_environment(
    asked: Asked, pinncli: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINNCLI_SEED", "5")
    monkeypatch.setenv("PINNCLI_MAX_TIME", "10s")
    monkeypatch.setenv("PINNCLI_RUNS", "elsewhere")
    assert pinncli("solve", "./small.toml").code == 0
    assert (asked.options.seed, asked.options.max_time) == (5, 10.0)
    assert Path("elsewhere/small-s5/run.json").exists()
    assert pinncli("solve", "./small.toml", "--seed", "6").code == 0
    assert asked.options.seed == 6


def test_settings_are_in_the_run(asked: Asked, pinncli: Program) -> None:
    assert (
        pinncli("solve", "./small.toml", "--set", "network.width=7", "--set", "output.grid={x=5,t=4}").code
        == 0
    )
    kept = tomllib.loads(Path("runs/small-s0/problem.toml").read_text())
    assert (kept["network"]["width"], kept["output"]["grid"]) == (7, {"x": 5, "t": 4})


def test_dry_run_does_nothing(asked: Asked, pinncli: Program) -> None:
    done = pinncli("solve", "./small.toml", "--dry-run")
    assert (done.code, asked.calls, Path("runs").exists()) == (0, 0, False)
    assert "20 steps of adam" in done.out
    assert pinncli("solve", "./small.toml", "--dry-run", "--json").json["parameters"] > 0


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["solve", "nothing-like-it"], 66, "no problem"),
        (["solve", "./nothing.toml"], 66, "no such problem file"),
        (["solve", "./small.toml", "--set", "network.widht=7"], 65, "width"),
        (["solve", "./small.toml", "--set", "constants.alpha='a+'"], 65, "alpha"),
        (["solve", "./small.toml", "--device", "gpu"], 2, "cuda"),
        (["solve", "./small.toml", "--device", "cuda:99"], 69, "torch"),
        (["solve", "./small.toml", "--max-time", "soon"], 2, "1h30m"),
        (["solve", "./small.toml", "--target", "-1"], 2, "positive"),
        (["solve", "./small.toml", "--out", "small.toml"], 73, "small.toml"),
        (["solve", "./small.toml", "--out", "full"], 73, "full"),
        (["solve", "./small.toml", "--resume", "must"], 66, "run"),
        (["report", "nothing"], 66, "no run"),
        (["plot", "full"], 76, "not a run"),
        (["export", "small.toml", "--format", "csv"], 76, "small.toml"),
        (["new", "../bad"], 2, "name"),
        (["new", "small"], 73, "already"),
    ],
)
def test_what_bad_input_gets(
    arguments: list[str], code: int, text: str, asked: Asked, pinncli: Program
) -> None:
    Path("full").mkdir()
    Path("full/thesis.tex").write_text("work of years")
    done = pinncli(*arguments)
    assert done.code == code, done.err
    assert text in done.err
    assert (done.out, asked.calls, Path("runs").exists()) == ("", 0, False)
    assert [p.name for p in Path("full").iterdir()] == ["thesis.tex"]


def test_another_problem_in_the_run_directory_is_refused(asked: Asked, pinncli: Program) -> None:
    pinncli("solve", "./small.toml", "--out", "r")
    done = pinncli("solve", "./small.toml", "--out", "r", "--set", "constants.alpha=0.2")
    assert done.code == 73
    assert "alpha" in done.err


def test_report_and_compare(asked: Asked, pinncli: Program) -> None:
    pinncli("solve", "./small.toml", "--out", "a")
    pinncli("solve", "./small.toml", "--out", "b", "--seed", "1")
    assert "agrees with its reference to 5 digits" in pinncli("report", "a").out
    assert pinncli("report", "b", "--json").json["seed"] == 1
    table = pinncli("compare", "a", "b").out.splitlines()
    assert table[0].split() == ["a", "b"]
    assert ["seed", "0", "1"] in [row.split() for row in table]
    assert [r["run"] for r in pinncli("compare", "a", "b", "--json").json["runs"]] == ["a", "b"]


def test_near_names_of_runs(asked: Asked, pinncli: Program) -> None:
    pinncli("solve", "./small.toml")
    assert "did you mean small-s0?" in pinncli("report", "smal-s0").err


@pytest.mark.parametrize(
    ("form", "name"), [("vtkhdf", "fields.vtkhdf"), ("netcdf", "fields.nc"), ("csv", "fields.csv")]
)
def test_export(form: str, name: str, asked: Asked, pinncli: Program) -> None:
    pinncli("solve", "./small.toml", "--out", "r")
    assert pinncli("export", "r", "--format", form).out == f"r/{name}\n"
    assert Path("r", name).stat().st_size > 0
    assert pinncli("solve", "./small.toml", "--out", "r").code == 0


def test_plot(asked: Asked, pinncli: Program) -> None:
    pinncli("solve", "./small.toml", "--out", "r")
    done = pinncli("plot", "r", "--format", "svg")
    assert done.out.split() == [f"r/plots/{n}.svg" for n in ("history", "solution", "slices", "residuals")]
    assert all(Path(p).read_bytes().startswith(b"<?xml") for p in done.out.split())
    assert pinncli("plot", "r", "--terminal").out.startswith("u  0 to 1\n")


def test_plot_of_an_interrupted_run_has_its_history(asked: Asked, pinncli: Program) -> None:
    asked.statuses = ["interrupted"]
    pinncli("solve", "./small.toml", "--out", "r")
    assert pinncli("plot", "r", "--out", "figures").out == "figures/history.png\n"


def test_list(asked: Asked, pinncli: Program) -> None:
    Path("problems").mkdir()
    Path("problems/mine.toml").write_text(PROBLEM)
    Path("problems/broken.toml").write_text("title = ")
    shown = pinncli("list").out
    assert "A small problem" in shown and "cannot be used" in shown and "heat1d" in shown
    names = [entry["name"] for entry in pinncli("list", "--json").json["problems"]]
    assert {"mine", "broken", "heat1d"} <= set(names)
    assert pinncli("list", "--tag", "no such tag").code == 66


def test_list_selects_by_class_dimension_tags_and_words(asked: Asked, pinncli: Program) -> None:
    def names(*arguments: str) -> list[str]:
        return [entry["name"] for entry in pinncli("list", *arguments, "--json").json["problems"]]

    assert {"kovasznay", "poisson2d"} <= set(names("--class", "elliptic", "--dimension", "2"))
    assert "poisson5d" not in names("--class", "elliptic", "--dimension", "2")
    assert "damped_oscillator" in names("--class", "ordinary", "--dimension", "0")
    assert {"kovasznay"} == set(names("Navier", "cylinders", "--tag", "system", "--tag", "exact"))
    assert "burgers_inverse" in names("--tag", "inverse")
    assert "did you mean nonlinear" in pinncli("list", "--tag", "nonlinaer").err
    assert pinncli("list", "no such words").code == 66


def test_list_keeps_to_the_width(asked: Asked, pinncli: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pinncli("list").out
    assert "Elliptic: steady states (" in whole and "..." not in whole
    for width in (50, 80, 132):
        monkeypatch.setenv("COLUMNS", str(width))
        lines = pinncli("list").out.splitlines()
        assert max(map(len, lines)) <= width
        assert len(lines) == len(whole.splitlines())


def test_classes_are_the_outlines() -> None:
    from pinncli.cli.options import EquationClass
    from pinncli.problem.outline import CLASSES

    assert [kind.value for kind in EquationClass] == list(CLASSES)


def test_show(asked: Asked, pinncli: Program) -> None:
    shown = pinncli("show", "./small.toml").out
    for text in (
        "A small problem",
        "∂u/∂t = α ∂²u/∂x²",
        "2 in x, 1 in t",
        "engine taylor",
        "20 steps of adam",
    ):
        assert text in shown
    assert all(line == line.rstrip() for line in shown.splitlines())


def test_show_says_whether_a_march_is_tried(pinncli: Program) -> None:
    tried = "a march in windows of time with local features is tried"
    assert tried in pinncli("show", "burgers1d_viscous").out
    assert tried not in pinncli("show", "poisson2d").out
    assert tried not in pinncli("show", "kdv").out
    assert tried not in pinncli("show", "burgers1d").out


def test_check(asked: Asked, pinncli: Program) -> None:
    Path("bad.toml").write_text(PROBLEM.replace("alpha*u_xx", "alfa*u_xx + beta"))
    assert pinncli("check", "./small.toml").out == "./small.toml: ok\n"
    done = pinncli("check", "./small.toml", "./bad.toml", "nowhere")
    assert done.code == 66
    assert done.out == "./small.toml: ok\n1 of 3 problems ok\n"
    assert "unknown name 'alfa'" in done.err and "unknown name 'beta'" in done.err
    facts = pinncli("check", "./small.toml", "./bad.toml", "--json").json
    assert facts["status"] == "error"
    assert [p["errors"] for p in facts["problems"]] == [0, 2]
    assert facts["problems"][1]["diagnostics"][0]["line"] == 7


def test_warnings_stop_only_when_strict(asked: Asked, pinncli: Program) -> None:
    Path("odd.toml").write_text(PROBLEM.replace("0.1 }", "0.1, unused = 1 }"))
    assert pinncli("check", "./odd.toml").out == "./odd.toml: ok, 1 warning\n"
    assert pinncli("check", "./odd.toml", "--strict").code == 65
    assert pinncli("solve", "./odd.toml", "--strict").code == 65
    done = pinncli("solve", "./odd.toml")
    assert (done.code, "warning" in done.err) == (0, True)


def test_new_problem_is_sound(asked: Asked, pinncli: Program) -> None:
    assert "pinncli solve my_problem.toml" in pinncli("new", "my_problem").out
    done = pinncli("check", "my_problem.toml", "--strict")
    assert (done.code, done.err) == (0, "")
    assert pinncli("new", "my_problem", "--out", "deep/er/p.toml").code == 0
    assert pinncli("new", "my_problem", "--force").code == 0


def test_doctor(asked: Asked, pinncli: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pinncli("doctor", "--json").json["status"] == "ok"
    import pinncli.cli.commands.doctor as module

    def broken() -> Any:
        raise OSError("no such thing")

    monkeypatch.setitem(module.EXAMINATIONS, "files", broken)
    done = pinncli("doctor")
    assert (done.code, "problem: files: no such thing" in done.out) == (1, True)

"""The small pure parts of the command line: notations, progress, reports, tables, pictures of state."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from pinncli.cli import display, parsing, progress, reports, tables
from pinncli.cli.output import clean, result_json
from pinncli.errors import UsageError


@dataclass
class Record:
    step: int
    elapsed: float
    value: float = 1e-3
    stage: int = 0
    optimiser: str = "lm"
    losses: dict[str, float] | None = None
    error: float | None = None
    parameters: dict[str, float] = field(default_factory=dict)
    event: str = ""
    window: int = 0
    windows: int = 1
    constants: dict[str, float] = field(default_factory=dict)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60), ("90", 90), ("5m", 300), ("1h30m", 5400), ("2d", 172800), ("0.5h", 1800), ("1.5", 1.5)],
)
def test_time(text: str, seconds: float) -> None:
    assert parsing.parse_time(text, "--max-time") == seconds


@pytest.mark.parametrize("text", ["", "m", "5x", "-5s", "0", "0s", "1e3", "5 m", "h5", "nan"])
def test_wrong_time(text: str) -> None:
    with pytest.raises(UsageError, match="--max-time"):
        parsing.parse_time(text, "--max-time")


def test_grid_and_point() -> None:
    assert parsing.parse_grid("x=401, t=201", "--grid") == {"x": 401, "t": 201}
    assert parsing.parse_point("t=0.5,x=-1e-3", "--at") == {"t": 0.5, "x": -1e-3}


@pytest.mark.parametrize("text", ["x", "x=", "=3", "x=0", "x=-1", "x=1.5", "x=1,x=2", "x=9999999999", ""])
def test_wrong_grid(text: str) -> None:
    with pytest.raises(UsageError, match="--grid"):
        parsing.parse_grid(text, "--grid")


@pytest.mark.parametrize("text", ["t", "t=a", "t=nan", "t=inf", "t=1,t=1"])
def test_wrong_point(text: str) -> None:
    with pytest.raises(UsageError, match="--at"):
        parsing.parse_point(text, "--at")


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_not_positive(value: float) -> None:
    with pytest.raises(UsageError, match="--target"):
        parsing.check_positive(value, "--target")


def test_control_characters_are_shown_not_obeyed() -> None:
    assert clean("a\x1b[2Jb\n\tc\u202ed é π") == "a\\x1b[2Jb\n\tc\\u202ed é π"


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    result_json({"a": float("nan"), "b": [float("inf"), 1.5], "c": np.float64(2.0)})
    assert json.loads(capsys.readouterr().out) == {"schema": 1, "a": None, "b": [None, 1.5], "c": 2.0}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0:00"), (7, "0:07"), (750, "12:30"), (11100, "3:05:00"), (183900, "2d 03:05:00")],
)
def test_duration(seconds: float, text: str) -> None:
    assert progress.duration(seconds) == text


PLAN = progress.Plan("heat1d", (("adam", 100), ("lm", 300)))


def run_through(records: list[Record], plan: progress.Plan = PLAN) -> progress.Progress:
    state = progress.Progress(plan)
    for record in records:
        state = progress.advance(state, record)  # type: ignore[arg-type]
    return state


def test_progress_keeps_what_a_record_leaves_out() -> None:
    first = Record(1, 0.1, losses={"heat": 1.0}, error=0.5, parameters={"nu": 2.0})
    state = run_through([first, Record(2, 0.2)])
    assert (state.losses, state.error, state.parameters) == ({"heat": 1.0}, 0.5, {"nu": 2.0})


def test_rate_and_time_left() -> None:
    state = run_through([Record(k, k / 50) for k in range(1, 201)])
    assert state.rate == pytest.approx(50)
    assert state.remaining == pytest.approx(4.0)
    assert state.fraction == pytest.approx(0.5)


def test_rate_is_recent() -> None:
    slow = [Record(k, k * 1.0) for k in range(1, 50)]
    fast = [Record(50 + k, 50 + k / 20) for k in range(200)]
    assert run_through(slow + fast).rate == pytest.approx(20, rel=0.2)


def test_time_limit_bounds_the_time_left() -> None:
    plan = progress.Plan("heat1d", (("lm", 10**6),), max_time=10.0)
    state = run_through([Record(1, 1.0), Record(2, 4.0)], plan)
    assert state.remaining == pytest.approx(6.0)
    assert state.fraction == pytest.approx(0.4)


def test_trace_stays_short() -> None:
    state = run_through([Record(k, k / 50, value=1.0 / k) for k in range(1, 5000)])
    assert 50 < len(state.trace) <= 161


def test_line() -> None:
    last = Record(51, 1.0, 2.5e-7, error=1e-4, parameters={"nu": 0.01}, event="redrawn")
    assert progress.line(run_through([Record(1, 0.5), last])) == (
        "step 51/400  lm  loss 2.50e-07  error 1.00e-04  nu 0.01  100 steps/s  "
        "elapsed 0:01  left 0:03  redrawn"
    )


def test_a_line_promises_no_steps_where_frozen_features_took_over() -> None:
    last = Record(2, 1.0, 2.5e-7, optimiser="lsq")
    text = progress.line(run_through([Record(1, 0.5, optimiser="lsq"), last]))
    assert text.startswith("step 2  lsq  loss 2.50e-07")
    assert "left" not in text


def screen(terminal: bool, width: int = 80) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=width, color_system=None)


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_lines_come_at_intervals_stages_and_the_end() -> None:
    clock, console = Clock(), screen(False)
    with display.open_display(console, PLAN, False, clock) as shows:
        for k in range(1, 301):
            clock.now = k * 0.1
            shows.show(Record(k, clock.now, stage=int(k > 100)))  # type: ignore[arg-type]
    steps = [int(text.split()[1].split("/")[0]) for text in shown(console).splitlines()]
    assert steps == [1, 51, 101, 151, 201, 251, 300]


def test_a_long_line_is_not_broken() -> None:
    console = screen(False, width=40)
    with display.open_display(console, PLAN, False, Clock()) as shows:
        shows.show(Record(1, 0.1, parameters={f"p{k}": 1.0 for k in range(20)}))  # type: ignore[arg-type]
    assert len(shown(console).splitlines()) == 1


@pytest.mark.parametrize("width", [20, 40, 80])
def test_live_display(width: int) -> None:
    clock, console = Clock(), screen(True, width)
    with display.open_display(console, PLAN, False, clock) as shows:
        for k in range(1, 11):
            clock.now = k
            losses = {"heat": 1e-3, "a_condition_with_a_very_long_name": float("nan")}
            shows.show(Record(k, clock.now, 10.0**-k, losses=losses, error=0.5, parameters={"nu": 1.0}))  # type: ignore[arg-type]
    text = shown(console)
    assert "heat" in text and "1.00e-10" in text
    assert text.endswith("\x1b[?25h")


def test_live_display_without_unicode() -> None:
    console = screen(True)
    console.print(display.render(run_through([Record(1, 1.0, losses={"heat": 1.0})]), unicode=False))
    assert "############" in shown(console)


def test_quiet_shows_nothing() -> None:
    console = screen(True)
    with display.open_display(console, PLAN, True, Clock()) as shows:
        shows.show(Record(1, 0.1))  # type: ignore[arg-type]
    assert shown(console) == ""


SUMMARY: dict[str, Any] = {
    "status": "complete", "problem": "heat1d", "run": "runs/heat1d-s0", "seed": 0, "device": "cpu",
    "precision": "float64", "engine": "taylor", "parameters": 501, "steps": 300,
    "time": {"total_s": 4.1, "train_s": 2.9}, "loss": 2.4e-10,
    "errors": {"u": {"rel_l2": 3.1e-6, "max_abs": 8e-6}},
    "residuals": {"heat": {"rms": 1.2e-5, "max": 9e-5, "rms_train": 1.1e-5}},
    "estimates": {"nu": 0.0032},
}  # fmt: skip


def test_report() -> None:
    assert reports.report(SUMMARY).splitlines() == [
        "heat1d: complete, 300 steps in 0:04 (cpu, float64, taylor, 501 parameters, seed 0)",
        "",
        "  error     u              3.10e-06 relative L2     8.00e-06 largest",
        "  residual  heat           1.20e-05 rms             9.00e-05 largest         "
        "1.10e-05 rms in training",
        "  estimate  nu             0.0032",
        "  run       runs/heat1d-s0",
        "",
        "Every unknown agrees with its reference to 5 digits or more.",
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"errors": {"u": {"rel_l2": 0.4, "max_abs": 1.0}}}, "not a solution yet"),
        ({"errors": {}}, "no reference"),
        ({"residuals": {"heat": {"rms": 1e-3, "max": 1.0, "rms_train": 1e-5}}}, "100 times larger on fresh"),
        ({"status": "stalled"}, "another seed"),
        ({"status": "diverged", "errors": {"u": {"rel_l2": None, "max_abs": None}}}, "last good state"),
        ({"status": "interrupted"}, "the same command continues"),
        ({"status": "time-limit"}, "more time"),
    ],
)
def test_verdict(change: dict[str, Any], expected: str) -> None:
    assert expected in reports.report({**SUMMARY, **change})


def test_report_of_an_unfinished_run() -> None:
    assert reports.report({"status": "running", "problem": "heat1d", "seed": 0}).startswith(
        "heat1d: not finished (seed 0)"
    )


def test_comparison_rows() -> None:
    other = {**SUMMARY, "run": "b", "errors": {}, "steps": 20}
    rows = dict(tables.comparison_rows([SUMMARY, other]))
    assert rows["steps"] == ["300", "20"]
    assert rows["error u"] == ["3.10e-06", "-"]
    assert next(iter(rows)) == "problem"


@pytest.mark.parametrize("width", [20, 40, 120])
def test_comparison_table_at_any_width(width: int) -> None:
    console = screen(False, width)
    console.print(tables.comparison_table([SUMMARY, SUMMARY]))
    assert all(len(text) <= width for text in shown(console).splitlines())

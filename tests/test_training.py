"""The training loop: why it stops, how it recovers, and that resuming changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor

from pinncli.assembly import Assembly, assemble
from pinncli.optimisers import OPTIMISERS, Objective, Optimiser, StepInfo
from pinncli.problem.defaults import choose
from pinncli.problem.formulation import formulate
from pinncli.problem.loading import load_text
from pinncli.problem.settings import OptimiserSettings
from pinncli.residuals import Sample
from pinncli.training import (
    MAX_RECOVERIES,
    LoopState,
    Setup,
    Stage,
    Status,
    StepRecord,
    start,
    state_to_tree,
    train,
    tree_to_state,
)

PROBLEM = """
title = "Decay with an unknown rate"
unknowns = ["u"]
[coordinates]
t = [0, 1]
[parameters]
k = { initial = 1, bounds = [0, 3] }
[conditions]
decay = { on = "interior", equation = "u_t = -k*u" }
start = { on = "t-", equation = "u = 1" }
end = { on = "t+", equation = "u = 0.2" }
[network]
width = 4
depth = 1
[sampling]
interior = 20
resample = { every = 4, by = "residual" }
"""


@pytest.fixture(scope="module")
def assembly() -> Assembly:
    formulation = formulate(load_text(PROBLEM, "decay", "decay.toml", Path()))
    return assemble(formulation, choose(formulation), 0, torch.device("cpu"), torch.float64)


# --- optimisers that do what a test needs ----------------------------------------------------------


@dataclass(frozen=True)
class DescentState:
    """`rate` shrinks with every recovery; `count` steps were taken."""

    rate: float
    count: int = 0


@dataclass(frozen=True)
class Descent:
    """Plain gradient descent, with a breakdown of some kind at some steps."""

    breakdowns: tuple[int, ...] = ()
    kind: str = "value"
    rate: float = 0.02
    log: list[str] = field(default_factory=list)
    state_type: ClassVar[type] = DescentState

    def init(self, objective: Objective, theta: Tensor) -> DescentState:
        self.log.append("init")
        return DescentState(self.rate)

    def step(
        self, objective: Objective, theta: Tensor, state: DescentState
    ) -> tuple[Tensor, DescentState, StepInfo]:
        _, gradient = objective.value_and_grad(theta)
        moved = theta - state.rate * gradient
        info = StepInfo(objective.value(moved), float(gradient.norm()), state.rate, 2, "ok")
        if state.count in self.breakdowns or -1 in self.breakdowns:
            match self.kind:
                case "value":
                    info = replace(info, value=math.nan)
                case "theta":
                    moved = torch.full_like(theta, math.inf)
                case "still":
                    moved, info = theta, replace(info, value=objective.value(theta))
                case status:
                    info = StepInfo(info.value, info.gradient_norm, info.step_size, 2, status)  # type: ignore[arg-type]
        return moved, replace(state, count=state.count + 1), info

    def refresh(self, objective: Objective, theta: Tensor, state: DescentState) -> DescentState:
        self.log.append(f"refresh {objective.value(theta):.12g}")
        return state

    def recover(self, objective: Objective, theta: Tensor, state: DescentState) -> DescentState:
        assert bool(torch.isfinite(theta).all())
        self.log.append("recover")
        return DescentState(state.rate / 2, state.count + 1)


def stage(optimiser: Optimiser, steps: int = 10, **options: Any) -> Stage:
    return replace(
        Stage(optimiser, "descent", steps, redraw=0, patience=10**6, progress=0.0, measure=3), **options
    )


def setup(assembly: Assembly, *stages: Stage, **options: Any) -> Setup:
    settings: dict[str, Any] = {"error": lambda theta: None, **options}
    return Setup(
        stages=stages,
        objective=assembly.objective,
        draw=assembly.draw,
        parameters=assembly.values,
        **settings,
    )


@dataclass(frozen=True)
class Result:
    """Everything that a loop gave; `trees` are the states as saved at once, before the next step."""

    records: list[StepRecord]
    states: list[LoopState]
    trees: list[dict[str, Any]]
    status: Status
    last: LoopState


def run(made: Setup, state: LoopState, stop: Callable[[], str | None] = lambda: None) -> Result:
    loop = train(made, state, stop)
    result = Result([], [], [], "complete", state)
    while True:
        try:
            record, state = next(loop)
        except StopIteration as end:
            status, last = end.value
            return replace(result, status=status, last=last)
        result.records.append(record)
        result.states.append(state)
        result.trees.append(copied(state_to_tree(state)))


def begin(made: Setup, assembly: Assembly) -> LoopState:
    return start(made, assembly.initial_theta())


def timeless(records: Sequence[StepRecord]) -> list[StepRecord]:
    return [replace(record, elapsed=0.0) for record in records]


# --- records and reasons to stop -------------------------------------------------------------------


def test_a_loop_takes_all_its_steps_and_records_each(assembly: Assembly) -> None:
    made = setup(assembly, stage(Descent()), stage(Descent(), 4), error=lambda theta: 0.5)
    result = run(made, begin(made, assembly))
    assert result.status == "complete"
    assert [r.step for r in result.records] == list(range(1, 15))
    assert [r.stage for r in result.records] == [0] * 10 + [1] * 4
    assert [r.elapsed for r in result.records] == sorted(r.elapsed for r in result.records)
    objective = assembly.objective(assembly.draw(0, None))
    for record, state in zip(result.records, result.states, strict=True):
        assert record.value == objective.value(state.theta)
        assert record.parameters == assembly.values(state.theta)
        if record.losses is not None:
            assert sum(record.losses.values()) == pytest.approx(record.value, rel=1e-12)
        assert (record.losses is None) == (record.error is None)
    measured = [r.step for r in result.records if r.losses is not None]
    assert measured == [1, 3, 6, 9, 13]  # the first, then every third step of a stage
    assert result.records[-1].value < result.records[0].value
    assert torch.equal(result.last.theta, result.states[-1].theta)


def test_every_stage_starts_its_optimiser_once(assembly: Assembly) -> None:
    first, second = Descent(), Descent()
    made = setup(assembly, stage(first, 3), stage(second, 2))
    run(made, begin(made, assembly))
    assert (first.log, second.log) == (["init"], ["init"])


def test_the_steps_of_a_run_may_be_limited(assembly: Assembly) -> None:
    made = setup(assembly, stage(Descent()), stage(Descent()), max_steps=13)
    result = run(made, begin(made, assembly))
    assert (result.status, len(result.records)) == ("complete", 13)


def test_the_target_ends_the_run(assembly: Assembly) -> None:
    errors = iter([0.9, 0.5, 0.3, 0.2, 0.1])
    made = setup(assembly, stage(Descent(), 100), error=lambda theta: next(errors), target=0.3)
    result = run(made, begin(made, assembly))
    assert result.status == "target"
    assert [r.step for r in result.records if r.error is not None] == [1, 3, 6]
    assert result.records[-1].error == 0.3


def test_the_time_limit_counts_the_time_before_a_resumption(
    assembly: Assembly, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(10**6))
    monkeypatch.setattr("pinncli.training.time.monotonic", lambda: float(next(ticks)))
    made = setup(assembly, stage(Descent(), 1000), max_time=20.0)
    whole = run(made, begin(made, assembly))
    assert whole.status == "time-limit"
    assert 20.0 - 2.0 <= whole.last.elapsed <= 20.0 + 2.0
    resumed = run(made, replace(begin(made, assembly), elapsed=15.0))
    assert resumed.status == "time-limit"
    assert 0 < len(resumed.records) < len(whole.records) / 2
    late = run(made, replace(begin(made, assembly), elapsed=20.0))
    assert (late.status, len(late.records)) == ("time-limit", 1), "what has not begun is given one step"
    assert run(made, late.last).records == []


def test_a_stop_ends_the_run_before_the_next_step(assembly: Assembly) -> None:
    made = setup(assembly, stage(Descent()))
    asked: list[int] = []

    def stop() -> str | None:
        asked.append(1)
        return "SIGTERM" if len(asked) > 4 else None

    result = run(made, begin(made, assembly), stop)
    assert (result.status, len(result.records), result.last.step) == ("interrupted", 4, 4)


def test_a_stage_without_progress_ends(assembly: Assembly) -> None:
    still = Descent(breakdowns=tuple(range(3, 100)), kind="still")
    made = setup(assembly, stage(still, 100, patience=5, progress=1e-9), stage(Descent(), 2))
    result = run(made, begin(made, assembly))
    assert result.status == "complete"
    assert [r.step for r in result.records if r.stage == 0] == list(range(1, 9))  # 3 with progress, 5 without
    assert result.records[7].event == "no further progress"
    assert result.records[7].losses is not None
    assert len(result.records) == 10


def test_progress_is_a_fraction_of_the_value(assembly: Assembly) -> None:
    made = setup(assembly, stage(Descent(rate=1e-6), 100, patience=7, progress=0.01))
    result = run(made, begin(made, assembly))
    assert len(result.records) == 8  # the first step counts as progress
    assert result.records[-1].value < result.records[0].value


def test_a_converged_optimiser_ends_its_stage(assembly: Assembly) -> None:
    made = setup(assembly, stage(Descent((2,), "converged")), stage(Descent(), 1))
    result = run(made, begin(made, assembly))
    assert [(r.stage, r.event) for r in result.records] == [(0, ""), (0, ""), (0, "converged"), (1, "")]
    assert result.status == "complete"


# --- breakdowns ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["value", "theta"])
def test_a_step_that_is_not_finite_is_rolled_back(assembly: Assembly, kind: str) -> None:
    optimiser = Descent((4, 6), kind)
    made = setup(assembly, stage(optimiser))
    result = run(made, begin(made, assembly))
    assert result.status == "complete"
    assert optimiser.log == ["init", "recover", "recover"]
    for k in (4, 6):
        assert result.records[k].event == "not finite: rolled back"
        assert torch.equal(result.states[k].theta, result.states[k - 1].theta)
    assert all(bool(torch.isfinite(state.theta).all()) for state in result.states)
    assert result.records[-1].value < result.records[3].value
    assert result.last.optimiser is None  # the stage is over
    assert result.states[-2].optimiser.rate == 0.02 / 4


def test_a_failed_search_keeps_theta_and_resets_the_curvature(assembly: Assembly) -> None:
    optimiser = Descent((4,), "failed")
    made = setup(assembly, stage(optimiser))
    result = run(made, begin(made, assembly))
    assert result.records[4].event == "search failed: curvature reset"
    assert optimiser.log == ["init", "recover"]
    assert not torch.equal(result.states[4].theta, result.states[3].theta)


def test_a_run_that_stays_infinite_has_diverged_and_keeps_its_last_finite_theta(assembly: Assembly) -> None:
    made = setup(assembly, stage(Descent((2, *range(3, 100)), "value"), 100))
    result = run(made, begin(made, assembly))
    assert result.status == "diverged"
    assert len(result.records) == 2 + MAX_RECOVERIES + 1
    assert torch.equal(result.last.theta, result.states[1].theta)


def test_a_search_that_keeps_failing_gives_the_stage_up(assembly: Assembly) -> None:
    failing, good = stage(Descent((-1,), "failed"), 100), stage(Descent(), 3)
    made = setup(assembly, failing, good)
    result = run(made, begin(made, assembly))
    assert [r.stage for r in result.records] == [0] * (MAX_RECOVERIES + 1) + [1] * 3
    assert result.status == "complete"  # the last stage made good what the first could not
    made = setup(assembly, good, failing)
    assert run(made, begin(made, assembly)).status == "stalled"


def test_recoveries_are_forgiven_after_progress(assembly: Assembly) -> None:
    made = setup(assembly, stage(Descent(tuple(range(1, 60, 2)), "value", rate=0.05), 40))
    result = run(made, begin(made, assembly))
    assert result.status == "complete"
    assert sum(r.event != "" for r in result.records) > MAX_RECOVERIES


# --- points drawn anew -----------------------------------------------------------------------------


def test_points_are_redrawn_on_time_and_the_optimiser_is_told(assembly: Assembly) -> None:
    optimiser = Descent()
    made = setup(assembly, stage(optimiser, 8, redraw=4), stage(Descent(), 3, redraw=2))
    numbers: list[int] = []

    def draw(number: int, theta: Tensor | None, *rest: Any) -> tuple[Sample, ...]:
        numbers.append(number)
        return made.draw(number, theta, *rest)

    watched = replace(made, draw=draw)
    result = run(watched, begin(watched, assembly))
    assert numbers == [0, 1, 2]
    assert [r.event for r in result.records] == [
        "",
        "",
        "",
        "points redrawn",
        *[""] * 5,
        "points redrawn",
        "",
    ]
    assert [s.draw for s in result.states] == [0] * 3 + [1] * 6 + [2] * 2
    redrawn = result.states[3]
    value = assembly.objective(redrawn.points).value(redrawn.theta)
    assert optimiser.log == ["init", f"refresh {value:.12g}"]
    assert not torch.equal(redrawn.points[0].points, result.states[2].points[0].points)
    following = assembly.objective(redrawn.points).value(result.states[4].theta)
    assert result.records[4].value == following


def test_a_redraw_starts_the_measure_of_progress_afresh(assembly: Assembly) -> None:
    still = Descent(breakdowns=(-1,), kind="still")
    made = setup(assembly, stage(still, 20, redraw=4, patience=5, progress=1e-9))
    assert len(run(made, begin(made, assembly)).records) == 20


def test_the_same_seed_gives_the_same_run(assembly: Assembly) -> None:
    results = []
    for _ in range(2):
        made = setup(assembly, stage(Descent(), 12, redraw=3))
        results.append(run(made, begin(made, assembly)))
    first, second = results
    assert timeless(first.records) == timeless(second.records)
    assert torch.equal(first.last.theta, second.last.theta)


# --- saving and resuming ---------------------------------------------------------------------------


def optimiser_of(kind: str) -> Optimiser:
    """As the solver makes it: every setting at its default."""
    settings = TypeAdapter[Any](OptimiserSettings).validate_python({"kind": kind}).model_dump()
    del settings["kind"]
    return OPTIMISERS[kind](**settings)


def copied(tree: dict[str, Any]) -> dict[str, Any]:
    """A tree as it comes from a file: nothing but new tensors, numbers, text and dictionaries."""
    result: dict[str, Any] = {}
    for name, value in tree.items():
        assert isinstance(name, str)
        if isinstance(value, dict):
            result[name] = copied(value)
        elif isinstance(value, Tensor):
            result[name] = torch.tensor(value.detach().numpy().copy())
        else:
            assert value is None or type(value) in (int, float, bool, str), name
            result[name] = value
    return result


def same(a: Any, b: Any) -> bool:
    """Equal bit for bit, through dictionaries."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    return type(a) is type(b) and repr(a) == repr(b)


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_a_resumed_run_is_the_undisturbed_one_bit_for_bit(assembly: Assembly, kind: str) -> None:
    stages = [stage(optimiser_of(kind), 9, redraw=4), stage(optimiser_of(kind), 5, redraw=3)]
    made = setup(assembly, *stages)
    whole = run(made, begin(made, assembly))
    steps = len(whole.records)
    assert steps == 14 or kind == "lsq"  # which converges before
    for k in sorted(
        {0, 2, 3, 6, 8, 10, 13} & set(range(steps))
    ):  # within a stage, at a redraw, at the end of a stage, at the end
        state = tree_to_state(copied(whole.trees[k]), stages, torch.device("cpu"))
        assert same(state_to_tree(state), whole.trees[k])
        rest = run(made, state)
        assert timeless(rest.records) == timeless(whole.records[k + 1 :]), k
        assert rest.status == whole.status
        assert torch.equal(rest.last.theta, whole.last.theta)
        ended, undisturbed = (replace(r.last, elapsed=0.0) for r in (rest, whole))
        assert same(state_to_tree(ended), state_to_tree(undisturbed)), k


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_every_optimiser_lowers_the_value(assembly: Assembly, kind: str) -> None:
    made = setup(assembly, stage(optimiser_of(kind), 100 if kind == "soap" else 25))
    initial = begin(made, assembly)
    result = run(made, initial)
    assert result.status == "complete"
    assert result.records[-1].value < 0.9 * assembly.objective(initial.points).value(initial.theta)


def test_a_state_holds_its_data_columns() -> None:
    points = torch.rand((3, 2), dtype=torch.float64)
    state = LoopState(
        points[0], (Sample(points, points + 1, {"a": points[:, 0], "b": points[:, 1]}),), step=7
    )
    restored = tree_to_state(copied(state_to_tree(state)), [], torch.device("cpu"))
    assert same(state_to_tree(restored), state_to_tree(state))
    assert math.isinf(restored.marked_value)
    assert restored.step == 7

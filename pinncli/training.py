"""The training loop: stages of optimisers over an objective whose points are drawn anew.

`train` is a generator. It yields a `StepRecord` and the `LoopState` after every step; the caller
records, displays and saves as it likes, and stops by closing it or through `stop`. Everything
that the loop carries is in the `LoopState`, and no decision but the deadline depends on the
clock, so a loop continued from a saved state repeats the undisturbed one bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import torch
from torch import Tensor

from pinncli.adaptation import Adaptation, Gate, Weights
from pinncli.objective import Objective
from pinncli.optimisers import Optimiser, StepInfo
from pinncli.residuals import Sample

Status = Literal["complete", "target", "time-limit", "interrupted", "diverged", "stalled"]

MAX_RECOVERIES = 5
"""Recoveries in one stage before it is given up."""
NESTED = ("points", "optimiser", "weights")
"""Fields of the state that are tables of a checkpoint."""


@dataclass(frozen=True)
class Stage:
    """One optimiser for at most `steps` steps.

    The stage ends early when the value fell by less than the fraction `progress` over
    `patience` steps. Points are redrawn every `redraw` steps (0: never).
    """

    optimiser: Optimiser
    kind: str
    steps: int
    redraw: int
    patience: int
    progress: float
    measure: int
    """Steps between measurements of losses and error."""


@dataclass(frozen=True)
class StepRecord:
    """One step, as recorded in the history.

    `value` is the objective as the optimiser sees it, with all weights; `losses` the share of every
    condition without the adaptive ones, comparable over the run, and `error` the largest relative L2
    error (both only now and then, else None); `event` says what happened besides; `window` is the time
    window out of so many `windows`, and `constants` the values of those that a curriculum changes.
    """

    stage: int
    optimiser: str
    step: int
    value: float
    gradient_norm: float
    step_size: float
    evaluations: int
    losses: dict[str, float] | None
    error: float | None
    parameters: dict[str, float]
    elapsed: float
    event: str = ""
    window: int = 0
    windows: int = 1
    constants: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LoopState:
    """What the loop carries, and so what a checkpoint holds.

    `points` are the drawn points of every sampled group (they depend on theta where the residual
    chose them), `weights` the adaptive weights of these points, None without any; `marked_value` and
    `marked_step` are where the last progress was seen, in the weights of now; `stalled` says that the
    last stage was given up, `reached` that the target ended the training.
    """

    theta: Tensor
    points: tuple[Sample, ...]
    optimiser: Any = None
    stage: int = 0
    stage_step: int = 0
    step: int = 0
    draw: int = 0
    marked_value: float = math.inf
    marked_step: int = 0
    recoveries: int = 0
    elapsed: float = 0.0
    stalled: bool = False
    weights: Weights | None = None
    reached: bool = False


@dataclass(frozen=True)
class Setup:
    """What the loop needs of its maker.

    `objective` builds the objective at the points of a draw number; `draw` gives the points of a draw number,
    which may look at the current theta to put them where residuals are large, at the points until
    now, and at the factors that causality puts on residuals; `error` measures the solution where a
    reference is known; `parameters` reads the unknown numbers; `adaptation` has the rules of the
    adaptive weights.
    """

    stages: Sequence[Stage]
    objective: Callable[[Sequence[Sample], int], Objective]
    draw: Callable[[int, Tensor | None, tuple[Sample, ...], Gate | None], tuple[Sample, ...]]
    error: Callable[[Tensor], float | None]
    parameters: Callable[[Tensor], dict[str, float]]
    target: float | None = None
    max_steps: int | None = None
    max_time: float | None = None
    adaptation: Adaptation | None = None

    def weighted(self, state: LoopState) -> Objective:
        """The objective at the points and with the weights of `state`."""
        objective = self.objective(state.points, state.draw)
        if self.adaptation is None or state.weights is None:
            return objective
        return self.adaptation.apply(objective, state.weights)


def start(setup: Setup, theta: Tensor, after: LoopState | None = None) -> LoopState:
    """The state before the first step; steps and seconds go on counting from where `after` ended."""
    state = LoopState(theta, setup.draw(0, None, (), None))
    if after is not None:
        state = replace(state, step=after.step, elapsed=after.elapsed)
    if setup.adaptation is None:
        return state
    return replace(state, weights=setup.adaptation.start(setup.objective(state.points, state.draw), theta))


def train(
    setup: Setup, state: LoopState, stop: Callable[[], str | None] = lambda: None
) -> Generator[tuple[StepRecord, LoopState], None, tuple[Status, LoopState]]:
    """Run the stages from `state`; yields after every step, returns why it ended and the last state.

    `stop` is asked before every step; a reason that it gives ends the run as interrupted.
    """
    if state.reached:
        return "target", state
    began = time.monotonic() - state.elapsed
    objective = setup.weighted(state)
    while state.stage < len(setup.stages):
        stage = setup.stages[state.stage]
        if state.optimiser is None:
            state = replace(state, optimiser=stage.optimiser.init(objective, state.theta))
        while state.stage_step < stage.steps:
            reason = _ends(setup, state, began, stop)
            if reason:
                return reason, state
            state, record, ended = _step(setup, stage, objective, state)
            state = replace(state, elapsed=time.monotonic() - began)
            record = replace(record, elapsed=state.elapsed)
            given_up = state.recoveries > MAX_RECOVERIES
            if given_up and not math.isfinite(record.value):
                yield record, state
                return "diverged", state
            if setup.target is not None and record.error is not None and record.error <= setup.target:
                state = replace(state, reached=True)
                yield record, state
                return "target", state
            if not given_up and state.stage_step < stage.steps:
                state, objective, event, ended = _renew(setup, stage, objective, state, ended)
                record = _with_event(record, event)
            over = ended or given_up or state.stage_step >= stage.steps
            if over:
                state = replace(_next_stage(state), stalled=given_up)
            yield record, state
            if over:
                break
    return ("stalled" if state.stalled else "complete"), state


def _ends(setup: Setup, state: LoopState, began: float, stop: Callable[[], str | None]) -> Status | None:
    if stop():
        return "interrupted"
    first = state.stage == state.stage_step == 0  # without one, a time window would be left unsolved
    if setup.max_time is not None and not first and time.monotonic() - began >= setup.max_time:
        return "time-limit"
    if setup.max_steps is not None and state.step >= setup.max_steps:
        return "complete"
    return None


def _next_stage(state: LoopState) -> LoopState:
    return replace(
        state,
        optimiser=None,
        stage=state.stage + 1,
        stage_step=0,
        marked_value=math.inf,
        marked_step=0,
        recoveries=0,
    )


def _step(
    setup: Setup, stage: Stage, objective: Objective, state: LoopState
) -> tuple[LoopState, StepRecord, bool]:
    """One optimiser step, rolled back where it is not finite; last comes whether the stage is over."""
    theta, inner, info = stage.optimiser.step(objective, state.theta, state.optimiser)
    event, ended = "", False
    counted = replace(state, step=state.step + 1, stage_step=state.stage_step + 1)
    if not (math.isfinite(info.value) and bool(torch.isfinite(theta).all())):
        event = "not finite: rolled back"
        inner = stage.optimiser.recover(objective, state.theta, state.optimiser)
        counted = replace(counted, optimiser=inner, recoveries=state.recoveries + 1)
    elif info.status == "failed":
        event = "search failed: curvature reset"
        inner = stage.optimiser.recover(objective, theta, inner)
        counted = replace(counted, theta=theta, optimiser=inner, recoveries=state.recoveries + 1)
    else:
        counted = replace(counted, theta=theta, optimiser=inner)
        counted, ended = _progress(stage, counted, info)
        if ended:
            event = "converged" if info.status == "converged" else "no further progress"
    return counted, _record(setup, objective, counted, info, stage, event, ended), ended


def _progress(stage: Stage, state: LoopState, info: StepInfo) -> tuple[LoopState, bool]:
    """Whether the stage has stopped making progress."""
    if info.status == "converged":
        return state, True
    if info.value < state.marked_value * (1.0 - stage.progress):
        return replace(state, marked_value=info.value, marked_step=state.stage_step, recoveries=0), False
    return state, state.stage_step - state.marked_step >= stage.patience


def _record(
    setup: Setup,
    objective: Objective,
    state: LoopState,
    info: StepInfo,
    stage: Stage,
    event: str,
    ended: bool,
) -> StepRecord:
    measured = state.stage_step % stage.measure == 0 or state.step == 1 or ended
    return StepRecord(
        stage=state.stage,
        optimiser=stage.kind,
        step=state.step,
        value=info.value,
        gradient_norm=info.gradient_norm,
        step_size=info.step_size,
        evaluations=info.evaluations,
        losses=objective.weighted({}).losses(state.theta) if measured else None,
        error=setup.error(state.theta) if measured else None,
        parameters=setup.parameters(state.theta),
        elapsed=0.0,
        event=event,
    )


def _with_event(record: StepRecord, event: str) -> StepRecord:
    return replace(record, event="; ".join(filter(None, (record.event, event))))


def _renew(
    setup: Setup, stage: Stage, objective: Objective, state: LoopState, ended: bool
) -> tuple[LoopState, Objective, str, bool]:
    """Adaptive weights and points anew where that is due; last comes whether the stage is over still.

    A stage that has ended at one causal tolerance goes on at the next.
    """
    events: list[str] = []
    found = _reweighted(setup, objective, state, ended)
    changed = found is not state.weights
    if setup.adaptation is not None and found is not None and state.weights is not None and changed:
        before = objective.value(state.theta)
        objective = setup.adaptation.apply(objective, found)
        scale = objective.value(state.theta) / before if before > 0.0 else 1.0
        if found.tolerance > state.weights.tolerance:
            events.append(f"causal tolerance {setup.adaptation.tolerance(found):g}")
            state = replace(state, marked_value=math.inf, marked_step=state.stage_step, recoveries=0)
            ended = False
        # what the weights did to the value is neither progress nor a setback
        state = replace(state, weights=found, marked_value=state.marked_value * scale)
    if not ended and stage.redraw and state.stage_step % stage.redraw == 0:
        state, objective = _redraw(setup, objective, state)
        events.append("points redrawn")
        changed = True
    if changed:
        state = replace(state, optimiser=stage.optimiser.refresh(objective, state.theta, state.optimiser))
    return state, objective, "; ".join(events), ended


def _reweighted(setup: Setup, objective: Objective, state: LoopState, ended: bool) -> Weights | None:
    """The weights for the next step; those of the state where they stay."""
    if setup.adaptation is None or state.weights is None:
        return state.weights
    if ended:
        return setup.adaptation.move_on(objective, state.theta, state.weights)
    if not setup.adaptation.due(state.step):
        return state.weights
    return setup.adaptation.update(objective, state.theta, state.weights, state.step)


def _redraw(setup: Setup, objective: Objective, state: LoopState) -> tuple[LoopState, Objective]:
    weights = state.weights
    gate = None if setup.adaptation is None or weights is None else setup.adaptation.gate(weights)
    points = setup.draw(state.draw + 1, state.theta, state.points, gate)
    if setup.adaptation is not None and weights is not None:
        weights = setup.adaptation.carry(weights, objective, points)
    state = replace(
        state,
        points=points,
        weights=weights,
        draw=state.draw + 1,
        marked_value=math.inf,
        marked_step=state.stage_step,
    )
    return state, setup.weighted(state)


def state_to_tree(state: LoopState) -> dict[str, Any]:
    """A `LoopState` as nested dictionaries of tensors and numbers."""
    tree: dict[str, Any] = {f.name: getattr(state, f.name) for f in fields(state) if f.name not in NESTED}
    tree["points"] = {
        str(k): {"points": s.points, "normals": s.normals, "columns": dict(s.columns)}
        for k, s in enumerate(state.points)
    }
    inner = state.optimiser
    tree["optimiser"] = None if inner is None else {f.name: getattr(inner, f.name) for f in fields(inner)}
    tree["weights"] = None if state.weights is None else state.weights.to_tree()
    return tree


def tree_to_state(tree: dict[str, Any], stages: Sequence[Stage], device: torch.device) -> LoopState:
    """The `LoopState` that `state_to_tree` took apart, on `device`."""

    def place(value: Any) -> Any:
        return value.to(device) if isinstance(value, Tensor) else value

    values = {f.name: place(tree[f.name]) for f in fields(LoopState) if f.name not in NESTED}
    samples = [tree["points"][str(k)] for k in range(len(tree["points"]))]
    values["points"] = tuple(
        Sample(place(s["points"]), place(s["normals"]), {n: place(c) for n, c in s["columns"].items()})
        for s in samples
    )
    if tree["optimiser"] is not None:
        state_type = stages[values["stage"]].optimiser.state_type
        values["optimiser"] = state_type(**{n: place(v) for n, v in tree["optimiser"].items()})
    if tree.get("weights") is not None:
        values["weights"] = Weights(**tree["weights"]).to(device)
    return LoopState(**values)

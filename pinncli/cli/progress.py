"""What is known about a run while it trains, as data; and that as one line of text.

`Progress` is a value: `advance` makes the next one from a step record. Nothing here draws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pinncli.training import StepRecord

_RATE_WINDOW = 5.0
"""Seconds over which steps per second are measured."""
_MANY_STEPS = 1_000_000
"""A total from here on says nothing: the time or the progress ends such a run."""
_TRACE = 160
"""Kept values of the loss trace; every other one is dropped when it is full."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is fixed for the whole run: name, stages as (optimiser, steps), limits, time windows."""

    name: str
    stages: tuple[tuple[str, int], ...]
    max_steps: int | None = None
    max_time: float | None = None
    target: float | None = None
    windows: int = 1
    earlier: int = 0
    """Steps before the last window and the last values of its constants, where the stages begin anew."""

    @property
    def steps(self) -> int:
        """Steps if nothing ends the run early."""
        total = self.earlier + sum(steps for _, steps in self.stages)
        return total if self.max_steps is None else min(total, self.max_steps)


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a run after its latest record."""

    plan: Plan
    step: int = 0
    stage: int = 0
    optimiser: str = ""
    loss: float = math.nan
    losses: Mapping[str, float] = field(default_factory=dict)
    error: float | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)
    elapsed: float = 0.0
    event: str = ""
    window: int = 0
    constants: Mapping[str, float] = field(default_factory=dict)
    trace: tuple[float, ...] = ()
    trace_every: int = 1
    marks: tuple[tuple[float, int], ...] = ()
    """Recent (elapsed, step), oldest first, from which the rate is taken."""

    @property
    def position(self) -> str:
        """`step 45/300`, or `step 45` where the time ends the run and not the steps; before it the window and
        the constants of a curriculum."""
        many = self.plan.steps >= _MANY_STEPS
        where = [f"window {self.window + 1}/{self.plan.windows}"] if self.plan.windows > 1 else []
        where += [f"{name} = {value:.3g}" for name, value in self.constants.items()]
        return "  ".join([*where, f"step {self.step}" if many else f"step {self.step}/{self.plan.steps}"])

    @property
    def rate(self) -> float | None:
        """Steps per second lately."""
        if len(self.marks) < 2 or self.marks[-1][0] <= self.marks[0][0]:
            return None
        (start, first), (end, last) = self.marks[0], self.marks[-1]
        return (last - first) / (end - start)

    @property
    def remaining(self) -> float | None:
        """Seconds until the last step or the time limit, whichever is sooner."""
        ends = []
        if self.rate and self.plan.steps < _MANY_STEPS:
            ends.append(max(0.0, (self.plan.steps - self.step) / self.rate))
        if self.plan.max_time is not None:
            ends.append(max(0.0, self.plan.max_time - self.elapsed))
        return min(ends, default=None)

    @property
    def fraction(self) -> float:
        """Part of the work that is done, 0 to 1, by steps or by time."""
        parts = [self.step / self.plan.steps if self.plan.steps else 0.0]
        if self.plan.max_time is not None:
            parts.append(self.elapsed / self.plan.max_time)
        return min(1.0, max(parts))


def advance(progress: Progress, record: StepRecord) -> Progress:
    """The progress after one more record; what the record leaves out keeps its last value."""
    marks = (*progress.marks, (record.elapsed, record.step))
    while len(marks) > 2 and marks[1][0] < record.elapsed - _RATE_WINDOW:
        marks = marks[1:]
    if len(marks) > 64:
        marks = (*marks[:-1:2], marks[-1])
    trace, every = progress.trace, progress.trace_every
    if record.step % every == 0:
        trace = (*trace, record.value)
    if len(trace) > _TRACE:
        trace, every = trace[::2], 2 * every
    plan = progress.plan
    if record.windows != plan.windows:
        plan = replace(plan, windows=record.windows)  # a pilot has cut the range of time
    if record.optimiser == "lsq" and all(kind != "lsq" for kind, _ in plan.stages):
        plan = replace(plan, stages=(("lsq", _MANY_STEPS),))  # frozen features have proved good enough
    return replace(
        progress,
        plan=plan,
        step=record.step,
        stage=record.stage,
        optimiser=record.optimiser,
        loss=record.value,
        losses=progress.losses if record.losses is None else record.losses,
        error=progress.error if record.error is None else record.error,
        parameters=record.parameters or progress.parameters,
        elapsed=record.elapsed,
        event=record.event,
        window=record.window,
        constants=record.constants,
        trace=trace,
        trace_every=every,
        marks=marks,
    )


def line(progress: Progress) -> str:
    """One plain line for a log: `step 1200/2000  ssbroyden  loss 2.3e-07  ...`."""
    parts = [progress.position, progress.optimiser, f"loss {progress.loss:.2e}"]
    if progress.error is not None:
        parts.append(f"error {progress.error:.2e}")
    parts += [f"{name} {value:.6g}" for name, value in progress.parameters.items()]
    if progress.rate is not None:
        parts.append(f"{speed(progress.rate)}")
    parts.append(f"elapsed {duration(progress.elapsed)}")
    if progress.remaining is not None:
        parts.append(f"left {duration(progress.remaining)}")
    if progress.event:
        parts.append(progress.event)
    return "  ".join(parts)


def number(value: float | None) -> str:
    """`1.23e-04`, or `-` where there is none."""
    return "-" if value is None else f"{value:.2e}"


def speed(rate: float) -> str:
    """`410 steps/s`, `0.25 steps/s`."""
    return f"{rate:.0f} steps/s" if rate >= 10 else f"{rate:.2g} steps/s"


def duration(seconds: float) -> str:
    """`0:07`, `12:30`, `3:05:00`, `2d 03:05:00`."""
    whole = int(seconds + 0.5)
    days, whole = divmod(whole, 86400)
    hours, whole = divmod(whole, 3600)
    minutes, whole = divmod(whole, 60)
    if days:
        return f"{days}d {hours:02d}:{minutes:02d}:{whole:02d}"
    return f"{hours}:{minutes:02d}:{whole:02d}" if hours else f"{minutes}:{whole:02d}"

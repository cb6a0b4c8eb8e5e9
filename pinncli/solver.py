"""Solving a problem into a run directory, and opening the solution of one.

The composition root: it builds everything from literal tables, drives the training loop, keeps
checkpoints and publishes the fields. The command line draws what it yields.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pinncli.assembly import Assembly, assemble
from pinncli.derivatives import Taylor
from pinncli.device import choose_device, prepare_cpu
from pinncli.errors import CorruptError, MemoryLimitError, OutputError, StorageError, UsageError
from pinncli.optimisers import OPTIMISERS
from pinncli.problem.defaults import Choices, FeatureNetwork, choose
from pinncli.problem.formulation import formulate
from pinncli.problem.loading import load_text
from pinncli.problem.settings import LeastSquaresSettings
from pinncli.problem.terms import Formulation
from pinncli.runs.store import Run
from pinncli.solution import ROUGH_ERRORS, Solution
from pinncli.training import (
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
from pinncli.tuning import Tuner, decided, decisions, tune

PRECISIONS: Mapping[str, torch.dtype] = {"float64": torch.float64, "float32": torch.float32}

PATIENCE: Mapping[str, tuple[int, float, int]] = {
    "lm": (40, 1e-2, 10),
    "lsq": (5, 1e-2, 1),
    "bfgs": (500, 1e-2, 100),
    "ssbfgs": (500, 1e-2, 100),
    "ssbroyden": (500, 1e-2, 100),
    "lbfgs": (500, 1e-2, 100),
    "adam": (5000, 1e-2, 100),
}
"""Per optimiser: a stage ends when the value fell by less than this fraction over so many steps,
and losses and error are measured every so many steps."""

MIN_BLOCK = 64
SAVE_RETRY_SECONDS = 30.0

TRIAL_TOLERANCE = 0.1
"""Of the least squares by which frozen features are tried."""


@dataclass(frozen=True)
class SolveOptions:
    """How to run, as opposed to what to solve: see `pinncli solve --help`."""

    device: str = "auto"
    precision: str = "float64"
    seed: int = 0
    max_time: float | None = None
    target: float | None = None


@dataclass(frozen=True)
class Outcome:
    """How a solve ended; `summary` is the JSON object of `solve --json`."""

    status: Status
    summary: dict[str, Any]


def solve(
    formulation: Formulation, options: SolveOptions, run: Run, stop: Callable[[], str | None] = lambda: None
) -> Generator[StepRecord, None, Outcome]:
    """Train into `run`, from its checkpoint if it has one; yields every step, returns the outcome.

    Raises DeviceError, MemoryLimitError, StorageError (only where the last save fails).
    """
    began = time.monotonic()
    prepare_cpu()
    tree = run.load_checkpoint()
    place, dtype = _place(options.device, options.precision)
    choices = choose(formulation, timed=options.max_time is not None)
    if isinstance(choices.network, FeatureNetwork):
        network = choices.network
        found = (
            _tune(network, formulation, options, place, dtype, stop)
            if tree is None
            else decided(network, tree)
        )
        choices = choose(formulation, timed=options.max_time is not None, decided=found)
    assembly, notice = _compiled(assemble(formulation, choices, options.seed, place, dtype))
    prepared = time.monotonic() - began
    prepare = partial(_setup, choices=choices, options=options)
    setup = prepare(assembly)
    if tree is None:
        state = replace(start(setup, assembly.initial_theta()), elapsed=prepared)
    else:
        _check_length(run, assembly, tree)
        state = tree_to_state(tree, setup.stages, assembly.device)
        began -= state.elapsed  # a continued run counts the time of all its parts
    keeper = _Keeper(run, formulation.problem.training.checkpoint_seconds, choices.network, notice)
    status, state, assembly = yield from _train(prepare, assembly, state, keeper, stop)
    keeper.save(state)
    outcome = _conclude(assembly, choices, options, state, status, run, began)
    run.finish(status, outcome.summary)
    return outcome


def load_solution(run: Run, device: str = "auto", precision: str | None = None) -> Solution:
    """The solution in a run directory, from that directory alone.

    Raises CorruptError for a damaged run and UsageError for one with nothing to evaluate yet.
    """
    prepare_cpu()
    loaded = load_text(run.problem_text, run.manifest.name, str(run.folder / "problem.toml"), run.folder)
    chosen = precision or str(run.manifest.options.get("precision", "float64"))
    seed = int(run.manifest.options.get("seed") or 0)
    tree = run.load_checkpoint()
    if tree is None:
        raise UsageError(f"{run.folder}: nothing was saved yet: run pinncli solve again")
    formulation = formulate(loaded)
    choices = choose(formulation)
    if isinstance(choices.network, FeatureNetwork):
        choices = choose(formulation, decided=decided(choices.network, tree))
    assembly = assemble(formulation, choices, seed, *_place(device, chosen))
    _check_length(run, assembly, tree)
    return Solution(assembly, tree["theta"].to(assembly.device, assembly.dtype))


def _check_length(run: Run, assembly: Assembly, tree: dict[str, Any]) -> None:
    """The saved theta must be this network's. Raises CorruptError."""
    mine = assembly.network.size + len(assembly.parameters.names)
    if len(tree["theta"]) != mine:
        raise CorruptError(
            f"{run.folder}: the checkpoint holds {len(tree['theta'])} parameters, and this version "
            f"of pinncli gives the problem {mine}: use the version that made the run, or solve it anew "
            "with --force"
        )


def _place(device: str, precision: str) -> tuple[torch.device, torch.dtype]:
    if precision not in PRECISIONS:
        raise UsageError(f"--precision {precision}: choose {' or '.join(PRECISIONS)}")
    place = choose_device(device)
    if place.type == "mps" and precision == "float64":
        raise UsageError("--device mps has no float64: add --precision float32")
    return place, PRECISIONS[precision]


def _tune(
    network: FeatureNetwork,
    formulation: Formulation,
    options: SolveOptions,
    place: torch.device,
    dtype: torch.dtype,
    stop: Callable[[], str | None],
) -> FeatureNetwork:
    """Decide by trials, which take half of the time allowed at most."""
    until = math.inf if options.max_time is None else time.monotonic() + 0.5 * options.max_time

    def over() -> bool:
        return time.monotonic() >= until or stop() is not None

    optimiser = OPTIMISERS["lsq"](
        **LeastSquaresSettings(kind="lsq", tolerance=TRIAL_TOLERANCE).model_dump(exclude={"kind"})
    )
    return tune(network, Tuner(formulation, optimiser, options.seed, place, dtype, over))


def _compiled(assembly: Assembly) -> tuple[Assembly, str]:
    """With compiled kernels where the problem asks for them; where they fail as it was, and a warning."""
    if assembly.formulation.problem.derivatives.compile == "off":
        return assembly, ""
    if not isinstance(assembly.engine, Taylor):
        return assembly, "not compiled: only the engine taylor is"
    candidate = replace(assembly, engine=replace(assembly.engine, compiled=True))
    try:  # at the points of training, whose number decides on the threads of a kernel
        candidate.objective(candidate.draw(0, None)).value_and_grad(candidate.initial_theta())
    except (RuntimeError, OSError, ImportError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return assembly, f"not compiled, continuing without: {reason}"
    return candidate, ""


def _setup(assembly: Assembly, choices: Choices, options: SolveOptions) -> Setup:
    settings = assembly.formulation.problem.training
    target = options.target if options.target is not None else settings.target
    first = Solution(assembly, assembly.initial_theta())
    known = first.error_points(ROUGH_ERRORS) if first.has_reference else None

    def error(theta: Tensor) -> float | None:
        solution = Solution(assembly, theta)
        if known is not None:
            return solution.error_on(known)
        return solution.relative_residual() if target is not None else None

    return Setup(
        stages=_stages(choices),
        objective=assembly.objective,
        draw=assembly.draw,
        error=error,
        parameters=assembly.values,
        target=target,
        max_steps=settings.max_steps,
        max_time=options.max_time,
    )


def _stages(choices: Choices) -> list[Stage]:
    stages = []
    for stage in choices.stages:
        settings = stage.optimiser.model_dump()
        kind = settings.pop("kind")
        patience, progress, measure = PATIENCE[kind]
        redraw = choices.resample.every if choices.resample else 0
        stages.append(
            Stage(OPTIMISERS[kind](**settings), kind, stage.steps, redraw, patience, progress, measure)
        )
    return stages


def _train(
    prepare: Callable[[Assembly], Setup],
    assembly: Assembly,
    state: LoopState,
    keeper: _Keeper,
    stop: Callable[[], str | None],
) -> Generator[StepRecord, None, tuple[Status, LoopState, Assembly]]:
    """The loop, recorded and saved; out of memory makes the blocks of the assembly smaller and goes on."""
    while True:
        loop = train(prepare(assembly), state, stop)
        try:
            while True:
                try:
                    record, state = next(loop)
                except StopIteration as end:
                    return *end.value, assembly
                yield keeper.step(record, state)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            loop.close()
            if assembly.block <= MIN_BLOCK:
                raise MemoryLimitError(
                    f"out of memory on {assembly.device} with blocks of {assembly.block} points and "
                    f"{assembly.network.size} parameters: {error}\n"
                    "make the network smaller (--set network.width=...)"
                ) from error
            assembly = replace(assembly, block=max(MIN_BLOCK, assembly.block // 2))
            if assembly.device.type == "cuda":
                torch.cuda.empty_cache()


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


class _Keeper:
    """Records every step and saves now and then: by time, and when the stage changes."""

    def __init__(self, run: Run, every: float, network: object, notice: str) -> None:
        self._run = run
        self._notice = notice
        self._network = decisions(network)
        self._every = every
        self._due = time.monotonic() + every
        self._stage = -1

    def step(self, record: StepRecord, state: LoopState) -> StepRecord:
        """Append the record and save where it is time; the record says so where saving failed."""
        if self._notice:
            record = replace(record, event="; ".join(filter(None, (self._notice, record.event))))
            self._notice = ""
        self._run.append(asdict(record))
        changed, self._stage = self._stage not in (-1, state.stage), state.stage
        if not changed and time.monotonic() < self._due:
            return record
        try:
            self.save(state)
        except (StorageError, OutputError) as failure:
            self._due = time.monotonic() + SAVE_RETRY_SECONDS
            warning = f"not saved, tried again in {SAVE_RETRY_SECONDS:g} s: {failure}"
            return replace(record, event="; ".join(filter(None, (record.event, warning))))
        return record

    def save(self, state: LoopState) -> None:
        """Save a checkpoint. Raises StorageError, OutputError."""
        self._run.save_checkpoint(state_to_tree(state) | self._network)
        self._due = time.monotonic() + self._every


def _conclude(
    assembly: Assembly,
    choices: Choices,
    options: SolveOptions,
    state: LoopState,
    status: Status,
    run: Run,
    began: float,
) -> Outcome:
    """Evaluate on fresh points and publish the fields; a diverged run publishes none."""
    solution = Solution(assembly, state.theta)
    objective = assembly.objective(state.points)
    summary: dict[str, Any] = {
        "schema": 1,
        "status": status,
        "problem": assembly.formulation.name,
        "run": str(run.folder),
        "seed": options.seed,
        "device": str(assembly.device),
        "precision": options.precision,
        "engine": choices.engine,
        "parameters": objective.size,
        "steps": state.step,
        "time": {"total_s": 0.0, "train_s": state.elapsed},
        "loss": objective.value(state.theta),
    }
    if solution.has_reference:
        summary["errors"] = {name: asdict(e) for name, e in solution.errors().items()}
    summary["residuals"] = solution.residuals(state.points)
    if assembly.parameters.names:
        summary["estimates"] = assembly.values(state.theta)
    if math.isfinite(summary["loss"]) and status not in ("interrupted", "diverged"):
        run.publish_fields(solution.on_grid(choices.grid))
    summary["time"]["total_s"] = time.monotonic() - began
    return Outcome(status, summary)

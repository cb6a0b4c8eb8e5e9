"""Solving a problem into a run directory, and opening the solution of one.

The composition root: it builds everything from literal tables, drives the training loop, keeps
checkpoints and publishes the fields. The command line draws what it yields.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pinncli.assembly import Assembly, adaptation
from pinncli.device import choose_device, prepare_cpu
from pinncli.errors import CorruptError, MemoryLimitError, UsageError
from pinncli.marching import (
    MarchState,
    Route,
    advance,
    finish,
    finished_windows,
    limits,
    overall,
    tree_to_march,
)
from pinncli.optimisers import OPTIMISERS
from pinncli.piece import Piece
from pinncli.preparation import compiled, decided_route, decisions, described
from pinncli.problem.defaults import Choices, choose
from pinncli.problem.formulation import formulate
from pinncli.problem.legs import Leg, legs
from pinncli.problem.loading import load_text
from pinncli.problem.terms import Formulation
from pinncli.problem.windows import count_windows, until
from pinncli.recorder import Recorder
from pinncli.runs.store import Run
from pinncli.solution import ROUGH_ERRORS, Solution
from pinncli.summary import summarise
from pinncli.training import (
    LoopState,
    Setup,
    Stage,
    Status,
    StepRecord,
    start,
    train,
)

PRECISIONS: Mapping[str, torch.dtype] = {"float64": torch.float64, "float32": torch.float32}

PATIENCE: Mapping[str, tuple[int, float, int]] = {
    "lm": (40, 1e-2, 10),
    "lsq": (5, 1e-2, 1),
    "engd_w": (100, 1e-2, 20),
    "spring": (200, 1e-2, 20),
    "hessian_free": (40, 1e-2, 10),
    "bfgs": (500, 1e-2, 100),
    "ssbfgs": (500, 1e-2, 100),
    "ssbroyden": (500, 1e-2, 100),
    "lbfgs": (500, 1e-2, 100),
    "adam": (5000, 1e-2, 100),
    "soap": (2000, 1e-2, 100),
}
"""Per optimiser: a stage ends when the value fell by less than this fraction over so many steps,
and losses and error are measured every so many steps."""

MIN_BLOCK = 64


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
    place = _place(options.device, options.precision)
    allowed = options.max_time if tree is None else _allowed(tree)
    route = _route(formulation, options.seed, *place, allowed, timed=options.max_time is not None)
    until_half = math.inf if options.max_time is None else began + 0.5 * options.max_time
    route = decided_route(route, tree, lambda: time.monotonic() >= until_half or stop() is not None)
    route, notice = compiled(route, tree)
    prepared = time.monotonic() - began
    if tree is None:
        assembly = route.assembly(route.legs[0], ())
        setup = _setup(assembly, route.legs[0], route.choices(route.legs[0]), options)
        loop = replace(start(setup, assembly.initial_theta()), elapsed=prepared)
        state = MarchState(loop, elapsed=prepared)  # trials take no time of the first window's share
    else:
        stages = _stages(route.choices(route.legs[tree["march"]["leg"]]))
        state = tree_to_march(tree, stages, route.device)
        began -= state.loop.elapsed  # a continued run counts the time of all its parts
        _check_length(run, route.assembly(route.legs[0], ()), tree)
    notices = (notice,) if tree is not None else (described(route), notice)
    kept: dict[str, Any] = {"allowed": allowed or 0.0, "compiled": route.compiled} | decisions(route)
    keeper = Recorder(run, formulation.problem.training.checkpoint_seconds, kept, notices)
    status, state, pieces = yield from _march(route, state, options, keeper, stop)
    if status != "interrupted" or state.loop.step:  # before the first step nothing is decided: try again
        keeper.save(state)
    solution = Solution(until(route.formulation, len(pieces) - 1), pieces)
    facts: dict[str, Any] = {
        "schema": 1,
        "status": status,
        "problem": formulation.name,
        "run": str(run.folder),
    }
    facts |= {"seed": options.seed, "device": str(route.device), "precision": options.precision}
    facts |= summarise(solution, route, state, status)
    if math.isfinite(facts["loss"]) and status not in ("interrupted", "diverged"):
        run.publish_fields(solution.on_grid(choose(solution.formulation).grid))
    facts["time"]["total_s"] = time.monotonic() - began
    run.finish(status, facts)
    return Outcome(status, facts)


def load_solution(run: Run, device: str = "auto", precision: str | None = None) -> Solution:
    """The solution in a run directory, from that directory alone; of an unfinished march, up to where it is.

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
    route = _route(formulation, seed, *_place(device, chosen), _allowed(tree))
    route = decided_route(route, tree)
    _check_length(run, route.assembly(route.legs[0], ()), tree)
    pieces = route.pieces([*(w.theta for w in finished_windows(tree, route.device)), tree["theta"]])
    return Solution(until(route.formulation, len(pieces) - 1), pieces)


def _route(
    formulation: Formulation,
    seed: int,
    place: torch.device,
    dtype: torch.dtype,
    allowed: float | None,
    timed: bool = False,
) -> Route:
    """The legs of a problem; what trials decide of frozen features is still open."""
    warm = formulation.problem.marching.warm
    return Route(formulation, legs(formulation), None, timed, allowed, seed, place, dtype, warm)


def _allowed(tree: Mapping[str, Any]) -> float | None:
    """Seconds for which the run of a checkpoint was begun; None without a limit."""
    return tree["allowed"] or None


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


def _setup(
    assembly: Assembly,
    leg: Leg,
    choices: Choices,
    options: SolveOptions,
    max_steps: int | None = None,
    max_time: float | None = None,
) -> Setup:
    """What the loop needs for a leg. Errors are those of its window; on the way to it there is no target."""
    settings = assembly.formulation.problem.training
    target = options.target if options.target is not None else settings.target
    target = target if leg.final else None
    first = Solution.of(assembly, assembly.initial_theta())
    known = first.error_points(ROUGH_ERRORS) if first.has_reference else None

    def error(theta: Tensor) -> float | None:
        if known is not None:
            return Solution.of(assembly, theta).error_on(known)
        return Piece(assembly, theta).relative_residual() if target is not None else None

    return Setup(
        stages=_stages(choices, settings.measure_every),
        objective=assembly.objective,
        draw=assembly.draw,
        error=error,
        parameters=assembly.values,
        target=target,
        max_steps=max_steps,
        max_time=max_time,
        adaptation=adaptation(assembly),
    )


def _stages(choices: Choices, measure_every: int | None = None) -> list[Stage]:
    stages, redraw = [], choices.resample.every if choices.resample else 0
    for stage in choices.stages:
        settings = stage.optimiser.model_dump()
        kind = settings.pop("kind")
        patience, progress, measure = PATIENCE[kind]
        measure = measure_every or measure
        stages.append(
            Stage(OPTIMISERS[kind](**settings), kind, stage.steps, redraw, patience, progress, measure)
        )
    return stages


def _march(
    route: Route,
    state: MarchState,
    options: SolveOptions,
    keeper: Recorder,
    stop: Callable[[], str | None],
) -> Generator[StepRecord, None, tuple[Status, MarchState, tuple[Piece, ...]]]:
    """All legs from `state` on; returns how it ended, the last state and the windows as far as they are."""
    earlier, block = route.pieces([done.theta for done in state.finished]), None
    while True:
        leg = route.legs[state.leg]
        assembly = _limited(route.assembly(leg, earlier), block)
        status, loop, assembly = yield from _train(route, assembly, state, options, keeper, stop)
        block = assembly.block
        state = replace(state, loop=loop)
        over = status in ("interrupted", "diverged") or state.leg + 1 == len(route.legs)
        if over:
            solving = next(k for k in route.legs if k.final and k.window == leg.window)
            if solving is not leg:
                assembly = _limited(route.assembly(solving, earlier), block)
            final = overall([*(done.status for done in state.finished), status])
            return final, state, (*earlier, Piece(assembly, loop.theta))
        if leg.final:
            piece = Piece(assembly, loop.theta)
            state, earlier = finish(state, piece, status), (*earlier, piece)
        following = route.legs[state.leg + 1]
        assembly = _limited(route.assembly(following, earlier), block)
        setup = _setup(assembly, following, route.choices(following), options)
        state = advance(state, setup, route.first_theta(following, assembly, loop))


def _limited(assembly: Assembly, block: int | None) -> Assembly:
    """With blocks no larger than memory has turned out to hold."""
    return assembly if block is None else replace(assembly, block=min(block, assembly.block))


def _train(
    route: Route,
    assembly: Assembly,
    march: MarchState,
    options: SolveOptions,
    keeper: Recorder,
    stop: Callable[[], str | None],
) -> Generator[StepRecord, None, tuple[Status, LoopState, Assembly]]:
    """One leg, recorded and saved; out of memory makes the blocks of the assembly smaller and goes on."""
    leg, state = route.legs[march.leg], march.loop
    choices = route.choices(leg)
    max_steps = assembly.formulation.problem.training.max_steps
    bounds = limits(march, len(route.legs), max_steps, options.max_time)
    while True:
        loop = train(_setup(assembly, leg, choices, options, *bounds), state, stop)
        try:
            while True:
                try:
                    record, state = next(loop)
                except StopIteration as end:
                    return *end.value, assembly
                windows = count_windows(route.formulation.problem)
                record = replace(record, window=leg.window, windows=windows, constants=dict(leg.constants))
                yield keeper.step(record, replace(march, loop=state))
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

"""A solve as a march: legs trained in turn, each begun with what the one before has learnt.

A leg is a time window with some value of the curriculum's constants (`pinncli.problem.legs`); most
problems have one. What is carried from leg to leg is a value, `MarchState`, and so in the checkpoint:
a march continued from it repeats the undisturbed one bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pinncli.assembly import Assembly, assemble
from pinncli.derivatives import Taylor
from pinncli.piece import Piece, root_mean_square
from pinncli.problem.defaults import Choices, FeatureNetwork, LocalNetwork, choose
from pinncli.problem.legs import Leg
from pinncli.problem.terms import Formulation
from pinncli.residuals import Sample
from pinncli.training import LoopState, Setup, Stage, Status, start, state_to_tree, tree_to_state


@dataclass(frozen=True)
class Finished:
    """A time window that is done: its theta, why its training ended, and what it leaves for the summary.

    `value` is the objective at its training points, `trained` per condition the mean square of the
    residual there and their number.
    """

    theta: Tensor
    status: Status
    value: float
    trained: Mapping[str, tuple[float, int]]


@dataclass(frozen=True)
class MarchState:
    """Where a march is: the loop of the leg `leg`, which began at `step` and `elapsed` of the whole."""

    loop: LoopState
    leg: int = 0
    step: int = 0
    elapsed: float = 0.0
    finished: tuple[Finished, ...] = ()


@dataclass(frozen=True)
class Route:
    """What all legs share. `network` holds what trials have decided of frozen features, once for all."""

    formulation: Formulation
    """Of the whole, with the windows that are marched through."""
    legs: tuple[Leg, ...]
    network: FeatureNetwork | LocalNetwork | None
    timed: bool
    allowed: float | None
    """Seconds for which the march was begun, for all windows together."""
    seed: int
    device: torch.device
    dtype: torch.dtype
    warm: bool
    compiled: bool = False

    def choices(self, leg: Leg) -> Choices:
        """Those of its formulation; a curriculum limits the steps at all values but the last."""
        windows = sum(1 for each in self.legs if each.final)
        allowed = None if self.allowed is None else self.allowed / windows
        chosen = choose(leg.formulation, timed=self.timed, allowed=allowed, decided=self.network)
        if leg.steps is None:
            return chosen
        most = leg.steps
        stages = tuple(s.model_copy(update={"steps": min(s.steps, most)}) for s in chosen.stages)
        return replace(chosen, stages=stages)

    def assembly(self, leg: Leg, earlier: Sequence[Piece]) -> Assembly:
        """The leg on the device, begun from the last of the `earlier` windows."""
        handover = earlier[-1].ending() if earlier else None
        choices = self.choices(leg)
        assembly = assemble(leg.formulation, choices, self.seed, self.device, self.dtype, handover)
        if self.compiled and isinstance(assembly.engine, Taylor):
            return replace(assembly, engine=replace(assembly.engine, compiled=True))
        return assembly

    def pieces(self, thetas: Sequence[Tensor]) -> tuple[Piece, ...]:
        """The first windows with these thetas."""
        pieces: list[Piece] = []
        for leg, theta in zip([leg for leg in self.legs if leg.final], thetas, strict=False):
            assembly = self.assembly(leg, pieces)
            pieces.append(Piece(assembly, theta.to(self.device, self.dtype)))
        return tuple(pieces)

    def first_theta(self, leg: Leg, assembly: Assembly, before: LoopState) -> Tensor:
        """What the training of a leg after the first begins with: what was learnt before, or the seed's."""
        anew = leg.constants == self.legs[0].constants and not self.warm
        return assembly.initial_theta() if anew else before.theta


def limits(
    state: MarchState, legs: int, max_steps: int | None, max_time: float | None
) -> tuple[int | None, float | None]:
    """Up to which step and second of the whole the present leg may go: what is left, divided evenly."""
    left = legs - state.leg
    steps = None if max_steps is None else state.step - -(max_steps - state.step) // left
    seconds = None if max_time is None else state.elapsed + (max_time - state.elapsed) / left
    return steps, seconds


def finished(piece: Piece, samples: Sequence[Sample], status: Status) -> Finished:
    """What remains of a window that was trained at `samples`."""
    objective = piece.assembly.objective(samples)
    trained = {
        name: (root_mean_square(values) ** 2, len(values))
        for name, values in objective.magnitudes(piece.theta).items()
    }
    weights = {c.name: c.weight for group in objective.groups for c in group.conditions}
    value = sum(0.5 * weights[name] * square for name, (square, _) in trained.items())
    return Finished(piece.theta, status, value, trained)


def finish(state: MarchState, piece: Piece, status: Status) -> MarchState:
    """The state with its window, which `piece` solves, among the finished ones."""
    done = finished(piece, state.loop.points, status)
    return replace(state, finished=(*state.finished, done))


def trained_residuals(windows: Sequence[Finished]) -> dict[str, float]:
    """Per condition, the root mean square of the residual at all its training points."""
    names = dict.fromkeys(name for window in windows for name in window.trained)
    found = {}
    for name in names:
        parts = [window.trained[name] for window in windows if name in window.trained]
        found[name] = math.sqrt(sum(square * n for square, n in parts) / sum(n for _, n in parts))
    return found


def advance(state: MarchState, setup: Setup, theta: Tensor) -> MarchState:
    """The state at the beginning of the next leg."""
    loop = start(setup, theta, state.loop)
    return MarchState(loop, state.leg + 1, loop.step, loop.elapsed, state.finished)


def overall(statuses: Sequence[Status]) -> Status:
    """How a march ended whose windows ended so.

    What is to be continued is the last; the others are closed, and `target` must be that of all.
    """
    last = statuses[-1]
    if last in ("interrupted", "diverged", "time-limit"):
        return last
    if "stalled" in statuses:
        return "stalled"
    return "target" if set(statuses) == {"target"} else "complete"


def march_to_tree(state: MarchState) -> dict[str, Any]:
    """A `MarchState` as nested dictionaries; of a solve with one leg, those of its loop."""
    finished = {
        str(k): {
            "theta": done.theta,
            "status": done.status,
            "value": done.value,
            "trained": {name: {"square": s, "count": n} for name, (s, n) in done.trained.items()},
        }
        for k, done in enumerate(state.finished)
    }
    march = {"leg": state.leg, "step": state.step, "elapsed": state.elapsed, "finished": finished}
    return state_to_tree(state.loop) | {"march": march}


def finished_windows(tree: Mapping[str, Any], device: torch.device) -> tuple[Finished, ...]:
    """Those of a checkpoint."""
    saved = tree["march"]["finished"]
    return tuple(
        Finished(
            done["theta"].to(device),
            done["status"],
            done["value"],
            {name: (t["square"], t["count"]) for name, t in done["trained"].items()},
        )
        for done in (saved[str(k)] for k in range(len(saved)))
    )


def tree_to_march(tree: Mapping[str, Any], stages: Sequence[Stage], device: torch.device) -> MarchState:
    """The `MarchState` that `march_to_tree` took apart."""
    march = tree["march"]
    loop = tree_to_state(dict(tree), stages, device)
    return MarchState(loop, march["leg"], march["step"], march["elapsed"], finished_windows(tree, device))

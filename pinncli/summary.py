"""How a solve ended, in numbers: loss, errors, residuals, estimates."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pinncli.marching import MarchState, Route, finished, trained_residuals
from pinncli.problem.defaults import AnyNetwork, DenseNetwork, LocalNetwork
from pinncli.solution import Solution
from pinncli.training import Status


def summarise(solution: Solution, route: Route, state: MarchState, status: Status) -> dict[str, Any]:
    """What of the JSON object of a solve follows from where its training has arrived."""
    leg, last = route.legs[state.leg], solution.pieces[-1]
    samples = state.loop.points if leg.final else last.assembly.draw(0, None)
    windows = (*state.finished, finished(last, samples, status))
    found: dict[str, Any] = {
        "engine": route.choices(leg).engine,
        "network": _network(route.choices(leg).network),
        "parameters": sum(len(window.theta) for window in windows),
        "steps": state.loop.step,
        "time": {"total_s": 0.0, "train_s": state.loop.elapsed},
        "loss": sum(window.value for window in windows),
    }
    if any(leg.window for leg in route.legs):
        found["windows"] = [window.status for window in windows]
    if solution.has_reference:
        found["errors"] = {name: asdict(e) for name, e in solution.errors().items()}
    seen = trained_residuals(windows)
    found["residuals"] = {
        name: fresh | ({"rms_train": seen[name]} if name in seen else {})
        for name, fresh in solution.residuals().items()
    }
    if last.assembly.parameters.names:
        found["estimates"] = last.assembly.values(last.theta)
    return found


def _network(network: AnyNetwork) -> dict[str, Any]:
    """Kind and size; of frozen features the patches along each coordinate."""
    width = network.each if isinstance(network, LocalNetwork) else network.width
    size: dict[str, Any] = {"kind": network.kind, "width": width, "depth": network.depth}
    if not isinstance(network, DenseNetwork) and network.patches is not None:
        size["patches"] = list(network.patches)
    return size

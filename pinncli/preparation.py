"""What is tried before a march begins: frozen features, windows of time, compiled kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from pinncli.derivatives import Taylor
from pinncli.marching import Route
from pinncli.optimisers import OPTIMISERS, Optimiser
from pinncli.pilot import Pilot, along, operations
from pinncli.problem.defaults import FeatureNetwork, LocalNetwork, choose, features_first
from pinncli.problem.evolution import first_march
from pinncli.problem.settings import LeastSquaresSettings
from pinncli.problem.terms import Formulation
from pinncli.problem.windows import count_windows
from pinncli.tuning import Tuner, accept, tune

TRIAL_TOLERANCE = 0.1
"""Of the least squares by which frozen features are tried, for half of the time allowed at most."""

COMPILE_SECONDS = 300.0
"""From here on `auto` compiles, which takes 10 to 40 s."""


def decided_route(
    route: Route, tree: Mapping[str, Any] | None, over: Callable[[], bool] = lambda: False
) -> Route:
    """The route with its network and its windows, where trials decide on them: as the checkpoint has them,
    else frozen features for all of it where some are asked for or good enough, else a march by local ones.
    """
    if tree is not None:
        return _restored(route, tree)
    route = _with_features(route, over)
    if route.network is not None or route.dtype != torch.float64:
        return route
    optimiser = trial_least_squares()
    march = Pilot(route, optimiser, operations(route.allowed), over).find()
    return route if march is None else along(route, march)


def decisions(route: Route) -> dict[str, Any]:
    """What a checkpoint must hold of a route: nothing where no trials were needed."""
    network = route.network
    if network is None:
        return {}
    patches = {str(k): count for k, count in enumerate(network.patches or ())}
    tree: dict[str, Any] = {"scale": network.scale, "patches": patches}
    if isinstance(network, LocalNetwork):
        tree |= {"width": network.each, "windows": count_windows(route.formulation.problem)}
    else:
        tree |= {"width": network.width}
    return {"network": tree}


def _restored(route: Route, tree: Mapping[str, Any]) -> Route:
    """As `decisions` has left it."""
    if "network" not in tree:
        return route
    saved = tree["network"]
    patches = tuple(saved["patches"][str(k)] for k in range(len(saved["patches"])))
    march = first_march(route.formulation) if "windows" in saved else None
    if march is not None:
        local = replace(march.network, each=saved["width"], scale=saved["scale"], patches=patches)
        return along(route, replace(march, windows=saved["windows"], network=local))
    network = _features(route)
    if network is None:
        return route
    network = replace(network, width=saved["width"], scale=saved["scale"], patches=patches)
    return replace(route, network=network)


def _features(route: Route) -> FeatureNetwork | None:
    """Those that the problem asks for, or that it lets be tried."""
    formulation = _first(route)
    asked = choose(formulation).network
    if isinstance(asked, FeatureNetwork):
        return asked
    return features_first(formulation) if len(route.legs) == 1 else None


def _first(route: Route) -> Formulation:
    return next(leg for leg in route.legs if leg.final).formulation


def _with_features(route: Route, over: Callable[[], bool]) -> Route:
    """With what trials on the first window make of frozen features."""
    first, network = _first(route), _features(route)
    forced = isinstance(choose(first).network, FeatureNetwork)
    if network is None or not (forced or route.dtype == torch.float64):
        return route
    tuner = Tuner(first, trial_least_squares(), route.seed, route.device, route.dtype, over)
    return replace(route, network=tune(network, tuner) if forced else accept(network, tuner))


def trial_least_squares() -> Optimiser:
    """The optimiser of trials: it ends early, for a rough answer."""
    settings = LeastSquaresSettings(kind="lsq", tolerance=TRIAL_TOLERANCE)
    return OPTIMISERS["lsq"](**settings.model_dump(exclude={"kind"}))


def described(route: Route) -> str:
    """The frozen features that were found, in words; nothing where there are none."""
    network = route.network
    if network is None or network.scale is None:
        return ""
    patches = " x ".join(map(str, network.patches or (1,)))
    if isinstance(network, LocalNetwork):
        windows = count_windows(route.formulation.problem)
        return f"local features: {network.each} on each of {patches} patches, in {windows} time windows"
    return f"frozen features: {network.width} in {patches} patches, scale {network.scale:.3g}"


def compiled(route: Route, tree: Mapping[str, Any] | None = None) -> tuple[Route, str]:
    """With compiled kernels where that is asked for; where they fail as it was, and a warning.

    `auto` compiles where the run is allowed time enough to win back what compiling takes. What was decided
    when a run began holds for all of it, since compiled kernels round differently.
    """
    first = route.legs[0]
    asked = first.formulation.problem.derivatives.compiled
    wanted = asked == "on" or (asked == "auto" and _pays(route)) if tree is None else bool(tree["compiled"])
    if not wanted:
        return route, ""
    candidate = replace(route, compiled=True)
    assembly = candidate.assembly(first, ())
    if not isinstance(assembly.engine, Taylor):
        return route, "not compiled: only the engine taylor is" if asked == "on" else ""
    try:  # at the points of training, whose number decides on the threads of a kernel
        assembly.objective(assembly.draw(0, None)).value_and_grad(assembly.initial_theta())
    except (RuntimeError, OSError, ImportError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return route, f"not compiled, continuing without: {reason}"
    return candidate, ""


def _pays(route: Route) -> bool:
    """Whether compiling is a small part of the time allowed, and derivatives a large part of the rest."""
    trained = route.network is None
    estimated = route.legs[0].formulation.problem.derivatives.directions is not None
    return trained and not estimated and route.allowed is not None and route.allowed >= COMPILE_SECONDS

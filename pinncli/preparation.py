"""What is tried before a march begins: frozen features, and kernels compiled for the derivatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from pinncli.derivatives import Taylor
from pinncli.marching import Route
from pinncli.optimisers import OPTIMISERS
from pinncli.problem.defaults import FeatureNetwork, choose, features_first
from pinncli.problem.settings import LeastSquaresSettings
from pinncli.tuning import Tuner, accept, decided, tune

TRIAL_TOLERANCE = 0.1
"""Of the least squares by which frozen features are tried, for half of the time allowed at most."""

COMPILE_SECONDS = 300.0
"""From here on `auto` compiles, which takes 10 to 40 s."""


def with_features(
    route: Route, tree: Mapping[str, Any] | None, over: Callable[[], bool] = lambda: False
) -> Route:
    """The route with frozen features, where some are asked for or good enough: those of the checkpoint, else
    what trials on the first window make of them.
    """
    first = next(leg for leg in route.legs if leg.final).formulation
    asked = choose(first).network
    forced = isinstance(asked, FeatureNetwork)
    network = asked if isinstance(asked, FeatureNetwork) else features_first(first)
    if network is None or (len(route.legs) > 1 and not forced):
        return route
    if tree is not None:
        return replace(route, network=decided(network, tree)) if "network" in tree else route
    if not forced and route.dtype != torch.float64:
        return route
    optimiser = OPTIMISERS["lsq"](
        **LeastSquaresSettings(kind="lsq", tolerance=TRIAL_TOLERANCE).model_dump(exclude={"kind"})
    )
    tuner = Tuner(first, optimiser, route.seed, route.device, route.dtype, over)
    return replace(route, network=tune(network, tuner) if forced else accept(network, tuner))


def described(route: Route) -> str:
    """The frozen features that were found, in words; nothing where there are none."""
    network = route.network
    if network is None or network.scale is None:
        return ""
    patches = " x ".join(map(str, network.patches or (1,)))
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

"""Optimisers over a flat theta: one file a family, direction and search apart.

Layer 6: knows torch and the `Objective` protocol, nothing of problems, networks or runs.
"""

from collections.abc import Callable, Mapping

from pinncli.optimisers.base import Objective, Optimiser, StepInfo
from pinncli.optimisers.first_order import Adam
from pinncli.optimisers.gauss_newton import LevenbergMarquardt
from pinncli.optimisers.lbfgs import Lbfgs
from pinncli.optimisers.quasi_newton import QuasiNewton

OPTIMISERS: Mapping[str, Callable[..., Optimiser]] = {
    "adam": Adam,
    "lbfgs": Lbfgs,
    "bfgs": QuasiNewton,
    "ssbfgs": QuasiNewton,
    "ssbroyden": QuasiNewton,
    "lm": LevenbergMarquardt,
}
"""By the `kind` of the settings. `QuasiNewton` serves three kinds and takes `kind` itself."""

__all__ = ["OPTIMISERS", "Objective", "Optimiser", "QuasiNewton", "StepInfo"]

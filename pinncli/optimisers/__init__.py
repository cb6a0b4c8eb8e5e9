"""Optimisers over a flat theta: one file a family, direction and search apart.

Layer 6: knows torch and the `Objective` protocol, nothing of problems, networks or runs.
"""

from collections.abc import Callable, Mapping
from functools import partial

from pinncli.optimisers.base import Objective, Optimiser, StepInfo
from pinncli.optimisers.first_order import Adam
from pinncli.optimisers.gauss_newton import LevenbergMarquardt
from pinncli.optimisers.hessian_free import HessianFree
from pinncli.optimisers.lbfgs import Lbfgs
from pinncli.optimisers.least_squares import LeastSquares
from pinncli.optimisers.quasi_newton import QuasiNewton
from pinncli.optimisers.soap import Soap
from pinncli.optimisers.woodbury import Woodbury

OPTIMISERS: Mapping[str, Callable[..., Optimiser]] = {
    "adam": Adam,
    "soap": Soap,
    "lbfgs": Lbfgs,
    "bfgs": partial(QuasiNewton, "bfgs"),
    "ssbfgs": partial(QuasiNewton, "ssbfgs"),
    "ssbroyden": partial(QuasiNewton, "ssbroyden"),
    "lm": LevenbergMarquardt,
    "lsq": LeastSquares,
    "engd_w": partial(Woodbury, momentum=0.0, learning_rate=1.0),
    "spring": Woodbury,
    "hessian_free": HessianFree,
}
"""By the `kind` of the settings, whose other fields are the keyword arguments.

To add an optimiser: write one file, one line here, and its settings in `pinncli.problem.settings`.
"""

__all__ = ["OPTIMISERS", "Objective", "Optimiser", "StepInfo"]

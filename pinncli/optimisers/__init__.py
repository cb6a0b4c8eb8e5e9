"""Optimisers."""

from pinncli.optimisers.base import Objective, Optimiser, StepInfo
from pinncli.optimisers.gauss_newton import LevenbergMarquardt

OPTIMISERS = {"lm": LevenbergMarquardt}

__all__ = ["OPTIMISERS", "Objective", "Optimiser", "StepInfo"]

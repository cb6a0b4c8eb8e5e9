"""Whether Laplacians that are estimated from random directions suit the problem and its training."""

from __future__ import annotations

from pinncli.errors import Diagnostic
from pinncli.problem.defaults import Choices
from pinncli.problem.source import SourceMap
from pinncli.problem.terms import Formulation

FIRST_ORDER = ("adam", "soap")
"""Optimisers that average over many draws; all others take the residuals of one draw for the problem."""


def check_directions(formulation: Formulation, choices: Choices, source: SourceMap) -> list[Diagnostic]:
    """All that makes an estimate from few directions useless, or wrong."""
    problem = formulation.problem
    count, path = problem.derivatives.directions, ("derivatives", "directions")
    if count is None:
        return []
    found: list[tuple[str, str]] = []
    if count > len(problem.space):
        message = f"{count} directions of {len(problem.space)}: there are no more than coordinates of space"
        found.append((message, "leave directions out: all of them are taken then"))
    if not any(partial.laplacian for c in formulation.conditions for _, partial in c.residual.partials):
        message = "no equation has the Laplacian of an unknown, which alone is estimated from directions"
        found.append((message, "write lap(u) for the sum of second derivatives, or leave directions out"))
    others = [s.optimiser.kind for s in choices.stages if s.optimiser.kind not in FIRST_ORDER]
    if others:
        message = f"{others[0]} needs exact Laplacians: it would fit the residuals of one draw of directions"
        found.append((message, f"take {' or '.join(FIRST_ORDER)} in [[stages]], or leave directions out"))
    resample = choices.resample
    if resample is None or resample.every != 1:
        message = "directions are drawn with the points, which here stay for many steps"
        found.append((message, 'add resample = { every = 1, by = "uniform" } in [sampling]'))
    if formulation.ansatz is not None:
        message = "an ansatz that meets conditions by construction has exact Laplacians only"
        found.append((message, 'hard = "off" in [network], or leave directions out'))
    if problem.derivatives.compiled == "on":
        message = "kernels are compiled for one set of directions, and every step has another"
        found.append((message, 'compiled = "off" in [derivatives], or leave directions out'))
    return [source.diagnose(path, message, hint=hint) for message, hint in found]

"""Which unknowns are the components of a vector, such as a velocity: figures draw its streamlines."""

from __future__ import annotations

from pinncli.problem.terms import Formulation

Vectors = tuple[tuple[str, ...], ...]

_NAMES = ("u", "v", "w")


def vectors_of(formulation: Formulation) -> Vectors:
    """As `[output] vectors` says; else `u, v` in two dimensions and `u, v, w` in three, if they flow.

    They flow where some equation has a first derivative of one of them in space: convection and continuity
    do, while the concentrations u and v of two species that diffuse and react have second ones alone.
    """
    problem = formulation.problem
    if problem.output.vectors != "auto":
        return problem.output.vectors
    names = _NAMES[: len(problem.space)]
    if len(names) < 2 or len(problem.space) > len(_NAMES) or not set(names) <= set(problem.components):
        return ()
    time = None if problem.time is None else formulation.scope.coordinates.index(problem.time)
    flows = any(
        partial.component in names
        and partial.order == 1
        and not partial.laplacian
        and (time is None or not partial.orders[time])
        for terms in formulation.conditions
        if problem.conditions[terms.name].on == "interior" and terms.data is None
        for _, partial in terms.residual.partials
    )
    return (names,) if flows else ()

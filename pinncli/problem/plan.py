"""What a solve will compute and what it takes: points, partials, jet channels, memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

from pinncli.language.partials import MultiIndex, Partial, downward_closure
from pinncli.language.scope import Site
from pinncli.problem.defaults import (
    AnyNetwork,
    Choices,
    DenseNetwork,
    LocalNetwork,
    highest_order,
    layer_sizes,
    network_parts,
)
from pinncli.problem.numeric import fixed
from pinncli.problem.point_groups import PointGroup, point_groups
from pinncli.problem.settings import HessianFreeSettings, LbfgsSettings, OptimiserSettings
from pinncli.problem.terms import Formulation, Region

DEFAULT_BLOCK = 1024
_DENSE = frozenset({"bfgs", "ssbfgs", "ssbroyden", "lm", "lsq"})
_KERNEL = frozenset({"engd_w", "spring"})
_RECORDED = (1 << 30) // 8
"""Numbers that a linearisation keeps at most."""


@dataclass(frozen=True)
class SitePlan:
    """The partials wanted at the points themselves, or at points moved to, say, `x = 1`."""

    moved: tuple[str, ...]
    partials: tuple[Partial, ...]
    channels: tuple[MultiIndex, ...]
    """Taylor coefficients carried: everything below what is wanted. At most: the engine carries one where the
    equations need several only in a sum."""
    laplacians: int
    """1 where one more channel carries a collapsed Laplacian."""
    nodes: int = 1
    """How many places it stands for: the nodes of an integral are alike."""

    @property
    def width(self) -> int:
        """Number of channels in all."""
        return len(self.channels) + self.laplacians


@dataclass(frozen=True)
class PointSet:
    """Conditions that share their points, and so one pass of the network."""

    conditions: tuple[str, ...]
    region: Region
    points: int
    rows: int
    """Residuals: one per point, condition and real part."""
    sites: tuple[SitePlan, ...]


@dataclass(frozen=True)
class Plan:
    """The whole of it. `memory` is in bytes of float64, by part."""

    point_sets: tuple[PointSet, ...]
    engine: str
    order: int
    parameters: int
    points: int
    rows: int
    memory: Mapping[str, int]

    @property
    def total_memory(self) -> int:
        """Bytes in all."""
        return sum(self.memory.values())


def derive_plan(formulation: Formulation, choices: Choices) -> Plan:
    """The plan that follows from a problem and the choices made for it."""
    groups = point_groups(formulation, choices)
    point_sets = tuple(_point_set(group, formulation) for group in groups)
    rows = sum(s.rows for s in point_sets)
    return Plan(
        point_sets=point_sets,
        engine=choices.engine,
        order=highest_order(formulation),
        parameters=choices.parameters,
        points=sum(s.points for s in point_sets),
        rows=rows,
        memory=_memory(point_sets, rows, formulation, choices),
    )


def _point_set(group: PointGroup, formulation: Formulation) -> PointSet:
    wanted: dict[Site, set[Partial]] = {}
    nodes: set[Site] = set()
    for terms in group.terms:
        origins = terms.residual.origins
        nodes |= {p for p, k in zip(terms.residual.sites, origins, strict=True) if origins.count(k) > 1}
        for site, partial in terms.residual.partials:
            wanted.setdefault(terms.residual.sites[site], set()).add(partial)
    rows = group.points * sum(len(terms.residual.programs.outputs) for terms in group.terms)
    sites = tuple(
        _site(site, partials, formulation) for site, partials in wanted.items() if site not in nodes
    )
    sums: dict[tuple[object, ...], list[Site]] = {}
    for node in (site for site in wanted if site in nodes):
        names = tuple(name for name, _ in node.replacements)
        sums.setdefault((names, frozenset(wanted[node])), []).append(node)
    for alike in sums.values():
        one = _site(alike[0], wanted[alike[0]], formulation)
        moved = tuple(f"{name} = …" for name, _ in alike[0].replacements)
        sites += (replace(one, moved=moved, nodes=len(alike)),)
    return PointSet(tuple(terms.name for terms in group.terms), group.region, group.points, rows, sites)


def _site(site: Site, partials: set[Partial], formulation: Formulation) -> SitePlan:
    """Channels are the downward closure of the orders; a Laplacian needs the first derivatives too.

    With `directions`, those of so many coordinates, whichever they are.
    """
    coordinates, space = formulation.scope.coordinates, formulation.scope.space
    indices = [partial.orders for partial in partials]
    laplacian = any(partial.laplacian for partial in partials)
    summed = space[: formulation.problem.derivatives.directions]
    if laplacian:
        indices += [tuple(int(c == name) for c in coordinates) for name in summed]
    channels = downward_closure(indices)
    seconds = [tuple(2 * (c == name) for c in coordinates) for name in summed]
    carried = laplacian and not all(second in channels for second in seconds)
    moved = tuple(
        f"{name} = …" if value is None else f"{name} = {value:g}" for name, value in fixed(site).items()
    )
    return SitePlan(moved, tuple(sorted(partials)), channels, int(carried))


def _neurons(network: AnyNetwork, formulation: Formulation) -> int:
    """Outputs of all hidden layers."""
    neurons = 0
    for part, mine, _ in network_parts(network, formulation.problem):
        sizes = layer_sizes(part, len(mine), 1) if isinstance(part, DenseNetwork) else []
        neurons += sum(outputs for _, outputs in sizes[:-1]) if sizes else part.width
    return neurons


def _memory(
    point_sets: tuple[PointSet, ...], rows: int, formulation: Formulation, choices: Choices
) -> dict[str, int]:
    """Bytes: with p parameters, r rows, |S| channels, blocks of b points, float64 throughout.

    optimiser   3 p^2 for a dense matrix and its update, (2 m + 4) p for L-BFGS, 3 k p for the preconditioner
                of rank k, n^2 or p^2 for the kernel matrix, the smaller, twice; 4 p for Adam, and 4 w^2 a
                layer more for SOAP
    Jacobian    min(r, b) p, where Levenberg-Marquardt accumulates the Gram matrix by blocks;
                2 (2 p + min(r, b)) p for its triangle, or
                2 (r + 2 p) w where w local features are alive; 2 r p for the kernel matrix; the
                recorded layers, 1 GiB at most, for conjugate gradients
    layers      4 b |S| neurons: forward values, their cotangents and two intermediates
    points      (d + 2) numbers per point and 2 per row
    fields      the output grid, times solution, residual, reference and error fields
    """
    network, problem = choices.network, formulation.problem
    p, block = choices.parameters, choices.block or DEFAULT_BLOCK
    channels = max((site.width for s in point_sets for site in s.sites), default=1)
    visited = max((sum(site.nodes for site in s.sites) for s in point_sets), default=1)
    largest = max((s.points for s in point_sets), default=1)
    optimiser = 0
    jacobian = 0
    local = isinstance(network, LocalNetwork)
    for stage in choices.stages:
        squares = network.depth * network.width**2
        held = 4 * p if local else _optimiser_numbers(stage.optimiser, p, rows, squares)
        optimiser = max(optimiser, held)
        if stage.optimiser.kind == "lm":
            jacobian = max(jacobian, min(rows, block) * p)
        elif stage.optimiser.kind == "lsq":
            jacobian = max(jacobian, _least_squares_numbers(network, p, rows, block))
        elif stage.optimiser.kind in _KERNEL:
            jacobian = max(jacobian, 2 * rows * p)
        elif stage.optimiser.kind == "hessian_free":
            recorded = 2 * rows * channels * network.width * network.depth
            jacobian = max(jacobian, min(block, rows) * p + min(recorded, _RECORDED))
    if problem.training.needs_jacobian:
        jacobian = max(jacobian, min(rows, block) * p)
    fields = 3 * len(problem.components) + len(problem.definitions) + len(problem.conditions)
    numbers = {
        "optimiser": optimiser,
        "jacobian": jacobian,
        "layers": 4 * min(block, largest) * channels * _neurons(network, formulation) * min(4, visited),
        "points": sum(s.points for s in point_sets) * (len(problem.coordinates) + 2) + 2 * rows,
        "fields": prod(choices.grid.values()) * fields,
    }
    return {part: 8 * count for part, count in numbers.items()}


def _least_squares_numbers(network: AnyNetwork, p: int, rows: int, block: int) -> int:
    """The Jacobian's triangle, twice; of local features all rows, as wide as what is alive, and fronts."""
    if isinstance(network, LocalNetwork):
        return (rows + 2 * p) * 2 * network.width
    return 2 * (2 * p + min(rows, block)) * p


def _optimiser_numbers(settings: OptimiserSettings, p: int, rows: int, squares: int) -> int:
    """Numbers that an optimiser holds, as listed for `_memory`."""
    if isinstance(settings, LbfgsSettings):
        return (2 * settings.memory + 4) * p
    if isinstance(settings, HessianFreeSettings):
        return 3 * min(settings.rank, p) * p
    if settings.kind in _KERNEL:
        return 2 * min(rows, p) ** 2
    if settings.kind in _DENSE:
        return 3 * p * p
    return 4 * p + (4 * squares if settings.kind == "soap" else 0)

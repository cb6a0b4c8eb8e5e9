"""From a formulation to tensors: domain, network, engine, groups of conditions, points.

With `pinncli.solver` the one place that sees a problem and tensors together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from pinncli.derivatives import ENGINES, Engine
from pinncli.geometry import SAMPLERS, Box, Predicate, stream_seed
from pinncli.handover import Handover
from pinncli.language.partials import Partial
from pinncli.language.program import Program
from pinncli.networks import NETWORKS, Features, Network
from pinncli.objective import Objective, ParameterMap
from pinncli.problem.defaults import Choices, FeatureNetwork, MlpNetwork
from pinncli.problem.model import Problem
from pinncli.problem.point_groups import point_groups
from pinncli.problem.settings import ResampleSettings
from pinncli.problem.terms import ConditionTerms, Formulation
from pinncli.residuals import Condition, Group, Sample, run_on_coordinates
from pinncli.weighting import natural_scale

CANDIDATES = 4
"""Points proposed for each point that residual-based redrawing keeps."""

BLOCK_BYTES = 8 << 20
"""Working set of one layer of a block on a CPU: channels x width x points in float64."""

JACOBIAN_BYTES = 1 << 26
"""Largest Jacobian of a block of points held at a time."""

BATCHED_POINTS = 64
"""Points per block where a Jacobian is taken row by row, since every row then costs a pass over its block."""

SCALE_POINTS = 256
"""Points at which the size of an equation's terms is looked for."""

FRESH_DRAW = 1_000_000
"""Draw numbers from here on are never trained on."""


@dataclass(frozen=True)
class Region:
    """A group's part of the domain: `count` points a side, or fixed points with data columns.

    `handover` names the columns that the window before gives at the points.
    """

    labels: tuple[str, ...]
    where: Program | None
    count: int
    data: Sample | None
    handover: Mapping[str, Partial]


@dataclass(frozen=True)
class Assembly:
    """Everything that a formulation needs to be trained and evaluated, on one device.

    `handover` is what the window before arrived at; None in the first.
    """

    formulation: Formulation
    box: Box
    network: Network
    engine: Engine
    groups: tuple[Group, ...]
    regions: tuple[Region, ...]
    parameters: ParameterMap
    method: str
    resample: ResampleSettings | None
    block: int
    seed: int
    device: torch.device
    dtype: torch.dtype
    handover: Handover | None

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Names of the coordinates, in the problem's order."""
        return self.box.names

    def initial_theta(self) -> Tensor:
        """theta (p,) before training, from the seed alone."""
        generator = torch.Generator().manual_seed(stream_seed(self.seed, 0, "theta"))
        weights = self.network.initialise(generator)
        return torch.cat([weights, weights.new_zeros(len(self.parameters.names))]).to(self.device, self.dtype)

    def objective(self, samples: Sequence[Sample]) -> Objective:
        """The objective at `samples`, one per group."""
        return self.objective_of(self.groups, samples)

    def objective_of(self, groups: Sequence[Group], samples: Sequence[Sample]) -> Objective:
        """The objective of any groups, with this network and engine."""
        return Objective.of(self.network, self.engine, groups, samples, self.parameters, self.block)

    def draw(self, number: int, theta: Tensor | None) -> tuple[Sample, ...]:
        """The points of draw `number`; after the first the interior follows the residual if asked to."""
        follow = self.resample is not None and self.resample.by == "residual"
        samples = []
        for k, region in enumerate(self.regions):
            if region.data is not None:
                samples.append(region.data)
            elif follow and theta is not None and not self.box.sides(region.labels):
                samples.append(self._by_residual(k, number, theta))
            else:
                samples.append(self._sample(k, region.count, self.method, number))
        return tuple(samples)

    def fresh(self, interior: int, side: int) -> tuple[Sample, ...]:
        """Uniform points that training has never seen; data groups keep theirs."""
        samples = []
        for k, region in enumerate(self.regions):
            count = side if self.box.sides(region.labels) else interior
            fixed = region.data
            samples.append(self._sample(k, count, "uniform", FRESH_DRAW) if fixed is None else fixed)
        return tuple(samples)

    def values(self, theta: Tensor) -> dict[str, float]:
        """The unknown numbers by name."""
        return {n: float(v) for n, v in self.parameters.values(theta[self.network.size :]).items()}

    def _sample(self, group: int, count: int, method: str, number: int) -> Sample:
        region = self.regions[group]
        where = _predicate(region.where, self.coordinates)
        drawn = self.box.sample(region.labels, count, SAMPLERS[method], self.seed, number, where)
        sample = Sample(drawn.points, drawn.normals, {}).to(self.device, self.dtype)
        if self.handover is None or not region.handover:
            return sample
        return replace(sample, columns=self.handover.columns(sample.points, region.handover))

    def _by_residual(self, group: int, number: int, theta: Tensor) -> Sample:
        """RAD (Wu et al. 2023, eq. 2): density |r|^k / mean |r|^k + c over candidates, none taken twice."""
        assert self.resample is not None  # noqa: S101  (the caller has seen it)
        count = self.regions[group].count
        candidates = self._sample(group, CANDIDATES * count, self.method, number)
        alone = self.objective_of([self.groups[group]], [candidates])
        size = torch.stack(list(alone.magnitudes(theta).values())).norm(dim=0).double().cpu()
        density = size**self.resample.power
        density = density / density.mean().clamp_min(torch.finfo(torch.float64).tiny) + self.resample.floor
        generator = torch.Generator().manual_seed(stream_seed(self.seed, number, f"rad/{group}"))
        # the n smallest of E/w, E exponential, are a weighted sample without replacement
        exponential = (
            -torch.rand(len(density), generator=generator, dtype=torch.float64).clamp_min(1e-300).log()
        )
        chosen = torch.topk(exponential / density, count, largest=False).indices.sort().values
        return candidates[chosen.to(self.device)]


def domain(problem: Problem) -> Box:
    """The box of a problem's coordinates."""
    ranges = [c.range for c in problem.coordinates.values()]
    low, high = tuple(r[0] for r in ranges), tuple(r[1] for r in ranges)
    return Box(tuple(problem.coordinates), low, high, problem.space)


def assemble(
    formulation: Formulation,
    choices: Choices,
    seed: int,
    device: torch.device,
    dtype: torch.dtype,
    handover: Handover | None = None,
) -> Assembly:
    """Build every part from its literal table."""
    problem = formulation.problem
    box = domain(problem)
    names = box.names
    periodic = tuple(name in choices.network.periodic for name in names)
    features = Features(box.low, box.high, periodic, choices.network.harmonics)
    network = _network(choices.network, features, len(problem.components), seed, device, dtype)
    lap_axes = tuple(names.index(name) for name in problem.space)
    groups, regions = _groups(formulation, choices, box, device, dtype)
    parameters = ParameterMap(
        tuple(problem.parameters),
        tuple(p.initial for p in problem.parameters.values()),
        tuple(p.bounds for p in problem.parameters.values()),
    )
    engine = ENGINES[choices.engine](problem.components, lap_axes)
    return Assembly(
        formulation=formulation,
        box=box,
        network=network,
        engine=engine,
        groups=groups,
        regions=regions,
        parameters=parameters,
        method=choices.method,
        resample=choices.resample,
        block=choices.block or _block(groups, network, engine, choices, device),
        seed=seed,
        device=device,
        dtype=dtype,
        handover=handover,
    )


def _network(
    chosen: MlpNetwork | FeatureNetwork,
    features: Features,
    outputs: int,
    seed: int,
    device: torch.device,
    dtype: torch.dtype,
) -> Network:
    """By its kind; frozen features are drawn from a stream of their own and live on the device."""
    build = partial(
        NETWORKS[chosen.kind],
        features=features,
        outputs=outputs,
        width=chosen.width,
        activation=chosen.activation,
    )
    if isinstance(chosen, FeatureNetwork):
        if chosen.patches is None or chosen.scale is None:
            raise ValueError("patches and scale of frozen features are still to be decided")
        stream = stream_seed(seed, 0, "features")
        return build(patches=chosen.patches, scale=chosen.scale, seed=stream, device=device, dtype=dtype)
    return build(depth=chosen.depth, frequency=chosen.frequency)


def _groups(
    formulation: Formulation, choices: Choices, box: Box, device: torch.device, dtype: torch.dtype
) -> tuple[tuple[Group, ...], tuple[Region, ...]]:
    """Conditions on the same points, in the order of the file."""
    names = tuple(formulation.problem.coordinates)
    groups, regions = [], []
    for together in point_groups(formulation, choices):
        first, region = together.terms[0], together.region
        conditions = [Condition(t.name, t.residual, _weight(t, formulation, box)) for t in together.terms]
        groups.append(Group.of("+".join(c.name for c in conditions), names, conditions))
        data = _data_sample(first, names, device, dtype) if first.data else None
        handed = {column: partial for t in together.terms for column, partial in t.handover.items()}
        regions.append(Region(region.labels, region.where, together.each, data, handed))
    return tuple(groups), tuple(regions)


def _weight(terms: ConditionTerms, formulation: Formulation, box: Box) -> float:
    """The condition's weight, over the square of its equation's natural scale unless weights are plain."""
    if formulation.problem.training.weights == "plain":
        return terms.weight
    if terms.data:
        sample = _data_sample(terms, box.names, torch.device("cpu"), torch.float64)
    else:
        where = _predicate(terms.region.where, box.names)
        drawn = box.sample(terms.region.labels, SCALE_POINTS, SAMPLERS["sobol"], 0, 0, where)
        # the scale asks for slopes in the unknowns, where a column handed over has no part
        columns = dict.fromkeys(terms.handover, torch.zeros(len(drawn), dtype=torch.float64))
        sample = Sample(drawn.points, drawn.normals, columns)
    extents = [high - low for low, high in zip(box.low, box.high, strict=True)]
    initial = {name: p.initial for name, p in formulation.problem.parameters.items()}
    return terms.weight / natural_scale(terms.residual, box.names, box.space, extents, sample, initial) ** 2


def _data_sample(
    terms: ConditionTerms, names: Sequence[str], device: torch.device, dtype: torch.dtype
) -> Sample:
    assert terms.data is not None  # noqa: S101  (the caller has seen it)
    columns: Mapping[str, np.ndarray] = terms.data.columns
    points = torch.tensor(np.stack([columns[n] for n in names], axis=1), dtype=torch.float64)
    rest = {n: torch.tensor(c, dtype=torch.float64) for n, c in columns.items() if n not in names}
    return Sample(points, torch.zeros_like(points), rest).to(device, dtype)


def _predicate(program: Program | None, names: Sequence[str]) -> Predicate | None:
    if program is None:
        return None

    def keep(points: Tensor) -> Tensor:
        return run_on_coordinates(program, points, names)[0].bool()

    return keep


def _block(
    groups: Sequence[Group], network: Network, engine: Engine, choices: Choices, device: torch.device
) -> int:
    """Points per block: the cache on a CPU, plenty on an accelerator, fewer where Jacobians are held."""
    block = 1 << 16
    if device.type == "cpu":
        channels = max(len({(p.orders, p.laplacian) for p in w}) + 1 for g in groups for w in g.wanted)
        block = max(512, min(16384, BLOCK_BYTES // (8 * channels * network.width)))
    if all(stage.optimiser.kind != "lm" for stage in choices.stages):
        return block
    if not engine.records:
        return BATCHED_POINTS
    return max(64, min(block, JACOBIAN_BYTES // (8 * (network.size + 1))))

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

from pinncli.adaptation import Adaptation, Attention, Balance, Causal, Gate
from pinncli.derivatives import ENGINES, Cellwise, Engine
from pinncli.derivatives.jet_index import jet_index
from pinncli.geometry import SAMPLERS, draw_points, stream_seed
from pinncli.handover import Handover
from pinncli.known import Known
from pinncli.language.partials import Partial
from pinncli.language.program import Program
from pinncli.networks import NETWORKS, Ansatz, Factorised, Features, FourierFeatures, Joined, Network
from pinncli.networks.dense import Dense
from pinncli.networks.features import Inputs
from pinncli.objective import Objective
from pinncli.parameters import ParameterMap
from pinncli.problem.adaptivity import initial_conditions
from pinncli.problem.defaults import AnyNetwork, Choices, FeatureNetwork, LocalNetwork, narrowed
from pinncli.problem.domains import domain_of
from pinncli.problem.model import Problem
from pinncli.problem.numeric import predicate
from pinncli.problem.point_groups import PointGroup, point_groups
from pinncli.problem.settings import ResampleSettings
from pinncli.problem.terms import ConditionTerms, Formulation, Propagation
from pinncli.problem.waves import places, propagated
from pinncli.propagation import Propagated
from pinncli.residuals import Condition, Group, Sample, run_on_coordinates
from pinncli.shapes import Domain
from pinncli.weighting import natural_scale

CANDIDATES = 4
"""Points proposed for each point that residual-based redrawing keeps."""

BLOCK_BYTES = 16 << 20
"""Working set of one layer of a block on a CPU: channels x width x points in float64."""

JACOBIAN_BYTES = 1 << 26
"""Largest Jacobian of a block of points held at a time."""

JACOBIAN_KINDS = frozenset({"lm", "lsq", "engd_w", "spring", "hessian_free"})
"""Optimisers that look at a block's Jacobian."""

BATCHED_POINTS = 64
"""Points per block where a Jacobian is taken row by row, since every row then costs a pass over its block."""

CELLWISE_POINTS = 1 << 14
"""Points per block where an engine goes from cell to cell, each of which is a block by itself."""

SCALE_POINTS = 256
"""Points at which the size of an equation's terms is looked for."""

PROOF_POINTS, PROOF_ROUNDINGS = 64, 1e5
"""Points a side at which the ansatz is tried with random theta, and by how many roundings it may miss."""

FRESH_DRAW = 1_000_000
"""Draw numbers from here on are never trained on."""


@dataclass(frozen=True)
class Region:
    """A group's part of the domain: `counts` points of the labels, or fixed points with data columns.

    `handover` names the columns that the window before gives at the points.
    """

    labels: tuple[str, ...]
    where: Program | None
    counts: tuple[int, ...]
    data: Sample | None
    handover: Mapping[str, Partial]


@dataclass(frozen=True)
class Assembly:
    """Everything that a formulation needs to be trained and evaluated, on one device.

    `handover` is what the window before arrived at; None in the first.
    """

    formulation: Formulation
    domain: Domain
    network: Network
    engine: Engine
    groups: tuple[Group, ...]
    regions: tuple[Region, ...]
    met: tuple[Group, ...]
    """Conditions that the network meets by construction: never trained, still reported."""
    met_regions: tuple[Region, ...]
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
        return self.domain.names

    def initial_theta(self) -> Tensor:
        """theta (p,) before training, from the seed alone."""
        generator = torch.Generator().manual_seed(stream_seed(self.seed, 0, "theta"))
        weights = self.network.initialise(generator)
        return torch.cat([weights, weights.new_zeros(len(self.parameters.names))]).to(self.device, self.dtype)

    def objective(self, samples: Sequence[Sample], draw: int | None = None) -> Objective:
        """The objective at `samples`, one per group; in training, with the directions of their draw."""
        trained = self if draw is None else replace(self, engine=self._engine_of(draw))
        return trained.objective_of(self.groups, samples)

    def objective_of(self, groups: Sequence[Group], samples: Sequence[Sample]) -> Objective:
        """The objective of any groups, with this network and engine."""
        return Objective.of(self.network, self.engine, groups, samples, self.parameters, self.block)

    def draw(
        self, number: int, theta: Tensor | None, points: Sequence[Sample] = (), gate: Gate | None = None
    ) -> tuple[Sample, ...]:
        """The points of draw `number`; after the first the interior follows the residual if asked to.

        `points` are those until now; `gate` has factors on the residuals to follow.
        """
        by = "uniform" if self.resample is None or theta is None else self.resample.by
        samples = []
        for k, region in enumerate(self.regions):
            if region.data is not None:
                samples.append(region.data)
            elif by == "residual" and theta is not None and region.labels == ("interior",):
                samples.append(self._by_residual(k, number, theta, gate))
            elif by == "retain" and theta is not None and region.labels == ("interior",):
                samples.append(self._retain(k, number, theta, points[k], gate))
            else:
                samples.append(self._sample(region, region.counts, self.method, number))
        return tuple(samples)

    def fresh(self, interior: int, side: int) -> tuple[Sample, ...]:
        """Uniform points that training has never seen; data groups keep theirs."""
        return tuple(self._fresh(region, interior, side) for region in self.regions)

    def met_objective(self, count: int) -> Objective:
        """The objective of what is met by construction, at `count` fresh points a region."""
        return self.objective_of(self.met, [self._fresh(region, count, count) for region in self.met_regions])

    def _engine_of(self, draw: int) -> Engine:
        """With `directions`, an engine whose Laplacians are estimated from so many coordinates of space.

        They are drawn without replacement (Shi et al. 2024, arXiv 2412.00088, section 4.1): each is as likely
        as any other to be among the K of d, so that d/K times their sum is right on average.
        """
        count = self.formulation.problem.derivatives.directions
        if count is None:
            return self.engine
        generator = torch.Generator().manual_seed(stream_seed(self.seed, draw, "directions"))
        axes = self.engine.lap_axes
        chosen = sorted(torch.randperm(len(axes), generator=generator)[:count].tolist())
        return self.engine.estimating(tuple(axes[k] for k in chosen))

    def values(self, theta: Tensor) -> dict[str, float]:
        """The unknown numbers by name."""
        return {n: float(v) for n, v in self.parameters.values(theta[self.network.size :]).items()}

    def _fresh(self, region: Region, interior: int, side: int) -> Sample:
        if region.data is not None:
            return region.data
        count = interior if region.labels == ("interior",) else side
        return self._sample(region, (count,) * len(region.labels), "uniform", FRESH_DRAW)

    def _sample(self, region: Region, counts: Sequence[int], method: str, number: int) -> Sample:
        where = predicate(region.where, self.coordinates)
        drawn = draw_points(self.domain, region.labels, counts, SAMPLERS[method], self.seed, number, where)
        sample = Sample(drawn.points, drawn.normals, {}).to(self.device, self.dtype)
        if self.handover is None or not region.handover:
            return sample
        return replace(sample, columns=self.handover.columns(sample.points, region.handover))

    def _by_residual(self, group: int, number: int, theta: Tensor, gate: Gate | None) -> Sample:
        """RAD (Wu et al. 2023, eq. 2): density |r|^k / mean |r|^k + c over candidates, none taken twice.

        Of the points, `share` are the first of draw 0 and stay there.
        """
        assert self.resample is not None  # noqa: S101  (the caller has seen it)
        (whole,) = self.regions[group].counts
        staying = round(self.resample.share * whole)
        count = whole - staying
        candidates = self._sample(self.regions[group], (CANDIDATES * count,), self.method, number)
        size = self._sizes(group, candidates, theta, gate)
        density = size**self.resample.power
        density = density / density.mean().clamp_min(torch.finfo(torch.float64).tiny) + self.resample.floor
        generator = torch.Generator().manual_seed(stream_seed(self.seed, number, f"rad/{group}"))
        # the n smallest of E/w, E exponential, are a weighted sample without replacement
        exponential = (
            -torch.rand(len(density), generator=generator, dtype=torch.float64).clamp_min(1e-300).log()
        )
        chosen = torch.topk(exponential / density, count, largest=False).indices.sort().values
        followed = candidates[chosen.to(self.device)]
        return (
            self._sample(self.regions[group], (staying,), self.method, 0).join(followed)
            if staying
            else followed
        )

    def _retain(self, group: int, number: int, theta: Tensor, old: Sample, gate: Gate | None) -> Sample:
        """R3 (Daw et al. 2023, arXiv 2207.02338, algorithm 1): points whose |r| is above the mean stay, the
        others are released and drawn anew.
        """
        size = self._sizes(group, old, theta, gate)
        kept = old[torch.nonzero(size > size.mean()).squeeze(1).to(self.device)]
        return kept.join(self._sample(self.regions[group], (len(old) - len(kept),), self.method, number))

    def _sizes(self, group: int, sample: Sample, theta: Tensor, gate: Gate | None) -> Tensor:
        """|r| (n,) of all conditions of the group together, as causality sees it, on the CPU."""
        alone = self.objective_of([self.groups[group]], [sample])
        together: Tensor = torch.stack(list(alone.magnitudes(theta).values())).norm(dim=0)
        return (together if gate is None else together * gate(sample.points)).double().cpu()


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
    domain = domain_of(problem)
    names = domain.names
    network = _networks(choices.network, problem, domain, seed, device, dtype)
    lap_axes = tuple(names.index(name) for name in problem.space)
    if formulation.ansatz is not None:
        known = formulation.ansatz
        lead = _lead(known.propagation, domain, handover, device, dtype) if known.propagation else None
        network = Ansatz(network, Known(known.program, known.indices, names, len(problem.components), lead))
    groups, regions = _groups(point_groups(formulation, choices), formulation, domain, device, dtype)
    together = point_groups(formulation, choices, formulation.met)
    met, met_regions = _groups(together, formulation, domain, device, dtype)
    parameters = ParameterMap(
        tuple(problem.parameters),
        tuple(p.initial for p in problem.parameters.values()),
        tuple(p.bounds for p in problem.parameters.values()),
    )
    engine = ENGINES[choices.engine](problem.components, lap_axes)
    if isinstance(choices.network, LocalNetwork):
        engine = Cellwise(engine)
    assembly = Assembly(
        formulation=formulation,
        domain=domain,
        network=network,
        engine=engine,
        groups=groups,
        regions=regions,
        met=met,
        met_regions=met_regions,
        parameters=parameters,
        method=choices.method,
        resample=choices.resample,
        block=choices.block
        or _block(groups, network, engine, choices, device, problem.training.needs_jacobian),
        seed=seed,
        device=device,
        dtype=dtype,
        handover=handover,
    )
    _prove(assembly)
    return assembly


def _prove(assembly: Assembly) -> None:
    """Raises RuntimeError where a random network does not meet what its ansatz should meet."""
    network = assembly.network
    if not isinstance(network, Ansatz):
        return
    generator = torch.Generator().manual_seed(stream_seed(assembly.seed, 0, "proof"))
    theta = torch.randn(assembly.initial_theta().shape, generator=generator, dtype=torch.float64)
    theta = theta.to(assembly.device, assembly.dtype)
    found = assembly.met_objective(PROOF_POINTS).magnitudes(theta)
    plain = replace(assembly, network=network.inner).met_objective(PROOF_POINTS).magnitudes(theta)
    alone = assembly.met_objective(PROOF_POINTS).magnitudes(torch.zeros_like(theta))
    series = assembly.formulation.ansatz is not None and assembly.formulation.ansatz.propagation is not None
    for name, rows in found.items():
        size = max(1.0, float(plain[name].max()))  # of what has to cancel
        missed = rows - alone[name] if series else rows  # a Fourier sum misses what it leaves out
        if not float(missed.max()) <= PROOF_ROUNDINGS * torch.finfo(assembly.dtype).eps * size:
            raise RuntimeError(f"the ansatz misses condition '{name}' by {float(rows.max()):.1e}")


def _lead(
    propagation: Propagation,
    domain: Domain,
    handover: Handover | None,
    device: torch.device,
    dtype: torch.dtype,
) -> Propagated:
    """The initial values of a window, the file's or those that the window before arrived at, led on."""
    part = propagation.part
    at = torch.tensor(places(domain, part), dtype=dtype, device=device)
    if propagation.initial is None:
        if handover is None:
            raise ValueError("a later window propagates what the one before has arrived at")
        wanted = {name: Partial(name, (0,) * len(domain.names)) for name in part.components}
        columns = handover.columns(at, wanted)
        rows = [columns[name] for name in part.components]
    else:
        rows = run_on_coordinates(propagation.initial, at, domain.names)
    values = torch.stack(rows, dim=1).double().cpu().numpy()
    found = propagated(values, part, propagation.share, domain)
    rates, phases, real, imaginary, start = (
        torch.tensor(each, dtype=dtype, device=device)
        for each in (
            found.exponents.real,
            found.exponents.imag,
            found.weights.real,
            found.weights.imag,
            found.start,
        )
    )
    return Propagated(start, rates, phases, torch.complex(real, imaginary))


def _networks(
    chosen: AnyNetwork,
    problem: Problem,
    domain: Domain,
    seed: int,
    device: torch.device,
    dtype: torch.dtype,
) -> Network:
    """One network, or one for the components of each set of coordinates."""
    networks, columns = [], []
    for k, (mine, components) in enumerate(problem.parts.items()):
        axes = tuple(domain.names.index(name) for name in mine)
        part = narrowed(chosen, domain.names, axes)
        low, high = tuple(domain.low[axis] for axis in axes), tuple(domain.high[axis] for axis in axes)
        features = Features(low, high, tuple(name in part.periodic for name in mine), part.harmonics)
        suffix = f"/{k}" if k else ""
        networks.append(_network(part, features, len(components), seed, suffix, device, dtype))
        columns.append(axes)
    if columns == [tuple(range(len(domain.names)))]:
        return networks[0]
    outputs = [component for components in problem.parts.values() for component in components]
    places = tuple(outputs.index(component) for component in problem.components)
    return Joined(tuple(networks), tuple(columns), places, len(domain.names))


def _network(
    chosen: AnyNetwork,
    features: Features,
    outputs: int,
    seed: int,
    suffix: str,
    device: torch.device,
    dtype: torch.dtype,
) -> Network:
    """By its kind; what is drawn and never trained has a stream of its own and lives on the device."""
    if isinstance(chosen, LocalNetwork):
        return NETWORKS[chosen.kind](
            features=features,
            outputs=outputs,
            width=chosen.each,
            activation=chosen.activation,
            patches=chosen.patches,
            scale=chosen.scale,
            smoothness=chosen.smoothness,
            seed=stream_seed(seed, 0, "features"),
            device=device,
            dtype=dtype,
        )
    build = partial(
        NETWORKS[chosen.kind],
        outputs=outputs,
        width=chosen.width,
        activation=chosen.activation,
    )
    if isinstance(chosen, FeatureNetwork):
        if chosen.patches is None or chosen.scale is None:
            raise ValueError("patches and scale of frozen features are still to be decided")
        stream = stream_seed(seed, 0, f"features{suffix}")
        return build(
            features=features,
            patches=chosen.patches,
            scale=chosen.scale,
            seed=stream,
            device=device,
            dtype=dtype,
        )
    inputs: Inputs = features
    if chosen.fourier:
        stream, fourier = stream_seed(seed, 0, f"fourier{suffix}"), chosen.fourier
        inputs = FourierFeatures.of(features, fourier.count, fourier.scales, stream, device, dtype)
    network = build(
        features=inputs,
        depth=chosen.depth,
        initialisation=chosen.initialisation,
        frequency=chosen.frequency,
    )
    if chosen.factorised is None:
        return network
    if not isinstance(network, Dense):
        raise TypeError("only networks of linear layers have weights to factorise")
    return Factorised(network, chosen.factorised.mean, chosen.factorised.deviation)


def adaptation(assembly: Assembly) -> Adaptation | None:
    """The rules of the adaptive weights that the problem asks for; None without any."""
    formulation, domain = assembly.formulation, assembly.domain
    training, time = formulation.problem.training, formulation.problem.time
    balance, attention, causal = training.balance, training.attention, training.causal
    if balance == attention == causal == "off":
        return None
    rule = None
    if causal != "off":
        if time is None:
            raise ValueError("causal weights need a time coordinate")
        axis, first = domain.names.index(time), initial_conditions(formulation)
        rule = Causal(
            axis=axis,
            low=domain.low[axis],
            high=domain.high[axis],
            first=first,
            follows=tuple(c.name for c in formulation.conditions if c.name not in first and not c.data),
            weights={c.name: c.weight for g in assembly.groups for c in g.conditions},
            **causal.model_dump(),
        )
    emphasis = {t.name: t.weight for t in formulation.conditions}
    return Adaptation(
        balance=None if balance == "off" else Balance(weights=emphasis, **balance.model_dump()),
        attention=None if attention == "off" else Attention(**attention.model_dump()),
        causal=rule,
        extents=tuple(high - low for low, high in zip(domain.low, domain.high, strict=True)),
    )


def _groups(
    point_groups: Sequence[PointGroup],
    formulation: Formulation,
    domain: Domain,
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[tuple[Group, ...], tuple[Region, ...]]:
    """Conditions on the same points, in the order of the file."""
    names = tuple(formulation.problem.coordinates)
    groups, regions = [], []
    for together in point_groups:
        first, region = together.terms[0], together.region
        conditions = [Condition(t.name, t.residual, _weight(t, formulation, domain)) for t in together.terms]
        groups.append(Group.of("+".join(c.name for c in conditions), names, conditions))
        data = _data_sample(first, names, device, dtype) if first.data else None
        handed = {column: partial for t in together.terms for column, partial in t.handover.items()}
        regions.append(Region(region.labels, region.where, together.counts, data, handed))
    return tuple(groups), tuple(regions)


def _weight(terms: ConditionTerms, formulation: Formulation, domain: Domain) -> float:
    """The condition's weight, over the square of its equation's natural scale unless weights are plain."""
    if formulation.problem.training.weights == "plain":
        return terms.weight
    if terms.data:
        sample = _data_sample(terms, domain.names, torch.device("cpu"), torch.float64)
    else:
        where, labels = predicate(terms.region.where, domain.names), terms.region.labels
        drawn = draw_points(domain, labels, [SCALE_POINTS] * len(labels), SAMPLERS["sobol"], 0, 0, where)
        # the scale asks for slopes in the unknowns, where a column handed over has no part
        columns = dict.fromkeys(terms.handover, torch.zeros(len(drawn), dtype=torch.float64))
        sample = Sample(drawn.points, drawn.normals, columns)
    extents = [high - low for low, high in zip(domain.low, domain.high, strict=True)]
    initial = {name: p.initial for name, p in formulation.problem.parameters.items()}
    space = formulation.problem.space
    return terms.weight / natural_scale(terms.residual, domain.names, space, extents, sample, initial) ** 2


def _data_sample(
    terms: ConditionTerms, names: Sequence[str], device: torch.device, dtype: torch.dtype
) -> Sample:
    assert terms.data is not None  # noqa: S101  (the caller has seen it)
    columns: Mapping[str, np.ndarray] = terms.data.columns
    points = torch.tensor(np.stack([columns[n] for n in names], axis=1), dtype=torch.float64)
    rest = {n: torch.tensor(c, dtype=torch.float64) for n, c in columns.items() if n not in names}
    return Sample(points, torch.zeros_like(points), rest).to(device, dtype)


def _block(
    groups: Sequence[Group],
    network: Network,
    engine: Engine,
    choices: Choices,
    device: torch.device,
    jacobians: bool,
) -> int:
    """Points per block: the cache on a CPU, plenty on an accelerator, fewer where Jacobians are held."""
    block = 1 << 16
    if device.type == "cpu":
        axes = engine.lap_axes
        channels = max(jet_index(len(g.coordinates), w, axes).size for g in groups for w in g.wanted)
        block = max(512, min(16384, BLOCK_BYTES // (8 * channels * network.width)))
    if not jacobians and not any(stage.optimiser.kind in JACOBIAN_KINDS for stage in choices.stages):
        return block
    if isinstance(engine, Cellwise):
        return CELLWISE_POINTS
    if not engine.records:
        return BATCHED_POINTS
    return max(64, min(block, JACOBIAN_BYTES // (8 * (network.size + 1))))

"""How a problem is solved where its file does not say: short rules, each with its reason."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from pinncli.language.partials import MAX_ORDER
from pinncli.problem.domains import is_box
from pinncli.problem.model import Problem
from pinncli.problem.settings import (
    AnyNetworkSettings,
    AutoNetworkSettings,
    DenseSettings,
    FactorisedSettings,
    FeatureSettings,
    FourierSettings,
    LeastSquaresSettings,
    LevenbergMarquardtSettings,
    LocalSettings,
    MlpSettings,
    QuasiNewtonSettings,
    ResampleSettings,
    StageSettings,
)
from pinncli.problem.terms import Ansatz, Formulation

T = TypeVar("T")

# number of coordinates -> the choice; more coordinates take the last row
NETWORK: Mapping[int, tuple[int, int]] = {1: (20, 2), 2: (20, 3), 3: (24, 3)}
"""Width and number of hidden layers; a linear problem does with one layer fewer, but two at least."""
NARROWED = 0.5
"""Share of the width of a network of fewer coordinates."""
SPARED: Mapping[str, tuple[float, int]] = {"mlp": (1.0, 0), "gated": (1.0, 1), "piratenet": (0.8, 2)}
"""Share of the width, and layers fewer, of networks that have more of them than their depth says."""
INTERIOR: Mapping[int, int] = {1: 512, 2: 4096, 3: 8192}
"""Interior points: several times the parameters, or the residual is interpolated and not solved. A
linear problem, whose network is smaller, does with half."""
INTERIOR_SHARE: Mapping[int, float] = {1: 1.0, 2: 0.75, 3: 0.5}
"""Part of them by the number of equations at a point: each gives a residual of its own."""
FEATURES: Mapping[int, tuple[int, int]] = {1: (100, 400), 2: (400, 1600), 3: (600, 2400)}
"""Frozen features for one component, at first and at most: a solve costs their number cubed."""
POINTS_PER_FEATURE, SIDE_POINTS_PER_FEATURE = 3.0, 0.25
LEAST_INTERIOR, LEAST_BOUNDARY = 200, 50
"""Points for frozen features: their residual is interpolated and not solved where points are few."""
LEAST_SMOOTHNESS, MOST_SMOOTHNESS = 5, 7
"""Continuous derivatives of the windows of local features."""
BOUNDARY: Mapping[int, int] = {1: 1, 2: 200, 3: 500}
"""Points per side."""
GRID: Mapping[int, int] = {1: 1001, 2: 201, 3: 65, 4: 25}
"""Points per coordinate of the published fields."""
GRID_VARIED = 9
"""The same along a parameter coordinate: so many members of the family."""
GRID_PLANE = 65
"""The same where there are more coordinates: time and the first two of space vary, the others are held in
the middle of their ranges."""
AMPLE_SECONDS = 300.0
"""A nonlinear problem that is allowed so much time takes more neurons and points: what it has learnt after a
minute or two is then limited by their number."""
AMPLE_WIDTH, AMPLE_INTERIOR, AMPLE_BOUNDARY = 1.25, 2.0, 5.0
"""Factors on neurons, interior points and points per side: these cost little, and kinks of initial values
(Allen-Cahn's at its periodic ends) fall between few."""
FEATURE_COORDINATES = 3
"""At most, for frozen features to be tried without being asked for."""
LM_PARAMETERS = 1500
"""Up to here a Levenberg-Marquardt step (p^3) costs no more than the derivatives it needs."""
LM_STEPS, LM_STEPS_LINEAR = 1000, 200
LSQ_STEPS = 30
QUASI_NEWTON_STEPS = 5000
UNLIMITED_STEPS = 1_000_000
"""Where the time allowed is stated, it and the progress end the last stage."""
RESAMPLE_EVERY: Mapping[str, int] = {"lm": 50, "bfgs": 500, "ssbfgs": 500, "ssbroyden": 500}


@dataclass(frozen=True)
class Fourier:
    """`count` random Fourier features, `scales` along every coordinate."""

    count: int
    scales: tuple[float, ...]


@dataclass(frozen=True)
class DenseNetwork:
    """A network of trained layers. `periodic` names the coordinates that are embedded."""

    kind: str
    width: int
    depth: int
    activation: str
    periodic: tuple[str, ...]
    harmonics: int
    initialisation: str
    frequency: float
    fourier: Fourier | None
    factorised: FactorisedSettings | None


@dataclass(frozen=True)
class FeatureNetwork:
    """Features frozen at random; `patches` has one entry per coordinate.

    `patches` and `scale` are None until trials have decided them (`pinncli.tuning`), which may also
    raise `width` to `most`.
    """

    kind: str
    width: int
    most: int
    patches: tuple[int, ...] | None
    scale: float | None
    activation: str
    periodic: tuple[str, ...]
    harmonics: int

    @property
    def depth(self) -> int:
        """One hidden layer."""
        return 1


@dataclass(frozen=True)
class LocalNetwork:
    """Features frozen at random, `each` of them on every patch; `patches` has one entry per coordinate."""

    kind: str
    each: int
    patches: tuple[int, ...]
    scale: float
    activation: str
    periodic: tuple[str, ...]
    harmonics: int
    smoothness: int

    @property
    def features(self) -> int:
        """Over all patches."""
        return int(math.prod(self.patches)) * self.each

    @property
    def width(self) -> int:
        """Features alive at one point."""
        return int(self.each * 2 ** sum(count > 1 for count in self.patches))

    @property
    def depth(self) -> int:
        """One hidden layer."""
        return 1


AnyNetwork = DenseNetwork | FeatureNetwork | LocalNetwork


@dataclass(frozen=True)
class Choices:
    """Every setting decided; `reasons` says in a few words why, for those that the program chose."""

    network: AnyNetwork
    parameters: int
    """Length of theta: network and unknown parameters."""
    interior: int
    boundary: int
    """Points per side."""
    method: str
    resample: ResampleSettings | None
    engine: str
    block: int | None
    stages: tuple[StageSettings, ...]
    grid: Mapping[str, int]
    reasons: tuple[str, ...]


def choose(
    formulation: Formulation,
    *,
    timed: bool = False,
    allowed: float | None = None,
    decided: FeatureNetwork | LocalNetwork | None = None,
) -> Choices:
    """Fill in what the problem leaves open; `timed` says that a time limit ends the run.

    `allowed` is the time in seconds for which the run was begun, None without a limit: a continued run may
    have another limit, but keeps its network and its numbers of points.

    `decided` is what trials have made of frozen features: those that the problem asks for, those of
    `features_first`, or local ones to march with. Pure: the same problem gives the same choices.
    """
    problem = formulation.problem
    d = len(problem.coordinates)
    reasons: list[str] = []
    ample = d > 1 and not formulation.linear and allowed is not None and allowed >= AMPLE_SECONDS
    network = decided or _network(formulation, ample, reasons)
    if network.periodic:
        reasons.append(f"periodic embedding of {', '.join(network.periodic)}: the conditions match its ends")
    if formulation.ansatz is not None:
        reasons += _by_construction(formulation.ansatz)
    p = len(problem.parameters) + _count_all(network, problem, reasons)
    if isinstance(network, FeatureNetwork):
        interior, boundary = _feature_points(network.width, d)
    elif isinstance(network, LocalNetwork):
        interior, boundary = _feature_points(network.features, d)
    else:
        interior = round(_interior(formulation) * (AMPLE_INTERIOR if ample else 1.0))
        boundary = round(_row(BOUNDARY, d) * (AMPLE_BOUNDARY if ample else 1.0))
    stages = _stages(formulation, network, p, timed, reasons)
    if problem.sampling.interior is None:
        reasons.append(
            f"{interior} interior points: {_coordinates(d)}, {_kind(formulation)}, {_equations(formulation)}"
        )
    return Choices(
        network=network,
        parameters=p,
        interior=problem.sampling.interior or interior,
        boundary=problem.sampling.boundary or boundary,
        method=problem.sampling.method,
        resample=_resample(formulation, stages, reasons),
        engine=_engine(formulation, reasons),
        block=problem.derivatives.block,
        stages=stages,
        grid=_grid(formulation),
        reasons=tuple(reasons),
    )


def narrowed(network: AnyNetwork, names: Sequence[str], axes: Sequence[int]) -> AnyNetwork:
    """The network of components that depend on the coordinates `axes` of `names` alone: of half the width."""
    if len(axes) == len(names) or isinstance(network, LocalNetwork):
        return network  # for local features, checks have refused fewer coordinates
    width = max(1, round(NARROWED * network.width))
    periodic = tuple(names[axis] for axis in axes if names[axis] in network.periodic)
    if isinstance(network, FeatureNetwork):
        patches = None if network.patches is None else tuple(network.patches[axis] for axis in axes)
        return replace(network, width=width, periodic=periodic, patches=patches)
    fourier = network.fourier
    if fourier is not None:
        count = max(1, round(NARROWED * fourier.count))
        fourier = Fourier(count, tuple(fourier.scales[axis] for axis in axes))
    return replace(network, width=width, periodic=periodic, fourier=fourier)


def network_parts(
    network: AnyNetwork, problem: Problem
) -> list[tuple[AnyNetwork, tuple[str, ...], tuple[str, ...]]]:
    """Every network of a solution, with its coordinates and its components."""
    names = tuple(problem.coordinates)
    return [
        (narrowed(network, names, [names.index(name) for name in mine]), mine, components)
        for mine, components in problem.parts.items()
    ]


def _count_all(network: AnyNetwork, problem: Problem, reasons: list[str]) -> int:
    """Parameters of all networks."""
    total = 0
    for part, mine, components in network_parts(network, problem):
        if isinstance(part, FeatureNetwork):
            total += (part.width + 1) * len(components)
        elif isinstance(part, LocalNetwork):
            total += part.features * len(components)
        else:
            total += count_parameters(part, len(mine), len(components))
        if len(mine) < len(problem.coordinates):
            reasons.append(
                f"a network of its own, {part.width} wide, for {', '.join(components)}:"
                f" a function of {', '.join(mine)} alone"
            )
    return total


def layer_sizes(network: DenseNetwork, coordinates: int, outputs: int) -> list[tuple[int, int]]:
    """(inputs, outputs) of every linear layer, with its bias."""
    i = coordinates + (2 * network.harmonics - 1) * len(network.periodic)
    i = 2 * network.fourier.count if network.fourier else i
    w, d = network.width, network.depth
    if network.kind == "gated":
        return [*[(i, w)] * 3, *[(w, w)] * d, (w, outputs)]
    if network.kind == "piratenet":
        return [*[(i, w)] * 2, *[(i, w), (w, w), (w, i)] * d, (i, outputs)]
    return [(i, w), *[(w, w)] * (d - 1), (w, outputs)]


def count_parameters(network: DenseNetwork, coordinates: int, outputs: int) -> int:
    """Weights and biases, a factor per neuron where they are factorised, a number per residual block."""
    factors = 1 if network.factorised else 0
    layers = layer_sizes(network, coordinates, outputs)
    return sum((i + 1 + factors) * o for i, o in layers) + network.depth * (network.kind == "piratenet")


def highest_order(formulation: Formulation) -> int:
    """The highest total order of any partial that the conditions or definitions ask for."""
    residuals = [terms.residual for terms in formulation.conditions]
    residuals += formulation.definitions.values()
    return max((partial.order for residual in residuals for _, partial in residual.partials), default=0)


def _network(formulation: Formulation, ample: bool, reasons: list[str]) -> AnyNetwork:
    settings, d = formulation.problem.network, len(formulation.problem.coordinates)
    if isinstance(settings, AutoNetworkSettings):
        settings = MlpSettings(**_shared(settings))
    periodic = formulation.periodic if settings.periodic == "auto" else ()
    if isinstance(settings, FeatureSettings):
        return _features(settings, formulation, periodic, reasons)
    if isinstance(settings, LocalSettings):
        return local_network(settings, formulation, periodic)
    if features_first(formulation):
        reasons.append("frozen features are tried first, and taken where they leave hardly any residual")
    width, depth = _row(NETWORK, d)
    share, spared = SPARED[settings.kind]
    width = settings.width or round(share * width * (AMPLE_WIDTH if ample else 1.0))
    depth = settings.depth or max(1, max(2, depth - formulation.linear) - spared)
    if settings.width is None or settings.depth is None:
        time = f", {AMPLE_SECONDS:g} s or more" if ample else ""
        reasons.append(f"network {depth} x {width}: {_coordinates(d)}, {_kind(formulation)}{time}")
    return DenseNetwork(
        kind=settings.kind,
        width=width,
        depth=depth,
        activation=settings.activation,
        periodic=periodic,
        harmonics=settings.harmonics,
        initialisation=settings.initialisation,
        frequency=settings.frequency,
        fourier=_fourier(settings, width, tuple(formulation.problem.coordinates)),
        factorised=settings.factorised,
    )


def _fourier(settings: DenseSettings, width: int, names: tuple[str, ...]) -> Fourier | None:
    """As many features as neurons where their number is left open; a PirateNet always has some."""
    asked = settings.fourier
    if asked is None and settings.kind != "piratenet":
        return None
    asked = asked or FourierSettings()
    return Fourier(
        asked.count or max(1, width // 2), tuple(asked.scales.get(name, asked.scale) for name in names)
    )


def features_first(formulation: Formulation) -> FeatureNetwork | None:
    """The frozen features to try before a perceptron is trained; None where they have no chance.

    They need a least-squares solve of their own (no stages that somebody wrote, no weights that follow the
    training), few coordinates (their error falls slowly with their number in many), and no unknown numbers,
    with which the equations are not linear in what is solved for.
    """
    problem = formulation.problem
    automatic = isinstance(problem.network, AutoNetworkSettings) and problem.stages == "auto"
    training = problem.training
    adaptive = not (training.balance == training.attention == training.causal == "off")
    if not automatic or adaptive or problem.parameters or len(problem.coordinates) > FEATURE_COORDINATES:
        return None
    settings = FeatureSettings(kind="features", **_shared(problem.network))
    periodic = formulation.periodic if settings.periodic == "auto" else ()
    return _features(settings, formulation, periodic, [])


def _shared(settings: AnyNetworkSettings) -> dict[str, Any]:
    """What holds for the kinds that `auto` tries."""
    return settings.model_dump(exclude={"kind"})


def _features(
    settings: FeatureSettings, formulation: Formulation, periodic: tuple[str, ...], reasons: list[str]
) -> FeatureNetwork:
    names, m = tuple(formulation.problem.coordinates), len(formulation.problem.components)
    width, most = (settings.width or max(1, count // m) for count in _row(FEATURES, len(names)))
    patches = None
    open_ = [] if settings.width else [f"{width} to {most} features"]
    if settings.patches is None:
        open_.append("patches")
    else:
        patches = tuple(settings.patches.get(name, 1) for name in names)
    if settings.scale is None:
        open_.append("scale")
    if open_:
        reasons.append(f"{', '.join(open_)}: by trial, whatever leaves the least residual at fresh points")
    return FeatureNetwork(
        settings.kind, width, most, patches, settings.scale, settings.activation, periodic, settings.harmonics
    )


def local_network(
    settings: LocalSettings, formulation: Formulation, periodic: tuple[str, ...]
) -> LocalNetwork:
    """The network that the settings of `kind = "local"` describe."""
    return LocalNetwork(
        kind=settings.kind,
        each=settings.width,
        patches=tuple(settings.patches.get(name, 1) for name in formulation.problem.coordinates),
        scale=settings.scale,
        activation=settings.activation,
        periodic=periodic,
        harmonics=settings.harmonics,
        smoothness=min(MOST_SMOOTHNESS, max(LEAST_SMOOTHNESS, highest_order(formulation) + 1)),
    )


def _feature_points(features: int, d: int) -> tuple[int, int]:
    """Interior points and points per side for so many features."""
    interior = max(LEAST_INTERIOR, round(POINTS_PER_FEATURE * features))
    side = max(LEAST_BOUNDARY, round(SIDE_POINTS_PER_FEATURE * features))
    return interior, side if d > 1 else 1


def _by_construction(ansatz: Ansatz) -> list[str]:
    """What the ansatz meets, and why others stay equations."""
    met = [f"met by construction, for every network: {', '.join(ansatz.met)}"] if ansatz.met else []
    if ansatz.propagation is not None:
        share = ansatz.propagation.share
        met.append(f"short waves, {share:g} of the initial values, are led on by the linear part")
    return met + [f"{name} stays an equation: {reason}" for name, reason in ansatz.left]


def _row(table: Mapping[int, T], k: int) -> T:
    return table[min(k, max(table))]


def _coordinates(d: int) -> str:
    return f"{d} coordinate" + ("s" if d > 1 else "")


def _interior(formulation: Formulation) -> int:
    """Interior points by dimension, linearity and equations at a point."""
    d, equations = len(formulation.problem.coordinates), _count_equations(formulation)
    share = _row(INTERIOR_SHARE, max(1, equations)) / (
        2 if formulation.linear and is_box(formulation.problem) else 1
    )
    return int(_row(INTERIOR, d) * share)


def _count_equations(formulation: Formulation) -> int:
    """Residuals at an interior point: the equations there, a complex one counted twice."""
    inside = [t.residual for t in formulation.conditions if t.region.labels == ("interior",) and not t.data]
    return sum(
        len(r.programs.outputs)
        for r in inside
        if any(not r.sites[site].replacements for site, _ in r.partials)
    )


def _equations(formulation: Formulation) -> str:
    count = _count_equations(formulation)
    return f"{count} equation" + ("s" if count != 1 else "")


def _kind(formulation: Formulation) -> str:
    return "linear" if formulation.linear else "nonlinear"


def _grid(formulation: Formulation) -> dict[str, int]:
    """Points per coordinate: asked for, else as the reference file has them, else by dimension."""
    problem, reference = formulation.problem, formulation.reference
    d, counts = len(problem.coordinates), {}
    plane = (*problem.space[:2], problem.time)
    for name, coordinate in problem.coordinates.items():
        counts[name] = _row(GRID, d) if d <= max(GRID) else GRID_PLANE if name in plane else 1
        if name in problem.varied:
            counts[name] = GRID_VARIED
        if reference is not None and reference.gridded:
            axis = reference.coordinates[name]
            if np.allclose(axis, np.linspace(*coordinate.range, len(axis)), rtol=0.0, atol=1e-9):
                counts[name] = len(axis)
        counts[name] = problem.output.grid.get(name, counts[name])
    return counts


def _stages(
    formulation: Formulation, network: AnyNetwork, p: int, timed: bool, reasons: list[str]
) -> tuple[StageSettings, ...]:
    stages = formulation.problem.stages
    if stages != "auto":
        return stages
    if isinstance(network, FeatureNetwork | LocalNetwork):
        reasons.append("least squares: only the output layer is trained")
        return (StageSettings(optimiser=LeastSquaresSettings(kind="lsq"), steps=LSQ_STEPS),)
    if p <= LM_PARAMETERS:
        reasons.append(f"Levenberg-Marquardt: {p} parameters, at most {LM_PARAMETERS}")
        steps = UNLIMITED_STEPS if timed else LM_STEPS_LINEAR if formulation.linear else LM_STEPS
        return (StageSettings(optimiser=LevenbergMarquardtSettings(kind="lm"), steps=steps),)
    reasons.append(f"self-scaled Broyden: {p} parameters, more than {LM_PARAMETERS}")
    steps = UNLIMITED_STEPS if timed else QUASI_NEWTON_STEPS
    return (StageSettings(optimiser=QuasiNewtonSettings(kind="ssbroyden"), steps=steps),)


def _resample(
    formulation: Formulation, stages: tuple[StageSettings, ...], reasons: list[str]
) -> ResampleSettings | None:
    asked = formulation.problem.sampling.resample
    if isinstance(asked, ResampleSettings):
        return asked
    if asked == "off":
        return None
    box, fitted = is_box(formulation.problem), any(stage.optimiser.kind == "lsq" for stage in stages)
    if formulation.linear and (box or fitted):
        reasons.append("points stay: the problem is linear")
        return None
    every = min(RESAMPLE_EVERY.get(stage.optimiser.kind, 500) for stage in stages)
    why = "the domain may have corners" if formulation.linear else "the problem is nonlinear"
    reasons.append(f"points redrawn by residual every {every} steps: {why}")
    return ResampleSettings(every=every)


def _engine(formulation: Formulation, reasons: list[str]) -> str:
    asked = formulation.problem.derivatives.engine
    if asked != "auto":
        return asked
    order = highest_order(formulation)
    if order <= MAX_ORDER:
        reasons.append(f"Taylor derivatives: order {order}, at most {MAX_ORDER}")
        return "taylor"
    reasons.append(f"nested reverse derivatives: order {order}, more than {MAX_ORDER}")
    return "reverse"

"""Which conditions the solution can meet by construction, u = G + D N, and the formulas of G and D.

Conditions are taken one after the other, values before slopes, in the order of the file; one whose data
disagree with those already taken, or that would leave a kink inside the domain, stays an equation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pinncli.errors import Diagnostic
from pinncli.language.algebra import ZERO, AlgebraError
from pinncli.language.diagnostics import nearest
from pinncli.language.given import Given, NoFormulaError, Ranges, given_by
from pinncli.language.jets import Jets
from pinncli.language.lifting import channels_of, factor_of, gaps_of, lift_of, roots_of, seam_of
from pinncli.language.lowering import lower
from pinncli.language.partials import MAX_ORDER, MultiIndex, downward_closure
from pinncli.language.scope import Residual, Scope
from pinncli.problem.domains import is_box
from pinncli.problem.model import Problem
from pinncli.problem.numeric import Array, run
from pinncli.problem.propagation import linear_part
from pinncli.problem.source import KeyPath, SourceMap, printable
from pinncli.problem.terms import Ansatz, ConditionTerms, Formulation, Propagation

_PROBES = 128
_TOLERANCE = 1e-9
"""Of the size of the data: closer, they agree."""
_LEAST_ROOT = 1e-3
"""What a root is taken of must stay as far from zero, compared to its largest value."""
_MOST_OPERATIONS = 2000
"""Of a component's lift and factor with all derivatives: more would cost as much as the network."""
_PLACE: KeyPath = ("network", "hard")

Data = Mapping[str, tuple[Given, ...]]
"""What is given of each component."""


def derive_ansatz(
    problem: Problem,
    scope: Scope,
    conditions: Sequence[ConditionTerms],
    definitions: Sequence[Residual],
    periodic: Sequence[str],
) -> Ansatz | None:
    """The ansatz that `[network] hard` asks for; None where it asks for none or none exists.

    Pure. What was asked for and cannot be is in `left`, with the reason.
    """
    asked = problem.network.hard
    if problem.network.propagated is not None:
        residuals = [*(t.residual for t in conditions), *definitions]
        jets = Jets(replace(scope, normal=True))
        maker = _Maker(problem, jets, _indices(problem, residuals), tuple(periodic))
        try:
            return _propagated(maker, conditions, problem.network.propagated)
        except NoFormulaError as reason:
            return replace(maker.ansatz({}, (), ()), refused=str(reason))
    if asked == "off":
        return None
    wanted = [t for t in conditions if (asked == "auto" and _on_sides(t)) or t.name in asked]
    residuals = [*(t.residual for t in conditions), *definitions]
    embedded = tuple(periodic) if problem.network.periodic == "auto" else ()
    jets = Jets(replace(scope, normal=True))
    maker = _Maker(problem, jets, _indices(problem, residuals), embedded)
    data: Data = {}
    met: list[str] = []
    left: dict[str, str] = {}
    given = {t.name: _given(t, maker, left) for t in wanted}
    for name in sorted((n for n, g in given.items() if g), key=lambda n: max(d.order for d in given[n])):
        try:
            data = maker.joined(data, given[name])
            met.append(name)
        except NoFormulaError as reason:
            left[name] = str(reason)
        except AlgebraError as reason:
            left[name] = f"its ansatz fails: {reason}"
    reasons = tuple((t.name, left[t.name]) for t in wanted if t.name in left)
    return maker.ansatz(data, tuple(t.name for t in wanted if t.name in met), reasons)


def _propagated(maker: _Maker, conditions: Sequence[ConditionTerms], share: float) -> Ansatz:
    """u = A + D N with A from the initial values, or from those of the window before.

    Raises `NoFormulaError` where the equations do not lead them on.
    """
    problem = maker.problem
    part = linear_part(problem, maker.jets.scope, conditions, maker.embedded)
    start = f"{problem.time}-"
    met = [terms for terms in conditions if start in terms.region.labels]
    given: dict[str, Given] = {}
    for terms in met:
        if terms.handover:
            handed = [partial.component for partial in terms.handover.values()]
            given |= {name: Given(name, part.time, False, 0, ZERO) for name in handed}
        elif terms.region.labels == (start,) and terms.data is None and terms.region.where is None:
            given |= {d.component: d for d in given_by(maker.jets, terms.equation, start, maker.ranges)}
        else:
            raise NoFormulaError(f"'{terms.name}' gives more or less than the initial values")
    if set(given) != set(problem.components):
        raise NoFormulaError("the initial values of some unknown are not given")
    formulas = [given[component].formula for component in problem.components]
    data = {name: (replace(datum, formula=ZERO),) for name, datum in given.items()}
    names = tuple(terms.name for terms in met)
    asked = () if isinstance(problem.network.hard, str) else problem.network.hard
    left = tuple((name, "initial values are propagated") for name in asked if name not in names)
    ansatz = maker.ansatz(data, names, left)
    initial = None if any(t.handover for t in met) else lower(formulas, maker.jets)
    return replace(ansatz, propagation=Propagation(part, share, initial))


def derived_again(formulation: Formulation) -> Formulation:
    """The same with the ansatz of its own conditions, where it had one of others."""
    if formulation.ansatz is None:
        return formulation
    f = formulation
    ansatz = derive_ansatz(f.problem, f.scope, f.conditions, tuple(f.definitions.values()), f.periodic)
    return replace(formulation, ansatz=ansatz)


def check_hard(problem: Problem, ansatz: Ansatz | None, source: SourceMap) -> list[Diagnostic]:
    """An error for every condition that is asked for by name and that no ansatz can meet, and where initial
    values are to be propagated that cannot be.
    """
    if ansatz is not None and ansatz.refused:
        message = f"initial values cannot be propagated: {ansatz.refused}"
        return [source.diagnose(("network", "propagated"), message, hint="leave it out")]
    asked = problem.network.hard
    if isinstance(asked, str):
        return []
    findings = []
    reasons = dict(ansatz.left) if ansatz else {}
    for name in asked:
        if name not in problem.conditions:
            hint = nearest(name, problem.conditions)
            findings.append(source.diagnose(_PLACE, f"no condition '{printable(name, 40)}'", hint=hint))
        elif name in reasons:
            message = f"'{name}' cannot be met by construction: {reasons[name]}"
            findings.append(source.diagnose(_PLACE, message, hint='leave it out, or take "auto"'))
    return findings


def _on_sides(terms: ConditionTerms) -> bool:
    moved = any(terms.residual.sites[site].replacements for site, _ in terms.residual.partials)
    return terms.data is None and (moved or terms.region.labels != ("interior",))


def _indices(problem: Problem, residuals: Sequence[Residual]) -> tuple[MultiIndex, ...]:
    """Every derivative that anything asks for, also in a Laplacian, and all below."""
    names = tuple(problem.coordinates)
    partials = {partial for residual in residuals for _, partial in residual.partials}
    wanted = [p.orders for p in partials] or [(0,) * len(names)]
    if any(p.laplacian for p in partials):
        wanted += [tuple(2 * (name == c) for c in names) for name in problem.space]
    return downward_closure(wanted)


def _given(terms: ConditionTerms, maker: _Maker, left: dict[str, str]) -> tuple[Given, ...]:
    """What one condition gives; nothing, and the reason in `left`, where that cannot be met."""
    try:
        if terms.handover:
            raise NoFormulaError("the time window before gives its values")
        if not is_box(maker.problem):
            raise NoFormulaError("that is for boxes, and the domain is a shape")
        if set(terms.region.labels) & set(maker.problem.shape_names):
            raise NoFormulaError("it holds on a shape, not on a side of the box")
        if terms.data is not None or terms.region.where is not None:
            raise NoFormulaError("it holds on a part of a side only")
        found: dict[tuple[object, ...], Given] = {}
        for label in terms.region.labels:
            if label[:-1] in maker.problem.vectors:
                raise NoFormulaError("it holds on sides of a vector coordinate")
            for datum in given_by(maker.jets, terms.equation, label, maker.ranges):
                name = maker.names[datum.axis]
                if name in maker.embedded:
                    raise NoFormulaError(f"the network is periodic in {name}")
                found[datum.component, datum.axis, datum.high, datum.order] = datum
        return tuple(found.values())
    except (NoFormulaError, AlgebraError) as reason:
        left[terms.name] = str(reason)
        return ()


@dataclass(frozen=True)
class _Maker:
    """Makes lifts and factors and looks whether they do what they should."""

    problem: Problem
    jets: Jets
    indices: tuple[MultiIndex, ...]
    embedded: tuple[str, ...]
    probes: Mapping[str, Array] = field(init=False)

    def __post_init__(self) -> None:
        """Random points of the closed box; a half of every coordinate's values lie at its ends."""
        random = np.random.default_rng(0)
        points = {}
        for name, (low, high) in zip(self.names, self.ranges, strict=True):
            inside, at = random.uniform(low, high, _PROBES), random.integers(0, 4, _PROBES)
            points[name] = np.where(at == 0, low, np.where(at == 1, high, inside))
        object.__setattr__(self, "probes", points)

    @property
    def names(self) -> tuple[str, ...]:
        """The coordinates."""
        return tuple(self.problem.coordinates)

    @property
    def ranges(self) -> Ranges:
        """Their ends."""
        return tuple((float(c.range[0]), float(c.range[1])) for c in self.problem.coordinates.values())

    def joined(self, data: Data, more: Sequence[Given]) -> Data:
        """`data` and `more`; raises `NoFormulaError` where no ansatz meets both."""
        result = dict(data)
        for datum in sorted(more, key=lambda d: d.order):
            known = {(d.axis, d.high, d.order) for d in result.get(datum.component, ())}
            if (datum.axis, datum.high, datum.order) in known:
                raise NoFormulaError("another condition gives the same")
            if datum.order and (datum.axis, datum.high, 0) not in known:
                raise NoFormulaError("a slope can be met only where the value is met too")
            result[datum.component] = (*result.get(datum.component, ()), datum)
        for component in {d.component for d in more}:
            self._try(result[component])
        return result

    def ansatz(self, data: Data, met: tuple[str, ...], left: tuple[tuple[str, str], ...]) -> Ansatz:
        """Everything compiled."""
        given = [data.get(component, ()) for component in self.problem.components]
        formulas = [lift_of(self.jets, d, self.ranges) for d in given]
        formulas += [factor_of(self.jets, d, self.ranges) for d in given]
        program = channels_of(self.jets, formulas, self.indices)
        return Ansatz(met, left, self.indices, program)

    def _try(self, data: Sequence[Given]) -> None:
        """The lift holds all of the data, is smooth at seams and finite; raises `NoFormulaError`."""
        lift = lift_of(self.jets, data, self.ranges)
        with np.errstate(all="ignore"):
            rows = np.stack(run(gaps_of(self.jets, lift, data, self.ranges), self.probes))
        gaps, given = rows[::2], rows[1::2]
        if not np.all(np.isfinite(given)):
            raise NoFormulaError("its values are not finite everywhere")
        for root in run(roots_of(self.jets, data), self.probes):
            if not np.min(root) > _LEAST_ROOT * np.max(root):
                raise NoFormulaError("its values have a root, whose kink the ansatz would keep inside")
        if not np.all(np.abs(gaps) <= _TOLERANCE * np.max(np.abs(given))):
            raise NoFormulaError("its values disagree with another condition's where they meet")
        for name in self.embedded:
            axis = self.names.index(name)
            ends = np.stack(run(seam_of(self.jets, lift, axis, MAX_ORDER, self.ranges), self.probes))
            if not np.all(np.abs(ends[::2] - ends[1::2]) <= 1e-6 * (1e-9 + np.max(np.abs(ends)))):
                raise NoFormulaError(
                    f"its values are not smooth across the ends of {name}, which is periodic"
                )
        formulas = [lift, factor_of(self.jets, data, self.ranges)]
        program = channels_of(self.jets, formulas, self.indices)
        if len(program.instructions) > _MOST_OPERATIONS:
            raise NoFormulaError(f"its ansatz takes more than {_MOST_OPERATIONS} operations a point")
        channels = run(program, self.probes)
        if not np.all(np.isfinite(channels)):
            raise NoFormulaError("a derivative of its values is not finite everywhere")

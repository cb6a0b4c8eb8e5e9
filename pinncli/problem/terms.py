"""A problem's mathematics as programs: what the solver and the checks work on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pinncli.language.nodes import Equation, Node
from pinncli.language.partials import MultiIndex, Partial
from pinncli.language.program import Program
from pinncli.language.scope import Residual, Scope
from pinncli.problem.data import DataTable, Reference
from pinncli.problem.model import Problem


@dataclass(frozen=True)
class Region:
    """Where a condition holds: labels (`interior`, sides such as `x-`, named shapes), and a part of them.

    `boundary` of a box is spelled out as the sides of the space coordinates. `where` has one boolean
    output over the coordinates; None takes the whole region.
    """

    labels: tuple[str, ...]
    where: Program | None = None


def is_on_boundary(labels: Sequence[str], scope: Scope) -> bool:
    """Whether all labels are about the boundary of space, which has a normal: sides, `boundary`, shapes."""
    names = {*scope.space, *(name.partition("[")[0] for name in scope.space)}
    sides = {f"{c}{sign}" for c in names for sign in "-+"}
    return bool(labels) and set(labels) <= {"boundary", *sides, *scope.shapes}


@dataclass(frozen=True)
class ConditionTerms:
    """One condition, ready to be evaluated."""

    name: str
    region: Region
    equation: Equation
    residual: Residual
    weight: float
    points: int | None
    data: DataTable | None
    handover: Mapping[str, Partial] = field(default_factory=dict)
    """Columns that the solution of the window before gives at the drawn points, and what of it each is."""


@dataclass(frozen=True)
class LinearTerm:
    """The slope of the field equation number `row` in `partial`: a formula of coordinates and partials."""

    row: int
    partial: Partial
    slope: Program


@dataclass(frozen=True)
class LinearPart:
    """The slopes of equations of first order in time, as many as components, in all partials.

    `space` are the axes of the coordinates of space, `time` that of time.
    """

    components: tuple[str, ...]
    space: tuple[int, ...]
    time: int
    terms: tuple[LinearTerm, ...]

    @property
    def wanted(self) -> tuple[Partial, ...]:
        """The partials that slopes depend on."""
        inputs = (i for term in self.terms for i in term.slope.inputs)
        return tuple(dict.fromkeys(i.partial for i in inputs if i.partial is not None))


@dataclass(frozen=True)
class Propagation:
    """Initial values whose short waves the linear part of the equations leads on: G in u = G + D N."""

    part: LinearPart
    share: float
    """Of the initial values (relative L2), what those waves make up."""
    initial: Program | None
    """Of every component, as formulas of space; None where the window before has them."""


@dataclass(frozen=True)
class Ansatz:
    """u = G + D N, component by component: what it meets, and G and D as formulas of the coordinates."""

    met: tuple[str, ...]
    """Conditions that hold whatever the network N is."""
    left: tuple[tuple[str, str], ...]
    """Conditions that were looked at and stay equations, each with the reason."""
    indices: tuple[MultiIndex, ...]
    """The derivatives that `program` has, downward closed."""
    program: Program
    """Per derivative G of every component, then D of every component."""
    propagation: Propagation | None = None
    """Where initial values are propagated: G is zero in the formulas, and the solver adds those to it."""
    refused: str = ""
    """Why they are not, where the file asks for it."""


@dataclass(frozen=True)
class Formulation:
    """A problem's mathematics as programs."""

    name: str
    problem: Problem
    scope: Scope
    conditions: tuple[ConditionTerms, ...]
    exact: Mapping[str, Program]
    """One program of the coordinates per real component; empty where there is no formula."""
    exact_nodes: Mapping[str, Node]
    """The same per unknown, as written."""
    reference: Reference | None
    definitions: Mapping[str, Residual]
    """Each definition as the residual of `definition = 0`."""
    periodic: tuple[str, ...]
    """Coordinates in which the conditions make every unknown periodic."""
    linear: bool
    ansatz: Ansatz | None = None
    """Where some conditions are to be met by construction."""
    counts: Mapping[str, Program] = field(default_factory=dict)
    """Per real component that counts in a part of the domain only: which part, as `Region.where`."""

    @property
    def met(self) -> tuple[ConditionTerms, ...]:
        """The conditions that the ansatz meets, which are not trained."""
        names = self.ansatz.met if self.ansatz else ()
        return tuple(terms for terms in self.conditions if terms.name in names)

    @property
    def trained(self) -> tuple[ConditionTerms, ...]:
        """The conditions that the objective holds."""
        names = self.ansatz.met if self.ansatz else ()
        return tuple(terms for terms in self.conditions if terms.name not in names)

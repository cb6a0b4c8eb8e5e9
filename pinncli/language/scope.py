"""What the names in an expression mean, and what an equation becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pinncli.language.lookups import Table
from pinncli.language.nodes import Node
from pinncli.language.partials import Partial
from pinncli.language.program import Program
from pinncli.language.quadrature import Rows

if TYPE_CHECKING:
    import sympy

Level = Callable[[Sequence[Any], Any], Any]
"""Coordinates of space and numpy, or what stands for it, to a value that is negative inside a shape."""


@dataclass(frozen=True)
class Scope:
    """Every name that an expression may use. A name of the problem hides `pi`, `e` and `i`."""

    coordinates: tuple[str, ...]
    """In problem order."""
    space: tuple[str, ...]
    """The coordinates that `lap`, `grad`, `div` and `dn` act on."""
    time: str | None
    unknowns: Mapping[str, Literal["real", "complex"]]
    constants: Mapping[str, float] = field(default_factory=dict)
    parameters: tuple[str, ...] = ()
    definitions: Mapping[str, Node] = field(default_factory=dict)
    functions: Mapping[str, Table] = field(default_factory=dict)
    """Functions from files."""
    shapes: Mapping[str, Level] = field(default_factory=dict)
    """What `inside(name)` may be about."""
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Ends of the coordinates that can be integrated over as a whole."""
    regions: Mapping[str, Callable[[int], Rows]] = field(default_factory=dict)
    """What `integral(u, name)` may be over as a whole: by the number of nodes per piece, its rule."""
    nodes: int | None = None
    """Gauss-Legendre nodes per variable of integration; None for `quadrature.NODES`."""
    vectors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Vector coordinates, each with its components, which are among `coordinates`."""
    of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Real components of fewer coordinates, each with those that it depends on."""
    columns: tuple[str, ...] = ()
    """Data columns that this condition may use."""
    normal: bool = False
    """Whether the condition lives on a boundary, so that `dn(u)` means something."""

    def subscripted(self, name: str) -> tuple[str, tuple[str, ...]] | None:
        """Split `u_xt` into `("u", ("x", "t"))`; None where it is not a derivative.

        The longest unknown or definition wins; what follows must be one-letter coordinates.
        """
        cuts = [k for k, letter in enumerate(name) if letter == "_"]
        for k in reversed(cuts):
            base, letters = name[:k], name[k + 1 :]
            known = base in self.unknowns or base in self.definitions
            if known and letters and all(letter in self.coordinates for letter in letters):
                return base, tuple(letters)
        return None

    @property
    def written(self) -> tuple[str, ...]:
        """The coordinates as the file has them, a vector once."""
        owner = {part: name for name, parts in self.vectors.items() for part in parts}
        return tuple(dict.fromkeys(owner.get(name, name) for name in self.coordinates))

    def depends(self, component: str, coordinate: str) -> bool:
        """Whether a real component depends on a coordinate; else its derivative is zero."""
        return coordinate in self.of.get(component, self.coordinates)

    @property
    def complex(self) -> bool:
        """Whether some unknown is complex, so that `i` is the imaginary unit."""
        return "complex" in self.unknowns.values()

    def names(self) -> tuple[str, ...]:
        """Every plain name there is, for hints."""
        own = (*self.unknowns, *self.written, *self.constants, *self.parameters)
        rest = (*self.definitions, *self.columns, *self.functions)
        return (*own, *rest, "pi", "e", *(["i"] if self.complex else []))


@dataclass(frozen=True)
class Site:
    """Where unknowns are evaluated: some coordinates replaced by programs of the coordinates.

    Without replacements it is the point itself.
    """

    replacements: tuple[tuple[str, Program], ...] = ()


@dataclass(frozen=True)
class Residual:
    """An equation made ready: left minus right as a program, and what it needs."""

    programs: Program
    """One output, or two (real and imaginary part) where the equation is complex."""
    partials: tuple[tuple[int, Partial], ...]
    """(site, partial) in the order of the program's partial inputs."""
    sites: tuple[Site, ...]
    """Site 0 is always the point itself."""
    linear: bool
    """Affine in all unknowns, their derivatives and the parameters together."""
    orders: Mapping[str, int]
    """Highest order of differentiation by each coordinate, over all unknowns."""
    expressions: tuple[sympy.Expr, ...]
    """The outputs as formulas."""
    origins: tuple[int, ...] = (0,)
    """Per site a number that the nodes of one integral have in common, and no other site."""

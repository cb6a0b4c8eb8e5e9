"""The problem as written: one frozen pydantic model that mirrors the TOML file.

Text is still text here (`"u_t = alpha*u_xx"`); `pinncli.problem.formulation` turns it into
residual programs. Nothing in this module imports sympy or torch.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PrivateAttr

from pinncli.problem.settings import (
    AutoNetworkSettings,
    CurriculumSettings,
    DerivativeSettings,
    MarchingSettings,
    NetworkSettings,
    OutputSettings,
    SamplingSettings,
    Settings,
    StageSettings,
    TrainingSettings,
)


class Coordinate(Settings):
    """`x = [0, 1]` or `x = { range = [0, 1], kind = "space" }`."""

    range: tuple[float, float]
    kind: Literal["space", "time", "parameter"] = "space"
    """Left out, a coordinate named `t` is time and any other is space."""
    dim: int = Field(default=1, ge=1, le=200)
    """Components of a vector coordinate, written x[1], x[2], ... in equations."""
    units: str = "1"
    long_name: str = ""


class Unknown(Settings):
    """`unknowns = ["u"]` or `[unknowns.h] kind = "complex"`."""

    kind: Literal["real", "complex"] = "real"
    of: tuple[str, ...] | None = None
    """The coordinates that it depends on, where these are not all."""
    where: str | None = None
    """The part of the domain in which it counts, such as one of two materials."""
    units: str = "1"
    long_name: str = ""


class Parameter(Settings):
    """`[parameters.nu] initial = 0.1, bounds = [0, 1]`: an unknown number."""

    initial: float
    bounds: tuple[float, float] | None = None
    exact: float | None = None
    """The true value where it is known, to report the error of the estimate."""
    units: str = "1"


class Function(Settings):
    """`[functions.a] file = "a.h5", axes = ["x", "y"]`: a coefficient from a file."""

    file: str
    axes: tuple[str, ...] = Field(min_length=1, max_length=4)
    """Names of its arguments in the file, in order."""
    interpolation: Literal["cubic", "linear", "nearest"] = "cubic"


class ShapeFile(Settings):
    """`[shapes.wing] file = "wing.csv"`: a shape whose outline or surface is in a file."""

    file: str
    scale: float = Field(default=1.0, gt=0)
    """Factor of the file's numbers, such as 1e-3 from millimetres to metres."""
    _content: bytes | None = PrivateAttr(default=None)

    @property
    def content(self) -> bytes | None:
        """What is in the file; None until it is loaded, or where it cannot be."""
        return self._content

    def holding(self, content: bytes) -> ShapeFile:
        """The same with what is in the file."""
        held = self.model_copy()
        held._content = content
        return held


class Condition(Settings):
    """An equation on a region: PDE, initial, boundary, periodic, data, integral, all alike."""

    equation: str
    on: str = "interior"
    where: str | None = None
    data: str | None = None
    """A CSV or HDF5 file of points and named columns; replaces sampling."""
    weight: float = Field(default=1.0, ge=0)
    points: int | None = Field(default=None, ge=1)


class ReferenceData(Settings):
    """`[reference_data] file = "burgers1d.h5"`: an accurate solution on a grid or at points."""

    file: str


class Problem(Settings):
    """A whole problem file. Mappings keep the file's order."""

    title: str
    description: str = ""
    reference: str = ""
    tags: tuple[str, ...] = ()
    coordinates: dict[str, Coordinate]
    unknowns: dict[str, Unknown]
    constants: dict[str, float] = Field(default_factory=dict)
    """A constant may be written as text with numbers and earlier constants: "0.01/pi"."""
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    functions: dict[str, Function] = Field(default_factory=dict)
    shapes: dict[str, ShapeFile] = Field(default_factory=dict)
    geometry: dict[str, str] = Field(default_factory=dict)
    definitions: dict[str, str] = Field(default_factory=dict)
    conditions: dict[str, Condition]
    exact: dict[str, str] = Field(default_factory=dict)
    reference_data: ReferenceData | None = None
    accuracy: float | None = Field(default=None, gt=0)
    """Relative L2 error that the shipped problem is held to by the benchmark."""
    network: NetworkSettings = Field(default_factory=AutoNetworkSettings)
    sampling: SamplingSettings = Field(default_factory=SamplingSettings)
    derivatives: DerivativeSettings = Field(default_factory=DerivativeSettings)
    stages: tuple[StageSettings, ...] | Literal["auto"] = "auto"
    output: OutputSettings = Field(default_factory=OutputSettings)
    marching: MarchingSettings = Field(default_factory=MarchingSettings)
    curriculum: dict[str, CurriculumSettings] = Field(default_factory=dict)
    training: TrainingSettings = Field(default_factory=TrainingSettings)

    @property
    def time(self) -> str | None:
        """Name of the time coordinate, if there is one."""
        return next((n for n, c in self.coordinates.items() if c.kind == "time"), None)

    @property
    def space(self) -> tuple[str, ...]:
        """Names of the space coordinates, in order."""
        return tuple(n for n, c in self.coordinates.items() if c.kind == "space")

    @property
    def varied(self) -> tuple[str, ...]:
        """Names of the parameter coordinates, in order: neither space nor time."""
        return tuple(n for n, c in self.coordinates.items() if c.kind == "parameter")

    @property
    def shape_names(self) -> tuple[str, ...]:
        """Names of all shapes, from files and from texts, in order."""
        return (*self.shapes, *self.geometry)

    @property
    def components(self) -> tuple[str, ...]:
        """Real components of the solution: `u`; `h_real`, `h_imag` for a complex `h`."""
        names: list[str] = []
        for name, unknown in self.unknowns.items():
            names += [f"{name}_real", f"{name}_imag"] if unknown.kind == "complex" else [name]
        return tuple(names)

    @property
    def vectors(self) -> dict[str, tuple[str, ...]]:
        """Vector coordinates and their components, which `coordinates` has one by one: x[1], x[2], ..."""
        found: dict[str, tuple[str, ...]] = {}
        for name in self.coordinates:
            base, bracket, _ = name.partition("[")
            if bracket:
                found[base] = (*found.get(base, ()), name)
        return found

    def arguments(self, component: str) -> tuple[str, ...]:
        """The coordinates that a component depends on, in problem order."""
        unknown = self.unknowns.get(component) or self.unknowns[component.rpartition("_")[0]]
        return tuple(n for n in self.coordinates if unknown.of is None or n in unknown.of)

    @property
    def parts(self) -> dict[tuple[str, ...], tuple[str, ...]]:
        """Components by the coordinates that they depend on: those of the same share a network."""
        found: dict[tuple[str, ...], tuple[str, ...]] = {}
        for component in self.components:
            key = self.arguments(component)
            found[key] = (*found.get(key, ()), component)
        return found

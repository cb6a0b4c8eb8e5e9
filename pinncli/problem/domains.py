"""The domain of a problem: its shapes read from their texts, and what can be wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pinncli.errors import Diagnostic
from pinncli.language.diagnostics import Finding, LanguageError
from pinncli.problem.model import Problem, ShapeFile
from pinncli.problem.named_files import DataError
from pinncli.problem.shape_files import read_shape_file
from pinncli.problem.source import SourceMap, printable
from pinncli.shapes import Domain, Geometry, read_shape
from pinncli.shapes.base import Array, Shape
from pinncli.shapes.solid import Box

_THINNEST = 0.004
"""Share of the box that the domain should fill: points are found by rejection."""
_PROBES = 4096


@dataclass(frozen=True)
class _Reading:
    """A geometry, and what is wrong with the texts that it was read from: the box stands in for those."""

    geometry: Geometry | None
    findings: tuple[tuple[str, Finding], ...]


def domain_of(problem: Problem) -> Domain:
    """The domain. Pure; what is the same for all ranges of time is read once."""
    ranges = [c.range for c in problem.coordinates.values()]
    low, high = tuple(r[0] for r in ranges), tuple(r[1] for r in ranges)
    return Domain(tuple(problem.coordinates), low, high, geometry_of(problem))


def geometry_of(problem: Problem) -> Geometry | None:
    """The space part of the domain; None without space coordinates."""
    return _reading(problem).geometry


def is_box(problem: Problem) -> bool:
    """Whether the domain is the box that the ranges span."""
    geometry = geometry_of(problem)
    return geometry is None or geometry.is_box


def check_geometry(problem: Problem, source: SourceMap) -> list[Diagnostic]:
    """Everything wrong with `[geometry]`, each with its place."""
    reading = _reading(problem)
    found = []
    for name, finding in reading.findings:
        if name in problem.shapes:
            message = f"{printable(problem.shapes[name].file)}: {finding.message}"
            found.append(source.diagnose(("shapes", name, "file"), message))
            continue
        path, text = ("geometry", name), problem.geometry[name]
        found.append(
            source.diagnose(
                path, finding.message, text=text, span=finding.span, where=path, hint=finding.hint
            )
        )
    geometry = reading.geometry
    if found or geometry is None or geometry.is_box:
        return found
    text = problem.geometry.get("domain", "")

    def wrong(message: str, hint: str = "") -> list[Diagnostic]:
        path = ("geometry" if text else "shapes", "domain")
        return [source.diagnose(path, message, text=text, span=(0, len(text)), where=path, hint=hint)]

    if not geometry.share:
        return wrong("the domain is empty")
    beyond = _beyond(geometry)
    if beyond:
        return wrong(beyond, "enlarge the range, or intersect with the box: (...) & box")
    if geometry.share < _THINNEST:
        message = f"the domain fills only {100 * geometry.share:.2g} % of the box of the ranges"
        return wrong(message, "narrow the ranges of the coordinates to the domain")
    return []


def uniform(seed: int) -> Callable[[int, int, str], Array]:
    """Random numbers for the checks: the same for the same seed and stream."""

    def unit(n: int, dimension: int, stream: str) -> Array:
        return 1.0 - np.random.default_rng([seed, *stream.encode()]).random((n, dimension))

    return unit


def _beyond(geometry: Geometry) -> str:
    """Where the domain goes beyond the box, in words; empty where it does not."""
    points = Domain(geometry.names, geometry.low, geometry.high, geometry)
    places = points.sample("boundary", _PROBES, uniform(0)).points
    slack = 1e-6 * geometry.size
    for k, name in enumerate(geometry.names):
        low, high = float(places[:, k].min()), float(places[:, k].max())
        if low < geometry.low[k] - slack or high > geometry.high[k] + slack:
            return (
                f"the domain goes from about {low:.4g} to {high:.4g} in {name}, beyond its range"
                f" {geometry.low[k]:g} to {geometry.high[k]:g}"
            )
    return ""


def _reading(problem: Problem) -> _Reading:
    ranges = tuple((name, *problem.coordinates[name].range) for name in problem.space)
    files = tuple((name, f) for name, f in problem.shapes.items() if f.content is not None)
    return _read(ranges, files, tuple(problem.geometry.items()), tuple(problem.constants.items()))


@lru_cache(maxsize=64)
def _read_file(file: ShapeFile, names: tuple[str, ...]) -> Shape:
    """Read once for all ranges of the coordinates and all texts."""
    return read_shape_file(file, names)


@lru_cache(maxsize=64)
def _read(
    ranges: tuple[tuple[str, float, float], ...],
    files: tuple[tuple[str, ShapeFile], ...],
    texts: tuple[tuple[str, str], ...],
    constants: tuple[tuple[str, float], ...],
) -> _Reading:
    if not ranges:
        message = "there is no space coordinate, so no geometry"
        said = [*texts, *((name, file.file) for name, file in files)]
        return _Reading(None, tuple((name, Finding(message, (0, len(text)))) for name, text in said))
    names, low, high = zip(*ranges, strict=True)
    shapes: dict[str, Shape] = {"box": Box(low, high)}
    findings: list[tuple[str, Finding]] = []
    for name, file in files:
        try:
            shapes[name] = _read_file(file, names)
        except DataError as error:
            findings.append((name, Finding(str(error), (0, 0))))
            shapes[name] = shapes["box"]
    for name, text in texts:
        try:
            shapes[name] = read_shape(text, shapes, dict(constants), len(names))
        except LanguageError as error:
            findings += [(name, finding) for finding in error.findings]
            shapes[name] = shapes["box"]  # stands in for what cannot be read
    own = {name: shape for name, shape in shapes.items() if name != "box"}
    return _Reading(Geometry(names, low, high, own), tuple(findings))

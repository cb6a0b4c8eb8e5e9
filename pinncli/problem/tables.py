"""Functions from files: read with care, and looked up only where the files have values."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np

from pinncli.errors import Diagnostic
from pinncli.language.diagnostics import nearest
from pinncli.language.lookups import Table
from pinncli.language.nodes import Call, Equation, Node, Span, walk
from pinncli.language.program import Program
from pinncli.language.splines import FEWEST, interpolate
from pinncli.problem.csv_text import Array
from pinncli.problem.data import read_columns
from pinncli.problem.domains import domain_of
from pinncli.problem.model import Function, Problem
from pinncli.problem.named_files import DataError
from pinncli.problem.numeric import Points, faces, mask, parameters, place, probe, run
from pinncli.problem.source import KeyPath, SourceMap
from pinncli.problem.terms import ConditionTerms, Formulation

_PROBES = 4096
_MOST_CORNERS = 12
"""Coordinates up to which every corner of the domain is looked at."""
_SLACK = 1e-9
"""Of a range: an argument that is outside by less is at its end."""


def read_function(path: Path, name: str, function: Function) -> Table:
    """The function called `name`: a dataset per axis and one of values; raises `DataError`.

    The values are the dataset or column of the function's own name, or the only one besides the axes.
    """
    datasets = read_columns(path)
    for axis in function.axes:
        if axis not in datasets:
            hint = nearest(axis, datasets)
            raise DataError(
                f"nothing in it is called '{axis}', an axis of {name}" + (f"; {hint}" if hint else "")
            )
    rest = [key for key in datasets if key not in function.axes]
    own = name if name in datasets else rest[0] if len(rest) == 1 else None
    if own is None:
        raise DataError(f"nothing in it is called '{name}', and it has {len(rest)} datasets besides the axes")
    axes = [_axis(datasets[axis], axis, function.interpolation) for axis in function.axes]
    values = datasets[own]
    shape = tuple(len(axis) for axis in axes)
    if values.shape != shape:
        raise DataError(f"'{own}' has shape {values.shape}, the axes {', '.join(function.axes)} span {shape}")
    spline = interpolate(axes, values, function.interpolation, name)
    if not np.isfinite(spline.coefficients).all():
        raise DataError(f"'{own}' has values that no spline goes through in floating point")
    return Table(function.axes, function.interpolation, spline)


def _axis(values: Array, name: str, kind: str) -> Array:
    if values.ndim != 1:
        raise DataError(f"axis '{name}' has {values.ndim} axes itself; it should be a list of numbers")
    if len(values) < FEWEST[kind]:
        hint = (
            '; write interpolation = "linear"' if kind == "cubic" and len(values) >= FEWEST["linear"] else ""
        )
        raise DataError(f"axis '{name}' has {len(values)} points, {kind} needs {FEWEST[kind]}{hint}")
    if not np.all(np.diff(values) > 0):
        row = int(np.flatnonzero(np.diff(values) <= 0)[0]) + 2
        raise DataError(f"axis '{name}' should increase; at row {row} it does not")
    return values


def check_tables(formulation: Formulation, source: SourceMap) -> list[Diagnostic]:
    """Errors where a formula looks a function up outside the range of its file.

    Arguments that depend on the solution cannot be checked: outside, the value at the end is taken.
    """
    problem, findings = formulation.problem, []
    for terms in formulation.conditions:
        path: KeyPath = ("conditions", terms.name)
        spots = list(_spots(terms, problem))
        programs = [terms.residual.programs]
        programs += [p for site in terms.residual.sites for _, p in site.replacements]
        found = _outside(programs, spots, problem)
        if found is not None:
            text = problem.conditions[terms.name].equation
            span = _call(terms.equation, found[0]) if text else None
            where = (*path, "equation")
            findings.append(source.diagnose(where, found[1], text=text, span=span, where=path))
    everywhere = [probe(problem, "interior", _PROBES), corners(problem, "interior")]
    others = {("definitions", n): [r.programs] for n, r in formulation.definitions.items()}
    for name in problem.unknowns:
        parts = [
            formulation.exact[c] for c in (name, f"{name}_real", f"{name}_imag") if c in formulation.exact
        ]
        others["exact", name] = parts
    for path, programs in others.items():
        found = _outside(programs, everywhere, problem)
        if found is not None:
            findings.append(source.diagnose(path, found[1]))
    return findings


def corners(problem: Problem, label: str) -> Points:
    """Every corner of the box that belongs to a region; one in very many dimensions."""
    ends = [
        (c.range[label[-1] == "+"],) if label[:-1] == name else c.range
        for name, c in problem.coordinates.items()
    ]
    chosen = product(*ends) if len(ends) <= _MOST_CORNERS else [tuple(e[0] for e in ends)]
    points, domain = np.array(list(chosen)), domain_of(problem)
    kept = domain.contains(points)
    if domain.is_boundary(label) and label[-1] not in "+-":
        kept &= domain.on(label, points)
    return {name: points[kept, k] for k, name in enumerate(problem.coordinates)}


def _spots(terms: ConditionTerms, problem: Problem) -> Iterator[Points]:
    """Where a condition is evaluated: its data, or random points and corners of its region."""
    if terms.data is not None:
        yield {name: terms.data.columns[name] for name in problem.coordinates}
        return
    for label in faces(problem, terms.region.labels):
        for points in (probe(problem, label, _PROBES), corners(problem, label)):
            kept = mask(terms.region.where, points)
            if kept.any():
                yield {name: values[kept] for name, values in points.items()}


def _outside(programs: list[Program], spots: list[Points], problem: Problem) -> tuple[str, str] | None:
    """The first look-up that leaves its table: the function's name, and what is wrong in words."""
    near = parameters(problem) | {("normal", name): 0.0 for name in problem.space}
    for program in programs:
        for step in program.instructions:
            if step.spline is None:
                continue
            for slot, (low, high) in zip(step.arguments, step.spline.ranges, strict=True):
                argument = program.only([slot])
                if any(item.kind in ("partial", "column") for item in argument.inputs):
                    continue
                slack = _SLACK * (high - low)
                for points in spots:
                    values = run(argument, points, None, near)[0]
                    bad = np.flatnonzero((values < low - slack) | (values > high + slack))
                    if bad.size:
                        row = int(bad[0])
                        return step.spline.name, (
                            f"'{step.spline.name}' is asked for at {values[row]:.4g}, where its file goes"
                            f" from {low:g} to {high:g} ({place(points, row)})"
                        )
    return None


def _call(equation: Equation, name: str) -> Span | None:
    """Where an equation calls a function; None where only a definition does."""
    nodes: list[Node] = [equation.left, equation.right]
    calls = (
        part for node in nodes for part in walk(node) if isinstance(part, Call) and part.function == name
    )
    return next((call.span for call in calls), None)

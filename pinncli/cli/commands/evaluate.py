"""`pinncli eval` and `export`: the solution of a run on other points and in other formats."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from pinncli.cli.commands.compare import open_run
from pinncli.cli.options import (
    At,
    Device,
    EvalPrecision,
    ExportFormat,
    FailAbove,
    Grid,
    Json,
    OutFile,
    PointsFile,
    RunFolder,
)
from pinncli.cli.output import result, result_json
from pinncli.cli.parsing import check_positive, parse_grid, parse_point
from pinncli.cli.progress import number
from pinncli.cli.reports import error_rows
from pinncli.errors import Diagnostic, NotFoundError, ProblemError, ThresholdError, UsageError

if TYPE_CHECKING:
    from pinncli.evaluation import FieldSet, PointSet
    from pinncli.solution import Solution

V = TypeVar("V")


def export(
    run: RunFolder,
    format: Annotated[ExportFormat, typer.Option("--format", help="vtkhdf for ParaView, netcdf, or csv.")],  # noqa: A002
    out: OutFile = None,
) -> None:
    """Write the published fields of a run for another program."""
    from pinncli.runs.exports import SUFFIXES
    from pinncli.runs.exports import export as write

    opened = open_run(run)
    target = opened.folder / f"fields{SUFFIXES[format.value]}" if out is None else out
    write(opened.fields(), target, format.value, history=_command())
    result(str(target))


def evaluate(
    run: RunFolder,
    *,
    grid: Grid = None,
    points: PointsFile = None,
    at: At = None,
    out: OutFile = None,
    precision: EvalPrecision = None,
    device: Device = "auto",
    fail_above: FailAbove = None,
    json: Json = False,
) -> None:
    """Evaluate the solution of a run on another grid or at given points, and measure its error there."""
    if points is not None and (grid is not None or at is not None):
        raise UsageError("--points gives the points already; leave out --grid and --at")
    check_positive(fail_above, "--fail-above")
    from pinncli.solver import load_solution

    opened = open_run(run)
    solution = load_solution(opened, device, None if precision is None else precision.value)
    data = _at_points(solution, points) if points is not None else on_grid(solution, grid, at)
    if out is not None:
        _write(data, out)
    errors, own = _errors(solution, data), False
    if not errors and points is None and solution.has_reference:
        errors, own = {name: asdict(e) for name, e in solution.errors().items()}, True
    facts = {
        "status": "evaluated",
        "problem": opened.manifest.name,
        "run": str(opened.folder),
        "points": {name: len(values) for name, values in data.coordinates.items()},
        "out": None if out is None else str(out),
        "errors": errors,
        "errors_at": "the reference's own points" if own else "these points",
    }
    if json:
        result_json(facts)
    else:
        result(_text(facts))
    _judge(errors, fail_above)


def on_grid(solution: Solution, grid: str | None, at: str | None) -> FieldSet:
    """All fields on the grid asked for; coordinates left out take the points of the published fields."""
    from pinncli.problem.defaults import choose

    held = {} if at is None else parse_point(at, "--at")
    asked = {} if grid is None else parse_grid(grid, "--grid")
    vectors = solution.problem.vectors
    for option, names in (("--at", held), ("--grid", asked)):
        for name in names:
            if name not in solution.problem.coordinates and name not in vectors:
                known = ", ".join(solution.formulation.scope.written)
                raise UsageError(f"{option}: no coordinate '{name}'; this problem has {known}")
    held, asked = _by_component(held, vectors), _by_component(asked, vectors)
    if both := held.keys() & asked.keys():
        raise UsageError(f"'{min(both)}' is held by --at and has points in --grid; leave one out")
    return solution.on_grid({**choose(solution.formulation).grid, **asked}, held)


def _by_component(asked: Mapping[str, V], vectors: Mapping[str, Sequence[str]]) -> dict[str, V]:
    """What is asked for a vector coordinate, for each of its components that is not named itself."""
    found = {part: value for name, value in asked.items() for part in vectors.get(name, ())}
    return found | {name: value for name, value in asked.items() if name not in vectors}


def _at_points(solution: Solution, file: Path) -> PointSet:
    from pinncli.problem.data import read_table
    from pinncli.problem.named_files import DataError

    if not file.is_file():
        raise NotFoundError(f"{file}: no such file")
    try:
        return solution.at_points(read_table(file, solution.problem))
    except DataError as error:
        raise ProblemError([Diagnostic(str(error), str(file))]) from None


def _write(data: FieldSet | PointSet, out: Path) -> None:
    from pinncli.runs.exports import SUFFIXES
    from pinncli.runs.exports import export as write
    from pinncli.runs.files import Files

    forms = {suffix: form for form, suffix in SUFFIXES.items()}
    if out.suffix not in forms:
        raise UsageError(f"--out {out}: the name should end in one of {', '.join(forms)}")
    Files().make_folder(out.parent)
    write(data, out, forms[out.suffix], history=_command())


def _command() -> str:
    """This command line, which the file keeps as where it came from."""
    return shlex.join(["pinncli", *sys.argv[1:]])


def _errors(solution: Solution, data: FieldSet | PointSet) -> dict[str, dict[str, float]]:
    """The errors on these points, per unknown that has a reference there; NaN is where it does not count."""
    import numpy as np

    from pinncli.evaluation import errors

    found: dict[str, dict[str, float]] = {}
    for name, unknown in solution.problem.unknowns.items():
        parts = [f"{name}_real", f"{name}_imag"] if unknown.kind == "complex" else [name]
        if all(f"reference_{part}" in data.fields for part in parts):
            mine, true = (
                np.stack([np.ravel(data.fields[prefix + part]) for part in parts], axis=1)
                for prefix in ("", "reference_")
            )
            kept = np.isfinite(true).all(axis=1)
            if kept.any():
                found[name] = asdict(errors(mine[kept], true[kept]))
    return found


def _text(facts: Mapping[str, Any]) -> str:
    sizes = ", ".join(f"{name}={count}" for name, count in facts["points"].items())
    lines = [
        f"{facts['problem']}: evaluated at {sizes}" + (f", written to {facts['out']}" if facts["out"] else "")
    ]
    lines += [f"  {row}" for row in error_rows(facts["errors"])]
    if facts["errors"] and facts["errors_at"] != "these points":
        lines.append(f"The reference is not known on this grid: the error is that at {facts['errors_at']}.")
    if not facts["errors"]:
        lines.append("  no reference to measure the error against")
    return "\n".join(lines)


def _judge(errors: Mapping[str, Mapping[str, float]], fail_above: float | None) -> None:
    if fail_above is None:
        return
    if not errors:
        raise UsageError("--fail-above needs a reference, and this problem has none at these points")
    failed = [f"{name} {number(e['rel_l2'])}" for name, e in errors.items() if not e["rel_l2"] <= fail_above]
    if failed:
        raise ThresholdError(f"relative L2 error above {fail_above:g}: {', '.join(failed)}")

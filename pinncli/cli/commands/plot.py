"""`pinncli plot`: figures of a run, as files or in the terminal."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pinncli.cli.commands.compare import open_run
from pinncli.cli.options import At, FigureFormat, RunFolder
from pinncli.cli.output import console, is_unicode, result
from pinncli.cli.parsing import parse_point
from pinncli.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from pinncli.evaluation import FieldSet
    from pinncli.runs.store import Run


def plot(
    run: RunFolder,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder for the figures; by default RUN/plots."),
    ] = None,
    format: Annotated[FigureFormat, typer.Option("--format", help="File format.")] = FigureFormat.PNG,  # noqa: A002
    terminal: Annotated[
        bool, typer.Option("--terminal", help="Draw the solution in the terminal instead.")
    ] = False,
    at: At = None,
) -> None:
    """Draw solution, reference and error, residuals, slices, flows, phases, history and parameter traces."""
    opened = open_run(run)
    held = None if at is None else _held(opened, at)
    if terminal:
        print_pictures(opened.fields() if held is None else held, console(stderr=False))
        return
    from pinncli.runs.files import Files

    figures = _figures(opened, format, held)
    folder = opened.folder / "plots" if out is None else out
    files = Files()
    files.make_folder(folder)
    for name, content in figures.items():
        path = folder / f"{name}.{format.value}"
        files.write_atomic(path, content)
        result(str(path))


def print_pictures(fields: FieldSet, screen: Console) -> None:
    """Every component of the solution as a compact picture of at most 60 columns."""
    from pinncli.cli.fieldnames import component_names
    from pinncli.cli.picture import picture

    width = min(60, screen.width)
    colour = screen.color_system is not None and not screen.no_color
    for name in component_names(fields):
        screen.print(picture(fields, name, width, 12, colour=colour, unicode=is_unicode(screen.encoding)))


def headless() -> None:
    """Keep matplotlib from looking for a screen, whatever the environment asks for."""
    os.environ["MPLBACKEND"] = "agg"


def _held(run: Run, at: str) -> FieldSet:
    """The solution evaluated anew where `at` holds coordinates, and without them."""
    from pinncli.cli.commands.evaluate import on_grid
    from pinncli.solver import load_solution

    fields = on_grid(load_solution(run, "cpu", None), None, at)
    names = parse_point(at, "--at")
    if len(names) == len(fields.coordinates):
        raise UsageError("--at holds every coordinate: nothing is left to draw; 'pinncli eval' gives numbers")
    return fields.held(dict.fromkeys(names, 0))


def _figures(run: Run, kind: FigureFormat, held: FieldSet | None) -> dict[str, bytes]:
    """All figures of a run as file contents by name; of the solution as `held`, where it is given."""
    headless()
    from pinncli.cli.plotting import field_figures, figure_bytes, history_figures, scene_of
    from pinncli.problem.formulation import formulate
    from pinncli.problem.loading import load_text

    formulation = formulate(load_text(run.problem_text, run.manifest.name, "problem.toml", run.folder))
    problem = formulation.problem
    exact = {name: p.exact for name, p in problem.parameters.items() if p.exact is not None}
    figures = history_figures(problem.title, run.history(), exact)
    with suppress(NotFoundError):  # an unfinished run has no fields yet
        figures |= field_figures(run.fields() if held is None else held, scene_of(formulation))
    return {name: figure_bytes(figure, kind.value) for name, figure in figures.items()}

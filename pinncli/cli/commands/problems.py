"""`pinncli list`, `show`, `check`: the library of problems and one problem in detail; never imports torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pinncli.cli.options import EquationClass, Json, ProblemName, Settings, Strict
from pinncli.cli.output import console, note, result, result_json, result_table
from pinncli.errors import NotFoundError, ProblemError, UsageError

if TYPE_CHECKING:
    from pinncli.errors import Diagnostic
    from pinncli.problem.model import Problem


def list_problems(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WORD]...",
            help="Only problems with all these words in name, title, description, reference or tags.",
        ),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="TAG", help="Only problems with this tag. May be repeated."),
    ] = None,
    kind: Annotated[
        EquationClass | None, typer.Option("--class", help="Only equations of this class.")
    ] = None,
    dimension: Annotated[
        int | None,
        typer.Option(
            "--dimension",
            min=0,
            metavar="N",
            help="Only problems in so many dimensions of space; time is none.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List the problems that can be solved by name, grouped by the class of their equations."""
    from pinncli.cli import listing
    from pinncli.problem import library

    entries = library.select(
        library.list_problems(), words=words or (), tags=tag or (), kind=kind, dimension=dimension
    )
    if json:
        result_json({"problems": [listing.entry_facts(entry) for entry in entries]})
    else:
        screen = console(stderr=False)
        fixed = screen.is_terminal or "COLUMNS" in os.environ
        result_table(listing.library_lines(entries, screen.width if fixed else None), whole=True)


def show(
    problem: ProblemName,
    settings: Settings = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot", metavar="FILE", help="Draw the domain with its named parts: a .png, .pdf or .svg file."
        ),
    ] = None,
) -> None:
    """Show a problem as it was understood: equations, conditions, and how it would be solved."""
    from pinncli.cli.problem_sheet import problem_sheet
    from pinncli.problem.checks import check as check_problem
    from pinncli.problem.loading import load_problem

    loaded = load_problem(problem, settings or ())
    report = check_problem(loaded)
    result_table(problem_sheet(loaded, report))
    for diagnostic in report.diagnostics:
        note(str(diagnostic))
    if plot is not None:
        _draw_domain(loaded.problem, plot)


def _draw_domain(problem: Problem, path: Path) -> None:
    """The domain in space as a figure."""
    from pinncli.cli.commands.plot import headless
    from pinncli.problem.domains import geometry_of
    from pinncli.runs.files import Files

    kind, geometry = path.suffix.removeprefix("."), geometry_of(problem)
    if kind not in ("png", "pdf", "svg"):
        raise UsageError(f"--plot {path}: the name should end in .png, .pdf or .svg")
    if geometry is None:
        raise UsageError("there is no space coordinate, so no domain to draw")
    headless()
    from pinncli.cli.plotting import domain_figure, figure_bytes

    sides = [f"{name}{sign}" for name in problem.space for sign in "-+"]
    labels = [n for n in (*sides, *problem.shape_names) if n != "domain" and geometry.parts(n)]
    Files().write_atomic(path, figure_bytes(domain_figure(problem.title, geometry, labels), kind))
    result(str(path))


def check(
    problems: Annotated[list[str], typer.Argument(metavar="PROBLEM...", help="Names or paths of problems.")],
    settings: Settings = None,
    strict: Strict = False,
    json: Json = False,
) -> None:
    """Check problems without solving them: exit code 65 where one is wrong."""
    outcomes = {name: _findings(name, settings or []) for name in problems}
    failed = [name for name, (findings, _) in outcomes.items() if is_refused(findings, strict)]
    if json:
        result_json(
            {
                "status": "error" if failed else "ok",
                "problems": [_facts(name, *outcome) for name, outcome in outcomes.items()],
            }
        )
    for name, (findings, _) in outcomes.items():
        for diagnostic in findings:
            note(str(diagnostic))
        if not json and name not in failed:
            result(f"{name}: ok" + (f", {count(len(findings), 'warning')}" if findings else ""))
    if len(problems) > 1 and not json:
        result(f"{len(problems) - len(failed)} of {count(len(problems), 'problem')} ok")
    if failed:
        raise typer.Exit(max(code for name, (_, code) in outcomes.items() if name in failed))


def is_refused(findings: tuple[Diagnostic, ...], strict: bool) -> bool:
    """Whether these findings stop a solve."""
    return any(strict or d.severity == "error" for d in findings)


def count(number: int, noun: str) -> str:
    """`1 problem`, `2 problems`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _findings(name: str, settings: list[str]) -> tuple[tuple[Diagnostic, ...], int]:
    """What is wrong with one problem, and the exit code if that is refused."""
    from pinncli.errors import Diagnostic
    from pinncli.problem.checks import check as check_problem
    from pinncli.problem.loading import load_problem

    try:
        return tuple(check_problem(load_problem(name, settings)).diagnostics), ProblemError.exit_code
    except ProblemError as error:
        return error.diagnostics, error.exit_code
    except NotFoundError as error:
        return (Diagnostic(str(error)),), error.exit_code


def _facts(name: str, findings: tuple[Diagnostic, ...], code: int) -> dict[str, Any]:
    from dataclasses import asdict

    errors = sum(d.severity == "error" for d in findings)
    return {
        "problem": name,
        "errors": errors,
        "warnings": len(findings) - errors,
        "diagnostics": [asdict(d) for d in findings],
        "exit": code if errors else 0,
    }

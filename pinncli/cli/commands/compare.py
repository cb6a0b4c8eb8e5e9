"""`pinncli report` and `compare`: what runs say about themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pinncli.cli.options import Json, RunFolder
from pinncli.cli.output import result, result_json, result_table

if TYPE_CHECKING:
    from pinncli.runs.store import Run


def report(run: RunFolder, json: Json = False) -> None:
    """Say in words how a run ended and how far its solution can be trusted."""
    from pinncli.cli.reports import report as text_of

    summary = run_summary(open_run(run))
    if json:
        result_json(summary)
    else:
        result(text_of(summary))


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Run directories, or names of runs.")],
    json: Json = False,
) -> None:
    """Put runs side by side in one table: sizes, times, errors, residuals, estimates."""
    from pinncli.cli.tables import comparison_table

    summaries = [run_summary(open_run(run)) for run in runs]
    if json:
        result_json({"runs": summaries})
    else:
        result_table(comparison_table(summaries))


def open_run(name: str) -> Run:
    """The run with this path or name, for reading."""
    from pinncli.cli.folders import find_run
    from pinncli.runs.store import Run

    return Run.open(find_run(name))


def run_summary(run: Run) -> dict[str, Any]:
    """The JSON object of the run's solve; of an unfinished run, what is known already."""
    known = {"status": run.manifest.status, "problem": run.manifest.name, **run.manifest.options}
    return (run.manifest.summary or known) | {"run": str(run.folder)}

"""The Typer application: every command in one list. Importing it costs no torch, sympy or pydantic."""

from __future__ import annotations

from typing import Annotated

import typer

from pinncli import __version__
from pinncli.cli.commands.compare import compare, report
from pinncli.cli.commands.doctor import doctor
from pinncli.cli.commands.evaluate import evaluate, export
from pinncli.cli.commands.new import new
from pinncli.cli.commands.plot import plot
from pinncli.cli.commands.problems import check, list_problems, show
from pinncli.cli.commands.solve import solve

app = typer.Typer(
    name="pinncli",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

SOLVING, RUNS, PROBLEMS, MACHINE = "Solve", "Look at runs", "Problems", "This machine"


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pinncli {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Solve partial differential equations written in one TOML file."""


app.command("solve", rich_help_panel=SOLVING)(solve)
app.command("eval", rich_help_panel=RUNS)(evaluate)
app.command("plot", rich_help_panel=RUNS)(plot)
app.command("report", rich_help_panel=RUNS)(report)
app.command("compare", rich_help_panel=RUNS)(compare)
app.command("export", rich_help_panel=RUNS)(export)
app.command("list", rich_help_panel=PROBLEMS)(list_problems)
app.command("show", rich_help_panel=PROBLEMS)(show)
app.command("check", rich_help_panel=PROBLEMS)(check)
app.command("new", rich_help_panel=PROBLEMS)(new)
app.command("doctor", rich_help_panel=MACHINE)(doctor)

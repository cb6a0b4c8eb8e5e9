"""`pinncli new`: a commented problem file to begin with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from pinncli.cli.options import Force, OutFile
from pinncli.cli.output import result
from pinncli.errors import OutputError, UsageError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")


def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the new problem: letters, digits, _ and -.")
    ],
    out: OutFile = None,
    force: Force = False,
) -> None:
    """Write a commented problem file that solves as it stands, to be changed into your own."""
    from pinncli.cli.template import problem_template
    from pinncli.runs.files import Files

    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' cannot be the name of a problem: begin with a letter, then letters, digits, _ and -"
        )
    target = Path(f"{name}.toml") if out is None else out
    if target.exists() and not force:
        raise OutputError(f"{target}: is already there; give another name, or --force to replace it")
    files = Files()
    files.make_folder(target.parent)
    files.write_atomic(target, problem_template(name).encode())
    result(f"{target}: written; solve it with\n    pinncli solve {_as_path(target)}")


def _as_path(target: Path) -> str:
    import shlex

    return shlex.quote(str(target))

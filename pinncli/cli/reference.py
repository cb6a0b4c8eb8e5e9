"""The command reference, made from the commands: `python -m pinncli.cli.reference > docs/commands.md`."""

from __future__ import annotations

import inspect
import re
import sys
from typing import Any

from typer.main import get_command

from pinncli import errors
from pinncli.cli.app import app

_HEAD = """\
# Commands

This page is made from the program's own help: `python -m pinncli.cli.reference > docs/commands.md`.

An option is taken from the command line, else from the environment variable named beside it, else from
the problem file where that has it, else it is the default. Results go to stdout, progress and messages
to stderr; `--json` prints exactly one JSON object on stdout, also where the command fails.

Besides, `PINNCLI_RUNS` is the folder of runs instead of `runs`, `PINNCLI_PROBLEMS` names more folders with
problems, `PINNCLI_DEBUG=1` prints the traceback of a bug, and `NO_COLOR` is respected.
"""


def reference() -> str:
    """The whole page as Markdown."""
    group: Any = get_command(app)
    sections = [_HEAD, *(_section(name, command) for name, command in group.commands.items()), _exit_codes()]
    return "\n".join(sections)


def _section(name: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = " ".join([f"pinncli {name}", *(a.metavar for a in arguments), "[OPTIONS]" if options else ""])
    lines = [f"## {name}", "", inspect.cleandoc(command.help), "", "```", usage.rstrip(), "```", ""]
    lines += [f"- `{a.metavar}`: {a.help}" for a in arguments]
    lines += [f"- {_option(o)}" for o in options]
    return "\n".join(lines) + "\n"


def _option(option: Any) -> str:
    value = "" if option.is_flag else f" {_value_name(option)}"
    notes = []
    if option.envvar:
        notes.append(f"environment: `{option.envvar}`")
    if not option.is_flag and option.default is not None:
        notes.append(f"default: `{getattr(option.default, 'value', option.default)}`")
    spellings = ", ".join(f"`{spelling}{value}`" for spelling in option.opts)
    return f"{spellings}: {option.help}" + (f" ({'; '.join(notes)})" if notes else "")


def _value_name(option: Any) -> str:
    """The metavar, else the choices, else the type."""
    if option.metavar:
        return str(option.metavar)
    choices = getattr(getattr(option, "type_descriptor", None) or option.type, "choices", None)
    if choices:
        return "|".join(str(getattr(choice, "value", choice)) for choice in choices)
    return "NUMBER"


def _exit_codes() -> str:
    """The table that is drawn in the docstring of `pinncli.errors`."""
    found = re.findall(r"^[ |`-]*(\w+) +(\d+) +(.+)$", errors.__doc__ or "", re.MULTILINE)
    rows = [f"| {code} | {meaning} |" for _, code, meaning in found[1:]]
    head = ["## Exit codes", "", "| code | meaning |", "|---|---|", "| 0 | done |", f"| {_BUG} |"]
    return (
        "\n".join([*head, *rows, "| 130 | interrupted by Ctrl-C before there was anything to save |"]) + "\n"
    )


_BUG = "1 | a bug (the message says how to report it); a problem that `doctor` found"


if __name__ == "__main__":
    sys.stdout.write(reference())

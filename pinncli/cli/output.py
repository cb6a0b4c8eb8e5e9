"""Printing: results on stdout, everything else on stderr; text from files never commands the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

SCHEMA = 1
"""Version of every JSON object that a command prints."""

WIDTH_WITHOUT_TERMINAL = 120


def clean(text: str) -> str:
    r"""Show control characters (`\x1b[2J`) instead of obeying them; newlines and tabs stay."""
    from pinncli.problem.source import is_control

    return "".join(
        c.encode("unicode_escape").decode() if c not in "\n\t" and is_control(c) else c for c in text
    )


def result(text: str) -> None:
    """Print one result on stdout, ending the line."""
    sys.stdout.write(clean(text) + "\n")
    sys.stdout.flush()


def result_json(content: Mapping[str, Any]) -> None:
    """Print one JSON object on stdout; numbers that JSON lacks (NaN, infinity) become null."""
    from pinncli.runs.strictjson import dumps

    sys.stdout.write(dumps({"schema": SCHEMA, **content}) + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Print a message or a line of progress on stderr."""
    sys.stderr.write(clean(text) + "\n")
    sys.stderr.flush()


def result_table(renderable: RenderableType, *, whole: bool = False) -> None:
    """Draw a table or other renderable on stdout, without blanks at the ends of lines.

    `whole` lines are neither folded nor cut, however wide the screen is.
    """
    screen = console(stderr=False)
    with screen.capture() as captured:
        screen.print(renderable, soft_wrap=whole)
    sys.stdout.write("\n".join(line.rstrip() for line in captured.get().split("\n")))
    sys.stdout.flush()


def console(stderr: bool) -> Console:
    """A Rich console without markup, emoji or highlighting: text from files stays text."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    wide = None if stream.isatty() or "COLUMNS" in os.environ else WIDTH_WITHOUT_TERMINAL
    return Console(file=stream, markup=False, emoji=False, highlight=False, width=wide)


def is_unicode(encoding: str | None) -> bool:
    """Whether block and box characters can be written."""
    return (encoding or "").lower().replace("-", "").startswith("utf")

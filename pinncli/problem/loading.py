"""From a problem's name or path to a checked `Problem`, with every mistake reported at once."""

from __future__ import annotations

import re
import stat
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pinncli.errors import Diagnostic, NotFoundError, ProblemError
from pinncli.problem.expansion import written_out
from pinncli.problem.formulation import formulate
from pinncli.problem.library import find_problem
from pinncli.problem.names import check_counts, check_names
from pinncli.problem.overrides import Override, apply, parse_override, too_deep
from pinncli.problem.shape_files import with_shape_files
from pinncli.problem.shorthand import spell_out
from pinncli.problem.source import KeyPath, Loaded, SourceMap, excerpt_of, is_control, scan
from pinncli.problem.validation import validate

__all__ = ["Loaded", "load_problem", "load_text", "read_text"]

MAX_BYTES = 256 * 1024
MAX_FINDINGS = 50
_LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){32}""")
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_TABLE = re.compile(r" \(.*?\) twice$")
_PLAINER = {
    "Cannot overwrite a value": "this key is there already",
    "Cannot declare": "this table is there already",
    "Unclosed": "unclosed",
    "Invalid value": "not a TOML value (text needs quotes)",
    "Expected newline or end of document after a statement": "expected a new line after the value",
}


def load_problem(name_or_path: str, overrides: Sequence[str] = ()) -> Loaded:
    """Read and validate a problem given by name (looked up in the library) or by path.

    `overrides` are the words of `--set`, applied in order. Raises `NotFoundError`, `UsageError`
    for words that are not KEY=VALUE, and `ProblemError` with every finding.
    """
    parsed = [parse_override(words) for words in overrides]
    entry = find_problem(name_or_path)
    text = read_text(entry.path, entry.shown)
    places = SourceMap(entry.shown, text)
    return _load(entry.name, places, entry.path.parent, parsed, trusted=entry.origin == "path")


def load_text(text: str, name: str, file: str, folder: Path) -> Loaded:
    """The problem in `text` (of a run), named `file` in messages; raises `ProblemError`."""
    return _load(name, SourceMap(file, text), folder, [], trusted=True)


def read_text(path: Path, shown: str) -> str:
    """The text of a problem file; raises `NotFoundError`, `ProblemError` naming the file as `shown`."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ProblemError([Diagnostic("not a file", shown)])
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise NotFoundError(f"{shown}: no such problem file") from None
    except OSError as error:
        raise ProblemError([Diagnostic(f"cannot be read: {error.strerror}", shown)]) from None
    if len(content) > MAX_BYTES:
        raise ProblemError([Diagnostic(f"larger than {MAX_BYTES // 1024} KiB", shown)])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise ProblemError([Diagnostic("not UTF-8 text", shown, line, column)]) from None
    return text.replace("\r\n", "\n")


def _load(
    name: str, bare: SourceMap, folder: Path, overrides: Sequence[Override], *, trusted: bool
) -> Loaded:
    _refuse_controls(bare)
    _parse(bare.text, bare.file)
    text, data = apply(bare.text, overrides)
    source = replace(bare, places=scan(bare.text), overrides={o.path: o.words for o in overrides})
    findings = _hidden_controls(data, (), source)
    full, wrong = spell_out(data, source)
    findings += wrong
    problem, complaints = validate(full, source)
    findings += complaints
    if problem is not None:
        loaded = Loaded(name, problem, text, source, folder, trusted)
        crowds = check_counts(problem, source)
        findings += crowds or check_names(problem, source)
        loaded, missing = with_shape_files(replace(loaded, problem=written_out(problem)))
        findings += missing
        if not findings:
            return loaded
        findings += [] if crowds else _of_formulas(loaded)
    found = sorted(dict.fromkeys(findings), key=lambda d: (d.line, d.column))
    if len(found) > MAX_FINDINGS:
        rest = Diagnostic(f"and {len(found) - MAX_FINDINGS} more", bare.file)
        found = [*found[:MAX_FINDINGS], rest]
    raise ProblemError(found)


def _of_formulas(loaded: Loaded) -> Sequence[Diagnostic]:
    """What is wrong with the formulas besides: one go shows every mistake."""
    try:
        formulate(loaded)
    except ProblemError as error:
        return error.diagnostics
    return ()


def _refuse_controls(source: SourceMap) -> None:
    for offset, character in enumerate(source.text):
        if character not in "\n\t" and is_control(character):
            line, column = source.position(offset)
            message = f"control character U+{ord(character):04X} is not allowed"
            raise ProblemError([Diagnostic(message, source.file, line, column)])


def _parse(text: str, file: str) -> None:
    """Refuse text that is not TOML, with the place; and what would take tomllib minutes to read."""
    if long := _LONG_KEY.search(text):
        line, column = SourceMap(file, text).position(long.start())
        raise ProblemError([Diagnostic("a name with too many dots", file, line, column)])
    try:
        data = tomllib.loads(text)
    except RecursionError:
        raise ProblemError([Diagnostic("tables or lists nested too deeply", file)]) from None
    except ValueError as error:
        raise ProblemError([_syntax(str(error), text, file)]) from None
    if too_deep(data):
        raise ProblemError([Diagnostic("tables or lists nested too deeply", file)])


def _syntax(message: str, text: str, file: str) -> Diagnostic:
    place = _PLACE.search(message)
    plain = _PLACE.sub("", message) if place else "a number has too many digits"
    plain = next((new + plain[len(old) :] for old, new in _PLAINER.items() if plain.startswith(old)), plain)
    plain = _TABLE.sub("", plain)
    lines = text.split("\n")
    line, column = (int(place[1]), int(place[2])) if place and place[1] else (len(lines), len(lines[-1]) + 1)
    if not place:
        return Diagnostic(plain, file)
    excerpt, offset, _ = excerpt_of(lines[line - 1], (column - 1, column - 1))
    return Diagnostic(plain, file, line, column, excerpt=excerpt, offset=offset)


def _hidden_controls(node: Any, path: KeyPath, source: SourceMap) -> list[Diagnostic]:
    """Control characters written as escapes: no text of a problem may steer a terminal."""
    if isinstance(node, Mapping):
        children = list(node.items())
    elif isinstance(node, list):
        children = list(enumerate(node))
    else:
        allowed = "\n\t" if path[:1] != ("title",) else ""
        bad = next((c for c in str(node) if c not in allowed and is_control(c)), "")
        if not bad:
            return []
        return [source.diagnose(path, f"control character U+{ord(bad):04X} is not allowed")]
    findings = []
    for key, child in children:
        findings += _hidden_controls(child, (*path, key), source)
    return findings

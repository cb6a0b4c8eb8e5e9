"""From a problem's name or path to a checked `Problem`, with every mistake reported at once."""

from __future__ import annotations

import re
import stat
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pinncli.errors import Diagnostic, NotFoundError, ProblemError
from pinncli.problem.formulation import formulate
from pinncli.problem.library import find_problem
from pinncli.problem.names import check_names
from pinncli.problem.overrides import Override, apply, parse_override
from pinncli.problem.shorthand import spell_out
from pinncli.problem.source import KeyPath, Loaded, SourceMap, is_control, scan
from pinncli.problem.validation import validate

__all__ = ["Loaded", "load_problem", "load_text", "read_text"]

MAX_BYTES = 256 * 1024
MAX_DEPTH = 16
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_PLAINER = {
    "Cannot overwrite a value": "this key is there already",
    "Cannot declare": "this table is there already: cannot declare",
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
    return _load(entry.name, text, entry.shown, entry.path.parent, parsed, entry.origin == "path")


def load_text(text: str, name: str, file: str, folder: Path) -> Loaded:
    """The problem in `text` (of a run), named `file` in messages; raises `ProblemError`."""
    return _load(name, text, file, folder, [], True)


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
    name: str, text: str, file: str, folder: Path, overrides: Sequence[Override], trusted: bool
) -> Loaded:
    places = SourceMap(file, text)
    _refuse_controls(text, places)
    _parse(text, file)
    text, data = apply(text, overrides)
    original = places.text
    source = SourceMap(file, original, scan(original), {o.path: o.words for o in overrides})
    findings = _hidden_controls(data, (), source)
    full, wrong = spell_out(data, source)
    findings += wrong
    problem, complaints = validate(full, source)
    findings += complaints
    if problem is not None:
        findings += check_names(problem, source)
        loaded = Loaded(name, problem, text, source, folder, trusted)
        if not findings:
            return loaded
        findings += _of_formulas(loaded)
    raise ProblemError(tuple(dict.fromkeys(findings)))


def _of_formulas(loaded: Loaded) -> Sequence[Diagnostic]:
    """What is wrong with the formulas besides: one go shows every mistake."""
    try:
        formulate(loaded)
    except ProblemError as error:
        return error.diagnostics
    return ()


def _refuse_controls(text: str, source: SourceMap) -> None:
    for offset, character in enumerate(text):
        if character not in "\n\t" and is_control(character):
            line, column = source.position(offset)
            message = f"control character U+{ord(character):04X} is not allowed"
            raise ProblemError([Diagnostic(message, source.file, line, column)])


def _parse(text: str, file: str) -> None:
    """Refuse text that is not TOML, with the place."""
    try:
        data = tomllib.loads(text)
    except RecursionError:
        raise ProblemError([Diagnostic("tables or lists nested too deeply", file)]) from None
    except ValueError as error:
        raise ProblemError([_syntax(str(error), text, file)]) from None
    level: list[Any] = [data]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise ProblemError([Diagnostic("tables or lists nested too deeply", file)])


def _syntax(message: str, text: str, file: str) -> Diagnostic:
    place = _PLACE.search(message)
    plain = _PLACE.sub("", message) if place else "a number has too many digits"
    plain = next((new + plain[len(old) :] for old, new in _PLAINER.items() if plain.startswith(old)), plain)
    lines = text.split("\n")
    line, column = (int(place[1]), int(place[2])) if place and place[1] else (len(lines), len(lines[-1]) + 1)
    if not place:
        return Diagnostic(plain, file)
    shown = lines[line - 1]
    excerpt = shown if len(shown) <= 100 else ""
    return Diagnostic(plain, file, line, column, excerpt=excerpt, offset=column - 1)


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
        if isinstance(key, str) and any(is_control(c) for c in key):
            findings.append(source.diagnose((*path, key), "control characters are not allowed in a name"))
        findings += _hidden_controls(child, (*path, key), source)
    return findings

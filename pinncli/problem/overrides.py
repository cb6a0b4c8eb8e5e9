"""`--set KEY=VALUE`: parts of a problem file replaced from the command line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from pinncli.errors import Diagnostic, ProblemError, UsageError
from pinncli.language.diagnostics import nearest
from pinncli.problem.source import KeyPath, dotted, is_control, printable

MAX_DEPTH = 16
_PART = re.compile(r"[A-Za-z0-9_-]{1,64}")
_INDEX = re.compile(r"0|[1-9][0-9]{0,5}")
_CLOSED = frozenset(
    (
        "coordinates",
        "unknowns",
        "constants",
        "parameters",
        "functions",
        "shapes",
        "geometry",
        "definitions",
        "conditions",
    )
)
"""Tables whose entries are names of the problem: `--set` changes them and adds none."""


@dataclass(frozen=True, slots=True)
class Override:
    """One `--set`: the words as given, the path, and the TOML value."""

    words: str
    path: KeyPath
    value: Any


def parse_override(words: str) -> Override:
    """Read `KEY=VALUE`, where KEY is dotted and VALUE is TOML, or text where it is not.

    Raises `UsageError`.
    """
    key, equals, value = words.partition("=")
    key, value = key.strip(), value.strip()
    example = "for example --set network.width=64"
    if not equals or not key or not value:
        raise UsageError(f"--set {printable(words)}: should read KEY=VALUE, {example}")
    if any(is_control(c) for c in words):
        raise UsageError(f"--set {printable(words)}: control characters are not allowed")
    parts = key.split(".")
    if len(parts) > 8 or not all(_PART.fullmatch(part) for part in parts):
        raise UsageError(f"--set {printable(words)}: '{printable(key)}' is not a dotted key, {example}")
    path = tuple(int(part) if _INDEX.fullmatch(part) else part for part in parts)
    return Override(words, path, _value(value, words))


def _value(text: str, words: str) -> Any:
    """`text` as a TOML value; bare words and formulas, which TOML does not know, as text."""
    try:
        parsed = tomllib.loads(f"v = {text}")
    except (ValueError, RecursionError):
        if text[0] in "\"'[{":
            raise UsageError(f"--set {printable(words)}: not a TOML value: {printable(text)}") from None
        return text
    if too_deep(parsed):
        raise UsageError(f"--set {printable(words)}: nested too deeply")
    if "#" in text and not isinstance(parsed["v"], str | list | dict):
        return text  # never let a comment swallow half of the value
    return parsed["v"]


def too_deep(data: Any) -> bool:
    """Whether tables and lists are nested deeper than any problem needs; without recursion."""
    level = [data]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def apply(text: str, overrides: Sequence[Override]) -> tuple[str, dict[str, Any]]:
    """TOML `text` with the overrides applied, comments kept, and the data it stands for.

    Raises `ProblemError` naming the `--set` where a key cannot exist.
    """
    data = tomllib.loads(text)
    if not overrides:
        return text, data
    findings: list[Diagnostic] = []
    for override in overrides:
        try:
            _check(data, override)
            _put(data, override.path, override.value)
        except _MisfitError as misfit:
            findings.append(_diagnose(override, misfit))
    if findings:
        raise ProblemError(findings)
    return _rewrite(text, data, overrides), data


def _rewrite(text: str, data: dict[str, Any], overrides: Sequence[Override]) -> str:
    try:
        document = tomlkit.parse(text)
        for override in overrides:
            _put(document, override.path, override.value)
        written = tomlkit.dumps(document)
        if tomllib.loads(written) == data:
            return written
    except (TOMLKitError, ValueError, TypeError, AttributeError, LookupError):
        pass  # a layout that tomlkit cannot edit in place is written anew, without its comments
    return tomlkit.dumps(data)


class _MisfitError(Exception):
    """The path of an override does not fit the file; `name` is the part that does not."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def _diagnose(override: Override, misfit: _MisfitError) -> Diagnostic:
    return Diagnostic(str(misfit), f"--set {printable(override.words)}", hint=misfit.hint)


def _check(data: dict[str, Any], override: Override) -> None:
    """Refuse a new name in a table of names: it would be a typing error that changes nothing."""
    path = override.path
    if len(path) < 2 or path[0] not in _CLOSED:
        return
    table = data.get(str(path[0]), {})
    names = [str(name) for name in table] if isinstance(table, dict | list) else []
    if str(path[1]) not in names and not (isinstance(path[1], int) and isinstance(table, list)):
        kind = str(path[0]).removesuffix("s")
        raise _MisfitError(f"no {kind} '{path[1]}'", nearest(str(path[1]), names))


def _put(node: Any, path: KeyPath, value: Any) -> None:
    """Set `value` at `path`, making the tables on the way; the same on plain data and on tomlkit's."""
    for depth, part in enumerate(path[:-1]):
        here, following = path[: depth + 1], path[depth + 1]
        key = _key(node, part, here)
        new: Any = [] if isinstance(following, int) else {}
        if isinstance(node, list) and key == len(node):
            node.append(new)
        elif isinstance(node, dict) and key not in node:
            node[key] = new
        if isinstance(node[key], list) and not isinstance(following, int):
            node[key] = _table(node[key], here)
        node = node[key]
    key = _key(node, path[-1], path)
    if isinstance(node, list) and key == len(node):
        node.append(value)
    else:
        node[key] = value


def _key(node: Any, part: str | int, path: KeyPath) -> Any:
    """`part` as a key of `node`; raises `_MisfitError` where there can be none."""
    if isinstance(node, list):
        if isinstance(part, int) and part <= len(node):
            return part
        raise _MisfitError(f"{dotted(path[:-1])} has {len(node)} entries, numbered from 0")
    if isinstance(node, dict):
        return str(part)
    raise _MisfitError(f"{dotted(path[:-1])} is not a table")


def _table(items: list[Any], path: KeyPath) -> dict[str, Any]:
    """A shorthand list as the table that an override reaches into."""
    if len(path) == 2 and path[0] == "coordinates":
        return {"range": list(items)}
    if path == ("unknowns",):
        return {str(name): {} for name in items}
    raise _MisfitError(f"{dotted(path)} is a list: give an entry by its number, from 0")

"""Where things stand in a problem file: line and column of every key and of the text inside strings.

tomllib checks a file but forgets the positions and tomlkit keeps no columns, so a small scanner
walks the text once more. It runs only on text that tomllib has accepted, hence it need not
judge: it only skips over numbers, dates and comments and notes where keys and values begin.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pinncli.errors import Diagnostic
from pinncli.language.nodes import Span
from pinncli.problem.model import Problem

KeyPath = tuple[str | int, ...]

_BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]*")
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([btnfre\"\\])|[ \t]*\n\s*)")
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b", '"': '"', "\\": "\\"}
_EXCERPT = 100
"""Characters of an excerpt; a longer expression is cut around the caret."""


def is_control(character: str) -> bool:
    """True for characters that steer a terminal or reorder text: never allowed in a problem."""
    return character in _BIDIRECTIONAL or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")


def printable(text: str, limit: int = 80) -> str:
    """`text` made safe and short for a message: control characters become U+FFFD."""
    clean = "".join("\ufffd" if is_control(c) else c for c in text[: limit + 1])
    return clean if len(text) <= limit else clean[: limit - 1] + "…"


def dotted(path: KeyPath) -> str:
    """`("stages", 0, "steps")` as `stages.0.steps`."""
    return ".".join(printable(str(part)) for part in path)


@dataclass(frozen=True, slots=True)
class Place:
    """Offsets in the file's text: of the key, and of the characters of a string value."""

    key: int
    text: str | None = None
    characters: tuple[int, ...] = ()


@dataclass(frozen=True)
class SourceMap:
    """Places of all dotted keys of a problem, and which of them `--set` has replaced."""

    file: str
    text: str = ""
    places: Mapping[KeyPath, Place] = field(default_factory=dict)
    overrides: Mapping[KeyPath, str] = field(default_factory=dict)
    """Path of every override, with its words `KEY=VALUE`."""

    def position(self, offset: int) -> tuple[int, int]:
        """1-based line and column of an offset in the text."""
        return self.text.count("\n", 0, offset) + 1, offset - self.text.rfind("\n", 0, offset)

    def override(self, path: KeyPath) -> str | None:
        """The words of the last `--set` that gave the value at `path`, or made the table there."""
        made = path not in self.places and path != ()
        found = [
            words
            for key, words in self.overrides.items()
            if path[: len(key)] == key or (made and key[: len(path)] == path)
        ]
        return found[-1] if found else None

    def diagnose(
        self,
        path: KeyPath,
        message: str,
        *,
        text: str = "",
        span: Span | None = None,
        where: KeyPath | None = None,
        hint: str = "",
        severity: Literal["error", "warning"] = "error",
    ) -> Diagnostic:
        """A diagnostic at `path`, or at the nearest part of the file around it.

        With `text` and `span` the caret points at `text[span]`, and line and column into the
        string's characters in the file. `where` is what is named instead of `path`.
        """
        excerpt, offset, width = excerpt_of(text, span) if text and span is not None else ("", 0, 1)
        name = dotted(path if where is None else where)
        words = self.override(path)
        if words is not None:
            file, line, column = f"--set {printable(words)}", 0, 0
        else:
            file = self.file
            line, column = self._locate(path, text, span)
        return Diagnostic(message, file, line, column, name, excerpt, offset, width, hint, severity)

    def _locate(self, path: KeyPath, text: str, span: Span | None) -> tuple[int, int]:
        around = path
        while around and around not in self.places:
            around = around[:-1]
        if not around:
            return 0, 0
        place = self.places[around]
        if around == path and span is not None and place.text == text and place.characters:
            return self.position(place.characters[min(span[0], len(place.characters) - 1)])
        return self.position(place.key)


@dataclass(frozen=True)
class Loaded:
    """A problem as it came from its file."""

    name: str
    problem: Problem
    text: str
    """The TOML text with the overrides applied; loading it again gives the same problem."""
    source: SourceMap
    folder: Path
    """Where the data files it names are looked up."""
    trusted: bool = False
    """The user named the file by its path: it may use data files outside its folder."""


def excerpt_of(text: str, span: Span) -> tuple[str, int, int]:
    """One printable line around `span`, the caret's offset in it, and its width."""
    start, end = max(0, min(span[0], len(text))), max(span[0], min(span[1], len(text)))
    begin = text.rfind("\n", 0, start) + 1
    stop = text.find("\n", start)
    stop = len(text) if stop < 0 else stop
    before, after = "", ""
    if stop - begin > _EXCERPT:
        left = max(begin, min(start - _EXCERPT // 2, stop - _EXCERPT))
        before, after = "…" * (left > begin), "…" * (left + _EXCERPT < stop)
        begin, stop = left, min(stop, left + _EXCERPT)
    line = "".join("\ufffd" if is_control(c) and c != "\t" else c for c in text[begin:stop])
    shown = before + line.replace("\t", " ") + after
    return shown, start - begin + len(before), max(1, min(end, stop) - start)


def computed_from(loaded: Loaded) -> set[str]:
    """Names in numbers written as text (`L = "2*pi/k"`), in the file or given by `--set`."""
    sections = ("constants", "coordinates", "parameters", "geometry")
    source = loaded.source
    texts = [p.text for path, p in source.places.items() if path[0] in sections and p.text is not None]
    texts += [words.partition("=")[2] for path, words in source.overrides.items() if path[0] in sections]
    return {word for text in texts for word in _WORD.findall(text)}


def scan(text: str) -> dict[KeyPath, Place]:
    """The place of every key, array entry and table header of valid TOML `text`."""
    return _Scanner(text).scan()


class _Scanner:
    """A cursor over TOML text; `places` fills up as it moves."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.places: dict[KeyPath, Place] = {}
        self.counts: dict[KeyPath, int] = {}

    def scan(self) -> dict[KeyPath, Place]:
        table: KeyPath = ()
        self.skip()
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self.header()
            else:
                self.entry(table)
            self.skip()
        return self.places

    def skip(self) -> None:
        """Move over white space, newlines and comments."""
        while self.at < len(self.text):
            if self.text[self.at] in " \t\r\n":
                self.at += 1
            elif self.text[self.at] == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            else:
                return

    def note(self, path: KeyPath, key: int) -> None:
        self.places.setdefault(path, Place(key))

    def header(self) -> KeyPath:
        start = self.at
        array = self.text.startswith("[[", start)
        self.at += 2 if array else 1
        path: KeyPath = ()
        parts = self.keys()
        for depth, (part, _) in enumerate(parts):
            path = (*path, part)
            self.note(path, start)
            if array and depth == len(parts) - 1:
                self.counts[path] = self.counts.get(path, -1) + 1
            if path in self.counts:
                path = (*path, self.counts[path])
                self.note(path, start)
        self.at += 2 if array else 1
        return path

    def keys(self) -> list[tuple[str, int]]:
        """The parts of a dotted key with their offsets; the cursor ends after them."""
        parts: list[tuple[str, int]] = []
        while True:
            self.skip()
            start = self.at
            bare = _BARE.match(self.text, start)
            if bare:
                self.at = bare.end()
                parts.append((bare.group(), start))
            else:
                parts.append((self.string()[0], start))
            self.skip()
            if self.text[self.at] != ".":
                return parts
            self.at += 1

    def entry(self, table: KeyPath) -> None:
        """`key = value` inside `table`."""
        path = table
        parts = self.keys()
        for part, start in parts:
            path = (*path, part)
            self.note(path, start)
        self.at += 1
        self.skip()
        self.value(path, parts[-1][1])

    def value(self, path: KeyPath, key: int) -> None:
        start = self.at
        first = self.text[start]
        self.places[path] = Place(key)
        if first in "\"'":
            self.places[path] = Place(key, *self.string())
        elif first == "[":
            self.items(path, "]")
        elif first == "{":
            self.items(path, "}")
        else:
            match = _SCALAR.match(self.text, start)
            self.at = match.end() if match else start + 1

    def items(self, path: KeyPath, closing: str) -> None:
        """The entries of an array or an inline table."""
        self.at += 1
        index = 0
        self.skip()
        while self.text[self.at] != closing:
            if closing == "]":
                self.value((*path, index), self.at)
            else:
                self.entry(path)
            index += 1
            self.skip()
            if self.text[self.at] == ",":
                self.at += 1
                self.skip()
        self.at += 1

    def string(self) -> tuple[str, tuple[int, ...]]:
        """Decode the string at the cursor: its text, and each character's offset, and the end's."""
        quote = self.text[self.at]
        long = self.text.startswith(quote * 3, self.at)
        closing = quote * 3 if long else quote
        self.at += len(closing)
        if long and self.text.startswith("\n", self.at):
            self.at += 1
        letters: list[str] = []
        offsets: list[int] = []
        while not self.text.startswith(closing, self.at):
            offsets.append(self.at)
            escape = _ESCAPE.match(self.text, self.at) if quote == '"' else None
            if escape is None:
                letters.append(self.text[self.at])
                self.at += 1
                continue
            self.at = escape.end()
            if escape.lastindex is None:  # a line-ending backslash stands for nothing
                offsets.pop()
            else:
                code = escape.group(1) or escape.group(2)
                letters.append(chr(int(code, 16)) if code else _ESCAPES[escape.group(3)])
        offsets.append(self.at)
        self.at += len(closing)
        while long and self.text.startswith(quote, self.at):  # up to two quotes may precede the end
            letters.append(quote)
            offsets.insert(-1, self.at - 3)
            self.at += 1
        return "".join(letters), tuple(offsets)

"""Where problems are found: ./problems, then $PINNCLI_PROBLEMS, then those that ship with the program."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pinncli.errors import NotFoundError
from pinncli.problem.outline import Outline, outline, tags_of
from pinncli.problem.source import is_control, printable

Origin = Literal["path", "folder", "environment", "shipped"]
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")
_MAX_LISTED = 256 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """A problem file that can be named; `error` says why it cannot be read, if so.

    `tags` are the file's own, then what its outline adds. There is no outline of a file that was only found.
    """

    name: str
    title: str
    tags: tuple[str, ...]
    path: Path
    origin: Origin
    description: str = ""
    error: str = ""
    reference: str = ""
    accuracy: float | None = None
    outline: Outline | None = None

    @property
    def searched(self) -> str:
        """All text of it that a search looks at, in lower case."""
        return " ".join((self.name, self.title, self.description, self.reference, *self.tags)).casefold()

    @property
    def shown(self) -> str:
        """The file as messages name it: relative to the current folder where it lies inside."""
        if self.origin == "shipped":
            return self.path.name
        absolute, here = self.path.absolute(), Path.cwd()
        near = self.origin == "path" and not self.path.is_absolute()
        shown = self.path if near or not absolute.is_relative_to(here) else absolute.relative_to(here)
        return printable(str(shown), 200)


def shipped_folder() -> Path:
    """The library inside the installed package, or beside the package in a checkout."""
    inside = Path(str(files("pinncli"))) / "problems"
    return inside if inside.is_dir() else inside.parent.parent / "problems"


def search_path() -> list[tuple[Origin, Path]]:
    """The folders that are searched for a bare name, in order."""
    listed = os.environ.get("PINNCLI_PROBLEMS", "").split(os.pathsep)
    return [
        ("folder", Path("problems")),
        *(("environment", Path(folder)) for folder in listed if folder),
        ("shipped", shipped_folder()),
    ]


def find_problem(name_or_path: str) -> Entry:
    """The file of a problem; raises `NotFoundError` with near names.

    What contains a separator or ends in `.toml` is a path; anything else is a name.
    """
    shown = printable(name_or_path)
    if name_or_path.endswith(".toml") or "/" in name_or_path or os.sep in name_or_path:
        path = Path(name_or_path)
        if "\0" in name_or_path or not path.exists():
            raise NotFoundError(f"{shown}: no such problem file")
        return Entry(_path_name(path), "", (), path, "path")
    if not _NAME.fullmatch(name_or_path):
        raise NotFoundError(f"'{shown}' is not the name of a problem (letters, digits, _ and -)")
    for origin, folder in search_path():
        path = folder / f"{name_or_path}.toml"
        if path.is_file():
            return Entry(name_or_path, "", (), path, origin)
    names = sorted({path.stem for _, path in _library()})
    near = get_close_matches(name_or_path, names, 3, 0.5)
    hint = f"did you mean {', '.join(near)}?" if near else "`pinncli list` shows those there are"
    if Path(f"{name_or_path}.toml").is_file():
        hint = f"to solve the file here, write its path: ./{name_or_path}.toml"
    raise NotFoundError(f"no problem '{shown}'\n{hint}")


def list_problems() -> list[Entry]:
    """Every problem that can be named, sorted by name; one that is broken carries its error.

    Reads TOML and, for the outlines, equations; neither sympy nor the checks are involved.
    """
    entries: dict[str, Entry] = {}
    for origin, path in _library():
        if path.stem not in entries:
            entries[path.stem] = _read(path, origin)
    return [entries[name] for name in sorted(entries)]


def select(
    entries: Sequence[Entry],
    *,
    words: Sequence[str] = (),
    tags: Sequence[str] = (),
    kind: str | None = None,
    dimension: int | None = None,
) -> list[Entry]:
    """Those that fit everything asked: all words (in name, title, texts or tags), all tags, the class, the
    number of space dimensions. Raises `NotFoundError` where there are none, with near tags."""
    found = [
        entry
        for entry in entries
        if all(word.casefold() in entry.searched for word in words)
        and {tag.casefold() for tag in tags} <= {tag.casefold() for tag in entry.tags}
        and (kind is None or (entry.outline is not None and entry.outline.kind == kind))
        and (dimension is None or (entry.outline is not None and entry.outline.space == dimension))
    ]
    if found or not (words or tags or kind or dimension is not None):
        return found
    asked = [*(f"the word '{printable(word)}'" for word in words)]
    asked += [f"the tag '{printable(tag)}'" for tag in tags]
    asked += [f"the class '{kind}'"] if kind else []
    asked += [f"{dimension} space dimensions"] if dimension is not None else []
    known = sorted({tag for entry in entries for tag in entry.tags})
    strange = [tag for tag in tags if tag.casefold() not in {k.casefold() for k in known}]
    near = [match for tag in strange for match in get_close_matches(tag, known, 3, 0.5)]
    hint = f"did you mean {', '.join(near)}?" if near else f"tags: {', '.join(known)}"
    raise NotFoundError(f"no problem has {' and '.join(asked)}" + (f"\n{hint}" if strange else ""))


def _library() -> Iterator[tuple[Origin, Path]]:
    for origin, folder in search_path():
        try:
            found = sorted(path for path in folder.glob("*.toml") if path.is_file())
        except OSError:
            continue  # a folder that may not be read has no problems for us
        yield from ((origin, path) for path in found if _NAME.fullmatch(path.stem))


def _path_name(path: Path) -> str:
    """The name of a problem given by path: its file's, with other characters as `-`."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", path.stem).strip("-")[:100] or "problem"


def _read(path: Path, origin: Origin) -> Entry:
    """Title, tags, description and outline of a file, without checking the rest of it."""
    try:
        if path.stat().st_size > _MAX_LISTED:
            return Entry(path.stem, "", (), path, origin, error="too large for a problem file")
        data = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        return Entry(path.stem, "", (), path, origin, error=error.strerror or "cannot be read")
    except (ValueError, RecursionError) as error:
        return Entry(path.stem, "", (), path, origin, error=_line(str(error)))
    found = outline(data)
    tags = tuple(dict.fromkeys(_line(tag) for tag in (*tags_of(data), *found.traits)))
    title, accuracy = _line(data.get("title")), data.get("accuracy")
    return Entry(
        path.stem, title, tags, path, origin, _line(data.get("description")), "" if title else "no title",
        _line(data.get("reference")), accuracy if isinstance(accuracy, float) else None, found,
    )  # fmt: skip


def _line(text: object) -> str:
    """`text` on one line without control characters; empty where it is not text."""
    if not isinstance(text, str):
        return ""
    return "".join(c for c in " ".join(text.split()) if not is_control(c))

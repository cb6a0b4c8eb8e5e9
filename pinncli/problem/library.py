"""Where problems are found: ./problems, then $PINNCLI_PROBLEMS, then those that ship with the program."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pinncli.errors import NotFoundError
from pinncli.problem.source import is_control, printable

Origin = Literal["path", "folder", "environment", "shipped"]
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")
_MAX_LISTED = 256 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """A problem file that can be named; `error` says why it cannot be read, if so."""

    name: str
    title: str
    tags: tuple[str, ...]
    path: Path
    origin: Origin
    description: str = ""
    error: str = ""

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

    Reads only TOML: neither sympy nor the checks are involved.
    """
    entries: dict[str, Entry] = {}
    for origin, path in _library():
        if path.stem not in entries:
            entries[path.stem] = _read(path, origin)
    return [entries[name] for name in sorted(entries)]


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
    """Title, tags and description of a file, without checking the rest of it."""
    try:
        if path.stat().st_size > _MAX_LISTED:
            return Entry(path.stem, "", (), path, origin, error="too large for a problem file")
        data = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        return Entry(path.stem, "", (), path, origin, error=error.strerror or "cannot be read")
    except (ValueError, RecursionError) as error:
        return Entry(path.stem, "", (), path, origin, error=_line(str(error)))
    tags = data.get("tags")
    words = tuple(_line(tag) for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else ()
    title, description = _line(data.get("title")), _line(data.get("description"))
    return Entry(path.stem, title, words, path, origin, description, "" if title else "no title")


def _line(text: object) -> str:
    """`text` on one line without control characters; empty where it is not text."""
    if not isinstance(text, str):
        return ""
    return "".join(c for c in " ".join(text.split()) if not is_control(c))

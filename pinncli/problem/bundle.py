"""A problem with the files it names, so that a run needs nothing outside its directory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath

from pinncli.problem.named_files import resolve
from pinncli.problem.overrides import apply, parse_override
from pinncli.problem.source import KeyPath, Loaded


@dataclass(frozen=True)
class Bundle:
    """The text of a problem and the content of every file it names, by its path in the text."""

    text: str
    files: dict[str, bytes]

    @property
    def digest(self) -> str:
        """Tells the files' contents apart; empty without files."""
        if not self.files:
            return ""
        whole = hashlib.sha256()
        for name, data in sorted(self.files.items()):
            whole.update(name.encode() + b"\0" + hashlib.sha256(data).digest())
        return whole.hexdigest()[:16]


def bundle(loaded: Loaded) -> Bundle:
    """Read the files that a problem names.

    A path inside the problem's folder stays as it is; one outside becomes `data/<name>`, and the
    text says so. Raises `DataError` where a file cannot be read.
    """
    files: dict[str, bytes] = {}
    moved: list[str] = []
    for key, file in _named(loaded):
        path = resolve(file, loaded)
        name = PurePosixPath(file)
        if name.is_absolute() or ".." in name.parts:
            name = PurePosixPath("data", path.name)
            while str(name) in files and files[str(name)] != path.read_bytes():
                name = name.with_name(f"_{name.name}")
            moved.append(f"{'.'.join(str(part) for part in key)}={str(name)!r}")
        files[str(name)] = path.read_bytes()
    text, _ = apply(loaded.text, [parse_override(words) for words in moved])
    return Bundle(text, files)


def _named(loaded: Loaded) -> list[tuple[KeyPath, str]]:
    problem = loaded.problem
    found: list[tuple[KeyPath, str]] = [
        (("conditions", name, "data"), condition.data)
        for name, condition in problem.conditions.items()
        if condition.data is not None
    ]
    found += [(("functions", name, "file"), function.file) for name, function in problem.functions.items()]
    found += [(("shapes", name, "file"), shape.file) for name, shape in problem.shapes.items()]
    if problem.reference_data is not None:
        found.append((("reference_data", "file"), problem.reference_data.file))
    return found

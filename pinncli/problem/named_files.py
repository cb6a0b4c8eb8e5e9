"""Files that a problem names: where they may lie, and what is said where one is wrong."""

from __future__ import annotations

import stat
from pathlib import Path, PurePosixPath

from pinncli.problem.source import Loaded, is_control


class DataError(Exception):
    """A data file is wrong; the message says where in it, without the file's name."""


def resolve(file: str, loaded: Loaded) -> Path:
    """The path of a data file named in a problem; raises `DataError`.

    Files lie in the problem's folder or below. A problem that the user gave by its path may also
    name others; one from the library may not reach out of its folder.
    """
    if not file or len(file) > 1000 or any(is_control(c) for c in file):
        raise DataError("not a file name")
    path = loaded.folder / file
    try:
        inside = path.resolve().is_relative_to(loaded.folder.resolve())
        if not (loaded.trusted or inside) or (PurePosixPath(file).is_absolute() and not loaded.trusted):
            raise DataError("is outside the problem's folder; give the problem by its path to allow that")
        if not path.exists():
            raise DataError("no such file; it is looked up from the problem's folder")
        if not stat.S_ISREG(path.stat().st_mode):
            raise DataError("not a file")
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}") from None
    return path

"""history.jsonl: one line a record, append only.

Lines are gathered for a second at a time, so that a fast training loop does not wait for files. A
checkpoint remembers how long the file was; continuing cuts it back to that length, and the history
of a continued run is that of an undisturbed one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pinncli.errors import CorruptError, NotFoundError, OutputError, StorageError
from pinncli.runs.files import Files
from pinncli.runs.strictjson import dumps, loads

FLUSH_SECONDS = 1.0


class HistoryWriter:
    """Appends to a history that was `length` bytes long, whatever is behind them."""

    def __init__(self, files: Files, path: Path, length: int) -> None:
        self._files = files
        self._path = path
        self._length = length
        self._lines: list[str] = []
        self._flushed = time.monotonic()

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record. Where writing fails the lines are kept; `flush` tries again and says so."""
        self._lines.append(dumps(record) + "\n")
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            with suppress(StorageError, OutputError):
                self.flush()

    def flush(self, *, sync: bool = False) -> int:
        """Write what was gathered, with `sync` to the device; the length. Raises as `extend`."""
        self._flushed = time.monotonic()
        data = "".join(self._lines).encode("ascii")
        if data or sync:
            self._length = self._files.extend(self._path, self._length, data, sync=sync)
            self._lines.clear()
        return self._length

    def rewind(self, length: int) -> None:
        """Forget all records behind `length` bytes."""
        self._lines.clear()
        self._length = self._files.extend(self._path, length, b"", sync=True)


def whole_length(files: Files, path: Path) -> int:
    """Bytes of the file up to its last line end; 0 where there is none."""
    try:
        return files.read_bytes(path).rfind(b"\n") + 1
    except NotFoundError:
        return 0


def read_history(files: Files, path: Path) -> list[dict[str, Any]]:
    """All records; a torn last line is passed over. Raises CorruptError naming any other bad line."""
    try:
        lines = files.read_bytes(path).split(b"\n")[:-1]
    except NotFoundError:
        return []
    records = []
    for number, line in enumerate(lines, start=1):
        record = loads(line, f"{path}:{number}")
        if not isinstance(record, dict):
            raise CorruptError(f"{path}:{number}: not a record")
        records.append(record)
    return records

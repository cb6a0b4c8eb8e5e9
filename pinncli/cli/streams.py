"""Standard output and error that survive their reader.

`pinncli list | head -1` and a closed terminal must neither print a traceback nor end a training
run: once the other end is gone, text goes nowhere and the program goes on. Every print of the
program, of Typer and of Rich passes through the two streams that are replaced here.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_READER_GONE = frozenset({errno.EPIPE, errno.EBADF, errno.EIO, errno.ENXIO})
_EVERY_ERROR = frozenset(errno.errorcode)


class SurvivingFile(io.FileIO):
    """A file descriptor whose failed writes are dropped; an error that is not `forgiven` is raised, once."""

    def __init__(self, descriptor: int, forgiven: frozenset[int]) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._forgiven = forgiven
        self._failed = False

    def write(self, data: ReadableBuffer, /) -> int:
        """Write, or drop the data when nobody can read it any more."""
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in self._forgiven and not self._failed:
                self._failed = True
                raise
            return memoryview(data).nbytes


def survive_closed_streams() -> None:
    """Replace `sys.stdout` and `sys.stderr`.

    A full disk under a redirected stdout stays an error, for a lost result must not look like
    success; on stderr everything is forgiven, for a lost progress line must not end a solve.
    """
    sys.stdout = _surviving(sys.stdout, 1, _READER_GONE)
    sys.stderr = _surviving(sys.stderr, 2, _EVERY_ERROR)


def _surviving(stream: TextIO | None, descriptor: int, forgiven: frozenset[int]) -> TextIO:
    if stream is None:  # closed before the program started (`>&-`): no other file may get its number
        missing = os.open(os.devnull, os.O_WRONLY)
        if missing != descriptor:
            os.dup2(missing, descriptor)
            os.close(missing)
        encoding = "utf-8"
    else:
        encoding = stream.encoding
        stream.flush()
    raw = SurvivingFile(descriptor, forgiven)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=encoding,
        errors="backslashreplace",
        line_buffering=descriptor == 2 or raw.isatty(),
    )

"""Every error that pinncli raises on purpose, and the exit code that goes with it.

    PinncliError                 1   base class; raised itself only for a bug
    |-- UsageError               2   the command line asks for something impossible
    |-- ThresholdError           3   `eval --fail-above` not met
    |-- ProblemError            65   a problem file or its data is wrong
    |-- NotFoundError           66   no such problem or run
    |-- DeviceError             69   the device asked for is not available
    |-- DivergedError           70   training diverged, after rollback
    |-- MemoryLimitError        71   out of memory, after smaller blocks
    |-- OutputError             73   the output cannot be created (exists, read-only, in use)
    |-- StorageError            74   input/output error (disk full)
    |-- RunInterruptedError          75   interrupted, checkpoint saved: run the same command again
    `-- CorruptError            76   corrupt or foreign run file

The library raises; the one error boundary in `pinncli/cli` prints and exits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal


class PinncliError(Exception):
    """Base of every deliberate error. `str(error)` is the whole message for the user."""

    exit_code: ClassVar[int] = 1


class UsageError(PinncliError):
    """The command line asks for something impossible."""

    exit_code = 2


class ThresholdError(PinncliError):
    """`eval --fail-above` was not met."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding about a problem file: where, what, and the cure.

    `line` and `column` are 1-based, 0 where unknown; `width` is the length of the
    underlined text; `where` is the dotted key (`conditions.heat`); `excerpt` is the
    text that the caret points into and `offset` the 0-based caret position in it.
    """

    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    where: str = ""
    excerpt: str = ""
    offset: int = 0
    width: int = 1
    hint: str = ""
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        place = self.file
        if self.line:
            place += f":{self.line}:{self.column}" if self.column else f":{self.line}"
        head = ": ".join(part for part in (place, self.where) if part)
        kind = "warning: " if self.severity == "warning" else ""
        lines = [f"{head}: {kind}{self.message}" if head else f"{kind}{self.message}"]
        if self.excerpt:
            lines.append("    " + self.excerpt)
            lines.append("    " + " " * self.offset + "^" * max(1, self.width))
        if self.hint:
            lines.append(self.hint)
        return "\n".join(lines)


class ProblemError(PinncliError):
    """A problem file or its data is wrong; holds every finding, not the first only."""

    exit_code = 65

    def __init__(self, diagnostics: Sequence[Diagnostic] | str) -> None:
        if isinstance(diagnostics, str):
            diagnostics = [Diagnostic(diagnostics)]
        self.diagnostics: tuple[Diagnostic, ...] = tuple(diagnostics)
        super().__init__("\n".join(str(d) for d in self.diagnostics))


class NotFoundError(PinncliError):
    """No such problem or run; the message lists near names."""

    exit_code = 66


class DeviceError(PinncliError):
    """The device asked for is not available; the message says what torch sees."""

    exit_code = 69


class DivergedError(PinncliError):
    """Training diverged and rolling back did not help; the last good state was saved."""

    exit_code = 70


class MemoryLimitError(PinncliError):
    """Out of memory even with the smallest blocks; the message has the figures."""

    exit_code = 71


class OutputError(PinncliError):
    """The output cannot be created: it exists, is read-only or is in use."""

    exit_code = 73


class StorageError(PinncliError):
    """Reading or writing failed (disk full, quota); old data are untouched."""

    exit_code = 74


class RunInterruptedError(PinncliError):
    """Interrupted after a checkpoint was saved; the same command continues."""

    exit_code = 75


class CorruptError(PinncliError):
    """A run file is truncated, corrupt, foreign or newer than this program."""

    exit_code = 76

"""The one place where an exception becomes a message and an exit code."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from pinncli.cli.output import note, result_json
from pinncli.errors import MemoryLimitError, PinncliError, StorageError, UsageError

_INTERRUPTED = 130


def guarded(command: Callable[..., Any], arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code; never lets an exception through.

    `command` is called like a Typer command in standalone mode, which ends in SystemExit. With
    `--json` among the arguments every failure also puts one JSON object on stdout.
    """
    try:
        command(args=list(arguments), prog_name="pinncli")
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 0
        if code == UsageError.exit_code:
            _report_json(arguments, code, str(getattr(leaving.__context__, "message", "") or "usage error"))
        elif code == _INTERRUPTED:  # Typer turns Ctrl-C into this
            _fail(arguments, code, "interrupted")
        return code
    except KeyboardInterrupt:
        return _fail(arguments, _INTERRUPTED, "interrupted")
    except PinncliError as error:
        return _fail(arguments, error.exit_code, str(error))
    except OSError as error:
        return _fail(arguments, StorageError.exit_code, f"input/output error: {error}")
    except Exception as error:
        if _is_out_of_memory(error):
            return _fail(arguments, MemoryLimitError.exit_code, _OUT_OF_MEMORY.format(error=error))
        return _fail(arguments, PinncliError.exit_code, _bug(error))
    return 0


_OUT_OF_MEMORY = """out of memory: {error}
take fewer points (--set sampling.interior=...), a smaller network (--set network.width=...) \
or smaller blocks (--set derivatives.block=...)"""

_BUG = """internal error: {kind}: {error}
This is a bug in pinncli, not a mistake of yours. Please report it with the command, the problem file,
the output of 'pinncli doctor' and the traceback, which PINNCLI_DEBUG=1 prints."""


def _bug(error: Exception) -> str:
    if os.environ.get("PINNCLI_DEBUG") == "1":
        note("".join(traceback.format_exception(error)))
    return _BUG.format(kind=type(error).__name__, error=error)


def _is_out_of_memory(error: Exception) -> bool:
    """Python's, torch's and its CPU allocator's way of saying so, without importing torch."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return bool(kinds & {"MemoryError", "OutOfMemoryError"}) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )


def _fail(arguments: Sequence[str], code: int, message: str) -> int:
    note(message)
    _report_json(arguments, code, message)
    return code


def _report_json(arguments: Sequence[str], code: int, message: str) -> None:
    if "--json" in arguments:
        result_json({"status": "error", "exit": code, "message": message})

"""Signals and deadlines as a question of the training loop: `stop()` gives the reason to stop, or None."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)

DEADLINE_MARGIN = 60.0
"""Seconds kept before a batch job's end for the last step, the checkpoint and the fields."""

_SHOW_CURSOR = "\x1b[?25h"


@contextmanager
def stop_requests(
    announce: bool,
    environment: Mapping[str, str] = os.environ,
    clock: Callable[[], float] = time.time,
) -> Iterator[Callable[[], str | None]]:
    """Catch the stop signals while the context lasts; yields `stop`.

    The first signal is remembered, so that the step in hand is finished and saved. A second one
    leaves at once with 128 + its number; `announce` says so on stderr. A batch job's end
    (`SLURM_JOB_END_TIME`) counts as a signal that comes `DEADLINE_MARGIN` seconds early.
    """
    received: list[str] = []
    deadline = _job_end(environment)

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        if received:
            _leave(number)
        received.append(signal.Signals(number).name)
        if announce:
            _say(f"{received[0]}: finishing the step, then saving; a second signal leaves at once\n")

    def stop() -> str | None:
        if received:
            return received[0]
        return "the batch job's time is up" if clock() > deadline - DEADLINE_MARGIN else None

    previous = {number: signal.signal(number, handle) for number in STOP_SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _job_end(environment: Mapping[str, str]) -> float:
    text = environment.get("SLURM_JOB_END_TIME", "")
    return float(text) if text.isdecimal() else float("inf")


def _leave(number: int) -> None:
    if sys.stderr.isatty():
        _say(_SHOW_CURSOR)
    os._exit(128 + number)


def _say(text: str) -> None:
    """Write on stderr in a signal handler, where Python's streams may be in the middle of a write."""
    with suppress(OSError):
        os.write(2, text.encode())

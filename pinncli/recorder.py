"""What a march leaves in the run directory: every step in the history, now and then a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from pinncli.errors import OutputError, StorageError
from pinncli.marching import MarchState, march_to_tree
from pinncli.runs.store import Run
from pinncli.training import StepRecord

SAVE_RETRY_SECONDS = 30.0


class Recorder:
    """Records every step and saves now and then: by time, and when stage or leg change."""

    def __init__(self, run: Run, every: float, kept: dict[str, Any], notices: Sequence[str]) -> None:
        self._run = run
        self._kept = kept
        self._notices = notices
        self._every = every
        self._due = time.monotonic() + every
        self._place: tuple[int, int] | None = None

    def step(self, record: StepRecord, state: MarchState) -> StepRecord:
        """Append the record and save where it is time; the record says so where saving failed."""
        record = replace(record, event="; ".join(filter(None, (*self._notices, record.event))))
        self._notices = ()
        self._run.append(asdict(record))
        place = state.leg, state.loop.stage
        changed, self._place = self._place not in (None, place), place
        if not changed and time.monotonic() < self._due:
            return record
        try:
            self.save(state)
        except (StorageError, OutputError) as failure:
            self._due = time.monotonic() + SAVE_RETRY_SECONDS
            warning = f"not saved, tried again in {SAVE_RETRY_SECONDS:g} s: {failure}"
            return replace(record, event="; ".join(filter(None, (record.event, warning))))
        return record

    def save(self, state: MarchState) -> None:
        """Save a checkpoint. Raises StorageError, OutputError."""
        self._run.save_checkpoint(march_to_tree(state) | self._kept)
        self._due = time.monotonic() + self._every

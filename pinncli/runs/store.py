"""The run directory: made, continued, refused or replaced, and written by one process at a time.

problem.toml    the exact text that was solved       run.json       what, how, and its end (manifest)
history.jsonl   one line a record                    run.lock       while a process writes (lease)
checkpoint.h5   what the training loop carries       fields.h5, points.vtkhdf   what is published
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from pinncli.errors import CorruptError, NotFoundError, OutputError, PinncliError
from pinncli.evaluation import FieldSet, PointSet
from pinncli.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from pinncli.runs.fields import fields_bytes, read_fields
from pinncli.runs.files import Files
from pinncli.runs.folder import (
    CHECKPOINT,
    FIELDS,
    HISTORY,
    MANIFEST,
    POINTS,
    RUN_FILES,
    Asked,
    Resume,
    begin,
    check_attachments,
    inspect,
    near_runs,
    read_manifest,
    read_text,
    strangers,
)
from pinncli.runs.history import HistoryWriter, read_history, whole_length
from pinncli.runs.lease import Lease, sweep_markers
from pinncli.runs.manifest import Manifest, Option, Status, encode, now
from pinncli.runs.points import points_bytes, read_points
from pinncli.runs.strictjson import plain
from pinncli.runs.tree import Tree


class Run:
    """A run directory, open for reading or, with the lease, for writing. Use it in a `with`."""

    def __init__(
        self, folder: Path, manifest: Manifest, text: str, files: Files, lease: Lease | None = None
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.problem_text = text
        self._files = files
        self._checksums = dict(manifest.checksums)
        self._writing: tuple[Lease, HistoryWriter] | None = None
        if lease is not None:
            path = folder / HISTORY
            self._writing = lease, HistoryWriter(files, path, whole_length(files, path))

    @classmethod
    def create(
        cls,
        folder: Path,
        name: str,
        text: str,
        options: Mapping[str, Option],
        *,
        argv: Sequence[str] = (),
        force: bool = False,
        resume: Resume = "auto",
        attachments: Mapping[str, bytes] | None = None,
        files: Files | None = None,
    ) -> Run:
        """Start the run of problem `name` with this text in `folder`, or continue it there.

        `options` are the settings that must agree for a run to be the same (seed, device,
        precision). `attachments` are the data files that the text names, kept in the folder under
        those names; `options` should tell their contents apart. A finished run of the same text and
        options comes back as it is, `finished`, for reading only. `force` replaces an existing run.
        Nothing is touched where this raises: OutputError (another run, with what differs; a folder
        that is no run; a file in the way; read-only; in use), NotFoundError (`must` without a run),
        CorruptError, StorageError, UsageError.
        """
        files = files or Files()
        asked = Asked(Path(folder), name, text, dict(options), force, resume, attachments or {})
        found = inspect(files, asked)
        if found is not None and found.finished and not force:
            return cls(asked.folder, found, text, files)
        files.make_folder(asked.folder)
        lease = Lease.acquire(files, asked.folder, found.writer.job if found else "")
        try:
            found = inspect(files, asked)  # again, now that nobody else can write
            if found is not None and found.finished and not force:
                lease.release()
                return cls(asked.folder, found, text, files)
            files.sweep(asked.folder, RUN_FILES)
            sweep_markers(files, asked.folder)
            manifest = begin(files, asked, argv, None if force else found)
            return cls(asked.folder, manifest, text, files, lease)
        except BaseException:
            lease.release()
            raise

    @classmethod
    def open(cls, folder: Path, files: Files | None = None) -> Run:
        """An existing run, for reading.

        Raises NotFoundError where there is none, CorruptError where the folder is not a run or its
        files are damaged.
        """
        files, folder = files or Files(), Path(folder)
        manifest = read_manifest(files, folder)
        if manifest is not None and manifest.status != "creating":
            check_attachments(files, folder, manifest)
            return cls(folder, manifest, read_text(files, folder, manifest), files)
        if manifest is None and (folder.is_file() or strangers(files.entries(folder))):
            raise CorruptError(f"{folder}: not a run directory (it has no {MANIFEST})")
        raise NotFoundError(f"{folder}: no such run{near_runs(files, folder)}")

    @property
    def finished(self) -> bool:
        """Whether nothing is left to solve."""
        return self.manifest.finished

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record to the history. Raises OutputError where the run is not this process's."""
        self._held_history().append(record)

    def history(self) -> list[dict[str, Any]]:
        """All records so far. Raises CorruptError naming the line."""
        if self._writing is not None:
            self._held_history().flush()
        return read_history(self._files, self.folder / HISTORY)

    def save_checkpoint(self, state: Tree) -> None:
        """Publish what the loop carries; the previous checkpoint is kept until this one is verified.

        Raises StorageError (try again later: training can go on), OutputError, TypeError.
        """
        length = self._held_history().flush(sync=True)
        checkpoint = Checkpoint(state, length)
        data = save_checkpoint(self._files, self.folder / CHECKPOINT, self.manifest.identity, checkpoint)
        self._checksums[CHECKPOINT] = hashlib.sha256(data).hexdigest()

    def load_checkpoint(self) -> Tree | None:
        """What the loop carried when it was saved, None where it was never; tensors on the CPU.

        In a run that is being continued this also cuts the history back to that moment. Raises CorruptError.
        """
        checkpoint = load_checkpoint(self._files, self.folder / CHECKPOINT, self.manifest.identity)
        if self._writing is not None:
            self._held_history().rewind(checkpoint.history if checkpoint else 0)
        return checkpoint.state if checkpoint else None

    def publish_fields(self, fields: FieldSet) -> None:
        """Publish fields.h5. Raises OutputError, StorageError."""
        self._publish(FIELDS, fields_bytes(fields, history=self._command(), identity=self.manifest.identity))

    def publish_points(self, points: PointSet) -> None:
        """Publish points.vtkhdf. Raises OutputError, StorageError."""
        self._publish(POINTS, points_bytes(points, history=self._command(), identity=self.manifest.identity))

    def fields(self) -> FieldSet:
        """What was published. Raises NotFoundError, CorruptError (damaged, or of another run)."""
        return read_fields(self.folder / FIELDS, self._files, identity=self.manifest.identity)

    def points(self) -> PointSet:
        """What was published. Raises NotFoundError, CorruptError (damaged, or of another run)."""
        return read_points(self.folder / POINTS, self._files, identity=self.manifest.identity)

    def finish(self, status: Status, summary: Mapping[str, Any]) -> None:
        """Record how the solve ended: the history, then run.json with the checksums of all files."""
        self._held_history().flush(sync=True)
        content = {**self.manifest.model_dump(), "status": status, "summary": plain(summary)}
        content |= {"updated": now(), "checksums": self._checksums}
        manifest = Manifest.model_validate(content)
        self._files.write_atomic(self.folder / MANIFEST, encode(manifest))
        self.manifest = manifest

    def close(self) -> None:
        """Write what is left of the history and give the lease back."""
        if self._writing is None:
            return
        (lease, history), self._writing = self._writing, None
        try:
            lease.check()
            history.flush()
        finally:
            lease.release()

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except PinncliError:
            if error is None:
                raise

    def _held_history(self) -> HistoryWriter:
        """The history, after making sure that this process may write the run."""
        if self._writing is None:
            raise OutputError(f"{self.folder}: open for reading only")
        self._writing[0].check()
        return self._writing[1]

    def _publish(self, name: str, data: bytes) -> None:
        self._held_history().flush()
        self._files.write_atomic(self.folder / name, data)
        self._checksums[name] = hashlib.sha256(data).hexdigest()

    def _command(self) -> str:
        return f"{self.manifest.created} {' '.join(self.manifest.argv)}".strip()

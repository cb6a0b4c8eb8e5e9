"""One writer a run: a lease on the run directory, with a heartbeat.

The lease is filelock's `SoftFileLease`, a file that any file system shows to every host (flock is
not, on many network file systems). A holder that died on this host loses it at once, one on another
host when its heartbeat has not been seen for LEASE_SECONDS.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from pathlib import Path

import filelock

from pinncli.errors import OutputError
from pinncli.runs.files import Files

LEASE_NAME = "run.lock"
LEASE_SECONDS = 60.0
GRACE_SECONDS = 2.0


class Lease:
    """The right to write a run directory, held until `release`."""

    def __init__(self, lock: filelock.SoftFileLease) -> None:
        self._lock = lock

    @classmethod
    def acquire(cls, files: Files, folder: Path, job: str = "", seconds: float = LEASE_SECONDS) -> Lease:
        """Take the lease of `folder`; `job` is that of its last writer, for the message.

        Returns or raises at once where the holder is on this host; watches a holder elsewhere for the
        lease's duration. Raises OutputError where the run is in use or the folder is read-only,
        StorageError.
        """
        path = folder / LEASE_NAME
        lock = filelock.SoftFileLease(path, lease_duration=seconds, thread_local=False)
        if not files.call("lock", path, lambda: _attempt(lock, path, seconds)):
            raise OutputError(f"{folder}: in use by {_describe(lock, job)}; wait for it, or stop it")
        return cls(lock)

    def check(self) -> None:
        """Raise OutputError where the lease was lost: another process may be writing now."""
        lost = self._lock.compromise
        if lost is not None:
            raise OutputError(
                f"{self._lock.lock_file}: this process lost the run ({lost.reason}), perhaps by standing"
                " still for long; nothing was written since: run the same command again"
            )

    def release(self) -> None:
        """Give the lease back; doing so twice is harmless."""
        self._lock.release()


def sweep_markers(files: Files, folder: Path) -> None:
    """Remove what filelock leaves behind where a process dies while taking a lease."""
    for entry in files.entries(folder):
        path = folder / entry
        if entry.startswith(LEASE_NAME + ".") and time.time() - path.stat().st_mtime > 2 * LEASE_SECONDS:
            files.remove(path)


def _attempt(lock: filelock.SoftFileLease, path: Path, seconds: float) -> bool:
    """Whether the lease could be taken, after watching a holder on another host. Raises OSError."""
    _drop_unfinished(lock, path)
    owner = lock.owner
    elsewhere = owner is not None and owner.hostname != socket.gethostname()
    try:
        lock.acquire(timeout=seconds * 1.1 if elsewhere else 0)
    except (filelock.Timeout, filelock.LeaseSettingsMismatch):
        return False
    return True


def _drop_unfinished(lock: filelock.SoftFileLease, path: Path) -> None:
    """Remove a marker that names no owner: its process died between making and filling it.

    A live process fills it within milliseconds; should one stand still there for GRACE_SECONDS, it
    finds out by its heartbeat that the marker is not its own.
    """
    end = time.monotonic() + GRACE_SECONDS
    with suppress(FileNotFoundError):
        first = path.lstat()
        while lock.owner is None:
            if path.lstat().st_ino != first.st_ino:
                return
            if time.monotonic() > end:
                path.unlink()
                return
            time.sleep(GRACE_SECONDS / 20)


def _describe(lock: filelock.SoftFileLease, job: str) -> str:
    owner = lock.owner
    if owner is None:
        return "a process that is just starting"
    return f"process {owner.pid} on {owner.hostname}" + (f", job {job}" if job else "")

"""Every file operation of a run, and nothing else, is in this module.

A file appears whole or not at all: it is written under a temporary name in the same folder,
synchronised, read back, and renamed. Every step passes a *gate*, which does nothing in the
program; a test gives one that fails or stops at the k-th step, for k = 1, 2, ...

Errors of the operating system become pinncli's: where, how many bytes, why, and the cure.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from pinncli.errors import CorruptError, NotFoundError, OutputError, StorageError

P = ParamSpec("P")
T = TypeVar("T")
Gate = Callable[[str, Path], None]

READ_LIMIT = 2**34
"""Bytes of the largest file that is read (16 GiB)."""

_BLOCK = 2**20
_CANNOT_CREATE = frozenset(
    (
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.EEXIST,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ENAMETOOLONG,
        errno.ELOOP,
    )
)
_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_NO_FOLDER_SYNC = frozenset((errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.ENOSYS))
"""What file systems answer that cannot synchronise a folder; they need no synchronising."""


def open_gate(operation: str, path: Path) -> None:
    """The gate of the program: every operation passes."""


@contextmanager
def writing(path: Path, size: int | None = None) -> Iterator[None]:
    """Turn an OSError into OutputError (cannot be created) or StorageError (full, failing)."""
    try:
        yield
    except OSError as error:
        what = "cannot write" if size is None else f"cannot write {size:,} bytes"
        reason = error.strerror or str(error)
        if error.errno in _CANNOT_CREATE:
            raise OutputError(f"{path}: {what}: {reason}; choose another place with --out") from error
        cure = "free some space" if error.errno in _NO_ROOM else "check the storage"
        raise StorageError(
            f"{path}: {what}: {reason}; what was there before is untouched: {cure} and run again"
        ) from error


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn an OSError into NotFoundError (absent), CorruptError (not a file) or StorageError."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"{path}: no such file") from error
    except IsADirectoryError as error:
        raise CorruptError(f"{path}: a folder, not a file") from error
    except OSError as error:
        raise StorageError(f"{path}: cannot read: {error.strerror or error}") from error


def _partial_name(name: str) -> str:
    return f".{name[:200]}.{secrets.token_hex(4)}.part"


def is_leftover(entry: str, names: Collection[str]) -> bool:
    """Whether `entry` is the temporary name of a write of one of `names` that never ended."""
    match = re.fullmatch(r"\.(.+)\.[0-9a-f]{8}\.part", entry)
    return match is not None and match[1] in names


class Files:
    """File operations, each passing `gate(operation, path)` first."""

    def __init__(self, gate: Gate = open_gate) -> None:
        self._gate = gate

    def _do(
        self, operation: str, path: Path, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        self._gate(operation, path)
        return function(*args, **kwargs)

    def call(self, operation: str, path: Path, function: Callable[[], T]) -> T:
        """One operation that another library does on `path` (the lease), under the same rules."""
        with writing(path):
            return self._do(operation, path, function)

    def write_atomic(self, path: Path, data: bytes) -> None:
        """Replace `path` by `data`: after a crash at any moment the old or the new file is whole.

        The new file has reached the device and was read back before it takes the name, so the
        old one is kept until the new one is verified. Only regular files are replaced, never
        a link, a folder or a device.

        Raises OutputError where the file cannot be created, StorageError where writing fails.
        """
        with writing(path, len(data)):
            self._refuse_special(path)
            part = path.with_name(_partial_name(path.name))
            try:
                self._write_new(part, data)
                self._do("replace", path, os.replace, part, path)
            except BaseException:
                with suppress(OSError):
                    self._do("remove", part, os.unlink, part)
                raise
            self._sync_folder(path.parent)

    def _refuse_special(self, path: Path) -> None:
        try:
            mode = self._do("inspect", path, os.lstat, path).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISREG(mode):
            kind = "folder" if stat.S_ISDIR(mode) else "link" if stat.S_ISLNK(mode) else "special file"
            raise OutputError(f"{path}: a {kind} is in the way; move it or choose another place with --out")

    def _write_new(self, part: Path, data: bytes) -> None:
        """Write `data` to the new file `part`, wait for the device, read it back."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        handle = self._do("create", part, os.open, part, flags, 0o666)
        try:
            self._write_at(handle, part, 0, data)
            self._do("sync", part, os.fsync, handle)
            if hasattr(os, "posix_fadvise"):  # read back from the device, not from memory
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            view = memoryview(data)
            for start in range(0, len(data), _BLOCK):
                block = self._do("verify", part, os.pread, handle, _BLOCK, start)
                if block != view[start : start + _BLOCK]:
                    raise OSError(errno.EIO, "what was written reads back differently")
        finally:
            os.close(handle)

    def _write_at(self, handle: int, path: Path, offset: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = self._do("write", path, os.pwrite, handle, view[:_BLOCK], offset)
            view, offset = view[written:], offset + written

    def _sync_folder(self, folder: Path) -> None:
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._do("sync folder", folder, os.fsync, handle)
        except OSError as error:
            if error.errno not in _NO_FOLDER_SYNC:
                raise
        finally:
            os.close(handle)

    def extend(self, path: Path, length: int, data: bytes, *, sync: bool = False) -> int:
        """Cut the file at `length` bytes, add `data`; the new length.

        Whatever a failed call left behind `length` is gone with the next one.
        """
        with writing(path, len(data)):
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            handle = self._do("create", path, os.open, path, flags, 0o666)
            try:
                status = os.fstat(handle)
                if not stat.S_ISREG(status.st_mode):
                    raise OutputError(f"{path}: not a regular file")
                length = min(length, status.st_size)
                if status.st_size > length:
                    self._do("cut", path, os.ftruncate, handle, length)
                self._write_at(handle, path, length, data)
                if sync:
                    self._do("sync", path, os.fsync, handle)
            finally:
                os.close(handle)
        return length + len(data)

    def read_bytes(self, path: Path, limit: int = READ_LIMIT) -> bytes:
        """The whole file.

        Raises NotFoundError where there is none, CorruptError for anything but a regular file of at
        most `limit` bytes (a pipe would block for ever), StorageError where reading fails.
        """
        with _reading(path):
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
            handle = self._do("read", path, os.open, path, flags)
            with os.fdopen(handle, "rb") as file:
                status = os.fstat(handle)
                if not stat.S_ISREG(status.st_mode):
                    raise CorruptError(f"{path}: not a regular file")
                if status.st_size > limit:
                    raise CorruptError(
                        f"{path}: {status.st_size:,} bytes are more than the limit of {limit:,} bytes"
                    )
                return file.read(limit)

    def entries(self, folder: Path) -> list[str]:
        """Sorted names in `folder`; empty where there is no such folder."""
        try:
            with _reading(folder):
                return sorted(self._do("list", folder, os.listdir, folder))
        except NotFoundError:
            if os.path.lexists(folder):
                raise OutputError(
                    f"{folder}: a file is in the way; choose another place with --out"
                ) from None
            return []

    def make_folder(self, folder: Path) -> None:
        """Make `folder` and its parents where they are missing."""
        with writing(folder):
            self._do("make folder", folder, folder.mkdir, parents=True, exist_ok=True)

    def remove(self, path: Path) -> None:
        """Remove the file `path` if it is there."""
        with writing(path), suppress(FileNotFoundError):
            self._do("remove", path, os.unlink, path)

    def sweep(self, folder: Path, names: Collection[str]) -> None:
        """Remove what interrupted writes of `names` left in `folder`."""
        for entry in self.entries(folder):
            if is_leftover(entry, names):
                self.remove(folder / entry)

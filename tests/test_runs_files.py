"""Atomic writing: old or new, never half; and every error of the system with a name and a cure."""

import errno
import os
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from pinncli.errors import CorruptError, NotFoundError, OutputError, StorageError
from pinncli.runs.files import Files


class Stopped(BaseException):
    """Stands for kill -9: nothing after it runs, not even tidying up."""


class Gate:
    """Fails the k-th operation; with `stop`, all after it too, as if the process were gone."""

    def __init__(self, k, error, *, stop=False):
        self.k, self.error, self.stop, self.count = k, error, stop, 0

    def __call__(self, operation, path):
        self.count += 1
        if self.count == self.k or (self.stop and self.count > self.k):
            raise self.error


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name.endswith(".part")]


@pytest.mark.parametrize("existing", [None, b"old"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_every_failing_operation_leaves_old_or_new(tmp_path, existing, code):
    path, new = tmp_path / "file", b"new" * 500_000
    for k in range(1, 100):
        path.unlink(missing_ok=True)
        if existing is not None:
            path.write_bytes(existing)
        gate = Gate(k, OSError(code, os.strerror(code)))
        try:
            Files(gate).write_atomic(path, new)
        except StorageError as error:
            assert str(path) in str(error) and "1,500,000 bytes" in str(error)
        found = path.read_bytes() if path.exists() else None
        assert found in (existing, new)
        assert not leftovers(tmp_path)
        if gate.count < k:
            break
    assert found == new and k > 5


def test_a_crash_at_every_operation_leaves_old_or_new_and_leftovers_are_swept(tmp_path):
    path = tmp_path / "file"
    seen = set()
    for k in range(1, 100):
        path.write_bytes(b"old")
        gate = Gate(k, Stopped(), stop=True)
        try:
            Files(gate).write_atomic(path, b"new")
        except Stopped:
            seen.add(path.read_bytes())
        (tmp_path / ".other.0123abcd.part").write_bytes(b"of another file")
        Files().sweep(tmp_path, {"file"})
        assert leftovers(tmp_path) == [".other.0123abcd.part"]
        if gate.count < k:
            break
    assert seen == {b"old", b"new"}


def test_what_reads_back_differently_is_not_published(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "pread", lambda *args: b"???")
    with pytest.raises(StorageError, match="reads back differently"):
        Files().write_atomic(path, b"new")
    assert path.read_bytes() == b"old" and not leftovers(tmp_path)


@pytest.mark.parametrize("kind", ["folder", "link", "special file"])
def test_only_regular_files_are_replaced(tmp_path, kind):
    target, path = tmp_path / "precious", tmp_path / "file"
    target.write_bytes(b"precious")
    {"folder": path.mkdir, "link": lambda: path.symlink_to(target), "special file": lambda: os.mkfifo(path)}[
        kind
    ]()
    with pytest.raises(OutputError, match=f"a {kind} is in the way"):
        Files().write_atomic(path, b"new")
    with pytest.raises((OutputError, StorageError)):
        Files().extend(path, 0, b"line\n")
    assert target.read_bytes() == b"precious"


def test_reading_never_waits_and_says_what_is_wrong(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"12345")
    with pytest.raises(CorruptError, match="not a regular file"):
        Files().read_bytes(tmp_path / "pipe")
    with pytest.raises(CorruptError, match="a folder"):
        Files().read_bytes(tmp_path)
    with pytest.raises(CorruptError, match="5 bytes are more than the limit of 4"):
        Files().read_bytes(tmp_path / "large", limit=4)
    for absent in ("nothing", "large/nothing"):
        with pytest.raises(NotFoundError):
            Files().read_bytes(tmp_path / absent)
    with pytest.raises(StorageError, match="cannot read"):
        Files(Gate(1, OSError(errno.EIO, "failing"))).read_bytes(tmp_path / "large")


def test_extend_heals_what_a_failed_call_left(tmp_path):
    path, files = tmp_path / "lines", Files()
    length = files.extend(path, 0, b"one\n")
    with path.open("ab") as file:
        file.write(b"tor")
    length = files.extend(path, length, b"two\n", sync=True)
    assert path.read_bytes() == b"one\ntwo\n" and length == 8
    path.write_bytes(b"")  # somebody emptied it: no hole is left
    assert files.extend(path, length, b"three\n") == 6
    assert path.read_bytes() == b"three\n"


def test_file_size_limit(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StorageError, match=r"cannot write 200,000 bytes: File too large"):
            Files().write_atomic(path, bytes(200_000))
        with pytest.raises(StorageError, match="File too large"):
            Files().extend(path, 3, bytes(200_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes()[:3] == b"old" and not leftovers(tmp_path)


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("mounting a tmpfs is not permitted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_full_disk(small_disk):
    path = small_disk / "file"
    Files().write_atomic(path, b"old" * 1000)
    with pytest.raises(
        StorageError, match=r"cannot write 300,000 bytes: No space left on device; .* free some"
    ):
        Files().write_atomic(path, bytes(300_000))
    assert path.read_bytes() == b"old" * 1000 and not leftovers(small_disk)


@pytest.fixture
def powerless():
    """Be an ordinary user for the test: root may write anywhere."""
    root = os.geteuid() == 0
    folder = Path(tempfile.mkdtemp())
    if root:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    yield folder
    if root:
        os.seteuid(0)
    folder.chmod(0o700)
    shutil.rmtree(folder)


def test_read_only_place(powerless):
    path = powerless / "file"
    path.write_bytes(b"old")
    powerless.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied; choose another place"):
        Files().write_atomic(path, b"new")
    with pytest.raises(OutputError, match="Permission denied"):
        Files().make_folder(powerless / "a" / "b")
    assert path.read_bytes() == b"old"


def test_folders(tmp_path):
    Files().make_folder(tmp_path / "a" / "b")
    assert Files().entries(tmp_path / "a") == ["b"] and Files().entries(tmp_path / "absent") == []
    (tmp_path / "file").write_bytes(b"")
    for blocked in (tmp_path / "file", tmp_path / "file" / "b"):
        with pytest.raises(OutputError):
            Files().make_folder(blocked)
        with pytest.raises(OutputError, match="a file is in the way"):
            Files().entries(tmp_path / "file")

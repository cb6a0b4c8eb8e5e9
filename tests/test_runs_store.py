"""The run directory: started, continued, finished, refused, replaced; one writer at a time."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import filelock
import numpy as np
import pytest
import torch

from pinncli.errors import CorruptError, NotFoundError, OutputError, StorageError, UsageError
from pinncli.evaluation import FieldSet, PointSet
from pinncli.runs import history as history_module
from pinncli.runs.files import Files
from pinncli.runs.folder import RUN_FILES, default_folder, locate
from pinncli.runs.lease import LEASE_NAME, Lease
from pinncli.runs.store import Run
from pinncli.runs.strictjson import canonical, loads

TEXT = 'title = "Wärme"\n[coordinates]\nx = [0, 1]\n'
OPTIONS = {"seed": 0, "device": "cpu", "precision": "float64"}
FIELDS = FieldSet("", {"x": np.arange(3.0)}, {"u": np.arange(3.0)}, {}, {}, {"x": "X"})
POINTS = PointSet("", {"x": np.arange(3.0)}, {"u": np.arange(3.0)}, {}, {})


def create(folder, text=TEXT, **changes):
    keywords = {key: changes.pop(key) for key in ("force", "resume", "argv", "files") if key in changes}
    return Run.create(folder, "heat", text, OPTIONS | changes, **keywords)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def snapshot(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def finished(tmp_path):
    folder = tmp_path / "runs" / "heat-s0"
    with create(folder, argv=["pinncli", "solve", "heat"]) as run:
        run.append({"step": 1, "value": 0.5})
        run.save_checkpoint({"theta": torch.ones(3), "step": 1})
        run.publish_fields(FIELDS)
        run.publish_points(POINTS)
        run.finish("complete", {"loss": np.float64(0.25), "errors": {"u": float("nan")}})
    return folder


def test_a_finished_run_holds_everything(finished):
    assert names(finished) == sorted(RUN_FILES)
    run = Run.open(finished)
    assert run.finished and run.problem_text == TEXT and run.manifest.options == OPTIONS
    assert run.manifest.summary == {"loss": 0.25, "errors": {"u": None}}
    assert run.history() == [{"step": 1, "value": 0.5}]
    assert torch.equal(run.load_checkpoint()["theta"], torch.ones(3))
    assert np.array_equal(run.fields().fields["u"], FIELDS.fields["u"])
    assert np.array_equal(run.points().fields["u"], POINTS.fields["u"])
    content = json.loads((finished / "run.json").read_text())
    assert content["argv"] == ["pinncli", "solve", "heat"] and content["versions"]["pinncli"]
    for name, digest in content["checksums"].items():
        assert subprocess.check_output(["sha256sum", finished / name], text=True).split()[0] == digest
    assert sorted(content["checksums"]) == ["checkpoint.h5", "fields.h5", "points.vtkhdf", "problem.toml"]


def test_the_same_command_on_a_finished_run_returns_it_and_writes_nothing(finished):
    before = snapshot(finished)
    for resume in ("auto", "must"):
        with create(finished, resume=resume) as run:
            assert run.finished
            for write in (
                lambda: run.append({}),
                lambda: run.save_checkpoint({}),
                lambda: run.finish("target", {}),
            ):
                with pytest.raises(OutputError, match="open for reading only"):
                    write()
    assert snapshot(finished) == before


@pytest.mark.parametrize("status", ["time-limit", "interrupted", "diverged", None])
def test_an_unfinished_run_is_continued_with_the_history_of_an_undisturbed_one(tmp_path, status):
    folder = tmp_path / "run"
    with create(folder) as run:
        assert run.load_checkpoint() is None
        for step in range(10):
            run.append({"step": step})
            if step == 4:
                run.save_checkpoint({"step": 4})
        if status:
            run.finish(status, {"steps": 10})
    with (folder / "history.jsonl").open("ab") as file:
        file.write(b'{"step": 10, "val')
    assert [record["step"] for record in Run.open(folder).history()] == list(range(10))
    with create(folder) as run:
        assert not run.finished and run.manifest.status == "running" and run.manifest.summary == {}
        assert run.load_checkpoint() == {"step": 4}
        for step in range(5, 8):
            run.append({"step": step})
        assert [record["step"] for record in run.history()] == list(range(8))
    assert [record["step"] for record in Run.open(folder).history()] == list(range(8))


def test_records_are_gathered_for_a_second(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(history_module.time, "monotonic", lambda: clock[0])
    folder = tmp_path / "run"
    with create(folder) as run:
        run.append({"step": 0})
        assert not (folder / "history.jsonl").exists()
        clock[0] = 1.5
        run.append({"step": 1, "value": float("inf"), "loss": torch.tensor(0.5)})
        text = '{"step": 0}\n{"step": 1, "value": null, "loss": 0.5}\n'
        assert (folder / "history.jsonl").read_text() == text


def test_a_bad_line_in_the_middle_of_the_history_is_named(finished):
    (finished / "history.jsonl").write_text('{"step": 1}\n{"ste\n{"step": 3}\n')
    with pytest.raises(CorruptError, match=r"history.jsonl:2: not readable as JSON"):
        Run.open(finished).history()
    (finished / "history.jsonl").write_text("1\n")
    with pytest.raises(CorruptError, match=r"history.jsonl:1: not a record"):
        Run.open(finished).history()
    (finished / "history.jsonl").unlink()
    assert Run.open(finished).history() == []


def test_another_run_is_refused_with_what_differs(finished):
    before = snapshot(finished)
    changed = TEXT.replace("[0, 1]", "[0, 2]")
    with pytest.raises(OutputError) as caught:
        create(finished, changed, seed=1, device="cuda:0")
    assert str(caught.value).splitlines()[1:] == [
        "    device: cpu in the run, cuda:0 now",
        "    seed: 0 in the run, 1 now",
        "    -x = [0, 1]",
        "    +x = [0, 2]",
        "choose another folder with --out, or replace the run with --force",
    ]
    with pytest.raises(OutputError, match=r"and 80 more lines"):
        create(finished, "\n".join(map(str, range(97))))
    with pytest.raises(OutputError, match="holds this run already"):
        create(finished, resume="never")
    with pytest.raises(UsageError, match="choose one of them"):
        create(finished, resume="must", force=True)
    assert snapshot(finished) == before


def test_force_replaces_a_run_and_leaves_what_is_not_its_own(finished):
    (finished / "notes.txt").write_text("mine")
    with create(finished, "new text", force=True) as run:
        assert run.load_checkpoint() is None and run.history() == []
    assert names(finished) == ["history.jsonl", "notes.txt", "problem.toml", "run.json"]
    assert Run.open(finished).problem_text == "new text"


def test_force_replaces_a_damaged_run_but_never_a_foreign_folder(finished, tmp_path):
    path = finished / "run.json"
    path.write_text(path.read_text().replace('"complete"', '"complexe"'))
    with pytest.raises(CorruptError, match="SHA-256 does not fit"):
        create(finished)
    create(finished, force=True).close()
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "run.json").write_text('{"my": "own"}')
    for force in (False, True):
        with pytest.raises(CorruptError, match="not the file of a pinncli run"):
            create(foreign, force=force)
    (foreign / "run.json").rename(foreign / "problem.toml")
    for force in (False, True):
        with pytest.raises(
            OutputError, match=r"not empty and not a run \(problem.toml\); nothing was touched"
        ):
            create(foreign, force=force)
    assert snapshot(foreign) == {Path("problem.toml"): b'{"my": "own"}'}


def test_must_needs_a_run(tmp_path):
    with pytest.raises(NotFoundError, match="no run to continue"):
        create(tmp_path / "absent", resume="must")
    assert not (tmp_path / "absent").exists()


def test_places_where_no_run_can_be(tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(OutputError):
            create(folder)
    assert snapshot(tmp_path) == {Path("file"): b"mine"}


def test_an_empty_folder_and_one_that_a_crash_left_are_used(tmp_path):
    (tmp_path / LEASE_NAME).write_text("filelock/2\npid=999999\n")
    (tmp_path / ".run.json.0123abcd.part").write_text("{")
    (tmp_path / f"{LEASE_NAME}.break.1.0").write_text("filelock/2\n")
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    with create(tmp_path):
        pass
    assert names(tmp_path) == ["problem.toml", "run.json"]


def test_open_tells_absent_from_foreign(finished, tmp_path):
    with pytest.raises(NotFoundError, match=r"no such run; did you mean .*heat-s0\?"):
        Run.open(finished.with_name("heat-s1"))
    with pytest.raises(NotFoundError, match=r"no such run$"):
        Run.open(tmp_path / "nowhere" / "heat-s1")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError):
        Run.open(tmp_path / "empty")
    for foreign in (tmp_path, finished / "run.json"):
        with pytest.raises(CorruptError, match="not a run directory"):
            Run.open(foreign)


def test_files_of_another_run_are_refused(finished, tmp_path):
    other = tmp_path / "other"
    with create(other, seed=7) as run:
        run.save_checkpoint({"step": 1})
        run.publish_fields(FIELDS)
        run.publish_points(POINTS)
    for name in ("checkpoint.h5", "fields.h5", "points.vtkhdf"):
        (other / name).replace(finished / name)
    run = Run.open(finished)
    for read in (run.load_checkpoint, run.fields, run.points):
        with pytest.raises(CorruptError, match="belongs to another problem"):
            read()
    (finished / "problem.toml").write_text("edited")
    for use in (Run.open, create):
        with pytest.raises(CorruptError, match=r"problem.toml: changed since"):
            use(finished)
    (finished / "problem.toml").unlink()
    with pytest.raises(CorruptError, match=r"problem.toml: missing"):
        Run.open(finished)


def test_a_newer_major_format_is_refused_and_a_newer_minor_one_read(finished):
    path = finished / "run.json"
    for version, refused in (("1.7", False), ("2.0", True), ("x", True)):
        content = loads(path.read_bytes(), "")
        content |= {"format": version, "new_key": 1}
        del content["sha256"]
        content["sha256"] = hashlib.sha256(canonical(content)).hexdigest()
        path.write_text(json.dumps(content))
        if refused:
            with pytest.raises(CorruptError, match=r"has format 2.0, this program reads up to 1.x|no format"):
                Run.open(finished)
        else:
            assert Run.open(finished).finished


HOLD = """
import sys, time
from pinncli.runs.files import Files
from pinncli.runs.lease import Lease
from pathlib import Path
lease = Lease.acquire(Files(), Path(sys.argv[1]))
print("held", flush=True)
time.sleep(100)
"""


def test_two_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    create(tmp_path).close()
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout.readline() == "held\n"
        before = snapshot(tmp_path)
        message = f"in use by process {holder.pid} on {socket.gethostname()}, job 4711"
        for force in (False, True):
            with pytest.raises(OutputError, match=message):
                create(tmp_path, force=force)
        assert snapshot(tmp_path) == before
        holder.kill()
    with create(tmp_path) as run:  # at once: the holder is known to be dead
        with pytest.raises(OutputError, match=f"in use by process {os.getpid()}"):
            create(tmp_path)
        run.append({"step": 1})
    assert not (tmp_path / LEASE_NAME).exists()


def test_a_holder_on_another_host_is_watched_for_a_heartbeat(tmp_path):
    path, mine = tmp_path / LEASE_NAME, socket.gethostname()
    lock = filelock.SoftFileLease(path, lease_duration=0.5)
    with lock:
        marker = path.read_text()
    path.write_text(marker.replace(f"host={mine}", "host=elsewhere"))
    Lease.acquire(Files(), tmp_path, seconds=0.5).release()
    path.write_text(marker.replace(f"host={mine}", "host=elsewhere").replace("duration=0.5", "duration=9.0"))
    with pytest.raises(OutputError, match=r"in use by process .* on elsewhere"):
        Lease.acquire(Files(), tmp_path, seconds=0.5)


def test_a_lease_file_that_a_crash_left_empty_is_dropped_after_a_while(tmp_path, monkeypatch):
    path = tmp_path / LEASE_NAME
    path.touch()
    monkeypatch.setattr("pinncli.runs.lease.GRACE_SECONDS", 0.1)
    lease = Lease.acquire(Files(), tmp_path)
    assert f"pid={os.getpid()}" in path.read_text()
    lease.release()
    path.mkdir()
    with pytest.raises((OutputError, StorageError)):
        Lease.acquire(Files(), tmp_path)


def test_a_process_that_is_just_filling_its_lease_file_is_waited_for(tmp_path):
    path, other = tmp_path / LEASE_NAME, tmp_path / "other"
    other.mkdir()
    lease = Lease.acquire(Files(), other)
    path.touch()
    filling = threading.Timer(0.3, path.write_text, [(other / LEASE_NAME).read_text()])
    filling.start()
    with pytest.raises(OutputError, match=f"in use by process {os.getpid()}"):
        Lease.acquire(Files(), tmp_path)
    filling.join()
    lease.release()


def test_whoever_lost_the_lease_writes_no_more(tmp_path):
    lease = Lease.acquire(Files(), tmp_path, seconds=0.3)
    lease.check()
    (tmp_path / LEASE_NAME).unlink()
    for _ in range(100):
        time.sleep(0.05)
        try:
            lease.check()
        except OutputError as error:
            assert "lost the run" in str(error)
            break
    else:
        pytest.fail("the loss was not noticed")
    lease.release()


def test_history_survives_a_disk_that_is_full_for_a_while(tmp_path):
    full = [False]

    def gate(operation, path):
        if full[0] and operation == "write":
            raise OSError(28, "No space left on device")

    with create(tmp_path, files=Files(gate)) as run:
        full[0] = True
        run._writing[1]._flushed = -1e9
        run.append({"step": 1})
        with pytest.raises(StorageError, match="No space left on device"):
            run.save_checkpoint({"step": 1})
        full[0] = False
        run.save_checkpoint({"step": 1})
    assert Run.open(tmp_path).history() == [{"step": 1}]


def test_default_folder_and_locate(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert default_folder("../../etc/passwd", 3) == Path("runs/_.._etc_passwd-s3")
    assert default_folder("heat", 0) == Path("runs/heat-s0") == locate("heat", TEXT, OPTIONS)
    create(locate("heat", TEXT, OPTIONS)).close()
    assert locate("heat", TEXT, OPTIONS) == Path("runs/heat-s0")
    other = locate("heat", "other", OPTIONS)
    assert other.parent == Path("runs") and other.name.startswith("heat-s0-") and len(other.name) == 16
    assert locate("heat", TEXT, OPTIONS | {"device": "cuda:0"}) not in (other, Path("runs/heat-s0"))
    Path("runs/heat-s0/run.json").write_text("{")
    assert locate("heat", TEXT, OPTIONS) == Path("runs/heat-s0")

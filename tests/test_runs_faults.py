"""A toy solve that fails, or is killed, at every moment: the same command ends as an undisturbed one."""

import contextlib
import errno
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from test_runs_files import Gate, Stopped, leftovers, small_disk  # noqa: F401

from pinncli.errors import NotFoundError, OutputError, StorageError
from pinncli.evaluation import FieldSet
from pinncli.runs.files import Files, is_leftover
from pinncli.runs.folder import RUN_FILES
from pinncli.runs.store import Run

STEPS = 4


def solve(folder, gate=None, text="heat", force=False, size=10):
    """Every step multiplies theta; checkpoints at even steps, fields at step 2 and at the end."""
    files = Files(gate) if gate else Files()
    with Run.create(folder, "heat", text, {"seed": 0}, force=force, files=files) as run:
        if run.finished:
            return
        state = run.load_checkpoint() or {"step": 0, "theta": torch.ones(size, dtype=torch.float64)}
        while state["step"] < STEPS:
            state = {"step": state["step"] + 1, "theta": state["theta"] * 1.1}
            run.append({"step": state["step"], "value": float(state["theta"][0])})
            if state["step"] % 2 == 0:
                run.save_checkpoint(state)
                run.publish_fields(fields_of(state))
        run.publish_fields(fields_of(state))
        run.finish("complete", {"steps": STEPS})


def fields_of(state):
    theta = state["theta"].numpy()
    return FieldSet("", {"x": np.arange(float(len(theta)))}, {"u": theta}, {}, {}, {"x": "X"})


def theta_at(step, size=10):
    theta = torch.ones(size, dtype=torch.float64)
    for _ in range(step):
        theta = theta * 1.1
    return theta


def assert_whole(folder, size=10):
    """Whatever is there is an old or a new state, never a mixture; returns the step of the checkpoint."""
    try:
        run = Run.open(folder)
    except NotFoundError:
        return 0
    state = run.load_checkpoint()
    if state is not None:
        assert torch.equal(state["theta"], theta_at(state["step"], size))
    try:
        u = run.fields().fields["u"]
        assert any(np.array_equal(u, theta_at(step, size).numpy()) for step in range(STEPS + 1))
    except NotFoundError:
        pass
    values = [(record["step"], record["value"]) for record in run.history()]
    assert values == [(step, float(theta_at(step)[0])) for step in range(1, len(values) + 1)]
    return state["step"] if state else 0


def harmless(name):
    """What a process that was killed just now may leave behind: the next writer's to sweep."""
    return name.startswith("run.lock") or is_leftover(name, RUN_FILES)


def assert_complete(folder):
    assert assert_whole(folder) == STEPS
    run = Run.open(folder)
    assert run.manifest.status == "complete" and len(run.history()) == STEPS
    assert np.array_equal(run.fields().fields["u"], theta_at(STEPS).numpy())
    names = {"checkpoint.h5", "fields.h5", "history.jsonl", "problem.toml", "run.json"}
    found = [path.name for path in folder.iterdir()]
    assert names == {*found} - {*filter(harmless, found)}, found


@pytest.fixture
def quick(tmp_path):
    """A folder in memory where there is one: hundreds of runs, each waiting often for the device."""
    memory = Path("/dev/shm")  # noqa: S108
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.mark.parametrize("stop", [False, True], ids=["error", "crash"])
def test_every_operation_fails_once(quick, stop):
    error = Stopped() if stop else OSError(errno.ENOSPC, "No space left on device")
    ends = set()
    for k in range(1, 500):
        folder = quick / str(k)
        gate = Gate(k, error, stop=stop)
        try:
            solve(folder, gate)
        except (Stopped, StorageError) as raised:
            assert stop == isinstance(raised, Stopped)
        ends.add(assert_whole(folder))
        solve(folder)
        assert_complete(folder)
        if gate.count < k:
            break
    assert k > 50 and ends == {0, 2, 4}


@pytest.mark.parametrize("stop", [False, True], ids=["error", "crash"])
def test_every_operation_of_a_replacement_fails_once(quick, stop):
    error = Stopped() if stop else OSError(errno.EIO, "Input/output error")
    texts = set()
    for k in range(1, 40):
        folder = quick / str(k)
        solve(folder, text="old")
        gate = Gate(k, error, stop=stop)
        with contextlib.suppress(Stopped, StorageError):
            solve(folder, gate, text="new", force=True)
        assert_whole(folder)
        try:
            run = Run.open(folder)
            texts.add((run.problem_text, run.manifest.status))
        except NotFoundError:  # the old one is given up, the new one not yet there
            texts.add(("none", "creating"))
        solve(folder, text="new", force=True)
        assert_complete(folder)
    assert texts == {("old", "complete"), ("none", "creating"), ("new", "running")}


def test_full_disk(small_disk):  # noqa: F811
    folder, size = small_disk / "run", 10
    while True:  # grow until the disk is full
        try:
            solve(folder, force=True, size=size)
        except StorageError as error:
            assert "No space left on device" in str(error) and str(folder) in str(error)
            break
        size *= 2
    assert_whole(folder, size)
    assert not leftovers(folder)


def test_a_disk_full_from_the_start(small_disk):  # noqa: F811
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"), filler.open("wb") as file:
        file.write(bytes(2**19))
    folder = small_disk / "run"
    with pytest.raises(StorageError, match="No space left on device"):
        solve(folder)
    filler.unlink()
    solve(folder)
    assert_complete(folder)


KILLS = """
import os, random, signal, sys, time
from pathlib import Path
sys.path.insert(0, str(Path(sys.argv[1])))
from test_runs_faults import STEPS, assert_complete, assert_whole, solve

folder, dice = Path(sys.argv[2]), random.Random(3)
for _ in range(20):
    child = os.fork()
    if child == 0:
        while True:
            solve(folder, force=True)
    time.sleep(dice.uniform(0, 0.1))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if folder.exists():
        print(assert_whole(folder))
    solve(folder)
    assert_complete(folder)
"""


def test_kill_at_random_moments(tmp_path):
    here = Path(__file__).parent
    command = [sys.executable, "-c", KILLS, here, tmp_path / "run"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert len(set(done.stdout.split())) > 1  # it was killed at different moments


def test_a_read_only_run_is_refused_before_training(tmp_path):
    def gate(operation, path):
        if operation in ("create", "lock", "make folder"):
            raise OSError(errno.EROFS, "Read-only file system")

    with pytest.raises(OutputError, match="Read-only file system"):
        solve(tmp_path / "run", gate)
    solve(tmp_path / "run")
    solve(tmp_path / "run", gate)  # finished: nothing has to be written


def flip(data, dice):
    mutant = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 8))):
        mutant[dice.randrange(len(mutant))] ^= 1 << dice.randrange(8)
    return bytes(mutant)


def mutants(data, count, seed):
    """Bit flips, truncations, a page of zeros, something appended."""
    dice = random.Random(seed)  # noqa: S311
    for _ in range(count):
        yield flip(data, dice)
    for _ in range(count // 10):
        yield data[: dice.randrange(len(data))]
        start = dice.randrange(len(data))
        yield data[:start] + bytes(min(4096, len(data) - start)) + data[start + 4096 :]
        yield data + bytes(dice.randrange(1, 100))
    yield b""

"""Damaged, foreign, hostile files: CorruptError, in time, and never a wrong number."""

import random
import time

import h5py
import numpy as np
import pytest
import torch
from test_runs_faults import flip, mutants, solve, theta_at

from pinncli.errors import CorruptError
from pinncli.runs import hdf5
from pinncli.runs.checkpoint import FORMAT, KIND, load_checkpoint
from pinncli.runs.fields import read_fields
from pinncli.runs.files import Files
from pinncli.runs.store import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    solve(folder)
    return folder


@pytest.mark.parametrize("name", ["checkpoint.h5", "fields.h5", "run.json", "problem.toml"])
def test_mutants(run, name):
    path = run / name
    data = path.read_bytes()
    started = time.monotonic()
    wrong = 0
    try:
        for mutant in mutants(data, 300, seed=name):
            if mutant == data:
                continue
            path.write_bytes(mutant)
            try:
                opened = Run.open(run)
                assert torch.equal(opened.load_checkpoint()["theta"], theta_at(4))
                assert np.array_equal(opened.fields().fields["u"], theta_at(4).numpy())
                assert opened.manifest.summary == {"steps": 4} and opened.problem_text == "heat"
            except CorruptError as error:
                assert name in str(error)
                wrong += 1
    finally:
        path.write_bytes(data)
    assert wrong > 300
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("name", ["checkpoint.h5", "fields.h5"])
def test_mutants_with_a_fitting_seal(run, name):
    """Without the seal's help: the checksums of HDF5 itself find what touches a number."""
    sealed = (run / name).read_bytes()
    data = bytes(hdf5.unseal(sealed, name))
    path = run / f"mutant-{name}"
    identity = Run.open(run).manifest.identity
    dice = random.Random(1)  # noqa: S311
    for _ in range(300):
        path.write_bytes(hdf5.seal(flip(data, dice)))
        try:
            if name == "fields.h5":
                assert np.array_equal(read_fields(path).fields["u"], theta_at(4).numpy())
            else:
                state = load_checkpoint(Files(), path, identity).state
                assert state["step"] == 4 and torch.equal(state["theta"], theta_at(4))
        except CorruptError as error:
            assert str(path) in str(error)


def refuse(tmp_path, fill, message):
    path = tmp_path / "checkpoint.h5"
    path.write_bytes(hdf5.build(KIND, FORMAT, fill))
    with pytest.raises(CorruptError, match=message) as caught:
        load_checkpoint(Files(), path, "")
    assert str(path) in str(caught.value)


def test_what_reaches_outside_the_file_is_refused(tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["data"] = np.arange(3.0)

    def external_link(root):
        root.create_group("state")["data"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/data")

    def external_data(root):
        root.create_dataset("data", (3,), "f8", external=[(str(tmp_path / "secret.h5"), 0, 24)])

    def virtual(root):
        layout = h5py.VirtualLayout((3,), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "data", (3,))
        root.create_virtual_dataset("data", layout)

    refuse(tmp_path, external_link, "/state/data: a link to another file")
    refuse(tmp_path, external_data, "/data: its data are in another file")
    refuse(tmp_path, virtual, "/data: its data are in another file")


def test_what_pinncli_never_writes_is_refused(tmp_path):
    checked = {"chunks": (2,), "fletcher32": True}

    def plain(root):
        root.create_dataset("data", data=np.arange(3.0))

    def text(root):
        root.create_dataset("data", data=["variable", "length"], dtype=h5py.string_dtype(), chunks=(2,))

    def huge(root):
        root.create_dataset("data", (10**12,), "f8", chunks=(2**20,), fletcher32=True)

    def unwritten(root):
        root.create_dataset("data", (3,), "f8", **checked)

    def packed(root):
        root.create_dataset("data", data=np.zeros(4), compression="lzf", **checked)

    def named_type(root):
        root["data"] = np.dtype("f8")

    def deep(root):
        for _ in range(50):
            root = root.create_group("g")

    def loop(root):
        root.create_group("g")["back"] = root

    def nothing(root):
        pass

    def linked(root):
        hdf5.write_text(root, "identity", "")
        root["state"] = h5py.SoftLink("/history")

    refuse(tmp_path, plain, "/data: not stored with a checksum")
    refuse(tmp_path, text, "/data: data of type object")
    refuse(tmp_path, huge, r"/data: 8,000,000,000,000 bytes are more than the limit")
    refuse(tmp_path, unwritten, "/data: incomplete")
    refuse(tmp_path, packed, "/data: not stored with a checksum")
    refuse(tmp_path, named_type, "/data: neither a group nor a dataset")
    refuse(tmp_path, deep, "nested more than 32 deep")
    refuse(tmp_path, loop, "nested more than 32 deep")
    refuse(tmp_path, nothing, "cannot be read")
    refuse(tmp_path, linked, "/state: a link has no place")


def test_kind_and_version(tmp_path):
    path = tmp_path / "checkpoint.h5"
    for kind, version, message in [
        ("other", (1, 0), "is 'other', not 'pinncli checkpoint'"),
        (KIND, (2, 0), r"has format 2.0, this program reads up to 1.x; use a newer pinncli"),
        (KIND, (1, 5), "identity"),
    ]:
        path.write_bytes(hdf5.build(kind, version, lambda root: None))
        with pytest.raises(CorruptError, match=message):
            load_checkpoint(Files(), path, "")
    with h5py.File(path, "w") as file:
        file["x"] = 1.0
    with pytest.raises(CorruptError, match="seal is missing"):
        load_checkpoint(Files(), path, "")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "9" * 5000, "[]", "null", "", '{"type": "pinncli run"}', "\xff"]
)
def test_hostile_run_json(run, text):
    path = run / "run.json"
    data = path.read_bytes()
    try:
        path.write_text(text, encoding="latin-1")
        with pytest.raises(CorruptError, match=r"run.json"):
            Run.open(run)
    finally:
        path.write_bytes(data)


def test_other_programs_still_open_the_sealed_file(run):
    with h5py.File(run / "fields.h5") as file:
        assert file["u"].shape == (10,)
    with h5py.File(run / "fields.h5", "r+") as file:
        file.attrs["note"] = "mine"
    with pytest.raises(CorruptError, match=r"fields.h5: (truncated|corrupt or changed)"):
        Run.open(run).fields()

"""Data and reference files: right ones are read, wrong ones are told by file, row and column."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from pinncli.errors import ProblemError
from pinncli.problem.data import DataTable
from pinncli.problem.formulation import Formulation, formulate
from pinncli.problem.loading import load_problem, load_text

TEXT = """\
title = "T"
unknowns = ["u"]
coordinates = { x = [0, 1], t = [0, 2] }
[conditions]
p = { equation = "u_t = u_xx" }
d = { data = "FILE", equation = "u = seen" }
"""


def formulated(folder: Path, file: str = "d.csv", text: str = TEXT) -> Formulation:
    return formulate(load_text(text.replace("FILE", file), "p", "p.toml", folder))


def refusal(folder: Path, file: str = "d.csv", text: str = TEXT) -> str:
    with pytest.raises(ProblemError) as caught:
        formulated(folder, file, text)
    (finding,) = caught.value.diagnostics
    assert (finding.file, finding.line) == ("p.toml", 6)
    return finding.message


def table(formulation: Formulation) -> DataTable:
    data = formulation.conditions[1].data
    assert data is not None
    return data


@pytest.mark.parametrize(
    "content",
    [
        "x,t,seen\n0.5,1.5,3\n1,0,-2e-3\n",
        "\ufeff seen , t,x\r\n3,1.5,0.5\r\n-2e-3,0,1\r\n\r\n",
        '# measured\n"x","t","seen","note"\n0.5,1.5,3,9\n# more\n1,0,-0.002,9',
    ],
)
def test_csv(tmp_path: Path, content: str) -> None:
    (tmp_path / "d.csv").write_text(content, "utf-8")
    columns = table(formulated(tmp_path)).columns
    assert columns["x"].tolist() == [0.5, 1.0]
    assert columns["t"].tolist() == [1.5, 0.0]
    assert columns["seen"].tolist() == [3.0, -0.002]
    assert all(column.dtype == np.float64 for column in columns.values())


def test_hdf5_table_reads_like_csv(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["x"] = np.array([0, 1], dtype=np.int32)
        file["t"] = np.array([1.5, 0], dtype=np.float32)
        file["seen"] = [3.0, 4.0]
    columns = table(formulated(tmp_path, "d.h5")).columns
    assert {name: column.tolist() for name, column in columns.items()} == {
        "x": [0.0, 1.0],
        "t": [1.5, 0.0],
        "seen": [3.0, 4.0],
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty; the first row should name the columns"),
        ("x,t,seen\n", "there are no rows"),
        ("x,seen\n0,1\n", "no column for the coordinate 't'"),
        ("x,T,seen\n0,1,2\n", "no column for the coordinate 't'"),
        ("0.5,1,2\n0.5,1,2\n", "the first row should name the columns, not hold numbers"),
        ("x,t,x\n0,1,2\n", "two columns are named 'x'"),
        ("x,,seen\n0,1,2\n", "column 2 has no name in the first row"),
        ("x,t,seen\n0,1,2\n0,1\n", "row 2 has 2 entries, the first row names 3 columns"),
        ("x,t,seen\n0,1,2\n0,1,abc\n", "row 2, column 'seen': 'abc' is not a number"),
        ("x,t,seen\n0,1,1_000\n", "row 1, column 'seen': '1_000' is not a number"),
        ("x,t,seen\n0,1,\n", "row 1, column 'seen': no value"),
        ("x,t,seen\n0,nan,2\n", "row 1, column 't': nan is not a finite number"),
        ("x,t,seen\n0,1,1e999\n", "row 1, column 'seen': inf is not a finite number"),
        ("x,t,seen\n0,1,\x1b[31m\n", "row 1, column 'seen': '\ufffd[31m' is not a number"),
        (
            "x,t,seen\n0,1,2\n0,2.5,2\n0,-1,2\n",
            "row 2, column 't': 2.5 is outside the range 0 to 2 (2 points outside in all)",
        ),
        ("x,t,seen\n1.1,1,2\n", "row 1, column 'x': 1.1 is outside the range 0 to 1"),
        ("x" * 200_000, "not a CSV file: field larger than field limit (131072)"),
    ],
)
def test_wrong_csv(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "d.csv").write_text(content, "utf-8")
    assert refusal(tmp_path) == f"d.csv: {message}"


def test_not_text(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_bytes(b"x,t,seen\n\xff")
    assert refusal(tmp_path) == "d.csv: not UTF-8 text"


def external(file: h5py.File) -> None:
    file["seen"] = h5py.ExternalLink("other.h5", "seen")


def outside_storage(file: h5py.File) -> None:
    file.create_dataset("seen", shape=(2,), dtype="f8", external=[("raw.bin", 0, 16)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(2,), dtype="f8")
    layout[:] = h5py.VirtualSource("other.h5", "seen", shape=(2,))
    file.create_virtual_dataset("seen", layout)


def soft(file: h5py.File) -> None:
    file["seen"] = h5py.SoftLink("/x")


def group(file: h5py.File) -> None:
    file.create_group("seen")


def huge(file: h5py.File) -> None:
    file.create_dataset("seen", shape=(2**40,), dtype="f8", chunks=(2**20,))


def column(*values: object) -> Callable[[h5py.File], None]:
    def put(file: h5py.File) -> None:
        file["seen"] = np.array(values)

    return put


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (external, "dataset 'seen' is a link; links are not followed"),
        (soft, "dataset 'seen' is a link; links are not followed"),
        (outside_storage, "dataset 'seen' keeps its numbers in another file; that is not followed"),
        (virtual, "dataset 'seen' keeps its numbers in another file; that is not followed"),
        (group, "'seen' is a group; only datasets are read"),
        (huge, "dataset 'seen' is empty or too large"),
        (column(b"a", b"b"), "dataset 'seen' does not hold numbers"),
        (column([1.0], [2.0]), "column 'seen' has 2 axes; a table's columns have one"),
        (column(1.0), "column 't' has 2 rows, column 'seen' has 1"),
        (column(1.0, np.nan), "row 2, column 'seen': nan is not a finite number"),
    ],
)
def test_wrong_hdf5(tmp_path: Path, damage: Callable[[h5py.File], None], message: str) -> None:
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["x"] = file["t"] = [0.0, 1.0]
        damage(file)
    assert refusal(tmp_path, "d.h5") == f"d.h5: {message}"


def test_truncated_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["x"] = np.arange(1000.0)
    content = (tmp_path / "d.h5").read_bytes()
    for size in (0, 7, 100, 3000):
        (tmp_path / "d.h5").write_bytes(content[:size])
        assert refusal(tmp_path, "d.h5").startswith("d.h5: not a readable HDF5 file")


def test_where_files_may_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library, elsewhere = tmp_path / "library", tmp_path / "elsewhere.csv"
    (library / "data").mkdir(parents=True)
    for path in (elsewhere, library / "data" / "d.csv"):
        path.write_text("x,t,seen\n0,1,2\n", "utf-8")
    (library / "link.csv").symlink_to(elsewhere)
    monkeypatch.setenv("PINNCLI_PROBLEMS", str(library))
    outside = "is outside the problem's folder; give the problem by its path to allow that"
    for file in ("../elsewhere.csv", str(elsewhere), "link.csv", "data/d.csv"):
        (library / "p.toml").write_text(TEXT.replace("FILE", file), "utf-8")
        assert table(formulate(load_problem(str(library / "p.toml")))).file == file
        if file == "data/d.csv":
            formulate(load_problem("p"))
        else:
            with pytest.raises(ProblemError, match=outside):
                formulate(load_problem("p"))


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("none.csv", "none.csv: no such file; it is looked up from the problem's folder"),
        ("", ": not a file name"),
        (".", ".: not a file"),
        ("pipe.csv", "pipe.csv: not a file"),
        ("a" * 300, "a" * 79 + "…: cannot be read: File name too long"),
    ],
)
def test_no_such_file(tmp_path: Path, file: str, message: str) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    assert refusal(tmp_path, file) == message


@pytest.mark.parametrize("extra", ['on = "x-"', 'where = "x < 1"', "points = 3"])
def test_data_replace_sampling(tmp_path: Path, extra: str) -> None:
    (tmp_path / "d.csv").write_text("x,t,seen\n0,1,2\n", "utf-8")
    key = extra.partition(" ")[0]
    expected = f"data already say where the condition holds: leave out '{key}'"
    assert refusal(tmp_path, text=TEXT.replace("d = {", f"d = {{ {extra},")) == expected


REFERENCE = """\
title = "T"
unknowns = { u = {}, h = { kind = "complex" } }
coordinates = { x = [0, 1], t = [0, 2] }
reference_data = { file = "r.h5" }
[conditions]
p = { equation = "u_t = u_xx" }
q = { equation = "i*h_t = h_xx" }
"""


def write_reference(path: Path, layout: str = "grid", **changed: object) -> None:
    x, t = np.linspace(0, 1, 3), np.linspace(0, 2, 4)
    if layout == "points":
        x = t = np.linspace(0, 1, 5)
    shape = (3, 4) if layout == "grid" else (5,)
    datasets = {"x": x, "t": t, "u": np.ones(shape), "h_real": np.ones(shape), "h_imag": np.zeros(shape)}
    with h5py.File(path, "w") as file:
        file.attrs.update({"layout": layout, "accuracy": 1e-9})
        for name, values in (datasets | changed).items():
            if values is not None:
                file[name] = values


@pytest.mark.parametrize("layout", ["grid", "points"])
def test_reference(tmp_path: Path, layout: str) -> None:
    write_reference(tmp_path / "r.h5", layout)
    reference = formulated(tmp_path, text=REFERENCE).reference
    assert reference is not None
    assert reference.gridded == (layout == "grid")
    assert reference.accuracy == 1e-9
    assert list(reference.coordinates) == ["x", "t"]
    assert list(reference.values) == ["u", "h_real", "h_imag"]


@pytest.mark.parametrize(
    ("layout", "changed", "message"),
    [
        ("mesh", {}, "attribute 'layout' should be 'grid' or 'points'"),
        ("grid", {"t": None}, "no dataset for the coordinate 't'"),
        ("grid", {"h_imag": None}, "no dataset for the component 'h_imag'"),
        ("grid", {"u": np.ones((4, 3))}, "component 'u' has shape (4, 3), the coordinates span (3, 4)"),
        ("grid", {"x": [0.0, 0.5, 0.5]}, "coordinate 'x' should increase"),
        ("points", {"x": np.zeros(4)}, "the coordinates of points should have equal lengths"),
        ("points", {"x": np.full(5, 7.0)}, "row 1, column 'x': 7 is outside the range 0 to 1"),
    ],
)
def test_wrong_reference(tmp_path: Path, layout: str, changed: dict[str, object], message: str) -> None:
    write_reference(tmp_path / "r.h5", layout, **changed)
    with pytest.raises(ProblemError) as caught:
        formulated(tmp_path, text=REFERENCE)
    assert caught.value.diagnostics[0].message.startswith(f"r.h5: {message}")
    assert caught.value.diagnostics[0].where == "reference_data.file"

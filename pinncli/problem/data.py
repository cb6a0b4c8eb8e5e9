"""Tables of points from CSV and HDF5, and reference solutions from HDF5: read with care, from anybody.

A table has one column per coordinate and any number of others, all finite float64 numbers. A
reference file holds one dataset per coordinate and one per component; attribute `layout` says
whether they span a `grid` (axes in the problem's order) or are scattered `points`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pinncli.language.diagnostics import nearest
from pinncli.problem.csv_text import Array, read_csv
from pinncli.problem.domains import domain_of
from pinncli.problem.model import Problem
from pinncli.problem.named_files import DataError
from pinncli.problem.source import printable

if TYPE_CHECKING:
    import h5py

MAX_CSV_BYTES = 128 * 2**20
MAX_CELLS = 2**27
"""Numbers in one data or reference file (1 GiB of float64)."""
_HDF5_SUFFIXES = (".h5", ".hdf5", ".nc")


@dataclass(frozen=True)
class DataTable:
    """Points with named columns, each of shape (n,): the coordinates, then what was measured."""

    columns: Mapping[str, Array]
    file: str


@dataclass(frozen=True)
class Reference:
    """An accurate solution from a file.

    `coordinates` have shape (n_k,) on a grid and (n,) at points; `values` per real component
    have shape (n_1, n_2, ...) in the problem's order on a grid, and (n,) at points.
    """

    coordinates: Mapping[str, Array]
    values: Mapping[str, Array]
    gridded: bool
    accuracy: float | None = None
    """Estimated relative L2 error, where the file states it."""


def _content(path: Path) -> bytes:
    """What is in a CSV file; raises `DataError`."""
    try:
        if path.stat().st_size > MAX_CSV_BYTES:
            raise DataError(f"larger than {MAX_CSV_BYTES // 2**20} MiB; HDF5 has room for more")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}") from None


def read_table(path: Path, problem: Problem) -> dict[str, Array]:
    """The columns of a CSV or HDF5 file of points, checked; raises `DataError`."""
    columns = _read_hdf5_table(path) if path.suffix.lower() in _HDF5_SUFFIXES else read_csv(_content(path))
    for name in problem.coordinates:
        if name not in columns:
            hint = nearest(name, columns)
            raise DataError(f"no column for the coordinate '{name}'" + (f"; {hint}" if hint else ""))
    _check_domain(columns, problem)
    return columns


def _check_domain(columns: Mapping[str, Array], problem: Problem) -> None:
    for name, coordinate in problem.coordinates.items():
        low, high = coordinate.range
        slack = 1e-9 * (high - low)
        outside = np.flatnonzero((columns[name] < low - slack) | (columns[name] > high + slack))
        if outside.size:
            row = int(outside[0])
            rest = f" ({outside.size} points outside in all)" if outside.size > 1 else ""
            raise DataError(
                f"row {row + 1}, column '{name}': {columns[name][row]:g} is outside the range"
                f" {low:g} to {high:g}{rest}"
            )
    points = np.stack([columns[name] for name in problem.coordinates], axis=1)
    outside = np.flatnonzero(~domain_of(problem).contains(points))
    if outside.size:
        row = int(outside[0])
        rest = f" ({outside.size} points outside in all)" if outside.size > 1 else ""
        place = ", ".join(f"{n} = {v:g}" for n, v in zip(problem.coordinates, points[row], strict=True))
        raise DataError(f"row {row + 1}: {place} is outside the domain{rest}")


def _read_hdf5_table(path: Path) -> dict[str, Array]:
    columns, _ = _read_hdf5(path)
    if not columns:
        raise DataError("there are no datasets in it")
    lengths = {name: column.shape for name, column in columns.items()}
    first = next(iter(lengths))
    for name, shape in lengths.items():
        if len(shape) != 1:
            raise DataError(f"column '{name}' has {len(shape)} axes; a table's columns have one")
        if shape != lengths[first]:
            raise DataError(f"column '{name}' has {shape[0]} rows, column '{first}' has {lengths[first][0]}")
    if not lengths[first][0]:
        raise DataError("there are no rows")
    return columns


def read_columns(path: Path) -> dict[str, Array]:
    """Everything in a CSV or HDF5 file by name, of any shape; raises `DataError`."""
    return _read_hdf5(path)[0] if path.suffix.lower() in _HDF5_SUFFIXES else read_csv(_content(path))


def read_reference(path: Path, problem: Problem) -> Reference:
    """An accurate solution from an HDF5 file, checked against the problem; raises `DataError`."""
    datasets, attributes = _read_hdf5(path)
    layout = attributes.get("layout")
    if layout not in ("grid", "points"):
        raise DataError("attribute 'layout' should be 'grid' or 'points'")
    for kind, names in (("coordinate", problem.coordinates), ("component", problem.components)):
        for name in names:
            if name not in datasets:
                raise DataError(f"no dataset for the {kind} '{name}'")
    coordinates = {name: datasets[name] for name in problem.coordinates}
    values = {name: datasets[name] for name in problem.components}
    for name, axis in coordinates.items():
        if axis.ndim != 1 or not axis.size:
            raise DataError(f"coordinate '{name}' should be a list of numbers")
        if layout == "grid" and axis.size > 1 and not np.all(np.diff(axis) > 0):
            raise DataError(f"coordinate '{name}' should increase")
    shape: tuple[int, ...] = tuple(axis.size for axis in coordinates.values())
    if layout == "points":
        if len(set(shape)) > 1:
            raise DataError("the coordinates of points should have equal lengths")
        shape = shape[:1]
    if layout == "grid":
        values = {name: _spread(values[name], shape, problem.arguments(name), problem) for name in values}
    for name, value in values.items():
        if value.shape != shape:
            raise DataError(f"component '{name}' has shape {value.shape}, the coordinates span {shape}")
    if layout == "points":
        _check_domain(coordinates, problem)
    accuracy = attributes.get("accuracy")
    return Reference(coordinates, values, layout == "grid", accuracy if isinstance(accuracy, float) else None)


def _spread(value: Array, shape: tuple[int, ...], varies: Sequence[str], problem: Problem) -> Array:
    """A component given on the axes of its own coordinates alone, on those of all."""
    kept = [name in varies for name in problem.coordinates]
    if value.shape != tuple(n for n, own in zip(shape, kept, strict=True) if own):
        return value
    mine = tuple(n if own else 1 for n, own in zip(shape, kept, strict=True))
    return np.broadcast_to(value.reshape(mine), shape)


def _read_hdf5(path: Path) -> tuple[dict[str, Array], dict[str, str | float]]:
    """Every dataset and every plain attribute of the root; raises `DataError`."""
    import h5py  # noqa: PLC0415

    try:
        with h5py.File(path, "r", locking=False) as file:
            names = list(file)[:1001]
            if len(names) > 1000:
                raise DataError("more than 1000 datasets")
            datasets = {name: _dataset(file, name) for name in names}
            attributes = {key: _plain(file.attrs[key]) for key in ("layout", "accuracy") if key in file.attrs}
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"not a readable HDF5 file: {printable(str(error).splitlines()[0], 100)}") from None
    return datasets, attributes


def _plain(value: object) -> str | float:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return float(value) if isinstance(value, np.integer | np.floating | float | int) else str(value)


def _dataset(file: h5py.File, name: str) -> Array:
    """One dataset of real numbers, nothing that reads other files."""
    import h5py  # noqa: PLC0415

    shown = f"dataset '{printable(name, 40)}'"
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise DataError(f"{shown} is a link; links are not followed")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset):
        raise DataError(f"'{printable(name, 40)}' is a group; only datasets are read")
    if dataset.external or dataset.is_virtual:
        raise DataError(f"{shown} keeps its numbers in another file; that is not followed")
    if dataset.dtype.kind not in "fiu":
        raise DataError(f"{shown} does not hold numbers")
    if dataset.shape is None or dataset.size > MAX_CELLS:
        raise DataError(f"{shown} is empty or too large")
    values = np.asarray(dataset[()], dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        place = np.unravel_index(int(bad[0]), values.shape)
        row = ", ".join(str(int(k) + 1) for k in place)
        raise DataError(f"row {row}, column '{printable(name, 40)}': {values[place]} is not a finite number")
    return values

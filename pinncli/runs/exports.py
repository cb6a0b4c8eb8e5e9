"""Publishing fields and points under a name of the user's choice, in a format of the user's choice.

`hdf5`, `netcdf` and `vtkhdf` are the same bytes: programs choose their reader by the name.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinncli.errors import UsageError
from pinncli.evaluation import FieldSet, PointSet
from pinncli.runs.fields import fields_bytes, is_uniform, split_complex
from pinncli.runs.files import Files
from pinncli.runs.points import points_bytes

SUFFIXES = {"hdf5": ".h5", "netcdf": ".nc", "vtkhdf": ".vtkhdf", "csv": ".csv"}
"""Format to the ending of the names of its files."""


def export(
    data: FieldSet | PointSet, path: Path, form: str, *, history: str = "", files: Files | None = None
) -> None:
    """Write `data` to `path` atomically in the format `form`, a key of SUFFIXES.

    Raises UsageError where the format cannot hold the data or ParaView would not know the name,
    OutputError where the file cannot be created, StorageError where writing fails.
    """
    if form not in SUFFIXES:
        raise UsageError(f"{form!r} is no format; choose one of {', '.join(SUFFIXES)}")
    if form == "vtkhdf":
        data = _for_vtk(data, path)
    if form == "csv":
        encoded = csv_bytes(data)
    elif isinstance(data, FieldSet):
        encoded = fields_bytes(data, history=history)
    else:
        encoded = points_bytes(data, history=history)
    (files or Files()).write_atomic(path, encoded)


def _for_vtk(data: FieldSet | PointSet, path: Path) -> FieldSet | PointSet:
    """The data as VTK can hold them: without parameter coordinates, which must be held at a value."""
    if path.suffix != SUFFIXES["vtkhdf"]:
        raise UsageError(f"{path}: ParaView reads such a file only under a name that ends in .vtkhdf")
    if isinstance(data, PointSet):
        return data
    varied = [name for name in data.coordinates if data.axes.get(name) == "P"]
    for name in varied:
        if len(data.coordinates[name]) > 1:
            raise UsageError(
                f"{path}: VTK's image data have no axis for the parameter {name}: hold it, as in"
                f" 'pinncli eval RUN --at {name}={data.coordinates[name][0]:.4g} --out {path.name}',"
                " or export as netcdf or csv"
            )
    data = data.held(dict.fromkeys(varied, 0))
    if not is_uniform(data):
        raise UsageError(
            f"{path}: VTK's image data need 1 to 3 evenly spaced axes of space; export as netcdf or csv"
        )
    return data


def csv_bytes(data: FieldSet | PointSet) -> bytes:
    """Columns coordinates and fields, a row a point, every number in full precision.

    The coordinates of a grid are in the order x, y, z, t, parameters, the first varying fastest.
    """
    names = list(data.coordinates)
    columns: list[NDArray[Any]] = list(data.coordinates.values())
    if isinstance(data, FieldSet):
        columns = [grid.ravel() for grid in np.meshgrid(*columns, indexing="ij")]
        last = {"T": 1, "P": 2}
        order = sorted(range(len(names)), key=lambda k: (last.get(data.axes.get(names[k], ""), 0), -k))
        names, columns = [names[k] for k in order], [columns[k] for k in order]
    fields = split_complex(data.fields)
    names += fields
    columns += [values.ravel() for values in fields.values()]
    text = io.StringIO()
    text.write(",".join(names) + "\n")
    rows: Iterable[tuple[float, ...]] = zip(*(column.tolist() for column in columns), strict=True)
    text.writelines(",".join(map(repr, row)) + "\n" for row in rows)
    return text.getvalue().encode("utf-8")
